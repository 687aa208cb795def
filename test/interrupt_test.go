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

// signalled starts a process that does one thing to a path and says how it
// went. It handles SIGALRM, with SA_RESTART, as most programs do. It is Perl
// because that has one thread: of Go's any may take the signal.
func signalled(t *testing.T, op, path string) *harness.Proc {
	t.Helper()
	does := map[string]string{
		"stat":    `lstat($p) or die "stat: $!"`,
		"utime":   `utime(undef, undef, $p) or die "utime: $!"`,
		"read":    `open(F, "<", $p) or die "open: $!"; defined(sysread(F, $x, 100)) or die "read: $!"`,
		"readdir": `opendir(D, $p) or die "opendir: $!"; @x = readdir(D); @x > 2 or die "readdir: @x"`,
	}
	c := harness.Start(t, op, exec.Command("perl", "-MPOSIX", "-e", `$p = shift; $| = 1;
		sigaction(SIGALRM, POSIX::SigAction->new(sub {}, POSIX::SigSet->new, SA_RESTART));
		print "ready\n"; `+does[op]+`; print "done\n"`, path))
	c.FirstLine(t, 20*time.Second)
	return c
}

// A process that is merely signalled is not broken: stat, read and readdir of
// a slow server succeed (kernel.md 3).
func TestInterruptHarmless(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	files := map[string]string{}
	for _, op := range []string{"stat", "read", "readdir", "utime"} {
		files["/"+op+"/f"] = op
	}
	s.Peer.PutWait(t, ref, files)
	p := harness.NewProxy(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: p.URL})
	_ = names(t, m.Path(ref))
	for _, op := range []string{"stat", "read", "readdir", "utime"} {
		path := m.Path(ref, op, "f")
		if op == "readdir" {
			path = m.Path(ref, op)
		}
		p.Hold()
		c := signalled(t, op, path)
		for range 20 {
			time.Sleep(20 * time.Millisecond)
			c.Signal(t, syscall.SIGALRM)
		}
		if c.Exited() && op != "utime" {
			t.Errorf("%s ended while the server hung: %s", op, c.Out())
		}
		p.Release()
		c.Exit(t, 30*time.Second, 0)
	}
}

// SIGKILL ends a process that waits for a server that hangs.
func TestInterruptKill(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/d1/f": "x", "/d2/f": "x", "/f": "x"})
	p := harness.NewProxy(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: p.URL})
	_ = names(t, m.Path(ref))
	_, err := os.Stat(m.Path(ref, "f"))
	ok(t, err)
	p.Hold()
	for _, c := range [][2]string{{"read", "f"}, {"stat", "d1/f"}, {"readdir", "d2"}} {
		child := signalled(t, c[0], m.Path(ref, c[1]))
		time.Sleep(200 * time.Millisecond)
		if child.Exited() {
			t.Errorf("%s did not wait: %s", c[0], child.Out())
		}
		start := time.Now()
		child.Signal(t, syscall.SIGKILL)
		if !child.Within(10 * time.Second) {
			t.Errorf("%s, killed, still waits", c[0])
		}
		t.Logf("%s died %v after SIGKILL", c[0], time.Since(start).Round(time.Millisecond))
	}
	p.Release()
	if got := read(t, m.Path(ref, "f")); got != "x" {
		t.Errorf("afterwards f reads %q", got)
	}
}

// A trigger that is interrupted returns EINTR, and the commit goes on.
func TestInterruptCommit(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	first := s.Peer.PutWait(t, ref, map[string]string{"/x": "x"})
	p := harness.NewProxy(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: p.URL})
	write(t, m.Path(ref, "y"), "y")
	for i, sig := range []syscall.Signal{syscall.SIGALRM, syscall.SIGTERM, syscall.SIGKILL} {
		path := m.Path(ref, fmt.Sprintf("f%d", i))
		write(t, path, "staged")
		p.Hold()
		c := signalled(t, "utime", m.Path(ref, ".commit"))
		harness.Eventually(t, 20*time.Second, "the commit is under way", func() bool { return m.Status(t, ref).State == "committing" })
		start := time.Now()
		c.Signal(t, sig)
		if !c.Within(10 * time.Second) {
			t.Errorf("%v does not end a touch of .commit", sig)
		}
		t.Logf("%v ended it after %v: %s", sig, time.Since(start).Round(time.Millisecond), c.Log())
		if sig == syscall.SIGALRM && !strings.Contains(c.Log(), "Interrupted system call") {
			t.Errorf("a touch that is interrupted says %q %q", c.Out(), c.Log())
		}
		p.Release()
		harness.Eventually(t, 30*time.Second, "the commit goes on", func() bool { return m.Status(t, ref).State == "clean" })
	}
	same(t, "landed", s.Peer.Tree(t, ref, ""), map[string]string{"/x": "x", "/y": "y", "/f0": "staged", "/f1": "staged", "/f2": "staged"})
	if n := len(s.Peer.Commits(t, ref, first)); n != 3 {
		t.Errorf("%d commits, want 3", n)
	}
}

// A server that hangs holds up those who need it and nobody else (kernel.md 2).
func TestInterruptOthersGoOn(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	files := map[string]string{"/known": "known"}
	for i := range 40 {
		files[fmt.Sprintf("/slow/%d", i)] = fmt.Sprint(i)
	}
	s.Peer.PutWait(t, ref, files)
	p := harness.NewProxy(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: p.URL})
	_ = names(t, m.Path(ref, "slow"))
	_ = read(t, m.Path(ref, "known"))
	p.Hold()
	done := make(chan error, 40)
	for i := range 40 {
		go func() {
			_, err := os.ReadFile(m.Path(ref, fmt.Sprintf("slow/%d", i)))
			done <- err
		}()
	}
	time.Sleep(200 * time.Millisecond)
	start := time.Now()
	if got := read(t, m.Path(ref, "known")); got != "known" {
		t.Errorf("known reads %q", got)
	}
	write(t, m.Path(ref, "staged"), "staged")
	_, err := os.Stat(m.Path(ref, "slow/7"))
	ok(t, err)
	_ = m.Status(t, ref)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("what needs no server took %v beside 40 readers that wait", took)
	}
	p.Release()
	for range 40 {
		ok(t, <-done)
	}
}
