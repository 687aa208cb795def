package staging

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"pachfs/pachclient"
)

// Open opens a file, for reading only or for writing too. Every File that was
// opened or created must be closed, with the same write.
func (o *Overlay) Open(ctx context.Context, p string, write bool) (*File, error) {
	var f *File
	err := o.update(ctx, func(t *tx) error {
		if write && o.readOnly.Load() {
			return fmt.Errorf("%s: %w", o.branch, ErrReadOnly)
		}
		info, s, err := t.stat(len(o.layers)-1, p)
		if err != nil {
			return err
		}
		if info.Dir {
			return &fs.PathError{Op: "open", Path: p, Err: pachclient.ErrIsDir}
		}
		f, err = o.openFile(p, info, s)
		if err != nil {
			return err
		}
		if write {
			if err := f.completed(); err != nil {
				return err
			}
			f.writers++
		}
		f.refs++
		o.open[f] = true
		delete(o.half, f)
		return nil
	})
	return f, err
}

// completed settles what a writer closed and the kernel has not released yet,
// before the next one changes it. Called with mu held.
func (f *File) completed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.flushed || !f.failed.empty() || !f.half() {
		return nil
	}
	return f.mark(opStable)
}

// openFile gives the living file of a spot. One that stands below the top
// layer gets a node there, which says nothing until it is written to, but
// takes part in renames. Called with mu held.
func (o *Overlay) openFile(p string, info Info, s spot) (*File, error) {
	top := len(o.layers) - 1
	if s.n != nil && s.layer == top {
		f := s.n.file
		if f.refs == 0 {
			lower := o.below(f, top)
			f.mu.Lock()
			f.lower = lower
			f.mu.Unlock()
		}
		return f, nil
	}
	_, lower, err := o.layers[top].root.resolve(p)
	if err != nil {
		return nil, err
	}
	f := &File{o: o, lowerPath: lower, lowerSize: info.Size, lowerHash: info.Hash}
	if s.n != nil { // in a sealed layer
		s.n.file.mu.Lock()
		f.lowerSize = s.n.file.committed().size
		s.n.file.mu.Unlock()
	}
	f.im = image{size: f.lowerSize, lower: f.lowerSize}
	f.attr = info.attr
	f.lower = o.below(f, top)
	n := &node{kind: fileNode, file: f}
	f.put(n, o.layers[top])
	return f, o.layers[top].root.place(p, n, true, false)
}

// stage makes sure that the journal knows the file, before its first change.
func (f *File) stage() error {
	f.mu.Lock()
	ready := f.staged || f.node == nil
	f.mu.Unlock()
	if ready {
		return nil
	}
	o := f.o
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.readOnly.Load() {
		return fmt.Errorf("%s: %w", o.branch, ErrReadOnly)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.staged || f.node == nil {
		return nil
	}
	r := record{Op: opCopyUp, File: o.files.next(), Path: f.node.path(), Size: f.lowerSize, Hash: f.lowerHash, Flags: flagBelow}
	if err := f.layer.j.append(o.pinning(f.layer, []record{f.attr.put(r)})...); err != nil {
		return err
	}
	f.id, f.staged = r.File, true
	o.files.byID[f.id] = f
	return nil
}

// Close ends a handle. A writer's Close makes the file complete: the next
// commit takes it as it is now.
func (f *File) Close(write bool) error {
	o := f.o
	o.mu.Lock()
	if write {
		f.writers--
	}
	idle := f.writers == 0
	f.mu.Lock() // before anybody opens it anew: what he does to it is not complete
	o.mu.Unlock()
	var err error
	if write {
		err = f.closed(idle)
	}
	f.mu.Unlock()

	o.mu.Lock()
	defer o.mu.Unlock()
	f.refs--
	if f.refs > 0 {
		return err
	}
	delete(o.open, f)
	f.mu.Lock()
	n, staged := f.node, f.staged
	f.drop()
	f.unpin()
	if n == nil {
		f.release()
	}
	if f.half() {
		o.half[f] = true
	}
	f.mu.Unlock()
	if n != nil && !staged && !f.moved { // it was only read
		n.cut()
		n.parent.prune()
		f.put(nil, nil)
	}
	return err
}

// settleTime is how long a trigger waits for the release of files that were
// closed: the kernel tells of that a little later than close(2) returns.
const settleTime = 50 * time.Millisecond

// awaitReleases gives files whose descriptors were closed the time to be released.
func (o *Overlay) awaitReleases() {
	for end := time.Now().Add(settleTime); time.Now().Before(end) && o.releasing(); {
		time.Sleep(time.Millisecond)
	}
}

func (o *Overlay) releasing() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for f := range o.open {
		f.mu.Lock()
		waits := f.writers > 0 && f.flushed && !(f.isStable && f.stable.same(f.im))
		f.mu.Unlock()
		if waits {
			return true
		}
	}
	return false
}

// Hash is that of the committed bytes, while the file is nothing else.
func (f *File) Hash() pachclient.Hash {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.differs() {
		return pachclient.Hash{}
	}
	return f.lowerHash
}

// Local says whether [off, end) can be read without the network.
func (f *File) Local(off, end int64) bool {
	f.mu.Lock()
	im := f.im
	f.mu.Unlock()
	local := true
	im.each(off, end, func(_, _ int64, src source, _ *content) error {
		local = local && src != fromLower
		return nil
	})
	return local
}

// Fixed says whether the tree never changes: it is a commit, not a branch.
func (o *Overlay) Fixed() bool { return o.dir == "" }
