package staging

import (
	"errors"
	"fmt"
	"io"
)

// Check verifies the invariants of the state directory (docs/DESIGN.md) for
// every open branch, and gives all that is wrong.
func (s *Stage) Check() error {
	var errs []error
	for _, o := range s.Overlays() {
		if err := o.check(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.branch, err))
		}
	}
	return errors.Join(errs...)
}

func (o *Overlay) check() error {
	o.mu.RLock()
	defer o.mu.RUnlock()
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf(format+": %w", append(args, ErrCorrupt)...))
	}
	for i, l := range o.layers {
		if l.sealed != (i < len(o.layers)-1) {
			bad("layer %d: sealed is %v at place %d of %d", l.seq, l.sealed, i, len(o.layers))
		}
		l.root.walk(func(n *node) {
			if n.parent.children[n.name] != n {
				bad("%s is not where it says", n.path())
			}
			if n.kind != fileNode {
				return
			}
			if n.file.node != n || n.file.layer != l {
				bad("%s: the file thinks it is elsewhere", n.path())
			}
			if err := n.file.check(); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", n.path(), err))
			}
		})
	}
	return errors.Join(errs...)
}

// check looks at the file's images: in order, within its size, and every byte
// they claim is in a content file.
func (f *File) check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, im := range []image{f.im, f.stable} {
		at := int64(0)
		for _, p := range im.pieces {
			if p.off < at || p.end <= p.off || p.end > im.size {
				return fmt.Errorf("piece [%d,%d) of %d bytes: %w", p.off, p.end, im.size, ErrCorrupt)
			}
			at = p.end
			if !f.owned[p.c] {
				return fmt.Errorf("content %d is not owned: %w", p.c.id, ErrCorrupt)
			}
			var last [1]byte
			if _, err := p.c.readAt(last[:], p.end-1); err != nil && !errors.Is(err, io.EOF) {
				return err
			} else if err != nil {
				return fmt.Errorf("content %d is too short for [%d,%d): %w", p.c.id, p.off, p.end, ErrCorrupt)
			}
		}
		if im.lower > im.size {
			return fmt.Errorf("%d bytes show through a file of %d: %w", im.lower, im.size, ErrCorrupt)
		}
	}
	return nil
}
