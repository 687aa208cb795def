package test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

// refused wants a mount that fails soon, with an exit status and words that say
// what is wrong and what to do.
func refused(t *testing.T, code int, words []string, args ...string) harness.Result {
	t.Helper()
	r := harness.Try(t, append([]string{"env", "-u", "PACH_CONFIG", "-u", "PACHD_ADDRESS", "HOME=" + t.TempDir(), harness.Binary(t), "mount"}, args...)...)
	if r.Code != code {
		t.Errorf("pachfs mount %q: exit %d, want %d\n%v", args, r.Code, code, r)
	}
	if r.Out != "" {
		t.Errorf("pachfs mount %q says on stdout: %s", args, r.Out)
	}
	for _, w := range words {
		if !strings.Contains(r.Err, w) {
			t.Errorf("pachfs mount %q does not say %q:\n%s", args, w, r.Err)
		}
	}
	if strings.Contains(r.Err, "goroutine ") || strings.Count(r.Err, "\n") > 40 {
		t.Errorf("pachfs mount %q says too much:\n%s", args, r.Err)
	}
	return r
}

// Errors that a user meets at the start.
func TestErrorsAtMount(t *testing.T) {
	s := harness.Serve(t)
	dirs := func(t *testing.T) (mnt string, flags []string) {
		base := t.TempDir()
		mnt = filepath.Join(base, "mnt")
		ok(t, os.Mkdir(mnt, 0o777))
		return mnt, []string{"--state", filepath.Join(base, "state"), "--cache-dir", filepath.Join(base, "cache")}
	}
	t.Run("no server named", func(t *testing.T) {
		mnt, flags := dirs(t)
		refused(t, 2, []string{"--pachd", "--context", "--store"}, append(flags, mnt)...)
	})
	t.Run("no mountpoint named", func(t *testing.T) {
		_, flags := dirs(t)
		refused(t, 2, []string{"mount --help"}, append(flags, "--pachd", s.URL)...)
	})
	t.Run("unknown flag", func(t *testing.T) {
		mnt, flags := dirs(t)
		refused(t, 2, []string{"--nosuch"}, append(flags, "--nosuch", "--pachd", s.URL, mnt)...)
	})
	t.Run("bad address", func(t *testing.T) {
		mnt, flags := dirs(t)
		refused(t, 2, []string{"ftp://x"}, append(flags, "--pachd", "ftp://x", mnt)...)
	})
	t.Run("server unreachable", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ok(t, err)
		addr := l.Addr().String()
		l.Close()
		mnt, flags := dirs(t)
		refused(t, 1, []string{addr}, append(flags, "--pachd", "grpc://"+addr, mnt)...)
	})
	t.Run("mountpoint missing", func(t *testing.T) {
		mnt, flags := dirs(t)
		refused(t, 1, []string{mnt + "/nosuch", "does not exist", "mkdir"}, append(flags, "--pachd", s.URL, mnt+"/nosuch")...)
	})
	t.Run("mountpoint is a file", func(t *testing.T) {
		mnt, flags := dirs(t)
		write(t, mnt+"/f", "")
		refused(t, 1, []string{mnt + "/f", "not a directory"}, append(flags, "--pachd", s.URL, mnt+"/f")...)
	})
	t.Run("mountpoint not empty", func(t *testing.T) {
		mnt, flags := dirs(t)
		write(t, mnt+"/precious", "")
		refused(t, 1, []string{mnt, "not empty", "precious"}, append(flags, "--pachd", s.URL, mnt)...)
	})
	t.Run("mountpoint busy", func(t *testing.T) {
		mnt, flags := dirs(t)
		harness.MountSpec(t, harness.Spec{URL: s.URL, Dir: mnt})
		refused(t, 1, []string{mnt, "in use", "umount"}, append(flags, "--pachd", s.URL, mnt)...)
		if _, err := os.ReadDir(mnt); err != nil {
			t.Errorf("the mount that was there: %v", err)
		}
	})
	t.Run("another file system there", func(t *testing.T) {
		mnt, flags := dirs(t)
		harness.Sh(t, "", "mount -t tmpfs none "+mnt)
		defer syscall.Unmount(mnt, syscall.MNT_DETACH)
		refused(t, 1, []string{mnt, "in use", "tmpfs"}, append(flags, "--pachd", s.URL, mnt)...)
	})
	t.Run("state directory held", func(t *testing.T) {
		mnt, flags := dirs(t)
		m := s.Mount(t)
		refused(t, 1, []string{m.State, "in use"}, append(flags, "--state", m.State, "--pachd", s.URL, mnt)...)
	})
	t.Run("no /dev/fuse", func(t *testing.T) {
		mnt, flags := dirs(t)
		script := `mount --bind /dev/null /dev/fuse && exec "$@"`
		cmd := append([]string{"unshare", "-m", "sh", "-c", script, "sh", harness.Binary(t), "mount", "--pachd", s.URL}, append(flags, mnt)...)
		// A device that is not FUSE's is what a container without one amounts to.
		r := harness.Try(t, cmd...)
		if r.Code != 1 || !strings.Contains(r.Err, "/dev/fuse") && !strings.Contains(r.Err, "fuse") {
			t.Errorf("with a broken /dev/fuse: %v", r)
		}
		script = `mount -t tmpfs none /dev && exec "$@"`
		cmd[4] = script
		r = harness.Try(t, cmd...)
		if r.Code != 1 || !strings.Contains(r.Err, "/dev/fuse") || !strings.Contains(r.Err, "modprobe fuse") {
			t.Errorf("without /dev/fuse: %v", r)
		}
	})
	t.Run("no fusermount3", func(t *testing.T) {
		mnt, flags := dirs(t)
		cmd := append([]string{"env", "PATH=/nonexistent", harness.Binary(t), "mount", "--pachd", s.URL}, append(flags, mnt)...)
		r := harness.Try(t, cmd...)
		if r.Code != 1 || !strings.Contains(r.Err, "fusermount3") || !strings.Contains(r.Err, "fuse3") {
			t.Errorf("without fusermount3: %v", r)
		}
	})
}

