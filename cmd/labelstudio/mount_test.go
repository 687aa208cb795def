package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A mount whose pachfs was killed comes back; one that somebody took away, or
// that dies at once, does not.
func TestAgain(t *testing.T) {
	s := setting{bin: filepath.Join(build(t), "pachfs"), dir: t.TempDir()}
	must(t, os.Mkdir(s.mount(), 0o755))
	m, err := mount(t.Context(), s)
	must(t, err)
	t.Cleanup(func() { syscall.Unmount(s.mount(), syscall.MNT_DETACH) }) // of the one that died
	must(t, os.Mkdir(filepath.Join(s.mount(), "labels@master"), 0o755))
	written := filepath.Join(s.mount(), "labels@master", "1")
	must(t, os.WriteFile(written, []byte("one"), 0o644))

	m.since = m.since.Add(-time.Hour)
	must(t, m.cmd.Process.Kill())
	<-m.done
	m, err = m.again(t.Context(), s)
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
