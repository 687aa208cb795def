package test

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

// interruptMain does one thing to a path, with a handler for SIGALRM installed
// (Go installs it with SA_RESTART), and says how it went.
func interruptMain(args []string) error {
	signal.Notify(make(chan os.Signal, 100), syscall.SIGALRM)
	fmt.Println("ready")
	var err error
	switch args[0] {
	case "stat":
		_, err = os.Lstat(args[1])
	case "utime":
		err = os.Chtimes(args[1], time.Now(), time.Now())
	case "raw utime": // os.Chtimes may retry by itself
		err = syscall.Utimes(args[1], []syscall.Timeval{{Sec: 1}, {Sec: 2}})
	case "read":
		_, err = os.ReadFile(args[1])
	case "readdir":
		_, err = os.ReadDir(args[1])
	}
	fmt.Println("done", err)
	return err
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
		c := harness.Start(t, op, harness.Self("intr", op, path))
		c.FirstLine(t, 20*time.Second)
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
		child := harness.Start(t, c[0], harness.Self("intr", c[0], m.Path(ref, c[1])))
		child.FirstLine(t, 20*time.Second)
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
		c := harness.Start(t, "utime", harness.Self("intr", "raw utime", m.Path(ref, ".commit")))
		c.FirstLine(t, 20*time.Second)
		harness.Eventually(t, 20*time.Second, "the commit is under way", func() bool { return m.Status(t, ref).State == "committing" })
		start := time.Now()
		c.Signal(t, sig)
		if !c.Within(10 * time.Second) {
			t.Errorf("%v does not end a touch of .commit", sig)
		}
		t.Logf("%v ended it after %v: %s", sig, time.Since(start).Round(time.Millisecond), c.Out())
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
