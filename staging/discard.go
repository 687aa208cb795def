package staging

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"time"

	"pachfs/pachclient"
)

// Discard forgets what is staged at the paths and below them; everything when
// none is given. A rename goes as a whole, whichever of its ends is named.
// ErrBusy while a commit is under way, or while the fate of one is not known.
func (o *Overlay) Discard(paths ...string) error { return o.giveUp(paths, false) }

// Abandon forgets everything that is staged, also what was sent and may have
// happened: what then comes of it in Pachyderm is as a change of somebody else.
// ErrBusy while a commit is under way.
func (o *Overlay) Abandon() error { return o.giveUp(nil, true) }

// Remove forgets a branch that can't be opened, with all that is kept for it.
// The top of its layers goes first: what a kill leaves is an older state.
func (s *Stage) Remove(b pachclient.Branch) error {
	s.mu.Lock()
	if s.overlays[b] != nil || s.opening[b] != nil {
		s.mu.Unlock()
		return fmt.Errorf("remove %s: %w", b, ErrBusy)
	}
	gone := make(chan struct{})
	s.opening[b] = gone // whoever opens it waits
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.opening, b)
		s.mu.Unlock()
		close(gone)
	}()
	o := s.newOverlay(b, s.branchDir(b))
	seqs, _ := o.layerSeqs() // names that are none go with the rest
	var err error
	for _, seq := range slices.Backward(seqs) {
		err = errors.Join(err, s.d.Remove(journalName(o.dir, seq)))
	}
	return errors.Join(err, s.d.RemoveAll(o.dir), s.d.SyncDir(filepath.Dir(o.dir)))
}

func (o *Overlay) giveUp(paths []string, sent bool) error {
	if err := o.takeToken(); err != nil {
		return fmt.Errorf("discard: %w", err)
	}
	defer func() {
		o.landing <- struct{}{}
		o.stage.lookSoon() // what was in the way of the head may be gone
	}()
	if sent {
		if err := o.unsend(); err != nil {
			return err
		}
	}
	if o.outstanding() {
		return fmt.Errorf("discard: the fate of the last commit is not known yet: %w", ErrBusy)
	}
	if len(paths) == 0 {
		paths = []string{"/"}
	}
	var changed []string
	o.mu.Lock()
	err := ErrReadOnly
	if !o.readOnly.Load() {
		err = o.discard(paths, &changed)
	}
	o.mu.Unlock()
	o.statusMu.Lock()
	o.progress.seen, o.progress.errText = "", ""
	o.statusMu.Unlock()
	if len(changed) > 0 {
		o.opts.Changed(o.branch, changed)
	}
	return err
}

// unsend forgets that changes were sent.
func (o *Overlay) unsend() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.layers {
		if l.landing.deadline.IsZero() {
			continue
		}
		if err := l.log(&o.files, record{Op: opLanding}); err != nil {
			return err
		}
	}
	return nil
}

// takeToken ends a look at the head, and waits for no commit.
func (o *Overlay) takeToken() error {
	for end := time.Now().Add(followTimeout); time.Now().Before(end); {
		select {
		case <-o.landing:
			return nil
		default:
		}
		o.statusMu.Lock()
		committing := o.progress.committing
		if o.progress.looking != nil {
			o.progress.looking()
		}
		o.statusMu.Unlock()
		if committing {
			return ErrBusy
		}
		select {
		case <-o.landing:
			return nil
		case <-o.closing:
			return ErrClosed
		case <-time.After(20 * time.Millisecond): // who took the token may not have said yet what for
		}
	}
	return ErrBusy
}

// discard is Discard with mu held. Where others changed something, whatever is
// staged around that goes: to give up a part of a conflict would let the rest of
// it land over theirs.
func (o *Overlay) discard(paths []string, changed *[]string) error {
	var gone, pins []string
	o.statusMu.Lock()
	conflicts := newPathSet(append(o.pinned(len(o.layers)), o.progress.conflicts...))
	o.statusMu.Unlock()
	for _, p := range paths {
		p = path.Join("/", p)
		found := conflicts.below(p)
		if conflicts.exact[p] {
			found = append(slices.Clone(found), p)
		}
		pins = append(pins, found...)
		some := len(found) > 0
		for _, l := range o.layers {
			l.root.around(p, false, func(n *node) bool {
				if q := n.path(); within(q, p) {
					some = true
					*changed = append(*changed, q)
				}
				return false
			})
		}
		if !some && p != "/" {
			return fmt.Errorf("discard %s: nothing is staged there: %w", p, errNotExist(p))
		}
		gone = append(gone, p)
	}
	if o.broken != nil {
		return o.broken
	}
	gone, err := o.forget(o.withRenames(append(gone, o.touching(pins)...)))
	*changed = append(*changed, gone...)
	if dirs := o.emptied(conflicts, gone); err == nil && len(dirs) > 0 {
		gone, err = o.forget(dirs)
		*changed = append(*changed, gone...)
	}
	o.setConflicts(o.pinned(len(o.layers)))
	return err
}

// emptied lists the conflicts above what is gone where nothing but the directories
// is left in which that was. Called with mu held.
func (o *Overlay) emptied(conflicts pathSet, gone []string) (out []string) {
	for _, g := range gone {
		for _, p := range conflicts.covering(g) {
			if !overlap(o.layers, p, false) {
				out = append(out, p)
			}
		}
	}
	return out
}

// withRenames adds the other ends of renames: half of one would be a loss.
// Called with mu held.
func (o *Overlay) withRenames(paths []string) []string {
	set := newPathSet(slices.Clone(paths))
	for {
		var more []string
		for _, l := range o.layers {
			for _, m := range append(l.moves(), l.movedFiles()...) {
				if set.covers(m.from) != set.covers(m.to) {
					more = append(more, m.from, m.to)
				}
				if set.covers(m.from) {
					l.root.above(m.from, func(n *node) {
						if q := n.path(); n.staged(false) && !set.covers(q) {
							more = append(more, q)
						}
					})
				}
			}
		}
		if len(more) == 0 {
			return set.sorted
		}
		set = newPathSet(append(set.sorted, more...))
	}
}

// forget takes out what every layer says at the paths and below them: in one
// write a layer, for half of a rename would be a loss, and from the top down, for
// what is above may stand on what is below. Conflicts in which nothing is staged
// then go too, and their paths show the base again. It gives all that went.
// Called with mu held.
func (o *Overlay) forget(paths []string) ([]string, error) {
	set, before := newPathSet(slices.Clone(paths)), o.pinned(len(o.layers))
	for _, p := range before {
		if set.covers(p) && !set.exact[p] {
			paths = append(paths, p)
		}
	}
	err := o.logDiscards(paths)
	if orphans := o.orphans(); err == nil && len(orphans) > 0 {
		paths = append(paths, orphans...)
		err = o.logDiscards(orphans)
	}
	o.base = o.onBase(o.base.info, o.base.res)
	ended := slices.DeleteFunc(before, func(p string) bool { return isPinned(o.layers, p) })
	o.detachChanged(newPathSet(ended))
	return paths, err
}

func (o *Overlay) logDiscards(paths []string) error {
	rs := make([]record, len(paths))
	for i, p := range paths {
		if p == "" { // the root is "/"
			return fmt.Errorf("forget a path without a name: %w", ErrCorrupt)
		}
		rs[i] = record{Op: opDiscard, Path: p}
	}
	for _, l := range slices.Backward(o.layers) {
		if err := l.log(&o.files, rs...); err != nil {
			return err
		}
	}
	return nil
}
