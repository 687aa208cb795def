package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pachfs/test/harness"
)

// stuckStart starts a mount whose server stops answering when the mount is
// there and its root is about to be listed for the first time.
func stuckStart(t *testing.T) *harness.Mount {
	t.Helper()
	s := harness.Serve(t)
	relay := harness.NewRelay(t, s)
	relay.Set(&harness.Trap{Method: "ListRepo", Point: harness.Arriving, Times: 1000, Delay: time.Minute})
	m := harness.StartMount(t, harness.Spec{URL: relay.URL})
	harness.Eventually(t, 20*time.Second, "the first listing hangs", func() bool { return relay.Struck() > 0 })
	return m
}

// A mount that is killed while it lists its root for the first time is gone at
// once. It asks itself and not the kernel: a thread of a daemon that waits in
// its own mount keeps the connection, and with it itself, for ever.
func TestStartKilled(t *testing.T) {
	m := stuckStart(t)
	time.Sleep(100 * time.Millisecond)
	start := time.Now()
	m.Kill(t)
	t.Logf("gone %v after SIGKILL", time.Since(start).Round(time.Millisecond))
}

// SIGTERM ends a mount that waits for its server before it can be used.
func TestStartStopped(t *testing.T) {
	m := stuckStart(t)
	start := time.Now()
	m.Signal(t, syscall.SIGTERM)
	m.Exit(t, 20*time.Second, 1)
	t.Logf("ended %v after SIGTERM", time.Since(start).Round(time.Millisecond))
	if !strings.Contains(m.Log(), "terminated") {
		t.Errorf("it does not say why: %s", m.Log())
	}
}

// A daemon died, and something still holds its connection, so that the kernel
// waits for answers that nobody will give: pachfs umount and the next mount end
// the connection, and touch nothing of the mount before.
func TestStartAfterHungMount(t *testing.T) {
	for _, way := range []string{"mount", "umount"} {
		t.Run(way, func(t *testing.T) {
			s := harness.Serve(t)
			ref := s.Ref("a@master")
			s.Peer.Create(t, s.Ref("a"))
			m := s.Mount(t)
			write(t, m.Path(ref, "x"), "x")
			defer syscall.Close(holdConnection(t, m.Pid()))
			m.Kill(t)
			waits := harness.Start(t, "stat", exec.Command("stat", m.Path(ref, "never seen")))
			time.Sleep(200 * time.Millisecond)
			if waits.Exited() {
				t.Fatalf("the connection is dead already: %s", waits.Log())
			}
			if way == "umount" {
				if r := harness.Pachfs(t, "umount", m.Dir); r.Code != 3 || r.Took > 20*time.Second {
					t.Errorf("pachfs umount: %v", r)
				}
			}
			again := m.Again(t)
			if !waits.Within(20 * time.Second) {
				t.Error("who waited in the dead mount waits for ever")
			}
			shows(t, again.Path(ref, "x"), "x")
		})
	}
}

// holdConnection takes a descriptor of a daemon's /dev/fuse.
func holdConnection(t *testing.T, pid int) int {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	ok(t, err)
	p, err := unix.PidfdOpen(pid, 0)
	ok(t, err)
	defer syscall.Close(p)
	for _, link := range links {
		if to, _ := os.Readlink(link); to != "/dev/fuse" {
			continue
		}
		n, err := strconv.Atoi(filepath.Base(link))
		ok(t, err)
		fd, err := unix.PidfdGetfd(p, n, 0)
		ok(t, err)
		return fd
	}
	t.Fatal("the daemon has no /dev/fuse")
	return -1
}
