package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a user types, and Ctrl-C: `make label-studio` with a store of its own, in
// a terminal's session, which sends the signal to everybody in the foreground.
// What is staged lands, all of it ends, and nothing else does.
func TestMake(t *testing.T) {
	here := bystander(t)
	dir := t.TempDir()
	fresh(t, installed(t), filepath.Join(dir, "data"))
	cmd := exec.Command("make", "-C", "../..", "label-studio", "DIR="+dir, "PORT=0", "LS="+os.Getenv("LS"), "PACHD=", "CONTEXT=")
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=") })
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var said bytes.Buffer
	cmd.Stderr = &said
	s := launch(t, nil, cmd, dir)
	all := session(t, cmd.Process.Pid)
	for _, part := range []string{"make", "bin/labelstudio", "bin/pachfs mount", "label-studio start"} {
		if !strings.Contains(all, part) {
			t.Errorf("no %s runs in\n%s", part, all)
		}
	}
	id := fmt.Sprint(s.annotate(s.tasks()["liberty-1.png"].ID, 5))
	want := s.content(id)

	began := time.Now()
	must(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
	<-s.done
	t.Logf("it takes %v and says\n%s", time.Since(began), &said)
	// make itself ends as whoever is interrupted does, but for one that was started
	// to ignore that; of a command that failed it would tell.
	how := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if interrupted := how.Signaled() && how.Signal() == syscall.SIGINT; !interrupted && !cmd.ProcessState.Success() || strings.Contains(said.String(), "***") {
		t.Errorf("make ended with %v", cmd.ProcessState)
	}
	if left := session(t, cmd.Process.Pid); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || bytes.Contains(mounts, []byte(s.mnt)) {
		t.Errorf("still mounted: %v", err)
	}
	if resp, err := http.Get(s.URL); err == nil {
		t.Errorf("somebody answers: %s", resp.Status)
	}
	here()
	_, url := serve(t, "../../bin", filepath.Join(dir, "store"), "")
	client := dial(t, at(url)())
	if got := committed(t, client, head(t, client, "labels")); len(got) != 1 || got[id] != want {
		t.Errorf("committed are %d files, and %q", len(got), got[id])
	}
	if got := committed(t, client, head(t, client, "images")); len(got) != 20 {
		t.Errorf("%d pictures are committed", len(got))
	}
}

// session lists the processes of a session, where those are too that have made
// a process group of their own.
func session(t *testing.T, id int) string {
	t.Helper()
	out, err := exec.Command("ps", "-o", "pid=,args=", "-s", fmt.Sprint(id)).CombinedOutput()
	if err != nil && len(out) > 0 { // without a process it fails in silence
		t.Fatalf("ps: %v: %s", err, out)
	}
	return string(out)
}

// bystander has another mount of somebody's, with something staged; the function
// fails if that is not what it was, or if the directory for a target without DIR
// was used.
func bystander(t *testing.T) func() {
	t.Helper()
	const usual = "../../.run/label-studio"
	ran, _ := os.Stat(filepath.Join(usual, "install.log"))
	s := setting{bin: filepath.Join(build(t), "pachfs"), dir: t.TempDir()}
	m, file := staged(t, s)
	t.Cleanup(func() { must(t, m.unmount()) })
	return func() {
		t.Helper()
		b, err := os.ReadFile(file)
		if err != nil || string(b) != "one" {
			t.Errorf("another mount: %q, %v", b, err)
		}
		select {
		case <-m.done:
			t.Errorf("another mount ended: %v", m.err)
		default:
		}
		if now, _ := os.Stat(filepath.Join(usual, "install.log")); !same(ran, now) {
			t.Errorf("%s was used", usual)
		}
	}
}

// same says whether two looks at a file saw the same one, or both none.
func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime())
}
