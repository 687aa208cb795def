package test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pachfs/test/harness"
)

// While a touch of .commit waits, everything else in the directory goes on, and
// a second touch can be killed: it has another node number.
func TestKernelSecondTouch(t *testing.T) {
	p, m, ref := waitingReaders(t)
	write(t, m.Path(ref, "staged"), "staged")
	var touches []*harness.Proc
	for range 3 {
		touches = append(touches, harness.Start(t, "touch", exec.Command("touch", m.Path(ref, ".commit"))))
	}
	harness.Eventually(t, 20*time.Second, "the commit is under way", func() bool { return m.Status(t, ref).State == "committing" })
	harness.Sh(t, m.Path(ref), `stat .commit small; cat .commit .status small; ls -la; echo x > created; stat created; rm created`)
	for _, c := range touches {
		if c.Exited() {
			t.Errorf("a touch did not wait: %s", c.Log())
		}
	}
	start := time.Now()
	touches[2].Kill(t)
	touches[1].Kill(t)
	t.Logf("two touches died %v after SIGKILL", time.Since(start).Round(time.Millisecond))
	p.Release()
	touches[0].Exit(t, time.Minute, 0)
}

// A trigger that fails makes the command fail that wrote the message.
func TestKernelTriggerErrorsAreSeen(t *testing.T) {
	s, m, ref := mountWith(t, map[string]string{"/x": "x"})
	write(t, m.Path(ref, "x"), "ours")
	s.Peer.PutWait(t, ref, map[string]string{"/x": "theirs"})
	for _, script := range []string{`echo words > .commit`, `sh -c 'echo words > .commit'`, `touch .commit`, `echo words | tee .commit`} {
		if r := harness.TryIn(t, m.Path(ref), "bash", "-c", script); r.Code == 0 {
			t.Errorf("%s: %v", script, r)
		}
	}
	m.Stop(t, 4)
}

// umount returns before anything has landed, and the daemon goes on.
func TestKernelUmountReturnsFirst(t *testing.T) {
	s, _, _ := mountWith(t, nil)
	ref := s.Ref("a@master")
	p := harness.NewProxy(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: p.URL})
	write(t, m.Path(ref, "f"), "landed at the end")
	p.Hold()
	harness.Sh(t, "/", "umount "+m.Dir)
	time.Sleep(500 * time.Millisecond)
	if m.Exited() {
		t.Fatalf("it ended with %d while its server hangs", m.Code())
	}
	p.Release()
	m.Exit(t, time.Minute, 0)
	same(t, "landed", s.Peer.Tree(t, ref, ""), map[string]string{"/f": "landed at the end"})
}

// An unmount in another namespace is none in ours.
func TestKernelUnmountElsewhere(t *testing.T) {
	_, m, ref := mountWith(t, map[string]string{"/x": "x"})
	harness.Sh(t, "/", "unshare --mount --propagation private umount "+m.Dir)
	time.Sleep(1500 * time.Millisecond) // three looks at the list of mounts
	if m.Exited() {
		t.Fatalf("it ended: %s", m.Log())
	}
	shows(t, m.Path(ref, "x"), "x")
}

// The kernel checks permissions, whoever may come in.
func TestKernelChecksPermissions(t *testing.T) {
	s := harness.Serve(t)
	for _, flags := range [][]string{nil, {"--allow-other"}, {"--read-only"}} {
		m := s.Mount(t, flags...)
		found := false
		for line := range strings.Lines(read(t, "/proc/self/mountinfo")) {
			found = found || strings.Contains(line, " "+m.Dir+" ") && strings.Contains(line, "default_permissions")
		}
		if !found {
			t.Errorf("flags %q: no default_permissions", flags)
		}
		m.Stop(t, 0)
	}
}

// The library has no RENAME_NOREPLACE: it is refused, and not taken for a rename.
func TestKernelRenameNoReplace(t *testing.T) {
	_, m, ref := mountWith(t, map[string]string{"/x": "x", "/y": "y"})
	for _, to := range []string{"y", "z"} {
		err := unix.Renameat2(unix.AT_FDCWD, m.Path(ref, "x"), unix.AT_FDCWD, m.Path(ref, to), unix.RENAME_NOREPLACE)
		if to == "z" && !isErrno(err, syscall.EINVAL) || to == "y" && !isErrno(err, syscall.EINVAL) && !isErrno(err, syscall.EEXIST) {
			t.Errorf("to %s: %v", to, err)
		}
	}
	shows(t, m.Path(ref, "x"), "x")
	shows(t, m.Path(ref, "y"), "y")
}

// inotify tells of what is done here, and of nothing that others commit.
func TestKernelInotify(t *testing.T) {
	s, m, ref := mountWith(t, map[string]string{"/x": "x"})
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	ok(t, err)
	defer unix.Close(fd)
	_, err = unix.InotifyAddWatch(fd, m.Path(ref), unix.IN_CREATE|unix.IN_MODIFY|unix.IN_DELETE|unix.IN_MOVED_TO)
	ok(t, err)
	buf := make([]byte, 4096)
	s.Peer.PutWait(t, ref, map[string]string{"/theirs": "t", "/x": "changed"})
	shows(t, m.Path(ref, "theirs"), "t")
	shows(t, m.Path(ref, "x"), "changed")
	if n, err := unix.Read(fd, buf); err != unix.EAGAIN {
		t.Errorf("%d bytes of events of a commit of others, %v", n, err)
	}
	write(t, m.Path(ref, "ours"), "o")
	harness.Eventually(t, 10*time.Second, "an event of a local change", func() bool {
		n, err := unix.Read(fd, buf)
		return err == nil && strings.Contains(string(buf[:n]), "ours")
	})
}

// Each request in flight holds a buffer of the library: many that wait for a
// server that hangs cost what is counted for them, not the machine.
func TestKernelWaitingRequestsCost(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	const n = 100
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("/d%d/x", i)] = "x"
	}
	s.Peer.PutWait(t, ref, files)
	p := harness.NewProxy(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: p.URL})
	_ = names(t, m.Path(ref))
	p.Hold()
	before := rss(t, m.Pid())
	waits := harness.Start(t, "stats", shell(m.Path(ref), fmt.Sprintf(`for i in $(seq 0 %d); do stat d$i/x >/dev/null & done; wait`, n-1)))
	harness.Eventually(t, 20*time.Second, "all of them wait", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/sys/fs/fuse/connections/%d/waiting", m.Conn))
		ok(t, err)
		waiting, err := strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil && waiting >= n
	})
	grown := rss(t, m.Pid()) - before
	t.Logf("%d requests that wait take %d KiB each", n, grown/n>>10)
	if grown > n<<20 {
		t.Errorf("%d requests that wait take %d MiB", n, grown>>20)
	}
	if _, err := os.Stat(m.Path(ref, "d0")); err != nil {
		t.Error(err)
	}
	p.Release()
	waits.Exit(t, time.Minute, 0)
}
