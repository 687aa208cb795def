package staging_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/staging"
)

// fixture opens a copy of the state directory with a commit whose fate is not known.
func fixture(t *testing.T, dir string) (*staging.Stage, *staging.Overlay) {
	t.Helper()
	s, err := staging.OpenBooted("fixture", dir, staging.Options{Client: pachclient.Offline{}})
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	o, err := s.Overlay(t.Context(), pachclient.Branch{Project: "default", Repo: "labels", Name: "master"})
	ok(t, err)
	return s, o
}

// A commit that was sent keeps its paths from being discarded; Abandon gives it
// up with everything else, for good.
func TestAbandonWhatWasSent(t *testing.T) {
	dir := copyFixture(t, newestFormat)
	s, o := fixture(t, dir)
	if err := o.Discard("/one.json"); !errors.Is(err, staging.ErrBusy) {
		t.Errorf("discard: %v", err)
	}
	ok(t, o.Abandon())
	for range 2 {
		if st := o.Status(); o.Dirty() || st.Staged.Files+st.Staged.Deleted > 0 || len(st.Writing) > 0 {
			t.Errorf("left: %+v", st)
		}
		ok(t, s.Check())
		ok(t, s.Close())
		s, o = fixture(t, dir)
	}
}

// Many may look at once; a mount that starts meanwhile waits for them, and one
// that runs keeps them out with words that name it.
func TestLookAndLock(t *testing.T) {
	dir := copyFixture(t, newestFormat)
	one, err := staging.Inspect(dir, staging.Only(pachclient.Offline{}))
	ok(t, err)
	two, err := staging.Inspect(dir, staging.Only(pachclient.Offline{}))
	ok(t, err)
	var over atomic.Bool
	time.AfterFunc(100*time.Millisecond, func() { over.Store(true); one.Close(); two.Close() })
	s, err := staging.Open(dir, staging.Options{Client: pachclient.Offline{}})
	ok(t, err)
	defer s.Close()
	if !over.Load() {
		t.Error("a mount did not wait for who looks")
	}
	held := fmt.Sprintf("held by process %d", os.Getpid())
	if _, err = staging.Inspect(dir, staging.Only(pachclient.Offline{})); !errors.Is(err, staging.ErrLocked) || !strings.Contains(err.Error(), held) {
		t.Errorf("a look at a directory that is in use: %v", err)
	}
	if _, err = staging.Open(dir, staging.Options{Client: pachclient.Offline{}}); !errors.Is(err, staging.ErrLocked) || !strings.Contains(err.Error(), held) {
		t.Errorf("a second mount: %v", err)
	}
	if kept, err := staging.KeptIn(dir); err != nil || len(kept) != 2 || kept[1].Branch.Repo != "labels" || kept[1].Deployment == "" {
		t.Errorf("kept: %v %v", kept, err)
	}
}

// One who looks for longer than a mount waits is told of.
func TestLookForLong(t *testing.T) {
	t.Parallel()
	dir := copyFixture(t, newestFormat)
	i, err := staging.Inspect(dir, staging.Only(pachclient.Offline{}))
	ok(t, err)
	defer i.Close()
	if _, err = staging.Open(dir, staging.Options{Client: pachclient.Offline{}}); !errors.Is(err, staging.ErrLocked) || !strings.Contains(err.Error(), "looks at it") {
		t.Errorf("%v", err)
	}
}

// A directory that is none is not made into one by looking.
func TestLookAtNothing(t *testing.T) {
	dir := t.TempDir()
	if _, err := staging.Inspect(dir, staging.Only(pachclient.Offline{})); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	put(t, dir+"/format", "somebody else's\n")
	before := hashes(t, dir)
	if _, err := staging.Inspect(dir, staging.Only(pachclient.Offline{})); !errors.Is(err, staging.ErrCorrupt) {
		t.Errorf("%v", err)
	}
	sameText(t, "the files", hashes(t, dir), before)
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("%v %v", names, err)
	}
}

// Without residue.db, which only costs times, a look needs no server either;
// what is staged in several layers shows as one, moved by the upper ones.
func TestLookWithoutResidue(t *testing.T) {
	dir := copyFixture(t, newestFormat)
	want := tell(t, "fixture", dir)
	ok(t, os.Remove(dir+"/branches/default+labels@master/residue.db"))
	got := tell(t, "fixture", dir)
	if !strings.Contains(got, "in the third layer") || !strings.Contains(want, "in the third layer") || strings.Count(got, "\n") < strings.Count(want, "\n")-3 {
		t.Errorf("got\n%s\nwant about\n%s", got, want)
	}
}

// A directory that was staged in one layer and moved in the next is walked
// where it is now, with what is in it once.
func TestWalkAcrossLayers(t *testing.T) {
	b := newBench(t, short)
	b.write("/d/f", "in the first layer")
	b.write("/d/gone", "x")
	b.down()
	_, err := b.o.Commit(t.Context(), "")
	b.is(err, pachclient.ErrUnavailable)
	b.Heal()
	b.mv("/d", "/e")
	b.rm("/e/gone")
	b.write("/e/g", "in the second layer")
	dir := b.cp()
	b.walks(dir, b.client, "[/e /e/f /e/g]")
	b.walks(dir, pachclient.Offline{}, "[/e /e? /e/f /e/g]") // a directory that moved may have more in it
}

// walks fails unless a look at the directory finds just these paths; a question
// mark is where the server would have to be asked.
func (b *bench) walks(dir string, c pachclient.Client, want string) {
	b.t.Helper()
	i, err := staging.Inspect(dir, staging.Only(c))
	b.must(err)
	defer i.Close()
	found, err := i.Branches(b.t.Context())
	b.must(err)
	f := found[0]
	var got []string
	b.must(f.Walk(b.t.Context(), func(p string, _ staging.Info, err error) error {
		if errors.Is(err, pachclient.ErrUnavailable) {
			p, err = p+"?", nil
		}
		got = append(got, p)
		return err
	}))
	if fmt.Sprint(got) != want {
		b.t.Errorf("walked %v, want %s", got, want)
	}
	for p, want := range map[string]string{"/e/f": "in the first layer", "/e/g": "in the second layer"} {
		if text := pieces(b.t.Context(), f, p); text != want {
			b.t.Errorf("%s reads %q", p, text)
		}
	}
	if len(f.Writing()) > 0 || f.Sealed != 1 || f.Sent {
		b.t.Errorf("found %+v", f)
	}
}

// looks tells what an inspection says is staged, and checks it.
func (b *bench) looks(dir string) string {
	b.t.Helper()
	i, err := staging.Inspect(dir, staging.Only(pachclient.Offline{}))
	b.must(err)
	found, err := i.Branches(b.t.Context())
	b.must(err)
	for _, f := range found {
		b.must(f.Check())
		if f.Branch == b.branch {
			defer i.Close()
			return staged(f.Status(), f.Diff())
		}
	}
	b.t.Fatalf("%v is not found in %s", b.branch, dir)
	return ""
}

func staged(st staging.Status, diff []staging.DiffLine) string {
	c := st.Staged
	return fmt.Sprintln(st.Base, c.Files, c.Deleted, c.Bytes, c.Oldest, st.Writing, diff)
}
