package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"syscall"

	"pachfs/pachclient"
	"pachfs/staging"
)

const errNameTooLong = syscall.ENAMETOOLONG

// Lookup finds a name in a directory. What does not exist is an Entry without
// a number, and no error.
func (t *Tree) Lookup(ctx context.Context, parent Ino, name string) (Entry, error) {
	if len(name) > 255 {
		return Entry{}, errNameTooLong
	}
	n, err := t.get(parent)
	if err != nil {
		return Entry{}, err
	}
	if e, ok, err := t.lookupControl(ctx, n, name); ok || err != nil {
		return e, err
	}
	if n.kind == rootDir {
		return t.lookupRoot(ctx, n, name)
	}
	n, o, p, err := t.at(ctx, parent, name)
	if err != nil {
		return Entry{}, err
	}
	info, err := o.Stat(ctx, p)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		e := t.nothing()
		if o.Fixed() {
			e.Valid = longValid
		}
		return e, nil
	case errors.Is(err, pachclient.ErrNotDir):
		return Entry{}, syscall.ENOTDIR
	case err != nil:
		return Entry{}, err
	}
	return t.found(n, name, info), nil
}

// found counts a lookup of what an overlay has at a name.
func (t *Tree) found(parent *inode, name string, info staging.Info) Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.child(parent, name, info)
	n.lookups++
	return Entry{Ino: n.ino, Attr: t.attr(n, info), Valid: longValid}
}

// Getattr describes an inode.
func (t *Tree) Getattr(ctx context.Context, ino Ino) (Attr, error) {
	n, err := t.get(ino)
	if err != nil {
		return Attr{}, err
	}
	switch n.kind {
	case rootDir, link, control:
		return t.fixedAttr(n), nil
	}
	t.mu.Lock()
	var f *staging.File
	if len(n.files) > 0 {
		f = n.files[0].f
	}
	stale, last, o, p := n.stale, n.last, n.o, n.path()
	t.mu.Unlock()
	switch {
	case last != nil:
		return *last, nil
	case n.kind == branchDir && o == nil:
		a := t.fixedAttr(n)
		a.Valid = rootValid
		return a, nil
	case f != nil: // also when its name is gone
		a := t.attr(n, f.Info())
		if stale {
			a.Nlink = 0
		}
		return a, nil
	case stale:
		return Attr{}, errStale
	}
	info, err := o.Stat(ctx, p)
	if errors.Is(err, iofs.ErrNotExist) || err == nil && info.Dir != n.dir {
		return Attr{}, errStale
	} else if err != nil {
		return Attr{}, err
	}
	return t.attr(n, info), nil
}

func (t *Tree) fixedAttr(n *inode) Attr {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fixed(n)
}

// Setattr changes what the fields of a say. size -1 leaves the length alone.
// h is 0 when the kernel named no handle.
func (t *Tree) Setattr(ctx context.Context, ino Ino, h Handle, size int64, a staging.Attr) (Attr, error) {
	n, err := t.get(ino)
	if err != nil {
		return Attr{}, err
	}
	switch n.kind {
	case control:
		return t.setattrControl(ctx, n, size, a)
	case rootDir, branchDir:
		return t.Getattr(ctx, ino)
	case link:
		return Attr{}, syscall.EPERM
	}
	if err := t.writable(n); err != nil {
		return Attr{}, err
	}
	if size > maxSize {
		return Attr{}, syscall.EFBIG
	}
	if size >= 0 {
		if err := t.truncate(ctx, n, h, size); err != nil {
			return Attr{}, err
		}
	}
	if a != (staging.Attr{}) {
		if err := t.setAttr(n, h, a); err != nil {
			return Attr{}, err
		}
	}
	return t.Getattr(ctx, ino)
}

// truncate sets a length: through a handle if there is one, for then the file
// belongs to its writers and is not complete yet; else as an act of its own.
func (t *Tree) truncate(ctx context.Context, n *inode, h Handle, size int64) error {
	t.mu.Lock()
	f := n.writer(t, h)
	stale, p := n.stale, n.path()
	n.hash = pachclient.Hash{}
	t.mu.Unlock()
	if f != nil {
		return f.Truncate(size)
	}
	if stale {
		return errStale
	}
	f, err := n.o.Open(ctx, p, true)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close(true))
}

// writer gives the file of a handle, or of any that writes. Called with Tree.mu held.
func (n *inode) writer(t *Tree, h Handle) *staging.File {
	if of, ok := t.handles[h].(*openFile); ok && of.write {
		return of.f
	}
	for _, of := range n.files {
		if of.write {
			return of.f
		}
	}
	return nil
}

func (t *Tree) setAttr(n *inode, h Handle, a staging.Attr) error {
	t.mu.Lock()
	f := n.writer(t, h)
	stale, p := n.stale, n.path()
	t.mu.Unlock()
	switch {
	case f != nil:
		return f.SetAttr(a)
	case stale:
		return errStale
	}
	return n.o.SetAttr(p, a)
}