// A mount that died is taken away by the next one.
func TestErrorsDeadMount(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	m := s.Mount(t)
	write(t, m.Path(ref, "x"), "x")
	m.Kill(t)
	_, err := os.Stat(m.Path(ref))
	fails(t, "stat in a dead mount", err, syscall.ENOTCONN)
	again := m.Again(t)
	if got := read(t, again.Path(ref, "x")); got != "x" {
		t.Errorf("after a kill x reads %q", got)
	}
}

// A mount that died a moment ago, and that the kernel still remembers the
// attributes of, is taken away by the next one.
func TestErrorsDeadMountRemembered(t *testing.T) {
	s := harness.Serve(t)
	m := s.Mount(t)
	_, err := os.Stat(m.Dir)
	ok(t, err)
	m.Proc.Kill(t)
	again := m.Again(t)
	_, err = os.ReadDir(again.Dir)
	ok(t, err)
}

// Another cluster behind the address: refused, and what is staged is kept.
func TestErrorsOtherCluster(t *testing.T) {
	s, other := harness.ServeOwn(t), harness.ServeOwn(t)
	s.Peer.Create(t, "a")
	s.Peer.PutWait(t, "a@master", map[string]string{"/x": "x"})
	other.Peer.Create(t, "a")
	other.Peer.PutWait(t, "a@master", map[string]string{"/other": "other"})
	m := s.Mount(t)
	write(t, m.Path("a@master", "mine"), "mine")
	m.Kill(t)
	m.Close(t)

	spec := m.Spec
	spec.URL = other.URL
	wrong := harness.StartMount(t, spec)
	// It may refuse at once, or mount and be offline for that branch.
	if wrong.Within(5 * time.Second) {
		if c := wrong.Code(); c == 0 || !strings.Contains(wrong.Log(), "another Pachyderm") {
			t.Errorf("exit %d:\n%s", c, wrong.Log())
		}
	} else {
		if r := touch(t, wrong.Path("a@master", ".commit")); r.Code == 0 {
			t.Error("a commit on another cluster succeeds")
		}
		wrong.Signal(t, syscall.SIGTERM)
		wrong.Within(30 * time.Second)
		if c := wrong.Code(); c != 3 && c != 0 {
			t.Errorf("exit %d", c)
		}
		if !strings.Contains(wrong.Log(), "another Pachyderm") {
			t.Errorf("it does not say why:\n%s", wrong.Log())
		}
	}
	wrong.Close(t)
	same(t, "the other cluster", other.Peer.Tree(t, "a@master", ""), map[string]string{"/other": "other"})
	again := m.Again(t)
	if got := read(t, again.Path("a@master", "mine")); got != "mine" {
		t.Errorf("back on the right cluster: %q", got)
	}
	again.Stop(t, 0)
	same(t, "the right cluster", s.Peer.Tree(t, "a@master", ""), map[string]string{"/x": "x", "/mine": "mine"})
}

