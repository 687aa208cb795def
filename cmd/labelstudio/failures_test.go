package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What goes wrong under a Label Studio that nobody starts again for it.
func TestFailures(t *testing.T) {
	p, dir := newPachd(t), t.TempDir()
	small(t, filepath.Join(dir, "state"))
	fresh(t, installed(t), filepath.Join(dir, "data"))
	s := begin(t, p.conf, build(t), dir, "-context", "failures")
	process := s.process()
	t.Run("conflict", func(t *testing.T) { s.in(t).conflict(p) })
	t.Run("token expires", func(t *testing.T) { s.in(t).tokenExpires(p) })
	t.Run("full disk", func(t *testing.T) { s.in(t).fullDisk(p) })
	t.Run("pachfs killed", func(t *testing.T) { s.in(t).killed() })
	if now := s.process(); now != process {
		t.Errorf("Label Studio is process %d, was %d", now, process)
	}
	last := fmt.Sprint(s.annotate(s.tasks()["checker-4.png"].ID, 60))
	want := s.content(last)
	s.cmd.Process.Signal(syscall.SIGHUP) // the terminal is closed
	s.stop()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	if _, files := p.labels(t); files[last] != want {
		t.Errorf("at the end annotation %s did not land: %q", last, files[last])
	}
	if err := syscall.Kill(process, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("Label Studio is left behind: process %d, %v", process, err)
	}
}

// small is a directory on a small disk of its own.
func small(t *testing.T, dir string) {
	t.Helper()
	must(t, os.Mkdir(dir, 0o700))
	must(t, syscall.Mount("none", dir, "tmpfs", 0, "size=64m"))
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
}

// Another client commits to a file that is staged: neither is overwritten.
func (s *story) conflict(p *pachd) {
	t, tasks := s.t, s.tasks()
	mine := s.annotate(tasks["sunset-1.png"].ID, 20)
	name := fmt.Sprint(mine)
	s.lands()
	must(t, s.patch(mine, 21))
	other := s.annotate(tasks["sunset-2.png"].ID, 22)
	theirs := fmt.Sprintf(`{"id":%d,"by":"somebody else"}`, mine)
	put(t, p.conf(), "labels", map[string][]byte{name: []byte(theirs)})

	s.refused("busy", "somebody else", "/"+name)
	if st := s.status("labels@master"); st.State != "conflict" || !slices.Equal(st.Conflicts, []string{"/" + name}) || st.Staged.Files != 2 {
		t.Errorf("%+v", st)
	}
	s.annotate(tasks["sunset-3.png"].ID, 23)
	if x, err := s.xOf(mine); err != nil || x != 21 {
		t.Errorf("what is staged: x %d, %v", x, err)
	}
	if _, files := p.labels(t); files[name] != theirs || files[fmt.Sprint(other)] != "" {
		t.Errorf("committed: %q", files)
	}
	if out, err := s.run("discard", name); err != nil {
		t.Fatalf("discard: %v %s", err, out)
	}
	if files := s.lands(); len(files) != 3 || files[name] != theirs {
		t.Errorf("after discard: %q", files)
	}
	must(t, s.patch(mine, 24)) // seen theirs, and made anew
	s.lands()
	if x, err := s.xOf(mine); err != nil || x != 24 {
		t.Errorf("made anew: x %d, %v", x, err)
	}
}

