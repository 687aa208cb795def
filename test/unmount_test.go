package test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

// Each way of unmounting lands what is staged, as one commit (promise 7).
func TestUnmountLands(t *testing.T) {
	ways := []struct {
		name string
		do   func(t *testing.T, m *harness.Mount)
	}{
		{"umount", func(t *testing.T, m *harness.Mount) { harness.Sh(t, "", "umount "+m.Dir) }},
		{"fusermount3", func(t *testing.T, m *harness.Mount) { harness.Sh(t, "", "fusermount3 -u "+m.Dir) }},
		{"umount -l", func(t *testing.T, m *harness.Mount) { harness.Sh(t, "", "umount -l "+m.Dir) }},
		{"SIGTERM", func(t *testing.T, m *harness.Mount) { m.Signal(t, syscall.SIGTERM) }},
		{"SIGINT", func(t *testing.T, m *harness.Mount) { m.Signal(t, syscall.SIGINT) }},
		{"pachfs umount", func(t *testing.T, m *harness.Mount) {
			if r := harness.Pachfs(t, "umount", m.Dir); r.Code != 0 {
				t.Errorf("pachfs umount: %v", r)
			}
			if !m.Within(2 * time.Second) { // it waited
				t.Error("pachfs umount returned before the mount had ended")
			}
		}},
	}
	s := harness.Serve(t)
	for i, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			ref := s.Ref(fmt.Sprintf("way%d@master", i))
			s.Peer.Create(t, s.Ref(fmt.Sprintf("way%d", i)))
			m := s.Mount(t)
			head := s.Peer.Head(t, ref)
			write(t, m.Path(ref, "a"), w.name)
			ok(t, os.MkdirAll(m.Path(ref, "d"), 0o777))
			write(t, m.Path(ref, "d/b"), "b")
			w.do(t, m)
			m.Exit(t, 60*time.Second, 0)
			same(t, w.name, s.Peer.Tree(t, ref, ""), map[string]string{"/a": w.name, "/d/b": "b"})
			if n := len(s.Peer.Commits(t, ref, head)); n != 1 {
				t.Errorf("%d commits, want 1", n)
			}
			if left := m.Staged(t); len(left) > 0 {
				t.Errorf("left in the state directory: %q", left)
			}
		})
	}
}

// With nothing staged an unmount makes no commit.
func TestUnmountClean(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	id := s.Peer.PutWait(t, ref, map[string]string{"/x": "x"})
	m := s.Mount(t)
	_ = local(t, m.Path(ref))
	m.Stop(t, 0)
	if h := s.Peer.Head(t, ref); h != id {
		t.Errorf("the head moved from %s to %s", id, h)
	}
}

// A process with its cwd and an open file inside holds a SIGTERM up no more
// than its commit; the holder gets an error, not a hang.
func TestUnmountBusy(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/d/x": "x"})
	m := s.Mount(t)
	hold := harness.Start(t, "holder", harness.Self("hold", m.Path(ref, "d"), "half"))
	hold.FirstLine(t, 20*time.Second)
	write(t, m.Path(ref, "staged"), "staged")
	if r := harness.Try(t, "umount", m.Dir); r.Code == 0 {
		t.Error("umount of a busy mount succeeds")
	}
	if got := read(t, m.Path(ref, "staged")); got != "staged" {
		t.Errorf("after a refused umount: %q", got)
	}
	m.Signal(t, syscall.SIGTERM)
	if !m.Within(60 * time.Second) {
		t.Fatal("SIGTERM does not end a busy mount")
	}
	tree := s.Peer.Tree(t, ref, "")
	if tree["/staged"] != "staged" || tree["/d/x"] != "x" {
		t.Errorf("landed %v", tree)
	}
	// What the holder had open was never closed: it stays staged (promise 3), or
	// was closed by the end of its mount.
	half, landed := tree["/d/half"]
	switch code := m.Code(); {
	case code == 0 && (!landed || half != "half written"):
		t.Errorf("exit 0, and what was written is neither in Pachyderm (%q, %v)", half, landed)
	case code != 0 && code != 3:
		t.Errorf("exit %d:\n%s", code, m.Log())
	}
	hold.Kill(t)
	if m.Code() == 3 {
		again := m.Again(t)
		if got := read(t, again.Path(ref, "d/half")); got != "half written" {
			t.Errorf("the next mount has %q", got)
		}
		again.Stop(t, 3) // nobody completed it
		again = again.Again(t)
		f, err := os.OpenFile(again.Path(ref, "d/half"), os.O_WRONLY, 0)
		ok(t, err)
		ok(t, f.Close())
		again.Stop(t, 0)
		if got := s.Peer.Tree(t, ref, "")["/d/half"]; got != "half written" {
			t.Errorf("the next mount landed %q", got)
		}
	}
}

// holdMain sits in a directory with a file that it has written half.
func holdMain(args []string) error {
	if err := os.Chdir(args[0]); err != nil {
		return err
	}
	f, err := os.Create(args[1])
	if err != nil {
		return err
	}
	if _, err := f.WriteString("half written"); err != nil {
		return err
	}
	fmt.Println("holding")
	time.Sleep(time.Hour)
	return f.Close()
}

