package main

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pachfs/cmd/internal/labelstudio"
)

// installed gives the command of the Label Studio that LS names.
func installed(t *testing.T) string {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	defer log.Close()
	command, err := labelstudio.Install(t.Context(), defaultCache(), os.Getenv("LS"), log)
	must(t, err)
	return command
}

// behind makes a directory for -cache with that Label Studio, behind a prefix:
// another user, or one who watches.
func behind(t *testing.T, command string, prefix ...string) string {
	t.Helper()
	dir := t.TempDir()
	env := filepath.Join(dir, filepath.Base(filepath.Dir(filepath.Dir(command))))
	must(t, os.MkdirAll(filepath.Join(env, "bin"), 0o755))
	must(t, os.WriteFile(filepath.Join(env, "whole"), nil, 0o644))
	script := fmt.Sprintf("#!/bin/sh\nexec %s %s \"$@\"\n", strings.Join(prefix, " "), command)
	must(t, os.WriteFile(filepath.Join(env, "bin", "label-studio"), []byte(script), 0o755))
	return dir
}

// fresh puts a Label Studio that nobody used yet into a directory: to make its
// database takes most of a minute, so one is kept with the environment.
func fresh(t *testing.T, command, data string) {
	t.Helper()
	env := filepath.Dir(filepath.Dir(command))
	kept := filepath.Join(env, "fresh")
	if _, err := os.Stat(kept); err != nil {
		made, err := os.MkdirTemp(env, "fresh-")
		must(t, err)
		defer os.RemoveAll(made)
		ls, err := labelstudio.Start(t.Context(), labelstudio.Config{Command: command, Dir: made, Root: made})
		must(t, err)
		must(t, ls.Stop())
		if err := os.Rename(made, kept); err != nil && !errors.Is(err, iofs.ErrExist) { // somebody else was quicker
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("cp", "-a", kept, data).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
