package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pachfs/cmd/internal/control"
	"pachfs/cmd/internal/labelstudio"
	"pachfs/staging"
)

// A story is a run of this command: the one that is tested.
type story struct {
	*labelstudio.Client
	t       *testing.T
	cmd     *exec.Cmd
	done    chan struct{}
	mnt     string
	project int
}

// begin starts what `make label-studio` starts; LS names the release.
func begin(t *testing.T, bin, dir string, more ...string) *story {
	t.Helper()
	return launch(t, exec.Command(filepath.Join(bin, "labelstudio"), flags(bin, dir, more...)...), dir)
}

func flags(bin, dir string, more ...string) []string {
	return append([]string{"-pachfs", filepath.Join(bin, "pachfs"), "-dir", dir, "-port", "0", "-ls", os.Getenv("LS")}, more...)
}

// launch starts the command, and returns when Label Studio can be used.
func launch(t *testing.T, cmd *exec.Cmd, dir string) *story {
	t.Helper()
	s := &story{t: t, cmd: cmd, mnt: filepath.Join(dir, "mnt"), done: make(chan struct{})}
	s.cmd.Stderr = t.Output()
	out, err := s.cmd.StdoutPipe()
	must(t, err)
	must(t, s.cmd.Start())
	t.Cleanup(s.stop)
	at := make(chan string, 1)
	go func() {
		defer close(s.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if a, ok := strings.CutPrefix(lines.Text(), "Label Studio is at "); ok {
				at <- a
			}
		}
		s.cmd.Wait()
	}()
	select {
	case a := <-at:
		u, err := url.Parse(a)
		must(t, err)
		_, err = fmt.Sscanf(u.Path, "/projects/%d/data", &s.project)
		must(t, err)
		token, err := os.ReadFile(filepath.Join(dir, "data", "token"))
		must(t, err)
		s.Client = labelstudio.NewClient("http://"+u.Host, strings.TrimSpace(string(token)))
	case <-s.done:
		t.Fatalf("it ended: %v", s.cmd.ProcessState)
	case <-time.After(10 * time.Minute): // an installation is part of it
		t.Fatal("it does not come up")
	}
	return s
}

// build gives a directory with the binaries.
func build(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	cmd := exec.Command("go", "build", "-o", bin, "pachfs/cmd/pachfs", "pachfs/cmd/labelstudio")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// stop is Ctrl-C.
func (s *story) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(2 * time.Minute):
		s.t.Error("it does not end")
		s.cmd.Process.Kill()
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *story) names(branch string) []string {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.mnt, branch))
	must(s.t, err)
	out := []string{}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func (s *story) staged(branch string) staging.StagedCount {
	s.t.Helper()
	return s.status(branch).Staged
}

func (s *story) status(branch string) staging.Status {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.mnt, branch, ".status"))
	must(s.t, err)
	var st staging.Status
	must(s.t, json.Unmarshal(b, &st))
	return st
}

// commits lists what was committed to a branch through this mount, newest first.
func (s *story) commits(branch string) []staging.LogEntry {
	s.t.Helper()
	state := filepath.Join(filepath.Dir(s.mnt), "state")
	list, err := control.NewClient(state).Log(s.t.Context(), branch)
	must(s.t, err)
	return list
}

// commit touches .commit and fails unless that made so many commits.
func (s *story) commit(branch string, want int) {
	s.t.Helper()
	before := len(s.commits(branch))
	now := time.Now()
	must(s.t, os.Chtimes(filepath.Join(s.mnt, branch, ".commit"), now, now))
	if n := len(s.commits(branch)) - before; n != want {
		s.t.Fatalf("touch %s/.commit made %d commits, want %d", branch, n, want)
	}
}

// tasks gives the tasks by the name of their file.
func (s *story) tasks() map[string]labelstudio.Task {
	s.t.Helper()
	list, err := s.Tasks(s.t.Context(), s.project)
	must(s.t, err)
	out := map[string]labelstudio.Task{}
	for _, task := range list {
		u, err := url.Parse(task.Data["image"])
		must(s.t, err)
		out[filepath.Base(u.Query().Get("d"))] = task
	}
	return out
}

