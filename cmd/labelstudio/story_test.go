package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pachfs/cmd/internal/labelstudio"
	"pachfs/pachclient/remote"
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
	conf    func() remote.Config // what another client needs for the same Pachyderm
}

// begin starts what `make label-studio` starts; LS names the release.
func begin(t *testing.T, conf func() remote.Config, bin, dir string, more ...string) *story {
	t.Helper()
	return launch(t, conf, exec.Command(filepath.Join(bin, "labelstudio"), flags(bin, dir, more...)...), dir)
}

func flags(bin, dir string, more ...string) []string {
	return append([]string{"-pachfs", filepath.Join(bin, "pachfs"), "-dir", dir, "-port", "0", "-ls", os.Getenv("LS")}, more...)
}

// launch starts the command, and returns when Label Studio can be used.
func launch(t *testing.T, conf func() remote.Config, cmd *exec.Cmd, dir string) *story {
	t.Helper()
	s := &story{t: t, conf: conf, cmd: cmd, mnt: filepath.Join(dir, "mnt"), done: make(chan struct{})}
	if s.cmd.Stderr == nil {
		s.cmd.Stderr = t.Output()
	}
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

// before121 says whether LS names 1.20: it leaves the file of a deleted
// annotation, serves pictures without an ETag, and has other forms.
func before121() bool { return strings.HasPrefix(os.Getenv("LS"), "1.20.") }

func (s *story) in(t *testing.T) *story { c := *s; c.t = t; return &c }

// stop is SIGTERM, as from a service manager.
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

// commits counts the commits of a branch on the server.
func (s *story) commits(branch string) int {
	s.t.Helper()
	repo, _, _ := strings.Cut(branch, "@")
	return history(s.t, dial(s.t, s.conf()), repo)
}

// commit touches .commit and fails unless that made so many commits.
func (s *story) commit(branch string, want int) {
	s.t.Helper()
	s.trigger(branch, "touch .commit", want)
}

// trigger runs a script on a branch's directory, as somebody in a terminal does.
func (s *story) trigger(branch, script string, want int) {
	s.t.Helper()
	before := s.commits(branch)
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = filepath.Join(s.mnt, branch)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v: %s", script, err, out)
	}
	if n := s.commits(branch) - before; n != want {
		s.t.Fatalf("%s on %s made %d commits, want %d", script, branch, n, want)
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
