package test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

// ioTimeout is that of the mounts here; what waits for the server must have
// ended ten times as late.
const ioTimeout = 2 * time.Second

// away are the ways in which a server is not there.
var away = []struct {
	name string
	do   func(p *harness.Proxy)
}{
	{"hangs", (*harness.Proxy).Hold},
	{"is unreachable", (*harness.Proxy).Refuse},
}

// What needs a server that is away fails with EIO after --io-timeout, not
// before and never empty; what is cached or staged goes on (promise 10).
func TestIOTimeout(t *testing.T) {
	for _, a := range away {
		t.Run(a.name, func(t *testing.T) {
			p, m, ref := ioMount(t)
			repo, _, _ := strings.Cut(ref, "@")
			other, noCommit := "b"+ref[1:], repo+"@00000000000040000000000000000000"
			a.do(p)
			var all sync.WaitGroup
			for what, do := range map[string]func() error{
				"read":                func() error { _, err := os.ReadFile(m.Path(ref, "unread")); return err },
				"stat":                func() error { _, err := os.Stat(m.Path(ref, "d1/x")); return err },
				"opendir":             func() error { _, err := os.ReadDir(m.Path(ref, "d2")); return err },
				"truncate":            func() error { return os.Truncate(m.Path(ref, "d3/x"), 1) },
				"a branch never seen": func() error { _, err := os.ReadDir(m.Path(other)); return err },
				"a commit never seen": func() error { _, err := os.Stat(m.Path(noCommit)); return err },
			} {
				all.Go(func() {
					start := time.Now()
					err := do()
					took := time.Since(start)
					t.Logf("%s: %v after %v", what, err, took.Round(time.Millisecond))
					if !isErrno(err, syscall.EIO) || took < ioTimeout || took > 10*ioTimeout {
						t.Errorf("%s: %v after %v, want EIO after %v", what, err, took, ioTimeout)
					}
				})
			}
			all.Wait()
			shows(t, m.Path(ref, "read"), "read before")
			write(t, m.Path(ref, "staged"), "staged")
			shows(t, m.Path(ref, "staged"), "staged")
			if got := names(t, m.Path(ref)); len(got) < 7 {
				t.Errorf("the listing that was seen before: %q", got)
			}
			p.Release()
			harness.Eventually(t, time.Minute, "it works again", func() bool {
				_, err := os.ReadFile(m.Path(ref, "unread"))
				return err == nil
			})
			shows(t, m.Path(ref, "d1/x"), "1")
		})
	}
}

// A read waits for a server that comes back within --io-timeout.
func TestIOTimeoutRidesOut(t *testing.T) {
	p, m, ref := ioMount(t, "--io-timeout", "1m")
	p.Refuse()
	done := make(chan error, 2)
	go func() { _, err := os.ReadFile(m.Path(ref, "unread")); done <- err }()
	go func() { _, err := os.ReadDir(m.Path(ref, "d2")); done <- err }()
	select {
	case err := <-done:
		t.Fatalf("without a server: %v", err)
	case <-time.After(12 * time.Second): // longer than calls are tried again that nobody waits for
	}
	p.Release()
	for range 2 {
		if err := <-done; err != nil {
			t.Errorf("the server is back: %v", err)
		}
	}
}

// SIGKILL ends the wait of a process at once, however long --io-timeout is.
func TestIOTimeoutKill(t *testing.T) {
	for _, a := range away {
		t.Run(a.name, func(t *testing.T) {
			p, m, ref := ioMount(t, "--io-timeout", "10m")
			a.do(p)
			for i, args := range [][]string{{"cat", "unread"}, {"stat", "d1/x"}, {"ls", "d2"}, {"truncate", "-s", "1", "d3/x"}} {
				cmd := exec.Command(args[0], args[1:]...)
				cmd.Dir = m.Path(ref)
				c := harness.Start(t, args[0], cmd)
				time.Sleep(300 * time.Millisecond)
				if c.Exited() {
					t.Errorf("%q did not wait: %s", args, c.Log())
				}
				start := time.Now()
				c.Kill(t)
				t.Logf("%q died %v after SIGKILL", args, time.Since(start).Round(time.Millisecond))
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("%d: %q took %v to die", i, args, took)
				}
			}
			p.Release()
			shows(t, m.Path(ref, "d1/x"), "1")
		})
	}
}

// ioMount is a mount behind a proxy, with some files read and others not.
func ioMount(t *testing.T, flags ...string) (p *harness.Proxy, m *harness.Mount, ref string) {
	s := harness.Serve(t)
	ref = s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"), s.Ref("b@master"))
	files := map[string]string{"/read": "read before", "/unread": strings.Repeat("u", 100_000)}
	for i := range 5 {
		files[fmt.Sprintf("/d%d/x", i)] = fmt.Sprint(i)
	}
	s.Peer.PutWait(t, ref, files)
	p = harness.NewProxy(t, s)
	m = harness.MountSpec(t, harness.Spec{URL: p.URL, Deadline: 5 * time.Minute, Flags: append([]string{"--io-timeout", ioTimeout.String()}, flags...)})
	_ = names(t, m.Path(ref))
	_ = read(t, m.Path(ref, "read"))
	return p, m, ref
}
