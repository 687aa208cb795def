package staging

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// seal freezes what is staged so far as one layer and puts an empty one on top
// for the writers, who wait for no more than moving the files that are open.
// It says whether there is anything to land now.
func (o *Overlay) seal(message string) (bool, error) {
	o.awaitReleases()
	o.mu.RLock()
	needed := o.sealable()
	o.mu.RUnlock()
	if needed {
		l, err := o.makeLayer()
		if err != nil {
			return false, err
		}
		At("layer")
		if err := o.pushOver(l, message); err != nil {
			return false, err
		}
	}
	return o.syncSealed()
}

// sealable says whether the top layer holds something that can land: files
// that are still being written for the first time don't count.
func (o *Overlay) sealable() bool {
	return o.top().root.some(func(n *node) bool {
		return n.kind == whiteout || n.kind == dirNode && n.made ||
			n.kind == fileNode && (n.file.commits() || n.belowDir && n.file.lowerPath == "")
	})
}

func (o *Overlay) pushOver(l *layer, message string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return errors.Join(ErrClosed, l.j.close(), o.d.Remove(journalName(o.dir, l.seq)))
	}
	old := o.top()
	// Nobody writes or closes while the line is drawn: what a writer was told
	// is before the seal in the old journal, or goes into the new one.
	var files []*File
	for _, set := range []map[*File]bool{o.open, o.half} {
		for f := range set {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.node != nil && f.layer == old {
				files = append(files, f)
			} else if f.refs == 0 {
				delete(o.half, f)
			}
		}
	}
	now := time.Now()
	if err := old.j.append(record{Op: opSealed, Text: message, Time: now.UnixNano()}); err != nil {
		return errors.Join(err, l.j.close(), o.d.Remove(journalName(o.dir, l.seq)))
	}
	At("sealed")
	old.sealed, old.message, old.sealedAt = true, message, now
	o.layers = append(o.layers, l)
	var errs []error
	var carried []record
	for _, f := range files {
		rs, err := o.carry(f, old, l)
		carried, errs = append(carried, rs...), append(errs, err)
	}
	if err := errors.Join(append(errs, l.j.append(append(carried, record{Op: opCarried})...))...); err != nil {
		// Nothing that is said here may count from now on: a restart goes on
		// with the layer below, as it was before.
		o.broken = fmt.Errorf("%s takes no more changes until it is mounted again: %w", o.branch, err)
		return errors.Join(o.broken, l.j.close())
	}
	At("carried")
	return nil
}

// carry moves a file that is open, or was never completed, from a layer that was just sealed to the one above.
// What the file was at its last close or sync stays behind, frozen; a file
// that has not come so far leaves nothing. It gives the records that tell the
// upper layer's journal. Called with mu and f.mu held.
func (o *Overlay) carry(f *File, from, to *layer) ([]record, error) {
	n, p := f.node, f.node.path()
	stays := f.staged && f.taken()
	changes := f.staged && !(f.isStable && f.stable.same(f.im)) && !(!f.isStable && stays && f.im.whole(f.lowerSize))
	up := &node{name: n.name, kind: fileNode, file: f}
	below, belowDir := n.below, n.belowDir
	if stays {
		z := &File{o: o, id: f.id, node: n, layer: from, moved: f.moved, staged: true, attr: f.attr,
			lowerPath: f.lowerPath, lowerSize: f.lowerSize, lowerHash: f.lowerHash}
		z.im, z.stable, z.isStable, z.synced = f.committed(), f.committed(), true, f.synced
		for c := range f.owned {
			c.freeze()
			z.adopt(c)
		}
		z.retired, f.retired = f.retired, nil
		if f.unsynced {
			z.markUnsynced()
		}
		o.files.byID[f.id] = z
		n.file = z
		f.lower, f.lowerPath, f.lowerSize, f.lowerHash = pin(z, z.im, f.lower), p, z.im.size, [32]byte{}
		below, belowDir = true, false
	} else {
		if n.withhold() {
			below, belowDir = false, false
		}
		if f.lowerPath != "" {
			f.lowerPath = p // a directory above it may have moved
		}
	}
	f.moved, f.isStable, f.stable, f.synced, f.cur, f.staged, f.id = false, false, image{}, nil, nil, false, 0
	f.drop()
	if f.refs == 0 {
		f.unpin()
	}
	f.node, f.layer = up, to
	if err := to.root.place(p, up, below, belowDir); err != nil {
		return nil, err
	}
	if !changes {
		f.im = image{size: f.lowerSize, lower: f.lowerSize}
		f.disown() // z has them
		return nil, nil
	}
	return o.carryChanges(f, p), nil
}

// carryChanges says what the file is in the upper layer.
func (o *Overlay) carryChanges(f *File, p string) []record {
	f.id, f.staged = o.files.next(), true
	o.files.byID[f.id] = f
	r := record{Op: opAdopt, File: f.id, Path: p, Size: f.lowerSize, Hash: f.lowerHash, End: f.im.size, Lower: f.im.lower}
	r.Flags = flagIf(f.lowerPath != "", flagBelow) | flagIf(f.node.below, flagToBelow) | flagIf(f.node.belowDir, flagBelowDir)
	rs := []record{f.attr.put(r)}
	for _, pc := range f.im.pieces {
		x := record{Op: opExtent, File: f.id, Off: pc.off, End: pc.end}
		if pc.c != nil {
			x.Content = pc.c.id
			pc.c.freeze()
		}
		rs = append(rs, x)
	}
	if f.flushed && f.failed.empty() {
		rs = append(rs, record{Op: opFlushed, File: f.id})
	}
	f.unsynced = false
	f.markUnsynced()
	return rs
}

// syncSealed makes every sealed layer durable: what is uploaded later can be
// uploaded again after a power cut. It says whether there is one.
func (o *Overlay) syncSealed() (bool, error) {
	var todo []snapshot
	o.mu.RLock()
	sealed, top := slices.Clone(o.layers[:len(o.layers)-1]), o.top()
	o.mu.RUnlock()
	if len(sealed) == 0 { // what came to nothing has to come to nothing without power, too
		return false, top.j.sync()
	}
	for _, l := range sealed { // without mu: they only change under the landing token
		l.root.walk(func(n *node) {
			if n.kind == fileNode {
				todo = n.file.snapshot(todo)
			}
		})
	}
	// What was open went up: that must be there before its old place is sealed.
	err := top.j.sync()
	At("took-over")
	if err == nil {
		err = o.syncFiles(todo)
	}
	for _, l := range sealed {
		err = errors.Join(err, l.j.sync())
	}
	At("durable")
	return true, err
}
