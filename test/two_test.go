package test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pachfs/test/harness"
)

// shows waits until a path reads so.
func shows(t *testing.T, path, want string) {
	t.Helper()
	harness.Eventually(t, 10*time.Second, path+" reads "+brief(want), func() bool {
		b, err := os.ReadFile(path)
		return err == nil && string(b) == want
	})
}

// A commit from one mount shows in the other (promise 1: within a second; ten here).
func TestTwoMounts(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/d/x": "x", "/d/gone": "gone", "/d/e/deep": "deep", "/same": "same"})
	one, two := s.Mount(t), s.Mount(t)
	_, _ = local(t, one.Path(ref)), local(t, two.Path(ref))
	inode := ino(t, two.Path(ref, "same"))
	dirIno := ino(t, two.Path(ref, "d"))

	write(t, one.Path(ref, "d/x"), "changed by one")
	write(t, one.Path(ref, "d/new"), "new")
	ok(t, os.Remove(one.Path(ref, "d/gone")))
	start := time.Now()
	commit(t, one, ref)
	finished := time.Now()
	shows(t, two.Path(ref, "d/x"), "changed by one")
	t.Logf("the trigger took %v; it showed in the other mount after %v more", finished.Sub(start).Round(time.Millisecond), time.Since(finished).Round(time.Millisecond))
	shows(t, two.Path(ref, "d/new"), "new")
	harness.Eventually(t, 10*time.Second, "the listing has changed", func() bool {
		return harness.Sh(t, two.Path(ref, "d"), "ls") == "e\nnew\nx\n"
	})
	if _, err := os.Stat(two.Path(ref, "d/gone")); !os.IsNotExist(err) {
		t.Errorf("stat of a deleted file: %v", err)
	}
	if got := ino(t, two.Path(ref, "same")); got != inode {
		t.Errorf("a file that did not change has inode %d, had %d", got, inode)
	}
	if got := ino(t, two.Path(ref, "d")); got != dirIno {
		t.Errorf("a directory has inode %d, had %d", got, dirIno)
	}
	if got := two.Status(t, ref); got.Head != s.Peer.Head(t, ref) || got.State != "clean" {
		t.Errorf(".status of the other: %+v", got)
	}
}

