package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"

	"pachfs/cmd/internal/control"
	"pachfs/pachclient"
	"pachfs/pachclient/cache"
	"pachfs/staging"
)

func newStateExport(s streams) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "export DIR OUT [--pachd URL | --context NAME | --store DIR]",
		Short: "Copy what is staged into a plain new directory",
		Long: `Makes the directory OUT with whole files, their modes and times:
  OUT/repo@branch/...        files that are new, changed or moved; directories that are new or moved
  OUT/repo@branch.deleted    paths that are gone, a line each; / ends a directory
  OUT/repo@branch.writing    files that were being written when their mount was killed
  OUT/repo@branch.missing    what could not be exported, and why
(PROJECT+repo@branch, where several projects are. In the lists a path with control
characters is in quotation marks, with escapes.) Of a committed file that was
changed in part, or moved, only the changes are here: the rest comes from the
server. Without one such files are named, and the status is 3. What is staged
stays as it is.`,
		Example: "  pachfs state export /mnt/pach ./rescued\n  pachfs state export /mnt/pach ./rescued --pachd grpc://localhost:30650",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return runExport(c.Context(), &f, args[0], args[1], s)
		},
	}
	f.addServer(c.Flags())
	return c
}

// An export is a copy under way.
type export struct {
	out        string
	deployment string // of the server; "": none is asked
	missing    int
	s          streams
}

func runExport(ctx context.Context, f *serverFlags, arg, out string, s streams) error {
	dir, err := stateDir(arg)
	if err != nil {
		return err
	}
	if real, err := realPath(out); err != nil || inside(real, dir) {
		return errors.Join(err, usage("%s lies in the state directory", out))
	}
	if _, err := os.Lstat(out); err == nil {
		return usage("%s is there already: give a new directory", out)
	}
	e := &export{out: out, s: s}
	client, leave, err := e.connect(ctx, f)
	if err != nil {
		return err
	}
	i, err := staging.Inspect(dir, named(client))
	if err == nil {
		err = errors.Join(e.all(ctx, i), i.Close())
	}
	return errors.Join(inUse(dir, err), leave())
}

// connect reaches the server that is named, if one is: what pachctl's
// configuration has is not meant.
func (e *export) connect(ctx context.Context, f *serverFlags) (pachclient.Client, func() error, error) {
	if f.pachd == "" && f.context == "" && f.store == "" {
		return pachclient.Offline{}, func() error { return nil }, nil
	}
	log, err := newLogger(e.s.err, "warn", "text")
	if err != nil {
		return nil, nil, err
	}
	p, err := f.reach(ctx, cache.Options{MemoryBytes: defaultMemory, Logger: log})
	if err != nil {
		return nil, nil, err
	}
	e.deployment = p.server.deployment
	return p.cache, p.close, nil
}

func (e *export) all(ctx context.Context, i *staging.Inspection) error {
	list, err := dirty(ctx, i)
	if err == nil && len(list) == 0 {
		fmt.Fprintln(e.s.err, "nothing is staged")
		return nil
	}
	if len(list) > 0 {
		err = errors.Join(err, os.Mkdir(e.out, 0o777))
	}
	if err != nil && len(list) == 0 {
		return err
	}
	branches := make([]pachclient.Branch, len(list))
	for n, f := range list {
		branches[n] = f.Branch
	}
	nameOf := naming(branches)
	for _, f := range list {
		if branchErr := e.branch(ctx, f, filepath.Join(e.out, nameOf(f.Branch))); branchErr != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", f.Branch, branchErr))
		}
	}
	if err == nil && e.missing > 0 {
		err = &control.Error{Exit: control.ExitStaged, Message: fmt.Sprintf("not exported: %d (the lists %s say what and why)", e.missing, filepath.Join(e.out, "*.missing"))}
	}
	return err
}

// branch exports one branch to the directory at.
func (e *export) branch(ctx context.Context, f *staging.Found, at string) error {
	if e.deployment != "" && f.Deployment != "" && f.Deployment != e.deployment {
		return fmt.Errorf("cluster %s answers, the changes belong to %s: %w", e.deployment, f.Deployment, staging.ErrOtherCluster)
	}
	if err := os.Mkdir(at, 0o777); err != nil {
		return err
	}
	files, dirs := 0, map[string]staging.Info{}
	var missing []string
	lack := func(p string, err error) {
		missing = append(missing, listed(p)+"\t"+pachclient.Path(err.Error()).Line())
	}
	err := f.Walk(ctx, func(p string, i staging.Info, walkErr error) error {
		to := filepath.Join(at, filepath.FromSlash(p))
		switch {
		case walkErr != nil:
			lack(p+"/", walkErr)
			return nil
		case i.Dir:
			dirs[to] = i
			return os.MkdirAll(to, 0o777)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return err
		}
		switch err := e.file(ctx, f, p, to, i); {
		case errors.Is(err, errUnread):
			lack(p, err)
			return nil
		case err != nil:
			return err
		}
		files++
		return nil
	})
	if err != nil {
		return err
	}
	e.missing += len(missing)
	deleted, err := e.deleted(ctx, f)
	err = errors.Join(err, stampDirs(dirs), list(at+".deleted", deleted), list(at+".writing", f.Writing()), writeLines(at+".missing", missing))
	fmt.Fprintf(e.s.out, "%s: files: %d, deleted: %d, being written: %d, not exported: %d\n", f.Branch, files, len(deleted), len(f.Writing()), len(missing))
	return err
}

// deleted lists what is gone: with a server, what the commit below has; without,
// what the journals say.
func (e *export) deleted(ctx context.Context, f *staging.Found) ([]string, error) {
	var out []string
	for _, l := range f.Diff() {
		if l.Op != '-' {
			continue
		}
		there, err := f.InBase(ctx, path.Clean(l.Path))
		if err != nil && !errors.Is(err, pachclient.ErrUnavailable) {
			return out, err
		}
		if there || err != nil {
			out = append(out, l.Path)
		}
	}
	return out, nil
}
