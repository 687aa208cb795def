package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pachfs/cmd/internal/control"
)

// alone takes away what this machine's user has set up.
func alone(t *testing.T) {
	t.Helper()
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "PACHFS_") || strings.HasPrefix(name, "PACH") {
			t.Setenv(name, "")
		}
	}
	home := t.TempDir()
	for _, name := range []string{"HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME"} {
		t.Setenv(name, home)
	}
	was := systemRunDir
	systemRunDir = filepath.Join(home, "run")
	t.Cleanup(func() { systemRunDir = was })
	t.Setenv("PACH_CONFIG", filepath.Join(home, "none.json"))
}

func call(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	done := make(chan int)
	go func() { done <- run(context.Background(), args, streams{&out, &err}) }()
	select {
	case code = <-done:
		return code, out.String(), err.String()
	case <-time.After(30 * time.Second):
		panic("this does not end: pachfs " + strings.Join(args, " "))
	}
}

// How a command is called wrongly is status 2, with words that say what to do.
func TestUsage(t *testing.T) {
	alone(t)
	dir := t.TempDir()
	for _, c := range []struct {
		args  []string
		words []string
	}{
		{[]string{"mound"}, []string{"unknown command", "mound"}},
		{[]string{"mount"}, []string{"arg", "pachfs mount --help"}},
		{[]string{"mount", "--stat", dir}, []string{"unknown flag", "--help"}},
		{[]string{"mount", dir}, []string{"--pachd", "--context", "--store"}},
		{[]string{"mount", "--pachd", "grpc://127.0.0.1:1", "--store", t.TempDir(), dir}, []string{"--pachd", "--store"}},
		{[]string{"mount", "--store", dir + "/s", dir}, []string{"--store", "inside the mountpoint"}},
		{[]string{"mount", "--state", dir + "/s", "--store", "/nowhere", dir}, []string{"--state", "inside the mountpoint"}},
		{[]string{"mount", "--log-level", "loud", dir}, []string{"--log-level", "debug, info, warn, error"}},
		{[]string{"mount", "--cache-size", "lots", dir}, []string{"lots", "10GiB"}},
		{[]string{"mount", "--sync-after=-5s", dir}, []string{"--sync-after", "-5s", "30s"}},
		{[]string{"mount", "--sync-after=1ns", "--store", t.TempDir(), dir}, []string{"--sync-after", "1ns", "1ms"}},
		{[]string{"mount", "--io-timeout", "-1s", dir}, []string{"--io-timeout", "-1s"}},
		{[]string{"mount", "--stop-timeout", "-1s", dir}, []string{"--stop-timeout", "-1s"}},
		{[]string{"state", "land", "--commit-timeout", "-1s", dir}, []string{"--commit-timeout", "-1s"}},
		{[]string{"mount", "--umask", "999", "--store", t.TempDir(), dir}, []string{"--umask", "999"}},
		{[]string{"mount", "--only", "a@b@c", "--store", t.TempDir(), dir}, []string{"--only", "a@b@c"}},
		{[]string{"mount", "--pachd", "gopher://x", dir}, []string{"gopher"}},
		{[]string{"mount", "--context", "none", dir}, []string{"none"}},
		{[]string{"serve"}, []string{"--store"}},
		{[]string{"commit", "a", "b"}, []string{"pachfs commit --help"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			code, out, err := call(c.args...)
			if code != control.ExitUsage || out != "" {
				t.Errorf("status %d, stdout %q", code, out)
			}
			for _, w := range c.words {
				if !strings.Contains(err, w) {
					t.Errorf("%q is not in: %s", w, err)
				}
			}
		})
	}
}

