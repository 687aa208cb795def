package test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

// While a landing is under way somebody edits more files, and somebody else puts
// the same: the landing moves the base past that, and what was edited goes on to
// show, and to stand on, what its user saw; a kill changes nothing, and what
// lands over theirs is no mixture (promise 6).
func TestConflictDuringALanding(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	before := map[string]string{"/part": "0123456789", "/log": "one\n", "/d/1": "d1", "/d/2": "d2", "/other": "o"}
	s.Peer.PutWait(t, ref, before)
	relay := harness.NewRelay(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: relay.URL, Deadline: 5 * time.Minute})
	same(t, "before", local(t, m.Path(ref)), before)
	write(t, m.Path(ref, "first"), "1")
	edit := func(name, data string, off int64, flags int) {
		f, err := os.OpenFile(m.Path(ref, name), os.O_WRONLY|flags, 0)
		ok(t, err)
		if flags&os.O_APPEND != 0 {
			_, err = f.Write([]byte(data))
		} else {
			_, err = f.WriteAt([]byte(data), off)
		}
		ok(t, err)
		ok(t, f.Close())
	}
	theirs := map[string]string{"/part": "T", "/log": "their log\n", "/d/1": "THEIRS", "/d/new": "THEIRS"}
	relay.Set(&harness.Trap{Method: "ModifyFile", Point: harness.Arriving, Do: func() {
		edit("part", "X", 3, 0)
		edit("log", "two\n", 0, os.O_APPEND)
		ok(t, os.Rename(m.Path(ref, "d"), m.Path(ref, "e")))
		s.Peer.PutWait(t, ref, theirs)
	}, Delay: time.Millisecond})
	commit(t, m, ref)
	if relay.Struck() != 1 {
		t.Fatal("nobody came between")
	}
	relay.Set(nil)
	want := map[string]string{"/part": "012X456789", "/log": "one\ntwo\n", "/e/1": "d1", "/e/2": "d2", "/other": "o", "/first": "1"}
	inConflict := func(when string) {
		t.Helper()
		same(t, when, local(t, m.Path(ref)), want)
		if got := m.Status(t, ref).Conflicts; !slices.Equal(got, slices.Sorted(maps.Keys(theirs))) {
			t.Errorf("%s: in conflict: %v", when, got)
		}
	}
	inConflict("after the landing")
	if r := touch(t, m.Path(ref, ".commit")); r.Code == 0 || !strings.Contains(strings.ToLower(r.Err), syscall.EBUSY.Error()) {
		t.Errorf("a trigger in conflict: %v", r)
	}
	m.Kill(t)
	m = m.Again(t)
	inConflict("after a kill")
	if r := harness.Pachfs(t, "commit", "--on-conflict", "ours", m.Path(ref)); r.Code != 0 {
		t.Fatal(r)
	}
	same(t, "committed", s.Peer.Tree(t, ref, ""), want)
	same(t, "in the end", local(t, m.Path(ref)), want)
	if names, err := filepath.Glob(m.Path(ref, "d", "*")); len(names) > 0 || err != nil {
		t.Errorf("%v %v", names, err)
	}
}
