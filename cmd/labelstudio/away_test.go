package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Others commit, pachd goes away and comes back, and the annotators notice nothing.
func TestServer(t *testing.T) {
	t.Setenv("PACHFS_COMMIT_TIMEOUT", "5s") // of the mount: a minute is long for a test
	bin, dir, store := build(t), t.TempDir(), t.TempDir()
	fresh(t, installed(t), filepath.Join(dir, "data"))
	server, url := serve(t, bin, store, "")
	s := begin(t, at(url), bin, dir, "-pachd", url)
	t.Run("pictures replaced by somebody else", func(t *testing.T) { s.in(t).replaced() })
	t.Run("away while annotating", func(t *testing.T) {
		_, listen, _ := strings.Cut(url, "://")
		s.in(t).away(server, func() { serve(t, bin, store, listen) })
	})
}

// away: what is annotated is staged, what was listed is listed, what was not fails
// rather than being empty, a commit fails in words; and then all of it lands at once.
func (s *story) away(server *exec.Cmd, back func()) {
	t, tasks := s.t, s.tasks()
	late := filepath.Join(s.mnt, "late@master")
	put(t, s.conf(), "late", map[string][]byte{"late-1.png": []byte("one"), "late-2.png": []byte("two")})
	s.follows("late@master", true)
	source, err := s.Source(t.Context(), s.project, late)
	must(t, err)
	ids := []int{s.annotate(tasks["liberty-1.png"].ID, 1)}
	kill(server)
	ids = append(ids, s.annotate(tasks["liberty-2.png"].ID, 2))
	s.refused("Input/output error", "connection refused")
	ids = append(ids, s.annotate(tasks["liberty-3.png"].ID, 3))
	if n := s.staged("labels@master"); n.Files != 3 {
		t.Fatalf("%+v staged", n)
	}
	if synced, err := s.SyncSource(t.Context(), source.ID); err == nil || !strings.Contains(err.Error(), ": failed: ") || !strings.Contains(err.Error(), "[Errno 5]") {
		t.Errorf("the sync of what nobody can list: %+v, %v", synced, err)
	}
	if n, files := s.newTasks(filepath.Join(s.mnt, "images@master")), s.names("images@master"); n != 0 || len(files) != len(tasks) {
		t.Errorf("%d new tasks, %d files of %d", n, len(files), len(tasks))
	}
	back()
	client := dial(t, s.conf())
	before := head(t, client, "labels")
	s.lands()
	if got := news(t, client, "labels", before); !slices.Equal(got, paths(ids...)) {
		t.Errorf("the commit holds %v, want %v", got, paths(ids...))
	}
	if n := s.newTasks(late); n != 2 {
		t.Errorf("%d new tasks where two files are", n)
	}
}

// replaced: within a second the new bytes are served, and the old ETag is void;
// what was not touched keeps its own.
func (s *story) replaced() {
	t := s.t
	tasks, files := s.tasks(), map[string][]byte{}
	tags := map[string]string{}
	for i := range 10 {
		name := fmt.Sprintf("%s-%d.png", []string{"sunset", "ripples", "checker"}[i%3], i/3+1)
		content, err := os.ReadFile(filepath.Join(s.mnt, "images@master", name))
		must(t, err)
		resp, _ := s.get(tasks[name], "", "")
		tags[name] = s.tagged(tasks[name], resp)
		files[name] = append(bytes.Clone(content[:len(content)-1]), content[len(content)-1]^1) // as long as before
	}
	untouched, _ := s.get(tasks["liberty-1.png"], "", "")
	tag := s.tagged(tasks["liberty-1.png"], untouched)
	put(t, s.conf(), "images", files)
	began := time.Now()
	for name, want := range files {
		for {
			resp, got := s.get(tasks[name], "If-None-Match", tags[name])
			if resp.StatusCode == 200 && bytes.Equal(got, want) {
				break
			}
			if time.Since(began) > 10*time.Second { // ten times the second that is promised
				t.Fatalf("%s: still %s", name, resp.Status)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	t.Logf("all ten after %v", time.Since(began))
	if now, _ := s.get(tasks["liberty-1.png"], "", ""); s.tagged(tasks["liberty-1.png"], now) != tag {
		t.Errorf("what nobody touched: ETag %s, was %s", now.Header.Get("ETag"), tag)
	}
}
