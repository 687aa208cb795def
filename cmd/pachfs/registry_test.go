package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pachfs/cmd/internal/control"
	"pachfs/pachclient"
	"pachfs/staging"
)

func TestEscapePath(t *testing.T) {
	for in, want := range map[string]string{"/": "-", "/mnt/pach": "mnt-pach", "/a-b/.c/": `a\x2db-.c`, "/.x": `\x2ex`, "/mnt/ü": `mnt-\xc3\xbc`} {
		if got := escapePath(in); got != want {
			t.Errorf("%s is %s, systemd-escape says %s", in, got, want)
		}
	}
}

func TestRealPath(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	must(t, os.Mkdir(dir+"/real", 0o700))
	must(t, os.Symlink("real", dir+"/link"))
	for in, want := range map[string]string{"/link": "/real", "/link/new/deep": "/real/new/deep", "/none/x": "/none/x"} {
		if got, err := realPath(dir + in); err != nil || got != dir+want {
			t.Errorf("%s is %s, %v", in, got, err)
		}
	}
	must(t, os.Symlink(dir+"/link/place", dir+"/first"))
	must(t, os.Symlink("first", dir+"/second"))
	must(t, os.Symlink("loop", dir+"/loop"))
	for in, want := range map[string]string{"/link/place": "/real/place", "/first": "/real/place", "/second": "/real/place", "/loop": "/loop"} {
		if got, err := realPlace(dir + in); err != nil || got != dir+want {
			t.Errorf("the mountpoint %s is %s, %v", in, got, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The runtime directory must be this user's own.
func TestRunDir(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Setenv("XDG_RUNTIME_DIR", "/somewhere")
		if dir, err := runDir(); dir != "/run/pachfs" || err != nil {
			t.Errorf("root's is the same with any environment: %s %v", dir, err)
		}
		return
	}
	base := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", base)
	must(t, os.Symlink("/tmp", base+"/pachfs"))
	if dir, err := runDir(); err == nil {
		t.Errorf("a link passes: %s", dir)
	}
}

// A process is known by its start too: numbers are used again.
func TestAlive(t *testing.T) {
	me := running{PID: os.Getpid(), Started: startOf(os.Getpid())}
	if !me.alive() {
		t.Error("this process is not alive")
	}
	if me.Started = "1"; me.alive() {
		t.Error("another process passes for this one")
	}
	c := exec.Command("true")
	must(t, c.Start())
	r := running{PID: c.Process.Pid, Started: startOf(c.Process.Pid)}
	must(t, c.Wait())
	if r.alive() {
		t.Error("a process that ended is alive")
	}
}

func TestHolding(t *testing.T) {
	all := []running{{Mountpoint: "/mnt/a"}, {Mountpoint: "/mnt/a/repo@b/in"}, {Mountpoint: "/mnt/ab"}}
	for path, want := range map[string]string{"/mnt/a": "/mnt/a", "/mnt/a/x": "/mnt/a", "/mnt/a/repo@b/in/y": "/mnt/a/repo@b/in", "/mnt/abc": "", "/": ""} {
		if r, ok := holding(all, path); r.Mountpoint != want || ok != (want != "") {
			t.Errorf("%s is in %q", path, r.Mountpoint)
		}
	}
}

// The table fits a terminal, and what went wrong is told below it.
func TestPrintStatus(t *testing.T) {
	var b strings.Builder
	must(t, printStatus(&b, longStatus()))
	for i, line := range strings.Split(b.String(), "\n") {
		if i > 0 && i < 4 && len([]rune(line)) > 80 {
			t.Errorf("%d columns: %s", len([]rune(line)), line)
		}
	}
	for _, w := range []string{"conflict", "/a/b.json", "pachfs discard", "the server went away", "1.5 KiB", "lies on a change of somebody else, which is readable in commit abc"} {
		if !strings.Contains(b.String(), w) {
			t.Errorf("%q is not in:\n%s", w, b.String())
		}
	}
	b.Reset()
	must(t, printStatus(&b, control.Info{Mountpoint: "/mnt"}))
	if !strings.Contains(b.String(), "no branch") {
		t.Error(b.String())
	}
}

// A mount is found by its directory and by links to it, and its state with it,
// also where links lead to both; what is cleared already is no failure.
func TestRunningOn(t *testing.T) {
	alone(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	must(t, os.MkdirAll(dir+"/real/mnt", 0o700))
	must(t, os.MkdirAll(dir+"/home/pachfs", 0o700))
	must(t, os.Symlink("real/mnt", dir+"/link"))
	must(t, os.Symlink("real", dir+"/parent"))
	must(t, os.Symlink("home", dir+"/state"))
	t.Setenv("XDG_STATE_HOME", dir+"/state")
	state, err := defaultState(dir + "/real/mnt")
	must(t, err)
	s, err := staging.Open(state, staging.Options{Client: pachclient.Offline{}})
	must(t, err)
	must(t, s.Close())
	leave, err := register(running{Mountpoint: dir + "/real/mnt", State: state})
	must(t, err)
	for _, name := range []string{"/real/mnt", "/link", "/parent/mnt", "/real/mnt/"} {
		if r, err := runningOn(dir + name); err != nil || r.State != state {
			t.Errorf("on %s: %+v, %v", name, r, err)
		}
		if got, err := stateDir(dir + name); err != nil || got != state {
			t.Errorf("the state of %s: %s, %v", name, got, err)
		}
	}
	if all, err := stateDirs(nil); err != nil || !slices.Equal(all, []string{state}) {
		t.Errorf("all: %q, %v", all, err)
	}
	leave()
	if r, err := runningOn(dir + "/link"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after it has gone: %+v, %v", r, err)
	}
	if got, err := stateDir(dir + "/link"); err != nil || got != state || mountpointOf(state) != dir+"/real/mnt" {
		t.Errorf("the state of what was on the link: %s of %s, %v", got, mountpointOf(state), err)
	}
	must(t, running{Mountpoint: dir + "/real/mnt"}.clear())
}
