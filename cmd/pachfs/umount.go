package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"pachfs/cmd/internal/control"
	"pachfs/fs/bazil"
)

func newUmount(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "umount MOUNTPOINT",
		Short: "Unmount, wait until what is staged has landed, and tell how that went",
		Long: `Unmounts, and returns when what was staged has landed: status 0. It is 3 when
something could not land and stays staged, 4 when somebody else changed the
same paths. umount(8) and fusermount3 -u unmount too, but don't wait.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runUmount(c.Context(), args[0], s) },
	}
}

// runUmount must not look at the mountpoint: its daemon may be dead or hang.
func runUmount(ctx context.Context, mountpoint string, s streams) error {
	r, err := findRunning(mountpoint)
	if err != nil {
		return err
	}
	if !r.alive() {
		if err := bazil.Detach(r.Mountpoint); err != nil {
			return err
		}
		fmt.Fprintf(s.err, "the pachfs on %s had died; its mount is gone, and what it had staged is in %s\n", r.Mountpoint, r.State)
		return os.Remove(registryFile(r.Mountpoint))
	}
	how, err := r.client().Stop(ctx)
	if err != nil {
		return err
	}
	for r.alive() { // the answer comes a little before the end
		time.Sleep(10 * time.Millisecond)
	}
	if how.Exit != control.ExitDone {
		return &control.Error{Message: how.Message, Exit: how.Exit}
	}
	return nil
}

// findRunning gives the mount on just this directory.
func findRunning(mountpoint string) (running, error) {
	abs, err := filepath.Abs(mountpoint)
	if err != nil {
		return running{}, err
	}
	// Its parent is looked at, not itself.
	if parent, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		abs = filepath.Join(parent, filepath.Base(abs))
	}
	all, err := registered()
	if err != nil {
		return running{}, err
	}
	for _, r := range all {
		if r.Mountpoint == abs {
			return r, nil
		}
	}
	return running{}, errors.New(mountpoint + ": no pachfs of this user is mounted there (another user's: umount or fusermount3 -u)")
}
