// Package venv installs Python programs and libraries of others, each into a
// virtual environment of its own outside the checkout: for `make label-studio`
// and for the tests with Pachyderm's Python clients.
package venv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Install makes the virtual environment dir with these packages, unless it is
// there. It counts once it is whole: what an interrupted install left is made
// anew. Whoever else wants the same one meanwhile waits. What pip says goes
// to the log.
func Install(ctx context.Context, dir string, log *os.File, packages ...string) (err error) {
	whole := filepath.Join(dir, "whole")
	if _, err := os.Stat(whole); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := waitLock(ctx, lock); err != nil {
		return &os.PathError{Op: "lock", Path: lock.Name(), Err: err}
	}
	if _, err := os.Stat(whole); err == nil { // somebody made it meanwhile
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "installing %s into %s: a minute or two, the first time\n", strings.Join(packages, " "), dir)
	install := []string{filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check"}
	for _, args := range [][]string{{"python3", "-m", "venv", dir}, append(install, packages...)} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w (its output is in %s; python3-venv is needed)", args[0], err, log.Name())
		}
	}
	return os.WriteFile(whole, nil, 0o644)
}

// waitLock takes a lock that somebody may hold for minutes. The kernel would
// wait whatever becomes of ctx.
func waitLock(ctx context.Context, f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
