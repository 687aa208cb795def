package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pachfs/pachclient/remote"
)

// Whatever is replaced so that a path means another file has a name here.
func TestNamesOf(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.MkdirAll(at("releases/1"), 0o700))
	must(t, os.WriteFile(at("releases/1/config.json"), nil, 0o600))
	must(t, os.Symlink("releases/1", at("current")))
	must(t, os.Symlink(at("current/config.json"), at("config.json")))
	must(t, os.Symlink("loop", at("loop")))
	for path, want := range map[string][]string{
		"releases/1/config.json": {"releases/1/config.json"},
		"current/config.json":    {"current", "releases/1/config.json"},
		"config.json":            {"config.json", "current", "releases/1/config.json"},
		"none/config.json":       {"none/config.json"},
	} {
		for i := range want {
			want[i] = at(want[i])
		}
		if got := namesOf(at(path)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if got := namesOf(at("loop")); len(got) == 0 || got[0] != at("loop") {
		t.Errorf("a link to itself: %q", got)
	}
}

// The command that gets another token logs in where the mount is, whatever is
// active, and can be pasted.
func TestLoginCommand(t *testing.T) {
	alone(t)
	for config, want := range map[string]string{
		"":                  "PACH_CONTEXT=prod pachctl auth login",
		"/etc/pach/my.json": "PACH_CONFIG=/etc/pach/my.json PACH_CONTEXT=prod pachctl auth login",
		"/it's here":        `PACH_CONFIG='/it'\''s here' PACH_CONTEXT=prod pachctl auth login`,
	} {
		t.Setenv("PACH_CONFIG", config)
		if got := dialing(remote.Context{Name: "prod"}, nil).Login; got != want {
			t.Errorf("%q: %s, want %s", config, got, want)
		}
	}
}
