package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"pachfs/cmd/internal/control"
)

func newUmount() *cobra.Command {
	return &cobra.Command{
		Use:   "umount MOUNTPOINT",
		Short: "Unmount, wait until what is staged has landed, and tell how that went",
		Long: `Unmounts, and returns when what was staged has landed: status 0. It is 3 when
something could not land and stays staged, 4 when somebody else changed the
same paths. umount(8) and fusermount3 -u unmount too, but don't wait.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runUmount(c.Context(), args[0]) },
	}
}

// runUmount must not look at the mountpoint: its daemon may be dead or hang.
func runUmount(ctx context.Context, mountpoint string) error {
	r, err := runningOn(mountpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: no pachfs of this user is mounted there (another user's: umount or fusermount3 -u)", mountpoint)
	} else if err != nil {
		return err
	}
	if !r.alive() {
		return clearDead(r)
	}
	how, err := r.client().Stop(ctx)
	if err != nil && r.alive() {
		return err
	} else if err != nil {
		return &control.Error{Exit: control.ExitStaged,
			Message: fmt.Sprintf("the pachfs on %s died before it said how its last commit went; what is left is in %s, and the next mount goes on with it", r.Mountpoint, r.State)}
	}
	for r.alive() && ctx.Err() == nil { // the answer comes a little before the end
		time.Sleep(10 * time.Millisecond)
	}
	if how.Exit != control.ExitDone {
		return &control.Error{Message: how.Message, Exit: how.Exit}
	}
	return nil
}

// clearDead takes away what a pachfs that died has left. Nothing lands now, and
// whether something is staged is for the next mount to say: so this is no
// success to somebody who waits for a landing.
func clearDead(r running) error {
	if err := r.clear(); err != nil {
		return err
	}
	return &control.Error{Exit: control.ExitStaged,
		Message: fmt.Sprintf("the pachfs on %s had died; its mount is gone now; what it had staged is in %s, and the next mount goes on with it", r.Mountpoint, r.State)}
}
