package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pachfs/cmd/internal/control"
	"pachfs/pachclient"
	"pachfs/staging"
)

func newStateDiscard(s streams) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "discard DIR [repo@branch[:/PATH]...] --yes",
		Short: "Forget what is staged, without a mount",
		Long: `Forgets staged changes of the branches, or only at the paths and below them; all
of DIR when none is named. A rename goes as a whole, whichever of its ends is
named. Without --yes it says what would go, and the status is 2. A commit that
was sent may have happened: pachfs state land finds out; forgetting its branch
does not undo it. Of a branch that is damaged only all of it can go.`,
		Example: "  pachfs state discard /mnt/pach labels@master:/1.json\n  pachfs state discard /mnt/pach --yes",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return runDiscard(c.Context(), args[0], args[1:], yes, s) },
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it")
	return c
}

// A giveUp is what goes of a branch.
type giveUp struct {
	found *staging.Found
	path  string // "/": everything
}

func runDiscard(ctx context.Context, arg string, names []string, yes bool, s streams) error {
	i, dir, err := inspect(arg, pachclient.Offline{})
	if err != nil {
		return err
	}
	all, err := i.Branches(ctx)
	all = slices.DeleteFunc(all, func(f *staging.Found) bool { return f.Err == nil && !f.Dirty() })
	var plan []giveUp
	if err == nil {
		plan, err = planDiscard(all, names)
	}
	if err == nil && len(plan) == 0 {
		fmt.Fprintln(s.err, "nothing is staged")
	} else if err == nil && !yes {
		for _, g := range plan {
			g.print(s)
		}
		err = usage("this would be forgotten; --yes does it")
	}
	if err := errors.Join(err, i.Close()); err != nil || len(plan) == 0 {
		return err
	}
	stage, err := staging.Open(dir, staging.Options{Client: pachclient.Offline{}, Named: named(pachclient.Offline{})})
	if err != nil {
		return inUse(dir, err)
	}
	var errs []error
	for _, g := range plan {
		errs = append(errs, g.do(ctx, stage))
	}
	return errors.Join(append(errs, stage.Close())...)
}

// planDiscard reads repo@branch:/PATH; a branch of one of several projects is
// PROJECT+repo@branch.
func planDiscard(all []*staging.Found, names []string) (plan []giveUp, err error) {
	if len(names) == 0 {
		for _, f := range all {
			plan = append(plan, giveUp{f, "/"})
		}
		return plan, nil
	}
	for _, arg := range names {
		name, path, colon := strings.Cut(arg, ":")
		if colon && strings.Trim(path, "/") == "" {
			return nil, usage("%s names no path; %s is the whole branch", arg, name)
		}
		var of *staging.Found
		for _, f := range all {
			if name != f.Branch.String() && name != withProject(f.Branch) {
				continue
			}
			if of != nil {
				return nil, usage("%s is in several projects; name one as %s", name, withProject(f.Branch))
			}
			of = f
		}
		if of == nil {
			return nil, usage("%s: nothing is staged for such a branch", name)
		}
		g := giveUp{of, "/"}
		if colon {
			g.path = "/" + strings.Trim(path, "/")
		}
		if of.Err != nil && g.path != "/" {
			return nil, fmt.Errorf("only the whole branch %s can be discarded: %w", name, of.Err)
		}
		if of.Err == nil && len(g.lines()) == 0 && !of.Sent {
			return nil, usage("%s: nothing is staged there", arg)
		}
		plan = append(plan, g)
	}
	return plan, nil
}

// lines are what goes.
func (g giveUp) lines() (out []staging.DiffLine) {
	gone := g.found.Whole(g.path)
	for _, l := range g.found.Diff() {
		if slices.ContainsFunc(gone, func(dir string) bool { return inside(l.Path, dir) }) {
			out = append(out, l)
		}
	}
	return out
}

func (g giveUp) print(s streams) {
	if g.found.Err != nil {
		fmt.Fprintf(s.out, "? %s, whatever is staged there: %v\n", g.found.Branch, g.found.Err)
		return
	}
	for _, l := range g.lines() {
		fmt.Fprintf(s.out, "%c %s\n", l.Op, pachclient.Path(g.found.Branch.String()+l.Path).Line())
	}
	if g.found.Sent {
		fmt.Fprintf(s.out, "? %s: a commit was sent, and whether it happened is not known; pachfs state land finds out\n", g.found.Branch)
	}
}

func (g giveUp) do(ctx context.Context, stage *staging.Stage) error {
	if g.found.Err != nil {
		return stage.Remove(g.found.Branch)
	}
	o, err := stage.Overlay(ctx, g.found.Branch)
	switch {
	case err != nil:
	case g.path == "/":
		err = o.Abandon()
	default:
		err = o.Discard(g.path)
	}
	if errors.Is(err, staging.ErrBusy) {
		err = fmt.Errorf("%w (pachfs state land finds out; %s without a path is forgotten all the same)", err, g.found.Branch)
	}
	if err != nil {
		return fmt.Errorf("%s: %w; %w", g.found.Branch, err, control.ErrStays)
	}
	return nil
}
