package test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"pachfs/pachclient/pfspb/pfs"
	"pachfs/test/harness"
)

// Ten landings beside two writers that put once a second each: every landing is
// one commit with our change and nothing else, no put fails or is lost
// (promises 3, 4 and 6).
func TestForeignWriters(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	first := s.Peer.PutWait(t, ref, map[string]string{"/start": ""})
	m := s.Mount(t)
	ok(t, os.Mkdir(m.Path(ref, "ours"), 0o777))
	want := map[string]string{"/start": ""}
	stop := putEverySecond(t, s, ref, 2)
	const rounds = 10
	var took []time.Duration
	for i := range rounds {
		want[fmt.Sprintf("/ours/%d", i)] = fmt.Sprint("round ", i)
		want["/ours/last"] = fmt.Sprint("round ", i)
		write(t, m.Path(ref, fmt.Sprintf("ours/%d", i)), fmt.Sprint("round ", i))
		write(t, m.Path(ref, "ours/last"), fmt.Sprint("round ", i))
		start := time.Now()
		commit(t, m, ref)
		took = append(took, time.Since(start).Round(time.Millisecond))
		time.Sleep(400 * time.Millisecond) // so that theirs come between
	}
	puts := stop()
	maps.Copy(want, puts)
	s.Peer.Finished(t, ref)
	same(t, "in the end", s.Peer.Tree(t, ref, ""), want)
	ours, theirs := 0, 0
	for _, c := range s.Peer.Commits(t, ref, first) {
		diff := s.Peer.Diff(t, ref, c.Commit.Id)
		we := 0
		for p := range diff {
			if strings.HasPrefix(p, "/ours/") {
				we++
			}
		}
		switch we {
		case 0:
			theirs++
		case len(diff):
			ours++
		default:
			t.Errorf("commit %s holds ours and theirs: %v", c.Commit.Id, diff)
		}
	}
	t.Logf("%d commits of ours beside %d of theirs; triggers took %v", ours, theirs, took)
	if ours != rounds || theirs != len(puts) {
		t.Errorf("%d commits of ours and %d of theirs, want %d and %d", ours, theirs, rounds, len(puts))
	}
}

// putEverySecond lets writers put a file each until it is stopped, which gives the files.
func putEverySecond(t *testing.T, s *harness.Server, ref string, writers int) (stop func() map[string]string) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	done, puts := make(chan struct{}), map[string]string{}
	for w := range writers {
		wg.Go(func() {
			for i := 0; ; i++ {
				path, data := fmt.Sprintf("/theirs/%d-%04d", w, i), fmt.Sprint("put ", i)
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				err := s.Peer.Modify(ctx, ref, map[string]string{path: data})
				cancel()
				if err != nil {
					t.Errorf("put %s: %v", path, err)
				}
				mu.Lock()
				puts[path] = data
				mu.Unlock()
				select {
				case <-done:
					return
				case <-time.After(time.Second):
				}
			}
		})
	}
	return func() map[string]string { close(done); wg.Wait(); return puts }
}

// kill -9 in the middle of a landing: after the next start the change lands
// once, whatever the server made of the call (promise 4).
func TestForeignKill(t *testing.T) {
	s, r := harness.Serve(t), random(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/start": ""})
	rounds := min(*kills, 20)
	if testing.Short() {
		rounds = 3
	}
	spec, landed := harness.Spec{URL: s.URL}, 0
	m := s.Mount(t)
	write(t, m.Path(ref, "first"), "")
	begin := time.Now()
	commit(t, m, ref)
	typical := time.Since(begin)
	m.Stop(t, 0)
	for round := range rounds {
		m := harness.MountSpec(t, spec)
		spec = m.Spec
		head := s.Peer.Head(t, ref)
		for i := range 30 {
			write(t, m.Path(ref, fmt.Sprintf("f%02d", i)), fmt.Sprint(round, i))
		}
		toucher := harness.Start(t, "touch", shell("/", "touch "+m.Path(ref, ".commit")))
		time.Sleep(time.Duration(r.Int64N(int64(4 * typical))))
		m.Kill(t)
		if !toucher.Within(20 * time.Second) {
			t.Fatal("touch hangs after the kill")
		}
		m.Close(t)
		landed += len(s.Peer.Commits(t, ref, head))
		m = harness.MountSpec(t, spec)
		commit(t, m, ref)
		if made := s.Peer.Commits(t, ref, head); len(made) != 1 {
			t.Errorf("round %d: %d commits, want 1", round, len(made))
		}
		if got := s.Peer.Tree(t, ref, "")["/f29"]; got != fmt.Sprint(round, 29) {
			t.Errorf("round %d: f29 is %q", round, got)
		}
		m.Stop(t, 0)
	}
	t.Logf("%d of %d had landed when pachfs died, which takes %v", landed, rounds, typical)
	if (landed == 0 || landed == rounds) && !testing.Short() {
		t.Error("all kills came on the same side of the landing")
	}
}

// Somebody moves the head back by hand: the mount follows, and lands on it.
func TestForeignHead(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	first := s.Peer.PutWait(t, ref, map[string]string{"/x": "one"})
	s.Peer.PutWait(t, ref, map[string]string{"/x": "two", "/y": "y"})
	m := s.Mount(t)
	shows(t, m.Path(ref, "x"), "two")
	setHead(t, s, ref, first)
	shows(t, m.Path(ref, "x"), "one")
	write(t, m.Path(ref, "mine"), "mine")
	commit(t, m, ref)
	same(t, "landed", s.Peer.Tree(t, ref, ""), map[string]string{"/x": "one", "/mine": "mine"})
	if made := s.Peer.Commits(t, ref, first); len(made) != 1 {
		t.Errorf("%d commits on the head that was moved, want 1", len(made))
	}
}

func setHead(t *testing.T, s *harness.Server, ref, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := s.Peer.API.CreateBranch(ctx, &pfs.CreateBranchRequest{Branch: harness.BranchOf(ref), Head: harness.CommitOf(ref, id)})
	ok(t, err)
}

// A commit of somebody else ends with an error, for its paths collide: the mount
// shows what was before, and lands on top; the commit stays where it is.
func TestForeignErrored(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	good := s.Peer.PutWait(t, ref, map[string]string{"/x": "x"})
	m := s.Mount(t)
	shows(t, m.Path(ref, "x"), "x")
	bad := s.Peer.PutWait(t, ref, map[string]string{"/a": "a", "/a/b": "b"})
	same(t, "beside a broken commit", local(t, m.Path(ref)), map[string]string{"/x": "x"})
	write(t, m.Path(ref, "mine"), "mine")
	commit(t, m, ref)
	same(t, "landed", s.Peer.Tree(t, ref, ""), map[string]string{"/x": "x", "/mine": "mine"})
	made := s.Peer.Commits(t, ref, good)
	if len(made) != 2 || made[0].Commit.Id != bad || made[0].Error == "" || made[1].Error != "" {
		t.Errorf("the commits above the good one: %v", made)
	}
	if st := m.Status(t, ref); st.State != "clean" || st.Base != s.Peer.Head(t, ref) {
		t.Errorf("afterwards %+v", st)
	}
}