// The server hangs: the unmount ends within --stop-timeout with 3, all is
// still staged, and the next mount lands everything as one commit, with what
// was written after a commit had failed.
func TestUnmountServerGone(t *testing.T) {
	for _, way := range []string{"frozen", "killed"} {
		t.Run(way, func(t *testing.T) {
			s := harness.ServeOwn(t)
			ref := s.Ref("a@master")
			s.Peer.Create(t, s.Ref("a"))
			first := s.Peer.PutWait(t, ref, map[string]string{"/x": "x", "/y": "y"})
			m := s.Mount(t, "--stop-timeout", "3s", "--commit-timeout", "2s")
			_ = local(t, m.Path(ref))
			write(t, m.Path(ref, "before"), "before")
			if way == "frozen" {
				s.Freeze(t)
			} else {
				s.Kill(t)
			}
			r := touch(t, m.Path(ref, ".commit"))
			if r.Code == 0 || r.Took > 20*time.Second {
				t.Errorf("a trigger without a server: %v", r)
			}
			st := m.Status(t, ref)
			if st.LastError == nil || st.LastError.Message == "" || st.Staged.Files != 1 {
				t.Errorf("after a failed trigger: %+v", st)
			}
			t.Logf("last_error: %+v, state %s", st.LastError, st.State)
			write(t, m.Path(ref, "after"), "after")
			write(t, m.Path(ref, "before"), "before, and changed")
			ok(t, os.Remove(m.Path(ref, "x")))
			start := time.Now()
			m.Signal(t, syscall.SIGTERM)
			m.Exit(t, 30*time.Second, 3)
			t.Logf("SIGTERM with --stop-timeout 3s took %v", time.Since(start).Round(time.Millisecond))
			if !strings.Contains(m.Log(), "staged") {
				t.Errorf("exit 3 does not say that changes stay staged:\n%s", m.Log())
			}
			if way == "frozen" {
				s.Thaw(t)
			} else {
				s.Restart(t)
			}
			again := m.Again(t)
			want := map[string]string{"/y": "y", "/before": "before, and changed", "/after": "after"}
			same(t, "the next mount", local(t, again.Path(ref)), want)
			commit(t, again, ref)
			same(t, "landed", s.Peer.Tree(t, ref, ""), want)
			if n := len(s.Peer.Commits(t, ref, first)); n != 1 {
				t.Errorf("%d commits, want 1", n)
			}
		})
	}
}

// More written after a failed commit, server back: still one commit, without a remount.
func TestUnmountAfterFailedCommit(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	first := s.Peer.PutWait(t, ref, map[string]string{"/x": "x"})
	p := harness.NewProxy(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: p.URL, Flags: []string{"--commit-timeout", "2s"}})
	_ = local(t, m.Path(ref))
	for i := range 3 {
		write(t, m.Path(ref, fmt.Sprintf("f%d", i)), fmt.Sprint(i))
		p.Refuse()
		if r := touch(t, m.Path(ref, ".commit")); r.Code == 0 {
			t.Errorf("trigger %d without a server succeeds", i)
		}
	}
	p.Release()
	write(t, m.Path(ref, "last"), "last")
	harness.Eventually(t, 60*time.Second, "a trigger succeeds again", func() bool { return touch(t, m.Path(ref, ".commit")).Code == 0 })
	same(t, "landed", s.Peer.Tree(t, ref, ""), map[string]string{"/x": "x", "/f0": "0", "/f1": "1", "/f2": "2", "/last": "last"})
	if n := len(s.Peer.Commits(t, ref, first)); n != 1 {
		t.Errorf("%d commits, want 1", n)
	}
}

// --daemon returns when the root can be listed, and the mount lives on.
func TestUnmountDaemon(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	dir, state, cache := t.TempDir(), t.TempDir(), t.TempDir()
	// Its output must not be a pipe that the child would keep open.
	cmd := exec.Command(harness.Binary(t), "mount", "--daemon", "--pachd", s.URL, "--state", state, "--cache-dir", cache, dir)
	ok(t, cmd.Run())
	write(t, dir+"/"+ref+"/a", "a")
	if r := harness.Pachfs(t, "status", "--json", dir); r.Code != 0 || !strings.Contains(r.Out, `"staged"`) {
		t.Errorf("pachfs status: %v", r)
	}
	if r := harness.Pachfs(t, "umount", dir); r.Code != 0 {
		harness.Try(t, "umount", "-l", dir)
		t.Errorf("pachfs umount: %v", r)
	}
	same(t, "landed", s.Peer.Tree(t, ref, ""), map[string]string{"/a": "a"})
	r := harness.Pachfs(t, "mount", "--daemon", "--pachd", s.URL, "--state", state, "--cache-dir", cache, dir+"/missing")
	if r.Code == 0 || !strings.Contains(r.Err, "does not exist") {
		t.Errorf("a daemon that can't mount: %v", r)
	}
}
