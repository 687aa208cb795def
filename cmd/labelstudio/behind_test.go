package main

import (
	"fmt"
	"os"
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
