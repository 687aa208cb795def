package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"pachfs/cmd/internal/control"
	"pachfs/pachclient"
	"pachfs/pachclient/cache"
	"pachfs/staging"
)

// landFlags are those of pachfs state land.
type landFlags struct {
	serverFlags
	message, onConflict string
	timeout             time.Duration
	asJSON              bool
}

func newStateLand(s streams) *cobra.Command {
	var f landFlags
	c := &cobra.Command{
		Use:   "land DIR [--pachd URL | --context NAME | --store DIR]",
		Short: "Land what is staged as one commit a branch, without a mount",
		Long: `Lands every branch that has something staged in DIR, as a mount would: on the
Pachyderm that it was staged for and no other. Prints the commit of each branch
that got one, as PROJECT+repo@branch where several projects are. Files that were
being written when their mount was killed stay, unless a descriptor of them was
closed since the last write.
Status 3: something stays staged; 4: somebody else changed the same paths:
--on-conflict decides, or pachfs state discard gives up single paths.`,
		Example: "  pachfs state land /mnt/pach --pachd grpc://localhost:30650 -m 'rescued'\n  pachfs state land /var/lib/pachfs/mnt-pach --context prod --on-conflict ours",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return f.run(ctx, args[0], s)
		},
	}
	f.addServer(c.Flags())
	c.Flags().StringVarP(&f.message, "message", "m", "", "the commits' message")
	c.Flags().StringVar(&f.onConflict, "on-conflict", string(staging.Fail), onConflictHelp)
	waitVar(c.Flags(), &f.timeout, "commit-timeout", time.Minute, commitTimeoutHelp)
	c.Flags().BoolVar(&f.asJSON, "json", false, "print {branch: commit id}")
	return c
}

func (f *landFlags) run(ctx context.Context, arg string, s streams) error {
	policy, err := staging.ParsePolicy(f.onConflict)
	if err != nil {
		return usage("--on-conflict: %w", err)
	}
	dir, branches, broken := stagedIn(ctx, arg)
	if len(branches) == 0 {
		if broken == nil {
			fmt.Fprintln(s.err, "nothing to land")
		}
		return broken
	}
	log, err := newLogger(s.err, "warn", "text")
	if err != nil {
		return err
	}
	p, err := f.reach(ctx, cache.Options{MemoryBytes: defaultMemory, Logger: log})
	if err != nil {
		return stays(dir, err)
	}
	host, _ := os.Hostname()
	stage, err := staging.Open(dir, staging.Options{Client: p.cache, Named: named(p.cache), Deployment: p.server.deployment, Host: host, Logger: log, CommitTimeout: f.timeout})
	if err != nil {
		err = stays(dir, err)
	} else {
		err = errors.Join(f.land(ctx, stage, branches, policy, s), broken, stage.Close())
	}
	return errors.Join(inUse(dir, err), p.close())
}

// stagedIn finds the directory that DIR means and the branches that have
// something staged there; those that can't be read are an error beside them.
func stagedIn(ctx context.Context, arg string) (dir string, branches []pachclient.Branch, err error) {
	i, dir, err := inspect(arg, pachclient.Offline{})
	if err != nil && dir != "" && !errors.Is(err, staging.ErrLocked) { // nobody can tell what is in it
		err = stays(dir, err)
	}
	if err != nil {
		return dir, nil, err
	}
	found, err := dirty(ctx, i)
	for _, f := range found {
		branches = append(branches, f.Branch)
	}
	return dir, branches, errors.Join(stays(dir, err), i.Close())
}

// land lands the branches one after the other; one that fails does not keep the
// others from it.
func (f *landFlags) land(ctx context.Context, stage *staging.Stage, branches []pachclient.Branch, policy staging.Policy, s streams) error {
	made := control.Commits{}
	nameOf := naming(branches)
	var errs []error
	for _, b := range branches {
		c, err := f.landBranch(ctx, stage, b, nameOf(b), policy, s)
		if !c.Zero() {
			made[nameOf(b)] = c.ID
			if !f.asJSON {
				fmt.Fprintf(s.out, "%s %s\n", nameOf(b), c.ID)
			}
		}
		errs = append(errs, err)
	}
	if f.asJSON {
		errs = append(errs, printJSON(s.out, made))
	}
	return stays(stage.Dir(), errors.Join(errs...))
}

func (f *landFlags) landBranch(ctx context.Context, stage *staging.Stage, b pachclient.Branch, name string, policy staging.Policy, s streams) (c pachclient.Commit, err error) {
	o, err := stage.Overlay(ctx, b)
	if err != nil {
		return c, err
	}
	fmt.Fprintf(s.err, "landing %s: %s\n", name, amount(o.Status().Staged))
	done := make(chan struct{})
	defer close(done)
	go func() {
		for tick := time.Tick(5 * time.Second); ; {
			select {
			case <-done:
				return
			case <-tick:
				fmt.Fprintf(s.err, "landing %s: %s uploaded\n", name, human(o.Status().Uploaded))
			}
		}
	}()
	if c, err = o.CommitBy(ctx, f.message, policy); err == nil && o.Dirty() {
		err = fmt.Errorf("commit %s: not of files that were being written: %q", name, o.Status().Writing)
	}
	return c, err
}
