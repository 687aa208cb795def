package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// staged mounts, and gives a file that is written and not committed.
func staged(t *testing.T, s setting) (*mounted, string) {
	t.Helper()
	must(t, os.Mkdir(s.mount(), 0o755))
	m, err := mount(t.Context(), s)
	must(t, err)
	must(t, os.Mkdir(filepath.Join(s.mount(), "labels@master"), 0o755))
	file := filepath.Join(s.mount(), "labels@master", "1")
	must(t, os.WriteFile(file, []byte("one"), 0o644))
	return m, file
}

// A mount whose pachfs was killed comes back; one that somebody took away, or
// that dies at once, does not.
func TestAgain(t *testing.T) {
	s := setting{bin: filepath.Join(build(t), "pachfs"), dir: t.TempDir()}
	m, written := staged(t, s)
	t.Cleanup(func() { syscall.Unmount(s.mount(), syscall.MNT_DETACH) }) // of the one that died

	m.since = m.since.Add(-time.Hour)
	must(t, m.cmd.Process.Kill())
	<-m.done
	m, err := m.again(t.Context(), s)
	must(t, err)
	if b, err := os.ReadFile(written); err != nil || string(b) != "one" {
		t.Errorf("what was staged: %q %v", b, err)
	}

	m.since = m.since.Add(-time.Hour)
	if out, err := exec.Command(s.bin, "umount", s.mount()).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	<-m.done
	if _, err = m.again(t.Context(), s); err == nil || !strings.Contains(err.Error(), "unmounted") {
		t.Errorf("after an unmount: %v", err)
	}

	m, err = mount(t.Context(), s)
	must(t, err)
	must(t, m.cmd.Process.Kill())
	<-m.done
	if _, err = m.again(t.Context(), s); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("after a death at once: %v", err)
	}
}

// pachfs dies while pachd is away: it is mounted again once pachd is back, and
// until then Ctrl-C ends the waiting.
func TestAgainWithoutServer(t *testing.T) {
	t.Parallel() // it mostly waits
	bin, store := build(t), t.TempDir()
	server, url := serve(t, bin, store, "")
	s := setting{bin: counting(t, filepath.Join(bin, "pachfs")), dir: t.TempDir(), pachd: url}
	m, written := staged(t, s)
	t.Cleanup(func() { syscall.Unmount(s.mount(), syscall.MNT_DETACH) }) // of the one that died
	ctx, interrupt := context.WithCancel(t.Context())
	back, failed := make(chan *mounted, 1), make(chan error, 1)
	dies := func(server *exec.Cmd, m *mounted) {
		m.since = m.since.Add(-time.Hour)
		kill(server)
		must(t, m.cmd.Process.Kill())
		<-m.done
		go func() {
			next, err := m.again(ctx, s)
			failed <- err
			back <- next
		}()
	}
	dies(server, m)
	tries(t, s.bin, 3) // the mount, one in vain, one more
	_, listen, _ := strings.Cut(url, "://")
	server, _ = serve(t, bin, store, listen)
	must(t, <-failed)
	m = <-back
	if b, err := os.ReadFile(written); err != nil || string(b) != "one" {
		t.Errorf("what was staged: %q %v", b, err)
	}

	dies(server, m)
	tries(t, s.bin, 4)
	interrupt()
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "what is staged waits") {
		t.Errorf("interrupted: %v", err)
	}
}

// counting puts a script before a command, which notes each run in a file beside it.
func counting(t *testing.T, command string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "counting")
	script := fmt.Sprintf("#!/bin/sh\necho run >>%s.runs\nexec %s \"$@\"\n", name, command)
	must(t, os.WriteFile(name, []byte(script), 0o755))
	return name
}

// tries waits until a command that counts was run so many times.
func tries(t *testing.T, name string, want int) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(name + ".runs")
		must(t, err)
		if bytes.Count(b, []byte("\n")) >= want {
			t.Logf("run %d after %v", want, time.Since(began))
			return
		}
		if time.Since(began) > 5*time.Minute { // a dozen seconds each are expected
			t.Fatalf("%s", b)
		}
	}
}
