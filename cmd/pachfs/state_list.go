package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"pachfs/cmd/internal/control"
	"pachfs/pachclient"
	"pachfs/staging"
)

// A stateInfo tells of a state directory. The keys are a contract with scripts.
type stateInfo struct {
	Dir        string        `json:"dir"`
	Mountpoint string        `json:"mountpoint"` // "": not known
	PID        int           `json:"pid"`        // of the mount that has it; 0: none
	Problem    string        `json:"problem,omitempty"`
	Branches   []stateBranch `json:"branches"`
}

// A stateBranch tells of a branch there.
type stateBranch struct {
	Project    string              `json:"project"`
	Branch     string              `json:"branch"`
	Deployment string              `json:"deployment"` // of the Pachyderm it belongs to
	Base       string              `json:"base"`
	State      staging.State       `json:"state"`
	Staged     staging.StagedCount `json:"staged"`
	Writing    pachclient.Paths    `json:"writing"`
	Conflicts  pachclient.Paths    `json:"conflicts"`
	Sealed     int                 `json:"sealed"`           // commits that did not come to their end
	Sent       bool                `json:"sent"`             // one of them may have happened
	Unread     bool                `json:"unread,omitempty"` // a mount has the directory and does not use this branch: the rest is not known
	Problem    string              `json:"problem,omitempty"`
}

func newStateList(s streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list [DIR...]",
		Short: "List what is staged, also by mounts that are gone",
		Long: `Lists state directories branch by branch: those named, or all below
$XDG_STATE_HOME/pachfs (/var/lib/pachfs for root) and those of mounts that were
given another. A directory that a mount has is told of by that mount. Nothing is
changed and no server is asked. Status 1: one of them can't be read.`,
		Example: "  pachfs state list\n  pachfs state list --json /srv/pachfs-state",
		RunE: func(c *cobra.Command, args []string) error {
			dirs, err := stateDirs(args)
			if err != nil {
				return err
			}
			list := []stateInfo{}
			problems := 0
			for _, dir := range dirs {
				info := tellState(c.Context(), dir)
				problems += info.problems()
				list = append(list, info)
			}
			if asJSON {
				err = printJSON(s.out, list)
			} else {
				err = printStates(s.out, list)
			}
			if err == nil && problems > 0 {
				err = fmt.Errorf("not everything can be read (problems: %d)", problems)
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print [{dir, mountpoint, pid, branches: [{project, branch, deployment, staged, …}]}]")
	return c
}

// stateDirs gives the directories that are named, or all that are known of.
func stateDirs(args []string) ([]string, error) {
	var out []string
	for _, arg := range args {
		dir, err := stateDir(arg)
		if err != nil {
			return nil, err
		}
		out = append(out, dir)
	}
	if len(args) > 0 {
		return out, nil
	}
	root, err := stateRoot()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		dir, err := realPath(filepath.Join(root, e.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, dir)
	}
	all, err := registered()
	for _, r := range all {
		out = append(out, r.State)
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(dir string) bool { return !isState(dir) }), err
}

// tellState reads a directory, or asks the mount that has it.
func tellState(ctx context.Context, dir string) stateInfo {
	info := stateInfo{Dir: dir, Mountpoint: mountpointOf(dir), Branches: []stateBranch{}}
	i, err := staging.Inspect(dir, named(pachclient.Offline{}))
	if errors.Is(err, staging.ErrLocked) {
		return askState(ctx, info, err)
	} else if err != nil {
		info.Problem = err.Error()
		return info
	}
	found, err := i.Branches(ctx)
	for _, f := range found {
		b := newStateBranch(f)
		b.Sealed, b.Sent = f.Sealed, f.Sent
		if f.Err != nil {
			b.Problem = f.Err.Error()
		} else {
			b.take(f.Status())
		}
		info.Branches = append(info.Branches, b)
	}
	if err := errors.Join(err, i.Close()); err != nil {
		info.Problem = err.Error()
	}
	return info
}

func newStateBranch(f *staging.Found) stateBranch {
	return stateBranch{Project: f.Branch.Project, Branch: f.Branch.String(), Deployment: f.Deployment}
}

func (b *stateBranch) take(st staging.Status) {
	b.Base, b.State, b.Staged = st.Base, st.State, st.Staged
	b.Writing, b.Conflicts = st.Writing, st.Conflicts
}

// askState has the mount tell of the branches that it uses; of those that it
// doesn't, it is only known that something is kept.
func askState(ctx context.Context, info stateInfo, locked error) stateInfo {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	told, err := control.NewClient(info.Dir).Status(ctx)
	if err != nil {
		info.Problem = fmt.Sprintf("%v; it does not answer: %v", locked, err)
		return info
	}
	info.PID, info.Mountpoint, info.Problem = told.PID, told.Mountpoint, told.Problem
	kept, err := staging.KeptIn(info.Dir)
	if err != nil {
		info.Problem = err.Error()
	}
	for _, k := range kept {
		b := newStateBranch(k)
		b.Unread = true
		for _, st := range told.Branches {
			if st.Branch == b.Branch && told.Project == b.Project {
				b.take(st)
				b.Unread = false
			}
		}
		info.Branches = append(info.Branches, b)
	}
	return info
}

func (i stateInfo) problems() (n int) {
	if i.Problem != "" {
		n++
	}
	for _, b := range i.Branches {
		if b.Problem != "" {
			n++
		}
	}
	return n
}
