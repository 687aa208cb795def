package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pachfs/cmd/internal/control"
	"pachfs/pachclient"
	"pachfs/staging"
)

func newState(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "state",
		Short: "Look after what is staged where no mount runs: list, check, land, export, discard",
		Long: `What a mount has staged outlives it: a kill, a server that was away, a
mountpoint that is gone. The next mount with that state directory goes on with
it. These commands need no mount.

DIR is a state directory, or the mountpoint that it belongs to.`,
		Example: `  pachfs state list
  pachfs state export /mnt/pach ./rescued
  pachfs state land /mnt/pach --pachd grpc://localhost:30650`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newStateList(s), newStateCheck(s), newStateLand(s), newStateExport(s), newStateDiscard(s))
	return c
}

// isState says whether a directory holds staged changes, or did.
func isState(dir string) bool {
	st, err := os.Stat(filepath.Join(dir, "format"))
	return err == nil && st.Mode().IsRegular()
}

// stateDir finds the state directory that DIR means: of the mount that is or
// was on it, of the mountpoint that it may be, or itself. A mountpoint is not
// looked into before that: it may hang.
func stateDir(arg string) (string, error) {
	if r, err := runningOn(arg); err == nil {
		return r.State, nil
	} else if !errors.Is(err, iofs.ErrNotExist) {
		return "", err
	}
	at, err := realPlace(arg)
	if err != nil {
		return "", err
	}
	if dir, err := defaultState(at); err == nil && isState(dir) {
		return dir, nil
	}
	if isState(at) {
		return at, nil
	}
	return "", usage("%s is no state directory, nor the mountpoint of one (pachfs state list names them)", arg)
}

// mountFile is where a mount writes down, in its state directory, what it is on.
const mountFile = "mountpoint"

// mountpointOf tells which mountpoint a state directory belongs to; "": not known.
func mountpointOf(dir string) string {
	if b, err := os.ReadFile(filepath.Join(dir, mountFile)); err == nil && len(b) > 0 {
		return strings.TrimSuffix(string(b), "\n")
	}
	all, _ := registered()
	for _, r := range all {
		if r.State == dir {
			return r.Mountpoint
		}
	}
	if root, err := stateRoot(); err == nil && filepath.Dir(dir) == root {
		return unescapePath(filepath.Base(dir))
	}
	return ""
}

// inspect looks at the state directory that DIR means.
func inspect(arg string, client pachclient.Client) (*staging.Inspection, string, error) {
	dir, err := stateDir(arg)
	if err != nil {
		return nil, "", err
	}
	i, err := staging.Inspect(dir, named(client))
	return i, dir, inUse(dir, err)
}

// inUse says what to do about a mount that has the directory.
func inUse(dir string, err error) error {
	if !errors.Is(err, staging.ErrLocked) {
		return err
	}
	at := mountpointOf(dir)
	if at == "" {
		at = "its mountpoint"
	}
	return fmt.Errorf("%w: unmount first (pachfs umount %s), or use pachfs commit, diff and discard on the mount", err, at)
}

// dirty gives the branches with something staged; those that can't be read
// are an error.
func dirty(ctx context.Context, i *staging.Inspection) ([]*staging.Found, error) {
	found, err := i.Branches(ctx)
	errs := []error{err}
	var out []*staging.Found
	for _, f := range found {
		if f.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.Branch, f.Err))
		} else if f.Dirty() {
			out = append(out, f)
		}
	}
	return out, errors.Join(errs...)
}

// stays marks a failure that leaves everything staged.
func stays(dir string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w; %w in %s", err, control.ErrStays, dir)
}

// amount says in words how much is staged.
func amount(c staging.StagedCount) string {
	return fmt.Sprintf("%d changed, %d deleted, %s", c.Files, c.Deleted, human(c.Bytes))
}

// naming gives the branches of one directory names that tell them apart:
// repo@branch, and PROJECT+repo@branch where there are several projects.
func naming(of []pachclient.Branch) func(pachclient.Branch) string {
	if slices.ContainsFunc(of, func(b pachclient.Branch) bool { return b.Project != of[0].Project }) {
		return withProject
	}
	return pachclient.Branch.String
}

func withProject(b pachclient.Branch) string { return b.Project + "+" + b.String() }
