package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pachfs/cmd/internal/control"
	"pachfs/cmd/internal/labelstudio"
)

func (s *story) state() string { return filepath.Join(filepath.Dir(s.mnt), "state") }

// process is the id of the Label Studio that the command runs.
func (s *story) process() int {
	s.t.Helper()
	out, err := exec.Command("pgrep", "-P", fmt.Sprint(s.cmd.Process.Pid), "-f", "label-studio start").Output()
	must(s.t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	must(s.t, err)
	return pid
}

// pachfs is the process id of the mount.
func (s *story) pachfs() int {
	s.t.Helper()
	info, err := control.NewClient(s.state()).Status(s.t.Context())
	must(s.t, err)
	return info.PID
}

// run runs a subcommand of pachfs on a path of labels@master.
func (s *story) run(command, path string) (string, error) {
	bin := filepath.Join(filepath.Dir(s.cmd.Path), "pachfs")
	out, err := exec.Command(bin, command, filepath.Join(s.mnt, "labels@master", path)).CombinedOutput()
	return string(out), err
}

// refused touches .commit, which must fail with an error of that name, and
// wants the words in the status and from the command.
func (s *story) refused(errno string, words ...string) {
	t := s.t
	t.Helper()
	out, err := exec.Command("touch", filepath.Join(s.mnt, "labels@master", ".commit")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), errno) {
		t.Errorf("touch: %v, %s, want %q", err, out, errno)
	}
	said, err := s.run("commit", "")
	if err == nil {
		t.Errorf("pachfs commit succeeds: %s", said)
	}
	st := s.status("labels@master")
	if st.LastError == nil {
		t.Fatalf("no last_error in %+v", st)
	}
	for _, w := range words {
		if !strings.Contains(said, w) || !strings.Contains(st.LastError.Message, w) {
			t.Errorf("no %q in what pachfs commit says: %s\nor in last_error: %s", w, said, st.LastError.Message)
		}
	}
}

// post is an annotation that may be refused; the error is Label Studio's.
func (s *story) post(task int, a map[string]any) error {
	return s.Call(s.t.Context(), http.MethodPost, fmt.Sprintf("/api/tasks/%d/annotations/", task), a, nil)
}

// patch moves the box of an annotation.
func (s *story) patch(id, x int) error {
	return s.Call(s.t.Context(), http.MethodPatch, fmt.Sprintf("/api/annotations/%d/", id), box(x), nil)
}

// failed fails unless Label Studio's answer was an error of the server with such words.
func (s *story) failed(err error, words ...string) {
	s.t.Helper()
	var e *labelstudio.StatusError
	if !errors.As(err, &e) || e.Code != 500 || !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(e.Body, w) }) {
		s.t.Errorf("Label Studio says %v, want a 500 with one of %q", err, words)
	}
}

// large is an annotation that takes many writes.
func large(boxes int) map[string]any {
	a := box(1)
	a["result"] = slices.Repeat(a["result"].([]any), boxes)
	return a
}

func (s *story) content(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.mnt, "labels@master", name))
	must(s.t, err)
	return string(b)
}

// lands makes one commit, which leaves the server with exactly the files that
// the mount has.
func (s *story) lands() map[string]string {
	t := s.t
	t.Helper()
	s.commit("labels@master", 1)
	c := dial(t, s.conf())
	files := committed(t, c, head(t, c, "labels"))
	names := s.names("labels@master")
	if len(names) != len(files) {
		t.Errorf("mounted %v, %d files committed", names, len(files))
	}
	for _, name := range names {
		if s.content(name) != files[name] {
			t.Errorf("%s: %d bytes committed, not those that are mounted", name, len(files[name]))
		}
	}
	if n := s.staged("labels@master"); n.Files+n.Deleted != 0 {
		t.Errorf("after a commit %+v is staged", n)
	}
	return files
}

// repair has Label Studio write everything anew, which makes good what it could
// not write, and lands it: every annotation that it knows, whole.
func (s *story) repair() {
	t := s.t
	t.Helper()
	target, err := s.Target(t.Context(), s.project, filepath.Join(s.mnt, "labels@master"))
	must(t, err)
	_, err = s.SyncTarget(t.Context(), target.ID)
	must(t, err)
	var known []struct {
		Annotations []struct {
			ID     int
			Result []any
		}
	}
	must(t, s.Call(t.Context(), http.MethodGet, fmt.Sprintf("/api/projects/%d/export?exportType=JSON", s.project), nil, &known))
	files, n := s.lands(), 0
	for _, task := range known {
		for _, a := range task.Annotations {
			var got struct{ Result []any }
			if err := json.Unmarshal([]byte(files[fmt.Sprint(a.ID)]), &got); err != nil || len(got.Result) != len(a.Result) {
				t.Errorf("annotation %d: %v, %d boxes of %d", a.ID, err, len(got.Result), len(a.Result))
			}
			n++
		}
	}
	if n == 0 || n != len(files) {
		t.Errorf("%d annotations, %d files", n, len(files))
	}
}
