package control_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pachfs/cmd/internal/control"
	"pachfs/pachclient"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/remote"
	"pachfs/staging"
)

var labels = pachclient.Branch{Project: "default", Repo: "labels", Name: "master"}

// A daemon is what answers behind the socket, without a mount.
type daemon struct {
	*control.Client
	stage *staging.Stage
	dir   string
}

// start serves the state directory dir on a server that serve gave.
func start(t *testing.T, dir string, s *embedded.Server) *daemon {
	t.Helper()
	c, err := remote.Dial(t.Context(), remote.Config{Dialer: s.Dial})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	if err := c.CreateBranch(t.Context(), labels); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	stage, err := staging.Open(dir, staging.Options{Client: c})
	must(t, err)
	t.Cleanup(func() { stage.Close() })
	l, err := control.Listen(dir)
	must(t, err)
	stop := make(chan control.Stopped, 1)
	api := &control.Server{Stage: stage, Mountpoint: "/mnt", Project: "default",
		Address: func() string { return "embedded" }, Problem: func() string { return "" },
		Stop: func() <-chan control.Stopped { stop <- control.Stopped{Exit: 3, Message: "why"}; return stop }}
	done := make(chan error, 1)
	go func() { done <- api.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(api.Shutdown(), <-done); err != nil {
			t.Error(err)
		}
	})
	return &daemon{control.NewClient(dir), stage, dir}
}

func serve(t *testing.T) *embedded.Server {
	t.Helper()
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func (d *daemon) write(t *testing.T, path, content string) {
	t.Helper()
	o, err := d.stage.Overlay(t.Context(), labels)
	must(t, err)
	f, err := o.Create(t.Context(), path, staging.Attr{})
	must(t, err)
	_, err = f.WriteAt([]byte(content), 0)
	must(t, errors.Join(err, f.Close(true)))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// exits fails unless the error carries that exit status and these words.
func exits(t *testing.T, err error, exit int, words string) {
	t.Helper()
	var e *control.Error
	if !errors.As(err, &e) || e.Exit != exit || !strings.Contains(e.Message, words) {
		t.Errorf("got %#v, want exit %d and %q", err, exit, words)
	}
}

// Everything that the commands ask for, over the socket.
func TestCalls(t *testing.T) {
	d, ctx := start(t, t.TempDir(), serve(t)), t.Context()
	info, err := d.Status(ctx)
	must(t, err)
	if info.Mountpoint != "/mnt" || info.PID != os.Getpid() || info.StateDir != d.dir || info.Branches == nil || len(info.Branches) != 0 {
		t.Errorf("%+v", info)
	}
	d.write(t, "/a", "1")
	d.write(t, "/b", "2")
	lines, err := d.Diff(ctx, "labels@master")
	must(t, err)
	if len(lines) != 2 || lines[0] != (control.DiffLine{Op: "+", Path: "/a"}) {
		t.Errorf("diff %v", lines)
	}
	must(t, d.Discard(ctx, control.DiscardRequest{Branch: "labels@master", Paths: []string{"/b"}}))
	made, err := d.Commit(ctx, control.CommitRequest{Message: "said"})
	must(t, err)
	if len(made) != 1 || made["labels@master"] == "" {
		t.Errorf("commits %v", made)
	}
	log, err := d.Log(ctx, "labels@master")
	must(t, err)
	if len(log) != 1 || log[0].Commit != made["labels@master"] || log[0].Message != "said" || log[0].Files != 1 {
		t.Errorf("log %+v", log)
	}
	if made, err := d.Commit(ctx, control.CommitRequest{}); err != nil || len(made) != 0 {
		t.Errorf("nothing is staged: %v %v", made, err)
	}
	if how, err := d.Stop(ctx); err != nil || how.Exit != 3 || how.Message != "why" {
		t.Errorf("%+v %v", how, err)
	}
}

// A failure keeps its words and its exit status on the way.
func TestFailures(t *testing.T) {
	s := serve(t)
	d, x, ctx := start(t, t.TempDir(), s), start(t, t.TempDir(), s), t.Context()
	_, err := d.Diff(ctx, "no branch")
	exits(t, err, control.ExitUsage, "no branch")
	_, err = d.Log(ctx, "nothere@master")
	exits(t, err, control.ExitFault, "nothere")
	d.write(t, "/same", "d")
	x.write(t, "/same", "x")
	_, err = d.Commit(ctx, control.CommitRequest{})
	must(t, err)
	_, err = x.Commit(ctx, control.CommitRequest{Branch: "labels@master"})
	exits(t, err, control.ExitConflict, "/same")
	d.write(t, "/more", "m")
	s.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err = d.Commit(ctx, control.CommitRequest{}); err == nil {
		t.Error("a commit without a server succeeds")
	}
}

// Whoever speaks to the socket without this client gets JSON, and a status of HTTP.
func TestHTTP(t *testing.T) {
	d := start(t, t.TempDir(), serve(t))
	h := d.HTTP()
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/health", "", 200},
		{"GET", "/v1/status", "", 200},
		{"GET", "/v1/nothing", "", 404},
		{"PUT", "/v1/status", "", 404},
		{"POST", "/v1/commit", "{", 400},
		{"GET", "/v1/diff", "", 400},
	} {
		req, err := http.NewRequest(c.method, "http://pachfs"+c.path, strings.NewReader(c.body))
		must(t, err)
		resp, err := h.Do(req)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != c.status || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %s, %s", c.method, c.path, resp.Status, resp.Header.Get("Content-Type"))
		}
	}
}

// The socket is its owner's alone, works below a long path, and replaces one
// that a dead daemon left.
func TestSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	must(t, os.MkdirAll(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, control.SocketName), nil, 0o600))
	d := start(t, dir, serve(t))
	_, err := d.Status(t.Context())
	must(t, err)
	st, err := os.Stat(filepath.Join(dir, control.SocketName))
	must(t, err)
	if st.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v", st.Mode())
	}
	must(t, control.Remove(dir))
	must(t, control.Remove(dir))
	_, err = control.NewClient(dir).Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "is it running?") {
		t.Errorf("%v", err)
	}
}

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err    error
		staged bool
		want   int
	}{
		{nil, true, control.ExitDone},
		{errors.New("x"), false, control.ExitFault},
		{errors.New("x"), true, control.ExitStaged},
		{staging.ErrConflict, true, control.ExitConflict},
		{control.ErrStays, false, control.ExitStaged},
		{&control.Error{Exit: control.ExitUsage}, true, control.ExitUsage},
	} {
		if got := control.ExitCode(c.err, c.staged); got != c.want {
			t.Errorf("%v, %v: %d, want %d", c.err, c.staged, got, c.want)
		}
	}
}
