package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pachfs/cmd/internal/labelstudio"
)

// The user's story over the API of a real Label Studio, from the first picture
// to the second commit, the end and the next run. How many commits there are,
// and what is in them, is asked of the server by another client. The store of
// the target's own is TestMake's.
func TestStory(t *testing.T) {
	t.Parallel() // half of it is Label Studio's first start, on one core
	bin, dir := build(t), t.TempDir()
	_, url := serve(t, bin, t.TempDir(), "")
	s := begin(t, at(url), bin, dir, "-pachd", url)
	t.Run("tasks are the files", s.sourceFiles)
	t.Run("pictures are served", s.pictures)
	t.Run("names of all kinds", s.oddFiles)
	t.Run("bad paths", s.badPaths)
	t.Run("annotations land", s.annotations)
	t.Run("export sync", s.export)
	t.Run("new files", s.newFiles)
	t.Run("a file that is gone", s.goneFile)
	t.Run("JSON tasks", s.jsonTasks)
	files, tasks := s.names("labels@master"), s.tasks()
	last := fmt.Sprint(s.annotate(tasks["liberty-1.png"].ID, 77))
	want := s.content(last)
	s.stop()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("it ended with %d", code)
	}
	client := dial(t, s.conf())
	if got := committed(t, client, head(t, client, "labels")); got[last] != want || len(got) != len(files)+1 {
		t.Errorf("at the end %d files are committed, there were %d and one more: %q", len(got), len(files), got[last])
	}

	again := begin(t, at(url), bin, dir, "-pachd", url)
	if again.project != s.project || len(again.tasks()) != len(tasks) {
		t.Errorf("the next run does not go on: project %d, was %d, %d tasks, were %d", again.project, s.project, len(again.tasks()), len(tasks))
	}
	if n := again.staged("labels@master"); n.Files != 0 {
		t.Errorf("%d files did not land at the end", n.Files)
	}
	if got := again.names("labels@master"); len(got) != len(files)+1 || !slices.Contains(got, last) {
		t.Errorf("after the end: %v, want %d files and %s", got, len(files)+1, last)
	}
}

func (s *story) badPaths(t *testing.T) {
	s = s.in(t)
	before := s.names("")
	for _, path := range []string{s.mnt, s.mnt + "/nosuch@master", s.mnt + "/images@master/none", "/etc"} {
		err := s.Call(t.Context(), http.MethodPost, "/api/storages/localfiles/validate",
			map[string]any{"project": s.project, "title": "bad", "path": path, "use_blob_urls": true}, nil)
		var e *labelstudio.StatusError
		if !errors.As(err, &e) || e.Code != 400 {
			t.Errorf("%s: %v", path, err)
		}
	}
	if after := s.names(""); !slices.Equal(before, after) {
		t.Errorf("looking made %v of %v", after, before)
	}
}

func (s *story) jsonTasks(t *testing.T) {
	s = s.in(t)
	before := len(s.tasks())
	dir := filepath.Join(s.mnt, "tasks@master")
	must(t, os.Mkdir(dir, 0o755))
	for i := range 2 {
		b := fmt.Appendf(nil, `{"data":{"image":"/data/local-files/?d=images%%40master/json-%d.png"}}`, i)
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("task-%d.json", i)), b, 0o644))
	}
	s.commit("tasks@master", 1)
	var made labelstudio.Storage
	must(t, s.Call(t.Context(), http.MethodPost, "/api/storages/localfiles/",
		map[string]any{"project": s.project, "title": "JSON", "path": dir, "use_blob_urls": false}, &made))
	synced, err := s.SyncSource(t.Context(), made.ID)
	must(t, err)
	if n := len(s.tasks()); synced.LastSyncCount != 2 || n != before+2 {
		t.Errorf("%d new tasks, %d in all, were %d", synced.LastSyncCount, n, before)
	}
}
