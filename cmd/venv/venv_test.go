package venv

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
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

// Who waits for somebody else's install can be stopped.
func TestWaitingForAnInstallEndsWithTheContext(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "env")
	lock, err := os.Create(dir + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	stopped := errors.New("stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { stop(stopped) })
	if err := Install(ctx, dir, os.Stderr, "./no-such-package"); !errors.Is(err, stopped) || !strings.Contains(err.Error(), lock.Name()) {
		t.Errorf("%v, want %v, with the lock's name", err, stopped)
	}
}