// A server that answers "not logged in": words, not a mount.
func TestErrorsToken(t *testing.T) {
	s := harness.ServeOwn(t)
	cfg := filepath.Join(t.TempDir(), "config.json")
	write(t, cfg, `{"v2":{"active_context":"x","contexts":{"x":{"pachd_address":"`+s.URL+`","session_token":"not-a-token"}}}}`)
	// The embedded server has no auth and takes any token: what must hold is that
	// a token is never printed, not even in a debug log.
	m := harness.MountSpec(t, harness.Spec{Env: []string{"PACH_CONFIG=" + cfg}})
	s.Peer.Create(t, "a")
	if strings.Contains(m.Log()+m.Out(), "not-a-token") {
		t.Errorf("the token is in the log:\n%s", m.Log())
	}
}

// A read that needs a server that is away fails with EIO, and a directory fails
// at open and is never shown empty (promise 10). What was read before goes on.
func TestErrorsServerAway(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/read": "read before", "/d/x": "x", "/unread": strings.Repeat("u", 100000)})
	p := harness.NewProxy(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: p.URL, Deadline: 4 * time.Minute, Flags: []string{"--io-timeout", "5s"}})
	dir := m.Path(ref)
	_ = read(t, dir+"/read")
	p.Refuse()
	if got := read(t, dir+"/read"); got != "read before" {
		t.Errorf("what was read before: %q", got)
	}
	start := time.Now()
	_, err := os.ReadFile(dir + "/unread")
	fails(t, "read without a server", err, syscall.EIO)
	if _, err := os.ReadDir(dir + "/d"); !isErrno(err, syscall.EIO) {
		t.Errorf("a listing without a server: %v, want EIO", err)
	}
	if took := time.Since(start); took > 60*time.Second {
		t.Errorf("both took %v", took)
	}
	write(t, dir+"/staged", "goes on")
	if got := read(t, dir+"/staged"); got != "goes on" {
		t.Errorf("a staged file reads %q", got)
	}
	p.Release()
	harness.Eventually(t, 60*time.Second, "it works again", func() bool {
		_, err := os.ReadFile(dir + "/unread")
		return err == nil
	})
	if got := read(t, dir+"/d/x"); got != "x" {
		t.Errorf("d/x reads %q", got)
	}
}

// The connection breaks in the middle of a read and of a commit: nobody notices.
// It breaks ever more rarely, for a slow server must get something done between.
func TestErrorsConnectionCut(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	data := strings.Repeat("0123456789abcdef", 4<<20/16)
	first := s.Peer.PutWait(t, ref, map[string]string{"/big": data + "x" + data + "y" + data})
	p := harness.NewProxy(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: p.URL, Deadline: 4 * time.Minute})
	stop := make(chan bool)
	done := make(chan bool)
	go func() {
		defer close(done)
		for wait := 400 * time.Millisecond; ; wait += wait / 4 {
			select {
			case <-stop:
				return
			case <-time.After(wait):
				p.Cut()
			}
		}
	}()
	if got := read(t, m.Path(ref, "big")); got != data+"x"+data+"y"+data {
		t.Errorf("read through a connection that breaks: %d bytes, want %d", len(got), 3*len(data)+2)
	}
	write(t, m.Path(ref, "copy"), data)
	r := touch(t, m.Path(ref, ".commit"))
	close(stop)
	<-done
	if r.Code != 0 {
		t.Logf("the trigger failed beside cuts, which it may: %v", r)
		commit(t, m, ref)
	}
	if n := len(s.Peer.Commits(t, ref, first)); n != 1 {
		t.Errorf("%d commits, want 1", n)
	}
	if got := s.Peer.Tree(t, ref, "")["/copy"]; got != data {
		t.Error("the copy has other bytes")
	}
}