// An open file keeps its bytes, a cwd stays, stat on a descriptor works.
func TestTwoOpenFile(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	old := strings.Repeat("old bytes ", 50_000)
	s.Peer.PutWait(t, ref, map[string]string{"/d/x": old, "/d/sub/y": "y", "/d/gone": "gone soon"})
	m := s.Mount(t)
	open := func(name string) *os.File {
		f, err := os.Open(m.Path(ref, name))
		ok(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	x, gone, unread := open("d/x"), open("d/gone"), open("d/x")
	b := make([]byte, 10)
	_, err := x.ReadAt(b, 100)
	ok(t, err)
	sitter := harness.Start(t, "sitter", shell(m.Path(ref, "d/sub"), "echo there; while read line; do pwd; ls; cat y; ls ..; echo; done"))
	_ = sitter.FirstLine(t, 20*time.Second)

	s.Peer.PutWait(t, ref, map[string]string{"/d/x": "new", "-/d/gone": "", "/d/new": "n", "/d/sub/z": "z"})
	shows(t, m.Path(ref, "d/x"), "new")
	for name, f := range map[string]*os.File{"read before": x, "not read before": unread} {
		got := make([]byte, len(old))
		if _, err := f.ReadAt(got, 0); err != nil || string(got) != old {
			t.Errorf("an open file, %s, reads %v, %s", name, err, brief(string(got)))
		}
		st, err := f.Stat()
		if err != nil || st.Size() != int64(len(old)) {
			t.Errorf("fstat of an open file, %s: %v, %v", name, st, err)
		}
	}
	got := make([]byte, 9)
	if _, err := gone.ReadAt(got, 0); err != nil || string(got) != "gone soon" {
		t.Errorf("a deleted open file reads %q, %v", got, err)
	}
	harness.Eventually(t, 10*time.Second, "the sitter sees the new file", func() bool {
		return slices.Equal(names(t, m.Path(ref, "d/sub")), []string{"y", "z"})
	})
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", sitter.Pid()))
	if err != nil || strings.Contains(cwd, "deleted") || !strings.HasSuffix(cwd, "/d/sub") {
		t.Errorf("the cwd of a process inside: %s, %v", cwd, err)
	}
	if r := harness.Try(t, "ls", fmt.Sprintf("/proc/%d/cwd/..", sitter.Pid())); !strings.Contains(r.Out, "new") {
		t.Errorf("ls from the cwd: %v", r)
	}
}

// A staged path that somebody else changed: EBUSY, named in .status, nothing lost (promise 6).
func TestTwoConflict(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/x": "x", "/y": "y", "/d/f": "f"})
	m := s.Mount(t)
	write(t, m.Path(ref, "x"), "mine")
	write(t, m.Path(ref, "free"), "mine too")
	theirs := s.Peer.PutWait(t, ref, map[string]string{"/x": "theirs", "/y": "theirs"})
	harness.Eventually(t, 10*time.Second, "state is conflict, without a trigger", func() bool { return m.Status(t, ref).State == "conflict" })
	r := touch(t, m.Path(ref, ".commit"))
	if r.Code == 0 || !strings.Contains(r.Err, "busy") {
		t.Errorf("touch in a conflict: %v", r)
	}
	st := m.Status(t, ref)
	if !slices.Equal(st.Conflicts, []string{"/x"}) && !slices.Equal(st.Conflicts, []string{"x"}) {
		t.Errorf("conflicts: %q", st.Conflicts)
	}
	if st.LastError == nil || !strings.Contains(st.LastError.Message, "x") {
		t.Errorf("last_error: %+v", st.LastError)
	}
	if h := s.Peer.Head(t, ref); h != theirs {
		t.Errorf("the head moved to %s", h)
	}
	if got := read(t, m.Path(ref, "x")); got != "mine" {
		t.Errorf("x reads %q", got)
	}
	if got := read(t, m.Path(ref, "y")); got != "y" { // the base stays
		t.Errorf("y reads %q while in conflict", got)
	}
	if r := harness.Pachfs(t, "commit", m.Path(ref)); r.Code != 4 {
		t.Errorf("pachfs commit in a conflict: %v", r)
	}
	m.Stop(t, 4)
	m = m.Again(t)
	if got := read(t, m.Path(ref, "x")); got != "mine" {
		t.Errorf("after a remount x reads %q", got)
	}
	// The way out: give the path up.
	if r := harness.Pachfs(t, "discard", m.Path(ref, "x")); r.Code != 0 {
		t.Fatalf("pachfs discard: %v", r)
	}
	harness.Eventually(t, 10*time.Second, "the conflict is over", func() bool { return m.Status(t, ref).State == "staged" })
	commit(t, m, ref)
	same(t, "landed", s.Peer.Tree(t, ref, ""), map[string]string{"/x": "theirs", "/y": "theirs", "/d/f": "f", "/free": "mine too"})
}

// A policy decides a conflict: of the mount, for touch and unmount, or of one
// commit (promise 6).
func TestTwoOnConflict(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/x": "x", "/y": "y"})
	m := s.Mount(t, "--on-conflict", "ours")
	write(t, m.Path(ref, "x"), "mine")
	theirs := s.Peer.PutWait(t, ref, map[string]string{"/x": "theirs"})
	harness.Eventually(t, 10*time.Second, "state is conflict", func() bool { return m.Status(t, ref).State == "conflict" })
	commit(t, m, ref)
	same(t, "ours", s.Peer.Tree(t, ref, ""), map[string]string{"/x": "mine", "/y": "y"})
	if b := read(t, m.Path(ref, ".status")); !strings.Contains(b, `"overwritten":[{"path":"/x","commit":"`+theirs+`"}]`) {
		t.Errorf("the status names nobody: %s", b)
	}
	write(t, m.Path(ref, "x"), "mine again")
	write(t, m.Path(ref, "y"), "mine too")
	s.Peer.PutWait(t, ref, map[string]string{"/x": "theirs again"})
	if r := harness.Pachfs(t, "commit", "--on-conflict", "maybe", m.Path(ref)); r.Code != 2 || !strings.Contains(r.Err, "maybe") {
		t.Errorf("a policy that is none: %v", r)
	}
	if r := harness.Pachfs(t, "commit", "--on-conflict", "theirs", m.Path(ref)); r.Code != 0 {
		t.Errorf("pachfs commit --on-conflict theirs: %v", r)
	}
	want := map[string]string{"/x": "theirs again", "/y": "mine too"}
	same(t, "theirs", s.Peer.Tree(t, ref, ""), want)
	for p, content := range want {
		if got := read(t, m.Path(ref, p)); got != content {
			t.Errorf("%s reads %q on the mount, want %q", p, got, content)
		}
	}
}

// Two mounts write different files: both land, and each sees all.
func TestTwoWriters(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/x": "x"})
	one, two := s.Mount(t), s.Mount(t)
	want := map[string]string{"/x": "x"}
	for i := range 5 {
		for name, m := range map[string]*harness.Mount{"one": one, "two": two} {
			p := fmt.Sprintf("/%s/%d", name, i)
			want[p] = name
			ok(t, os.MkdirAll(m.Path(ref, name), 0o777))
			write(t, m.Path(ref, p), name)
			commit(t, m, ref)
		}
	}
	same(t, "landed", s.Peer.Tree(t, ref, ""), want)
	for _, m := range []*harness.Mount{one, two} {
		harness.Eventually(t, 10*time.Second, "both see it all", func() bool { return len(local(t, m.Path(ref))) == len(want) })
		same(t, "seen", local(t, m.Path(ref)), want)
	}
}

// A third client puts as fast as the server finishes commits while a mount
// commits: none of its puts fails or is lost, no commit of ours holds a file of
// theirs (promise 6). Faster, and the backlog of a real pachd grows without end.
func TestTwoForeignPuts(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	first := s.Peer.PutWait(t, ref, map[string]string{"/start": ""})
	m := s.Mount(t)
	var stop atomic.Bool
	var wg sync.WaitGroup
	puts := 0
	end := func() { stop.Store(true); wg.Wait() }
	t.Cleanup(end)
	wg.Add(1)
	go func() {
		defer wg.Done()
		for ; !stop.Load(); puts++ {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			if err := s.Peer.Modify(ctx, ref, map[string]string{fmt.Sprintf("/theirs/%04d", puts): fmt.Sprint("put ", puts)}); err != nil {
				t.Errorf("put %d: %v", puts, err)
			}
			if puts%4 == 3 {
				if _, err := s.Peer.WaitFinished(ctx, ref); err != nil {
					t.Errorf("after put %d: %v", puts, err)
				}
			}
			cancel()
		}
	}()
	const rounds = 10
	want := map[string]string{"/start": ""}
	ok(t, os.Mkdir(m.Path(ref, "ours"), 0o777))
	for i := range rounds {
		p := fmt.Sprintf("/ours/%d", i)
		want[p] = fmt.Sprint("round ", i)
		write(t, m.Path(ref, p), want[p])
		if i > 0 {
			write(t, m.Path(ref, "ours/0"), fmt.Sprint("rewritten in ", i))
			want["/ours/0"] = fmt.Sprint("rewritten in ", i)
		}
		commit(t, m, ref)
	}
	end()
	t.Logf("%d puts beside %d commits", puts, rounds)
	if puts == 0 {
		t.Error("nothing was put beside the commits")
	}
	for i := range puts {
		want[fmt.Sprintf("/theirs/%04d", i)] = fmt.Sprint("put ", i)
	}
	same(t, "in the end", s.Peer.Tree(t, ref, ""), want)
	ours := 0
	for _, c := range s.Peer.Commits(t, ref, first) {
		var we, they bool
		for p := range s.Peer.Diff(t, ref, c.Commit.Id) {
			we = we || strings.HasPrefix(p, "/ours/")
			they = they || strings.HasPrefix(p, "/theirs/")
		}
		if we && they || !we && !they {
			t.Errorf("commit %s holds %v", c.Commit.Id, s.Peer.Diff(t, ref, c.Commit.Id))
		}
		if we {
			ours++
		}
	}
	if ours != rounds {
		t.Errorf("%d commits of ours, want %d", ours, rounds)
	}
}

// Somebody holds a commit open: we show what is finished, and say EBUSY.
func TestTwoOpenCommit(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/x": "x"})
	m := s.Mount(t, "--commit-timeout", "2s")
	id := s.Peer.StartCommit(t, ref)
	s.Peer.Put(t, ref, map[string]string{"/half": "half"})
	same(t, "beside an open commit", local(t, m.Path(ref)), map[string]string{"/x": "x"})
	write(t, m.Path(ref, "mine"), "mine")
	if r := touch(t, m.Path(ref, ".commit")); r.Code == 0 || !strings.Contains(r.Err, "busy") {
		t.Errorf("touch beside an open commit: %v", r)
	}
	if st := m.Status(t, ref); st.LastError == nil || !strings.Contains(st.LastError.Message, id[:8]) {
		t.Errorf("last_error does not name the open commit %s: %+v", id, st.LastError)
	}
	s.Peer.FinishCommit(t, ref, id)
	s.Peer.Finished(t, ref)
	commit(t, m, ref)
	same(t, "in the end", s.Peer.Tree(t, ref, ""), map[string]string{"/x": "x", "/half": "half", "/mine": "mine"})
}