// A token expires; the next one is taken up from pachctl's configuration.
func (s *story) tokenExpires(p *pachd) {
	t, tasks := s.t, s.tasks()
	mount := s.pachfs()
	ids := []int{s.annotate(tasks["ripples-1.png"].ID, 30)}
	before, _ := p.labels(t)
	p.expire(t)
	ids = append(ids, s.annotate(tasks["ripples-2.png"].ID, 31))
	s.refused("denied", "token", "expired", "pachctl auth login")
	ids = append(ids, s.annotate(tasks["ripples-3.png"].ID, 32))
	if n := s.staged("labels@master"); n.Files != len(ids) {
		t.Errorf("%+v staged, want %d", n, len(ids))
	}
	p.login(t)
	began, trigger := time.Now(), filepath.Join(s.mnt, "labels@master", ".commit")
	for exec.Command("touch", trigger).Run() != nil {
		if time.Since(began) > 10*time.Second { // a second is what it may take
			t.Fatalf("the next token is not taken up: %+v", s.status("labels@master"))
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("logged in and landed after %v", time.Since(began))
	after, files := p.labels(t)
	if after != before+1 {
		t.Errorf("%d commits, were %d", after, before)
	}
	for _, id := range ids {
		if files[fmt.Sprint(id)] == "" || files[fmt.Sprint(id)] != s.content(fmt.Sprint(id)) {
			t.Errorf("annotation %d is not committed", id)
		}
	}
	if st := s.status("labels@master"); st.State != "clean" || st.LastError != nil {
		t.Errorf("%+v", st)
	}
	if now := s.pachfs(); now != mount {
		t.Errorf("pachfs is process %d, was %d", now, mount)
	}
}

// pachfs is killed while an annotation is being written; the command mounts
// again, and Label Studio goes on.
func (s *story) killed() {
	t, tasks := s.t, s.tasks()
	staged := map[string]string{}
	for i, name := range []string{"checker-1.png", "checker-2.png", "checker-3.png"} {
		id := fmt.Sprint(s.annotate(tasks[name].ID, 40+i))
		staged[id] = s.content(id)
	}
	posted := make(chan error, 1)
	go func() { posted <- s.post(tasks["liberty-1.png"].ID, large(8000)) }()
	half := s.appears()
	must(t, syscall.Kill(s.pachfs(), syscall.SIGKILL))
	began := time.Now()
	s.failed(<-posted, "[Errno 107]", "[Errno 103]", "[Errno 2]")
	for {
		if _, err := os.Stat(filepath.Join(s.mnt, "labels@master", ".status")); err == nil {
			break
		} else if time.Since(began) > 20*time.Second {
			t.Fatalf("it is not mounted again: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("mounted again after %v", time.Since(began))
	if n := s.staged("labels@master"); n.Files < len(staged) {
		t.Errorf("%+v staged, want %d", n, len(staged))
	}
	for id, want := range staged {
		if s.content(id) != want {
			t.Errorf("annotation %s is not what it was", id)
		}
	}
	if b := s.content(half); json.Valid([]byte(b)) {
		t.Errorf("%d bytes of an annotation pass for a whole one", len(b))
	} else {
		t.Logf("what was being written has %d bytes", len(b))
	}
	want, err := os.ReadFile(filepath.Join(s.mnt, "images@master", "liberty-2.png"))
	must(t, err)
	if resp, got := s.get(tasks["liberty-2.png"], "", ""); resp.StatusCode != 200 || !bytes.Equal(got, want) {
		t.Errorf("a picture: %s, %d bytes of %d", resp.Status, len(got), len(want))
	}
	s.annotate(tasks["checker-4.png"].ID, 43)
	s.repair()
}

// appears waits for a file that has bytes and was not there before.
func (s *story) appears() string {
	s.t.Helper()
	before := s.names("labels@master")
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(2 * time.Millisecond) {
		for _, name := range s.names("labels@master") {
			st, err := os.Stat(filepath.Join(s.mnt, "labels@master", name))
			if err == nil && st.Size() > 0 && !slices.Contains(before, name) {
				return name
			}
		}
	}
	s.t.Fatal("no file appears")
	return ""
}

// The disk with the state directory is full: the annotator is told, and what
// was staged before stays whole and can be committed; what could not be written
// is in no commit.
func (s *story) fullDisk(p *pachd) {
	t, tasks := s.t, s.tasks()
	landed := s.annotate(tasks["liberty-3.png"].ID, 50)
	committed := s.lands()
	staged := map[string]string{}
	for i, name := range []string{"liberty-4.png", "sunset-4.png"} {
		id := fmt.Sprint(s.annotate(tasks[name].ID, 51+i))
		staged[id] = s.content(id)
	}
	ballast, err := os.Create(filepath.Join(s.state(), "ballast"))
	must(t, err)
	if _, err := io.Copy(ballast, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	must(t, ballast.Close())
	before := s.names("labels@master")
	s.failed(s.post(tasks["liberty-1.png"].ID, box(53)), "[Errno 28]")
	s.failed(s.post(tasks["liberty-2.png"].ID, large(300)), "[Errno 28]")
	s.failed(s.patch(landed, 54), "[Errno 28]")
	st := s.status("labels@master")
	if st.LastError == nil || !strings.Contains(st.LastError.Message, "no room") || len(st.Writing) != 3 {
		t.Errorf("%+v, last error %+v; want the three that could not be written", st, st.LastError)
	}
	// What is whole can be committed, and nothing else is.
	s.commit("labels@master", 1)
	maps.Copy(committed, staged)
	if _, files := p.labels(t); !maps.Equal(files, committed) {
		t.Errorf("committed on a full disk: %v, want %v", slices.Sorted(maps.Keys(files)), slices.Sorted(maps.Keys(committed)))
	}
	for id, want := range staged {
		if s.content(id) != want {
			t.Errorf("annotation %s is not what it was", id)
		}
	}
	for _, name := range s.names("labels@master") {
		if b := s.content(name); !slices.Contains(before, name) || name == fmt.Sprint(landed) {
			t.Logf("what could not be written: %s has %d bytes", name, len(b))
			if json.Valid([]byte(b)) {
				t.Errorf("%s passes for an annotation: %s", name, b)
			}
		}
	}
	must(t, os.Remove(ballast.Name()))
	s.annotate(tasks["ripples-4.png"].ID, 55)
	s.repair()
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