// The commands and flags that scripts of others call.
func TestContract(t *testing.T) {
	want := map[string][]string{
		"mount": {"pachd", "context", "store", "project", "state", "cache-dir", "commit-timeout", "stop-timeout", "sync-after", "daemon",
			"allow-other", "uid", "gid", "umask", "read-only", "only", "writable", "log-level", "log-format"},
		"umount": nil, "commit": {"message", "json"}, "status": {"json"}, "diff": {"json"}, "discard": nil, "log": {"json"},
		"serve": {"store", "listen"}, "version": nil, "completion": nil,
	}
	root := newRoot(streams{})
	root.InitDefaultCompletionCmd()
	have := map[string]*cobra.Command{}
	for _, c := range root.Commands() {
		have[c.Name()] = c
	}
	for name, flags := range want {
		c := have[name]
		if c == nil {
			t.Errorf("no command %s", name)
			continue
		}
		for _, f := range flags {
			if c.Flags().Lookup(f) == nil {
				t.Errorf("%s has no --%s", name, f)
			}
		}
	}
	code, out, _ := call("--help")
	for _, w := range []string{"3  changes stay staged", "4  conflict", "PACHFS_COMMIT_TIMEOUT"} {
		if code != 0 || !strings.Contains(out, w) {
			t.Errorf("help, status %d, lacks %q", code, w)
		}
	}
}

func TestVersion(t *testing.T) {
	code, out, err := call("version")
	if code != 0 || !strings.HasPrefix(out, "pachfs ") || err != "" {
		t.Errorf("%d %q %q", code, out, err)
	}
	if code, flag, err := call("--version"); code != 0 || flag != out || err != "" {
		t.Errorf("--version: %d %q %q, want %q", code, flag, err, out)
	}
}

// Commands that need a mount say so when there is none.
func TestNoMount(t *testing.T) {
	alone(t)
	for _, cmd := range []string{"status", "commit", "diff", "log"} {
		if code, _, err := call(cmd); code != control.ExitFault || !strings.Contains(err, "pachfs mount") {
			t.Errorf("%s: %d %s", cmd, code, err)
		}
	}
	if code, _, err := call("umount", t.TempDir()); code != control.ExitFault || !strings.Contains(err, "no pachfs") {
		t.Errorf("umount: %d %s", code, err)
	}
}

func TestFlagsFromEnv(t *testing.T) {
	parse := func(env map[string]string, args ...string) (*mountFlags, error) {
		f := &mountFlags{}
		flags := pflag.NewFlagSet("mount", pflag.ContinueOnError)
		f.add(flags)
		if err := flags.Parse(args); err != nil {
			t.Fatal(err)
		}
		return f, flagsFromEnv(flags, func(k string) string { return env[k] })
	}
	f, err := parse(map[string]string{"PACHFS_COMMIT_TIMEOUT": "3s", "PACHFS_CACHE_SIZE": "1GiB", "PACHFS_READ_ONLY": "true"})
	if err != nil || f.commitTimeout.Seconds() != 3 || f.cacheSize != 1<<30 || !f.readOnly {
		t.Errorf("%+v %v", f, err)
	}
	f, err = parse(map[string]string{"PACHFS_UMASK": "077"}, "--umask", "002")
	if err != nil || f.umask != "002" {
		t.Errorf("the command line must win: %q %v", f.umask, err)
	}
	f, err = parse(map[string]string{"PACHFS_STORE": "/s", "PACHFS_PACHD": "x:1"}, "--context", "here")
	if err != nil || f.store != "" || f.pachd != "" || f.context != "here" {
		t.Errorf("one named server is enough: %+v %v", f.serverFlags, err)
	}
	_, err = parse(map[string]string{"PACHFS_STOP_TIMEOUT": "soon"})
	var e *control.Error
	if !errors.As(err, &e) || e.Exit != control.ExitUsage || !strings.Contains(e.Message, "PACHFS_STOP_TIMEOUT") {
		t.Errorf("%v", err)
	}
}

func TestSize(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "512": 512, "1K": 1024, "10GiB": 10 << 30, "3 MiB": 3 << 20} {
		var s size
		if err := s.Set(in); err != nil || int64(s) != want {
			t.Errorf("%s is %d, %v", in, s, err)
		}
		again := size(0)
		if err := again.Set(s.String()); err != nil || again != s {
			t.Errorf("%s prints as %s: %v", in, s.String(), err)
		}
	}
	for _, in := range []string{"", "-1", "x", "1.5G", "9999999999T"} {
		var s size
		if s.Set(in) == nil {
			t.Errorf("%q passes as %d", in, s)
		}
	}
}
