package venv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatIsWholeIsLeftAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "env")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "whole"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Install(t.Context(), dir, os.Stderr, "./no-such-package"); err != nil {
		t.Error(err)
	}
}

// What an interrupted install left goes, and a failed one does not count.
func TestHalfAnEnvironmentIsMadeAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache", "env")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	t.Setenv("PATH", "") // no python3: the first step fails
	left := filepath.Join(dir, "left-over")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err = Install(t.Context(), dir, log, "./no-such-package")
	if err == nil || !strings.Contains(err.Error(), log.Name()) {
		t.Fatalf("%v, want an error that names %s", err, log.Name())
	}
	if _, err := os.Stat(filepath.Join(dir, "whole")); err == nil {
		t.Fatal("it counts as whole")
	}
	if _, err := os.Stat(left); err == nil {
		t.Fatal("it was not made anew")
	}
}
