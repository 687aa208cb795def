package staging

import (
	"fmt"
	"path"
	"slices"
)

// Discard forgets what is staged at the paths and below them; everything when
// none is given. A path that was renamed is two: where it was and where it is.
// ErrBusy while a commit is under way, or while the fate of one is not known.
func (o *Overlay) Discard(paths ...string) error {
	select {
	case <-o.landing:
		defer func() { o.landing <- struct{}{} }()
	default:
		return fmt.Errorf("discard: %w", ErrBusy)
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
	if !o.readOnly {
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

// discard is Discard with mu held.
func (o *Overlay) discard(paths []string, changed *[]string) error {
	var gone []string
	for _, p := range paths {
		p = path.Join("/", p)
		found := false
		for _, q := range o.stagedPaths(len(o.layers), false) {
			if within(q, p) {
				found = true
				*changed = append(*changed, q)
			}
		}
		for _, l := range o.layers {
			for q := range l.conflict {
				found = found || within(q, p)
			}
		}
		if !found && p != "/" {
			return fmt.Errorf("discard %s: nothing is staged there: %w", p, errNotExist(p))
		}
		gone = append(gone, p)
	}
	if err := o.forget(gone); err != nil {
		return err
	}
	o.setConflicts(o.pinned(len(o.layers)))
	return nil
}

// forget takes out what every layer says at the paths and below them: in one
// write a layer, for half of a rename would be a loss, and from the top down, for
// what is above may stand on what is below. Called with mu held.
func (o *Overlay) forget(paths []string) error {
	rs := make([]record, len(paths))
	for i, p := range paths {
		rs[i] = record{Op: opDiscard, Path: p}
	}
	for _, l := range slices.Backward(o.layers) {
		if err := l.log(&o.files, rs...); err != nil {
			return err
		}
	}
	return nil
}
