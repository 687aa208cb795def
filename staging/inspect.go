package staging

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pachfs/pachclient"
)

// An Inspection looks at a state directory that no mount has, and changes
// nothing in it. It shows what the next mount would go on with.
type Inspection struct{ s *Stage }

// A Found is what is kept for one branch.
type Found struct {
	Branch     pachclient.Branch
	Deployment string // of the Pachyderm that the changes belong to
	Sealed     int    // commits that did not come to their end
	Sent       bool   // one of them was sent, and whether it happened is not known
	Err        error  // why the rest can't be told

	o *Overlay
}

// Inspect opens a state directory to look at. named gives the client for what
// is not local, by the naming of a branch; pachclient.Offline will do.
// fs.ErrNotExist: it is no state directory. ErrLocked: a mount has it.
func Inspect(dir string, named func(naming string) pachclient.Client) (*Inspection, error) {
	return inspectOn(osDisk{}, dir, named)
}

func inspectOn(d disk, dir string, named func(naming string) pachclient.Client) (*Inspection, error) {
	if _, err := os.Stat(filepath.Join(dir, "format")); err != nil {
		return nil, fmt.Errorf("%s is no state directory: %w", dir, err)
	}
	s := newStage(glass{d}, dir, Options{Client: named(""), Named: named, ReadOnly: func(pachclient.Branch) bool { return true }})
	s.look = true
	var err error
	if s.lock, err = lookLock(filepath.Join(dir, "lock")); err != nil {
		return nil, err
	}
	s.room = &reserve{d: s.d, dir: dir, log: s.opts.Logger}
	if _, err = s.checkFormat(); err == nil {
		err = s.refuseNewer()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Inspection{s}, nil
}

// KeptIn names the branches of a state directory, whoever has it: no more than
// Branch and Deployment is told.
func KeptIn(dir string) ([]*Found, error) {
	kept, err := newStage(glass{osDisk{}}, dir, Options{}).keptMeta()
	var out []*Found
	for _, m := range kept {
		out = append(out, &Found{Branch: m.branch(), Deployment: m.Deployment})
	}
	return out, err
}

// Close ends the look.
func (i *Inspection) Close() error { return i.s.Close() }

// Branches gives every branch that something is kept for, by project and name.
func (i *Inspection) Branches(ctx context.Context) ([]*Found, error) {
	kept, err := i.s.keptMeta()
	var out []*Found
	for _, m := range kept {
		f := &Found{Branch: m.branch(), Deployment: m.Deployment}
		if f.o, f.Err = i.s.Overlay(ctx, f.Branch); f.Err == nil {
			f.look()
		}
		out = append(out, f)
	}
	return out, err
}

// Check verifies the branch's invariants, and gives all that is wrong, joined.
func (f *Found) Check() error {
	if f.Err != nil {
		return f.Err
	}
	return f.o.check()
}

func (f *Found) look() {
	f.o.mu.RLock()
	defer f.o.mu.RUnlock()
	for _, l := range f.o.layers {
		if l.sealed && !l.empty() {
			f.Sealed++
		}
		f.Sent = f.Sent || !l.landing.deadline.IsZero()
	}
	f.o.setConflicts(f.o.pinned(len(f.o.layers)))
}

// Status tells what is staged, as a mount's status does.
func (f *Found) Status() Status { return f.o.Status() }

// Dirty says whether anything is staged, or was sent.
func (f *Found) Dirty() bool { return f.Err == nil && (f.o.Dirty() || f.Sent) }

// Diff lists what is staged, by path.
func (f *Found) Diff() []DiffLine { return f.o.Diff() }

// Writing lists all files that no close or sync completed.
func (f *Found) Writing() []string {
	f.o.mu.RLock()
	defer f.o.mu.RUnlock()
	return f.o.writing(math.MaxInt)
}

// Whole adds to a path the other ends of renames: what a discard takes along.
func (f *Found) Whole(p string) []string {
	f.o.mu.RLock()
	defer f.o.mu.RUnlock()
	return f.o.withRenames([]string{p})
}

// InBase says whether the commit below has something at p.
func (f *Found) InBase(ctx context.Context, p string) (bool, error) {
	f.o.mu.RLock()
	b := f.o.base
	f.o.mu.RUnlock()
	_, err := b.r.Stat(ctx, p)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, pachclient.ErrNotDir) {
		return false, nil
	}
	return err == nil, err
}

// A Reading is a file that is only read.
type Reading interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	Size() int64
}

// Read calls fn with the file at p as readers of a mount would see it.
func (f *Found) Read(ctx context.Context, p string, fn func(Reading) error) error {
	file, err := f.o.Open(ctx, p, false)
	if err != nil {
		return err
	}
	return errors.Join(fn(file), file.Close(false))
}

// Walk calls fn with every directory and every file that is staged, parents
// first. What came along in a directory that was moved counts; where that needs
// a server that doesn't answer, fn gets the error.
func (f *Found) Walk(ctx context.Context, fn func(p string, i Info, err error) error) error {
	return f.walk(ctx, "/", fn)
}

func (f *Found) walk(ctx context.Context, dir string, fn func(string, Info, error) error) error {
	f.o.mu.RLock()
	top := len(f.o.layers) - 1
	above, _, _, err := f.o.gather(top, dir)
	f.o.mu.RUnlock()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(above)) {
		u, p := above[name], join(dir, name)
		switch {
		case u == nil:
		case !u.Dir:
			if f.stagedAt(top, p) {
				err = fn(p, u.Info, nil)
			}
		case u.inPlace:
			if u.Staged {
				err = fn(p, u.Info, nil)
			}
			if err == nil {
				err = f.walk(ctx, p, fn)
			}
		default:
			err = f.whole(ctx, p, u.Info, fn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// whole goes through a directory of which everything counts: it is new or moved.
func (f *Found) whole(ctx context.Context, p string, i Info, fn func(string, Info, error) error) error {
	if err := fn(p, i, nil); err != nil {
		return err
	}
	list, err := f.o.List(ctx, p)
	if err != nil {
		if err := fn(p, i, err); err != nil {
			return err
		}
		return f.walk(ctx, p, fn)
	}
	slices.SortFunc(list, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range list {
		q := join(p, c.Name)
		if c.Dir {
			err = f.whole(ctx, q, c, fn)
		} else {
			err = fn(q, c, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stagedAt says whether the file at p reads, or lies, otherwise than in the base.
func (f *Found) stagedAt(layer int, p string) bool {
	f.o.mu.RLock()
	s, err := f.o.find(layer, p)
	f.o.mu.RUnlock()
	if err != nil || s.n == nil || s.n.kind != fileNode {
		return false
	}
	file := s.n.file
	return file.changed() || file.lowerPath != "" && f.stagedAt(s.layer-1, file.lowerPath)
}