// box is an annotation.
func box(x int) map[string]any {
	return map[string]any{"lead_time": 1.5, "result": []any{map[string]any{
		"from_name": "label", "to_name": "image", "type": "rectanglelabels", "original_width": 320, "original_height": 240,
		"value": map[string]any{"x": x, "y": 10, "width": 20, "height": 20, "rotation": 0, "rectanglelabels": []string{"Light"}}}}}
}

func (s *story) annotate(task, x int) int {
	s.t.Helper()
	var made struct{ ID int }
	must(s.t, s.Call(s.t.Context(), http.MethodPost, fmt.Sprintf("/api/tasks/%d/annotations/", task), box(x), &made))
	return made.ID
}

// xOf reads where the box is in the file of an annotation.
func (s *story) xOf(id int) (int, error) {
	b, err := os.ReadFile(filepath.Join(s.mnt, "labels@master", fmt.Sprint(id)))
	if err != nil {
		return 0, err
	}
	var a struct {
		ID     int
		Result []struct{ Value struct{ X float64 } }
	}
	if err := json.Unmarshal(b, &a); err != nil || a.ID != id || len(a.Result) != 1 {
		return 0, fmt.Errorf("annotation %d: %v in %s", id, err, b)
	}
	return int(a.Result[0].Value.X), nil
}

// get fetches a task's picture as a browser does.
func (s *story) get(task labelstudio.Task, header, value string) (*http.Response, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.URL+task.Data["image"], nil)
	must(s.t, err)
	if header != "" {
		req.Header.Set(header, value)
	}
	resp, err := s.Do(req)
	must(s.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(s.t, err)
	return resp, b
}

// The user's story over the API of a real Label Studio, from the first picture
// to the second commit, the end and the next run.
func TestStory(t *testing.T) {
	bin, dir := build(t), t.TempDir()
	s := begin(t, bin, dir)
	t.Run("tasks are the files", s.sourceFiles)
	t.Run("pictures are served", s.pictures)
	t.Run("bad paths", s.badPaths)
	t.Run("annotations land", s.annotations)
	t.Run("export sync", s.export)
	t.Run("new files", s.newFiles)
	t.Run("JSON tasks", s.jsonTasks)
	files := s.names("labels@master")
	last := s.annotate(s.tasks()["liberty-1.png"].ID, 77)
	s.stop()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("it ended with %d", code)
	}

	again := begin(t, bin, dir)
	if again.project != s.project || len(again.tasks()) != 23 {
		t.Errorf("the next run does not go on: project %d, was %d, %d tasks", again.project, s.project, len(again.tasks()))
	}
	if n := again.staged("labels@master"); n.Files != 0 {
		t.Errorf("%d files did not land at the end", n.Files)
	}
	if got, want := again.names("labels@master"), len(files)+1; len(got) != want || !slices.Contains(got, fmt.Sprint(last)) {
		t.Errorf("after the end: %v, want %d files and %d", got, want, last)
	}
}

func (s *story) in(t *testing.T) *story { c := *s; c.t = t; return &c }

func (s *story) sourceFiles(t *testing.T) {
	s = s.in(t)
	tasks := slices.Sorted(maps.Keys(s.tasks()))
	if files := s.names("images@master"); len(files) != 20 || !slices.Equal(tasks, files) {
		t.Fatalf("tasks %v\nfiles %v", tasks, files)
	}
}

