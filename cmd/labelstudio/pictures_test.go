package main

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pachfs/cmd/internal/labelstudio"
)

func (s *story) sourceFiles(t *testing.T) {
	s = s.in(t)
	tasks := slices.Sorted(maps.Keys(s.tasks()))
	if files := s.names("images@master"); len(files) != 20 || !slices.Equal(tasks, files) {
		t.Fatalf("tasks %v\nfiles %v", tasks, files)
	}
}

func (s *story) pictures(t *testing.T) {
	s = s.in(t)
	client := dial(t, s.conf())
	want := committed(t, client, head(t, client, "images"))
	for name, task := range s.tasks() {
		s.served(task, []byte(want[name]))
	}
}

// served: a picture can be had whole, in part and not again, by whoever logged in.
func (s *story) served(task labelstudio.Task, want []byte) {
	t, at := s.t, task.Data["image"]
	t.Helper()
	resp, got := s.get(task, "", "")
	if resp.StatusCode != 200 || !bytes.Equal(got, want) || resp.Header.Get("Content-Type") != "image/png" {
		t.Errorf("%s: %s, %d bytes of %d, %s", at, resp.Status, len(got), len(want), resp.Header.Get("Content-Type"))
	}
	s.tagged(task, resp)
	part, got := s.get(task, "Range", "bytes=10-19")
	if r := part.Header.Get("Content-Range"); part.StatusCode != 206 || !bytes.Equal(got, want[10:20]) || r != fmt.Sprintf("bytes 10-19/%d", len(want)) {
		t.Errorf("%s: a part: %s, %q of %s", at, part.Status, got, r)
	}
	// Nothing is behind the end; Label Studio then gives everything.
	if end, got := s.get(task, "Range", fmt.Sprintf("bytes=%d-", len(want))); end.StatusCode != 200 || !bytes.Equal(got, want) {
		t.Errorf("%s: from its end: %s, %d bytes of %d", at, end.Status, len(got), len(want))
	}
	nobody, err := http.Get(s.URL + at)
	must(t, err)
	nobody.Body.Close()
	if nobody.StatusCode != 401 {
		t.Errorf("%s: without a login: %s", at, nobody.Status)
	}
}

// tagged gives the ETag of an answer, which has to have one, and whoever has
// that gets nothing new. 1.20 has none.
func (s *story) tagged(task labelstudio.Task, resp *http.Response) string {
	s.t.Helper()
	tag := resp.Header.Get("ETag")
	if before121() {
		if tag != "" {
			s.t.Errorf("%s: ETag %s of a release that had none", task.Data["image"], tag)
		}
	} else if tag == "" {
		s.t.Errorf("%s: no ETag", task.Data["image"])
	} else if again, _ := s.get(task, "If-None-Match", tag); again.StatusCode != 304 {
		s.t.Errorf("%s: the same ETag: %s", task.Data["image"], again.Status)
	}
	return tag
}

// newTasks has Label Studio look for new files, and gives how many tasks came.
func (s *story) newTasks(dir string) int {
	s.t.Helper()
	before := len(s.tasks())
	source, err := s.Source(s.t.Context(), s.project, dir)
	must(s.t, err)
	synced, err := s.SyncSource(s.t.Context(), source.ID)
	must(s.t, err)
	if n := len(s.tasks()) - before; n != synced.LastSyncCount {
		s.t.Errorf("%d new tasks, the sync says %d", n, synced.LastSyncCount)
	}
	return synced.LastSyncCount
}

// follows waits until the mount has, or no longer has, what somebody else committed.
func (s *story) follows(path string, there bool) {
	s.t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		_, err := os.Stat(filepath.Join(s.mnt, path))
		if (err == nil) == there {
			return
		}
		if time.Since(began) > 10*time.Second { // ten times the second that is promised
			s.t.Fatalf("%s is not what was committed: %v", path, err)
		}
	}
}

// oddFiles: whatever name Pachyderm takes, and twenty megabytes, are served byte for byte.
func (s *story) oddFiles(t *testing.T) {
	s = s.in(t)
	files := map[string][]byte{
		"large.png": make([]byte, 20e6), "b c.png": nil, "sub/d.png": nil, "sub/deeper still/e #1&50% of_~'=;,$.png": nil,
	}
	random := rand.NewChaCha8([32]byte{})
	for name, content := range files {
		if content == nil {
			files[name] = make([]byte, 1000)
		}
		random.Read(files[name])
	}
	put(t, s.conf(), "images", files)
	s.follows("images@master/large.png", true)
	if n := s.newTasks(filepath.Join(s.mnt, "images@master")); n != len(files) {
		t.Errorf("%d new tasks of %d files", n, len(files))
	}
	tasks := s.tasks()
	for name, want := range files {
		task := tasks[filepath.Base(name)]
		_, q, _ := strings.Cut(task.Data["image"], "?")
		if v, err := url.ParseQuery(q); err != nil || v.Get("d") != "images@master/"+name {
			t.Errorf("%s is %v, %v", name, task, err)
			continue
		}
		s.served(task, want)
	}
}

// newFiles: a sync takes up what was committed since, and a picture with other
// bytes has another ETag.
func (s *story) newFiles(t *testing.T) {
	s = s.in(t)
	images := filepath.Join(s.mnt, "images@master")
	other, err := os.ReadFile(filepath.Join(images, "ripples-2.png"))
	must(t, err)
	task := s.tasks()["ripples-1.png"]
	old, _ := s.get(task, "", "")
	tag := s.tagged(task, old)
	must(t, os.WriteFile(filepath.Join(images, "new.png"), other, 0o644))
	must(t, os.WriteFile(filepath.Join(images, "ripples-1.png"), other, 0o644))
	s.commit("images@master", 1)
	resp, got := s.get(task, "If-None-Match", tag)
	if resp.StatusCode != 200 || !bytes.Equal(got, other) {
		t.Errorf("the new picture: %s, %d bytes", resp.Status, len(got))
	}
	if n := s.newTasks(images); n != 1 {
		t.Errorf("%d new tasks", n)
	}
}

// goneFile: what somebody deletes is no longer served; the task is Label
// Studio's, and stays.
func (s *story) goneFile(t *testing.T) {
	s = s.in(t)
	const name = "checker-2.png"
	before := s.tasks()
	put(t, s.conf(), "images", map[string][]byte{name: nil})
	s.follows("images@master/"+name, false)
	if n := s.newTasks(filepath.Join(s.mnt, "images@master")); n != 0 {
		t.Errorf("%d new tasks", n)
	}
	task, ok := s.tasks()[name]
	if !ok || task.ID != before[name].ID {
		t.Fatalf("the task is %v, was %v", task, before[name])
	}
	if resp, _ := s.get(task, "", ""); resp.StatusCode != 404 {
		t.Errorf("its picture: %s", resp.Status)
	}
}
