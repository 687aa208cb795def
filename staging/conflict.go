package staging

import (
	"fmt"
	"slices"
	"strings"

	"pachfs/pachclient"
)

// A Policy says what becomes of a staged path that somebody else changed.
type Policy string

// The policies. The zero Policy is Fail.
const (
	Fail   Policy = "fail"   // the commit fails with ErrConflict and everything stays staged
	Ours   Policy = "ours"   // ours is laid over theirs, whose bytes stay readable in their commit
	Theirs Policy = "theirs" // ours is discarded, and the rest lands
)

// ParsePolicy reads a policy's name; "" is Fail.
func ParsePolicy(s string) (Policy, error) {
	switch p := Policy(s); p {
	case "":
		return Fail, nil
	case Fail, Ours, Theirs:
		return p, nil
	}
	return "", fmt.Errorf("%q is none of %s, %s and %s", s, Fail, Ours, Theirs)
}

// conflicts lists what others changed since the base of the paths that are
// staged, if any of it is in the way of this attempt: what is staged above goes
// into the list, too, for whoever has to decide.
func (a *attempt) conflicts() ([]string, error) {
	if err := a.o.dropOrphans(); err != nil {
		return nil, err
	}
	base := a.o.Base().Commit
	a.o.mu.RLock()
	found, n := a.o.pinned(len(a.o.layers)), len(a.o.pinned(a.top+1))
	a.o.mu.RUnlock()
	if !a.head.Commit.Same(base) {
		var theirs map[string]pachclient.Diff
		err := a.o.retry(a.w, func() (err error) {
			theirs, err = a.diff(base, a.head.Commit)
			return err
		})
		if err != nil {
			return nil, err
		}
		ours := newPathSet(a.delta.paths())
		var rest []string
		for p := range theirs {
			if ours.overlaps(p) {
				n++
				found = append(found, p)
			} else {
				rest = append(rest, p)
			}
		}
		others := newPathSet(rest)
		a.o.mu.RLock()
		found = append(found, overlapping(a.o.layers, others, false)...)
		a.o.mu.RUnlock()
	}
	slices.Sort(found)
	found = slices.Compact(found) // what was in conflict before may have changed again
	a.o.setConflicts(found)
	if n == 0 {
		return nil, nil
	}
	return found, nil
}

// settleConflicts applies the policy to paths that others changed. errAgain:
// what is staged is less now.
func (a *attempt) settleConflicts(theirs []string) error {
	switch a.onConflict {
	case Ours:
		return a.o.retry(a.w, func() error { return a.clear(theirs) })
	case Theirs:
		a.o.log.Warn("giving up what is staged where somebody else changed it", "paths", shorten(theirs), "commit", a.head.Commit.ID)
		return a.giveUp(theirs)
	}
	return fmt.Errorf("%w: %s", ErrConflict, shorten(theirs))
}

// clear makes room for files of ours where the head has a file above one of
// them, or a directory in its place: the server takes no path that is both. A
// directory that we removed and that is a file by now goes too.
func (a *attempt) clear(theirs []string) error {
	files := make([]string, 0, len(a.want.files))
	for p := range a.want.files {
		files = append(files, p)
	}
	ours, head := newPathSet(files), a.o.client.At(a.head.Commit)
	a.cleared = nil
	for _, p := range theirs {
		fi, err := statOrNone(a.w.ctx, head, p)
		if err != nil {
			return err
		}
		if fi.Path == "" || fi.Dir {
			continue
		}
		if ours.reachesBelow(p) || slices.Contains(a.delta.deletes, p+"/") {
			a.cleared = append(a.cleared, p)
		}
		for dir, _ := split(p); dir != "/"; dir, _ = split(dir) {
			if ours.exact[dir] {
				a.cleared = append(a.cleared, dir+"/")
			}
		}
	}
	return nil
}

// giveUp discards what is staged on the paths of others. A rename has two
// ends: it goes as a whole, or half of it would be a loss.
func (a *attempt) giveUp(theirs []string) error {
	o := a.o
	o.mu.Lock()
	paths, err := o.forget(o.touching(theirs))
	o.setConflicts(o.pinned(len(o.layers)))
	o.mu.Unlock()
	if err != nil {
		return err
	}
	o.opts.Changed(o.branch, paths)
	a.want, a.fewer = nil, true
	return errAgain
}

// touching lists these paths with the staged ones that overlap them, and the
// other ends of their renames. Called with mu held.
func (o *Overlay) touching(theirs []string) []string {
	found := newPathSet(slices.Clone(theirs))
	for {
		var more []string
		for _, l := range o.layers {
			for _, p := range found.sorted {
				l.root.around(p, false, func(n *node) bool { more = append(more, n.path()); return false })
			}
			for _, m := range append(l.moves(), l.movedFiles()...) {
				if found.overlaps(m.from) || found.overlaps(m.to) {
					more = append(more, m.from, m.to)
				}
			}
		}
		more = slices.DeleteFunc(more, func(p string) bool { return found.exact[p] })
		if len(more) == 0 {
			return slices.Compact(found.sorted)
		}
		found = newPathSet(append(found.sorted, more...))
	}
}

// shorten lists the first few paths.
func shorten(paths []string) string {
	const most = 10
	if len(paths) > most {
		return strings.Join(paths[:most], " ") + fmt.Sprintf(" and %d more", len(paths)-most)
	}
	return strings.Join(paths, " ")
}