func (s *story) pictures(t *testing.T) {
	s = s.in(t)
	for name, task := range s.tasks() {
		want, err := os.ReadFile(filepath.Join(s.mnt, "images@master", name))
		must(t, err)
		resp, got := s.get(task, "", "")
		if resp.StatusCode != 200 || !bytes.Equal(got, want) || resp.Header.Get("Content-Type") != "image/png" {
			t.Fatalf("%s: %s, %d bytes of %d, %s", name, resp.Status, len(got), len(want), resp.Header.Get("Content-Type"))
		}
		if resp, got := s.get(task, "Range", "bytes=10-19"); resp.StatusCode != 206 || !bytes.Equal(got, want[10:20]) {
			t.Fatalf("%s: a part: %s %q", name, resp.Status, got)
		}
		if tag := resp.Header.Get("ETag"); tag != "" {
			if resp, _ := s.get(task, "If-None-Match", tag); resp.StatusCode != 304 {
				t.Fatalf("%s: the same ETag: %s", name, resp.Status)
			}
		}
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

func (s *story) annotations(t *testing.T) {
	s = s.in(t)
	tasks := s.tasks()
	var ids []int
	for i, name := range []string{"liberty-1.png", "sunset-1.png", "ripples-1.png"} {
		ids = append(ids, s.annotate(tasks[name].ID, 10+i))
	}
	for i, id := range ids {
		if x, err := s.xOf(id); err != nil || x != 10+i {
			t.Fatalf("annotation %d: x %d, %v", id, x, err)
		}
	}
	if n := s.staged("labels@master"); n.Files != 3 || len(s.commits("labels@master")) != 0 {
		t.Fatalf("%+v staged, %d commits", n, len(s.commits("labels@master")))
	}
	s.commit("labels@master", 1)
	s.commit("labels@master", 0)
	must(t, s.Call(t.Context(), http.MethodPatch, fmt.Sprintf("/api/annotations/%d/", ids[0]), box(30), nil))
	must(t, s.Call(t.Context(), http.MethodDelete, fmt.Sprintf("/api/annotations/%d/", ids[1]), nil, nil))
	fourth := s.annotate(tasks["checker-1.png"].ID, 44)
	want := []string{fmt.Sprint(ids[0]), fmt.Sprint(ids[2]), fmt.Sprint(fourth)}
	deleted := 1
	if strings.HasPrefix(os.Getenv("LS"), "1.20.") { // it leaves the file of a deleted annotation
		want, deleted = append(want, fmt.Sprint(ids[1])), 0
	}
	slices.Sort(want)
	if got := s.names("labels@master"); !slices.Equal(got, want) {
		t.Fatalf("files %v, want %v", got, want)
	}
	s.commit("labels@master", 1)
	if c := s.commits("labels@master")[0]; c.Files != 2 || c.Deleted != deleted {
		t.Errorf("the second commit holds %+v", c)
	}
	if x, err := s.xOf(ids[0]); err != nil || x != 30 {
		t.Errorf("the change: x %d, %v", x, err)
	}
}

// export has Label Studio write every annotation anew, while eight annotators go on.
func (s *story) export(t *testing.T) {
	s = s.in(t)
	target, err := s.Target(t.Context(), s.project, filepath.Join(s.mnt, "labels@master"))
	must(t, err)
	var wg sync.WaitGroup
	for i, task := range slices.Collect(maps.Values(s.tasks()))[:8] {
		wg.Go(func() {
			var made struct{ ID int }
			if err := s.Call(t.Context(), http.MethodPost, fmt.Sprintf("/api/tasks/%d/annotations/", task.ID), box(50+i), &made); err != nil {
				t.Error(err)
			}
		})
	}
	_, err = s.SyncTarget(t.Context(), target.ID)
	wg.Wait()
	must(t, err)
	for _, name := range s.names("labels@master") {
		b, err := os.ReadFile(filepath.Join(s.mnt, "labels@master", name))
		if err != nil || !json.Valid(b) {
			t.Errorf("%s: %v, %.100s", name, err, b)
		}
	}
	s.commit("labels@master", 1)
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
	must(t, os.WriteFile(filepath.Join(images, "new.png"), other, 0o644))
	must(t, os.WriteFile(filepath.Join(images, "ripples-1.png"), other, 0o644))
	s.commit("images@master", 1)
	resp, got := s.get(task, "If-None-Match", old.Header.Get("ETag"))
	if resp.StatusCode != 200 || !bytes.Equal(got, other) {
		t.Errorf("the new picture: %s, %d bytes", resp.Status, len(got))
	}
	source, err := s.Source(t.Context(), s.project, images)
	must(t, err)
	synced, err := s.SyncSource(t.Context(), source.ID)
	must(t, err)
	if n := len(s.tasks()); synced.LastSyncCount != 1 || n != 21 {
		t.Errorf("%d new tasks, %d in all", synced.LastSyncCount, n)
	}
}

func (s *story) jsonTasks(t *testing.T) {
	s = s.in(t)
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
	if n := len(s.tasks()); synced.LastSyncCount != 2 || n != 23 {
		t.Errorf("%d new tasks, %d in all", synced.LastSyncCount, n)
	}
}
