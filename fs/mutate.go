package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"path"
	"syscall"

	"pachfs/staging"
)

// change is what every request that changes a directory begins with.
func (t *Tree) change(ctx context.Context, parent Ino, name string) (*inode, *staging.Overlay, string, error) {
	n, err := t.get(parent)
	if err != nil {
		return nil, nil, "", err
	}
	if n.kind == rootDir { // repos, branches and commits are never removed or renamed here
		return nil, nil, "", syscall.EPERM
	}
	if n.kind == branchDir && controlNamed(name) != nil {
		return nil, nil, "", syscall.EPERM
	}
	n, o, p, err := t.at(ctx, parent, name)
	if err == nil {
		err = t.writable(n)
	}
	return n, o, p, err
}

// Create makes a file and opens it for writing.
func (t *Tree) Create(ctx context.Context, parent Ino, name string, a staging.Attr, excl bool) (Entry, Handle, error) {
	n, o, p, err := t.change(ctx, parent, name)
	if err != nil {
		return Entry{}, 0, err
	}
	t.inherit(ctx, o, p, &a, false)
	f, err := o.Create(ctx, p, a)
	if !excl && errors.Is(err, iofs.ErrExist) { // somebody was faster
		f, err = o.Open(ctx, p, true)
	}
	if err != nil {
		return Entry{}, 0, err
	}
	e := t.found(n, name, f.Info())
	t.mu.Lock()
	defer t.mu.Unlock()
	return e, t.handle(t.inodes[e.Ino], f, true), nil
}

// inherit gives what is made in a directory with the set-group-id bit the
// directory's group, and a directory the bit too: the kernel leaves that to us.
func (t *Tree) inherit(ctx context.Context, o *staging.Overlay, p string, a *staging.Attr, dir bool) {
	info, err := o.Stat(ctx, path.Dir(p))
	if err != nil { // making it will say so
		return
	}
	if perm, ok := info.Perm(); !ok || perm&syscall.S_ISGID == 0 {
		return
	}
	gid := t.c.GID
	if _, g, ok := info.Owner(); ok {
		gid = g
	}
	a.GID = &gid
	if dir && a.Mode != nil {
		mode := *a.Mode | syscall.S_ISGID
		a.Mode = &mode
	}
}

// Mkdir makes a directory; in the root, a branch.
func (t *Tree) Mkdir(ctx context.Context, parent Ino, name string, a staging.Attr) (Entry, error) {
	if n, err := t.get(parent); err == nil && n.kind == rootDir {
		return t.mkBranch(ctx, n, name)
	}
	n, o, p, err := t.change(ctx, parent, name)
	if err != nil {
		return Entry{}, err
	}
	t.inherit(ctx, o, p, &a, true)
	if err := o.Mkdir(ctx, p, a); err != nil {
		return Entry{}, err
	}
	info, err := o.Stat(ctx, p)
	if err != nil {
		return Entry{}, err
	}
	return t.found(n, name, info), nil
}

// Unlink removes a file.
func (t *Tree) Unlink(ctx context.Context, parent Ino, name string) error {
	n, o, p, err := t.change(ctx, parent, name)
	if err != nil {
		return err
	}
	if err := o.Remove(ctx, p); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone(n, name, nil)
	return nil
}

// Rmdir removes an empty directory.
func (t *Tree) Rmdir(ctx context.Context, parent Ino, name string) error {
	n, o, p, err := t.change(ctx, parent, name)
	if err != nil {
		return err
	}
	last := t.lastOf(ctx, n, name)
	if err := o.Rmdir(ctx, p); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone(n, name, last)
	return nil
}

// lastOf describes a directory whose name is about to go: to those who have it
// open, or stand in it, it is what it was.
func (t *Tree) lastOf(ctx context.Context, parent *inode, name string) *Attr {
	t.mu.Lock()
	n := parent.children[name]
	t.mu.Unlock()
	if n == nil || !n.dir {
		return nil
	}
	a, err := t.Getattr(ctx, n.ino)
	if err != nil {
		return nil
	}
	a.Nlink = 0
	return &a
}

// Rename moves a file or a directory within a branch.
func (t *Tree) Rename(ctx context.Context, parent Ino, name string, newParent Ino, newName string) error {
	from, o, p, err := t.change(ctx, parent, name)
	if err != nil {
		return err
	}
	to, o2, q, err := t.change(ctx, newParent, newName)
	if err != nil {
		return err
	}
	if o != o2 {
		return syscall.EXDEV
	}
	last := t.lastOf(ctx, to, newName)
	if err := o.Rename(ctx, p, q); err != nil {
		return err
	}
	if p == q {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone(to, newName, last)
	if n := from.children[name]; n != nil {
		n.leave()
		n.name = newName
		to.adopt(n)
	}
	t.sweep(from)
	return nil
}
