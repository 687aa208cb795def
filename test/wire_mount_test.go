package test

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"pachfs/test/harness"
)

// The same below a mount: whole files and pieces of them.
func TestWireMountReads(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	r := random(t)
	one, two := noise(r, 20<<20), noise(r, 20<<20)
	s.Peer.PutWait(t, ref, map[string]string{"/one": one, "/two": two})
	p := harness.NewProxy(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: p.URL, Deadline: 4 * time.Minute})
	p.CutEvery(1500<<10+r.Int64N(1<<20), r.IntN(2) == 0)
	p.Cut()
	moved := func(what string, most int64) {
		t.Helper()
		t.Logf("%s: %d bytes came over %d connections that broke", what, p.Down(), p.Broken())
		if p.Down() > most {
			t.Errorf("%s: %d bytes moved, want at most %d", what, p.Down(), most)
		}
	}
	if got := read(t, m.Path(ref, "one")); got != one {
		t.Errorf("one has %d bytes, other than were put", len(got))
	}
	moved("a whole file", 3*20<<20)
	f, err := os.Open(m.Path(ref, "two"))
	ok(t, err)
	defer f.Close()
	for range 40 {
		off, b := r.Int64N(20<<20-300000), make([]byte, 1+r.IntN(300000))
		if _, err := f.ReadAt(b, off); err != nil || string(b) != two[off:off+int64(len(b))] {
			t.Errorf("%d bytes at %d: %v, or other bytes", len(b), off, err)
		}
	}
	moved("and pieces of another", (3*20+40*4)<<20) // of up to two chunks, with what is under way behind them
	if p.Broken() == 0 {
		t.Error("no connection broke")
	}
}

// A trigger makes one commit, whichever call of its landing breaks, and where.
func TestWireMountLands(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	head := s.Peer.PutWait(t, ref, map[string]string{"/x": "x"})
	relay := harness.NewRelay(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: relay.URL, Deadline: 5 * time.Minute})
	r := random(t)
	methods := []string{"CreateFileSet", "RenewFileSet", "InspectCluster", "InspectBranch", "InspectCommit", "WalkFile", "ListCommit", "DiffFile", "ModifyFile", "EditMetadata", "GetVersion", "WhoAmI"}
	struck := map[string]int{}
	for round := range 30 {
		method, f := methods[r.IntN(len(methods))], faults[r.IntN(len(faults))]
		if method == "ModifyFile" && f.trap.Point < harness.Asked && f.trap.Delay == 0 {
			continue // nobody knows that nothing happened before the call's deadline: TestWireMountLandsLater
		}
		path := fmt.Sprintf("f%d", round)
		write(t, m.Path(ref, path), path)
		trap := f.trap
		trap.Method = method
		relay.Set(&trap)
		touched := touch(t, m.Path(ref, ".commit"))
		hit, landed := relay.Struck(), relay.Calls("ModifyFile")
		relay.Set(nil)
		if hit > 0 {
			struck[method] += hit
		}
		if touched.Code != 0 {
			t.Errorf("round %d, %s of %s: %v\n%s", round, f.name, method, touched, read(t, m.Path(ref, ".status")))
			commit(t, m, ref)
		}
		made := s.Peer.Commits(t, ref, head)
		if len(made) != 1 || landed != 1 {
			t.Fatalf("round %d, %s of %s: %d commits, %d calls, want 1", round, f.name, method, len(made), landed)
		}
		head = made[0].Commit.Id
		same(t, "the commit", s.Peer.Diff(t, ref, head), map[string]string{"/" + path: "+"})
	}
	t.Logf("struck: %v", struck)
	if len(struck) < 5 {
		t.Error("hardly anything was struck")
	}
}

// A change that was cut off on its way to the server may have happened until
// its deadline is over; then it is sent again, once.
func TestWireMountLandsLater(t *testing.T) {
	for _, trap := range []harness.Trap{{Point: harness.Arriving}, {Point: harness.Asking, After: 1}} {
		t.Run(fmt.Sprint("point ", trap.Point), func(t *testing.T) {
			t.Parallel()
			s := harness.Serve(t)
			ref := s.Ref("a@master")
			s.Peer.Create(t, s.Ref("a"))
			head := s.Peer.PutWait(t, ref, map[string]string{"/x": "x"})
			relay := harness.NewRelay(t, s)
			m := harness.MountSpec(t, harness.Spec{URL: relay.URL, Deadline: 5 * time.Minute})
			write(t, m.Path(ref, "new"), "new")
			trap.Method = "ModifyFile"
			relay.Set(&trap)
			commit(t, m, ref)
			if relay.Struck() != 1 {
				t.Error("the fault did not strike")
			}
			if n := len(s.Peer.Commits(t, ref, head)); n != 1 {
				t.Errorf("%d commits, want 1", n)
			}
		})
	}
}

// A connection that something in between forgot, so that nobody hears of it any
// more, is given up, and the read goes on over another.
func TestWireStranded(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	data := noise(random(t), 8<<20)
	s.Peer.PutWait(t, ref, map[string]string{"/big": data})
	p := harness.NewProxy(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: p.URL, Deadline: 10 * time.Minute})
	f, err := os.Open(m.Path(ref, "big"))
	ok(t, err)
	defer f.Close()
	got := make([]byte, len(data))
	_, err = io.ReadFull(f, got[:4096])
	ok(t, err)
	p.Strand()
	start := time.Now()
	_, err = io.ReadFull(f, got[4096:])
	t.Logf("it went on after %v", time.Since(start))
	if err != nil || string(got) != data {
		t.Errorf("%v, or other bytes", err)
	}
}
