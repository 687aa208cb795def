package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"syscall"
)

// A Dirent is an entry of a directory.
type Dirent struct {
	Name string
	Ino  Ino // 0: not known
	Type Type
}

// An openDir is a handle of a directory: its entries as they were when it was
// opened, so that cookies stay right.
type openDir struct{ entries []Dirent }

// OpenDir opens a directory. A directory that can't be read fails here, and is
// never shown empty. cache says whether the kernel may keep the listing.
func (t *Tree) OpenDir(ctx context.Context, ino Ino) (h Handle, cache bool, err error) {
	n, err := t.get(ino)
	if err != nil {
		return 0, false, err
	}
	var entries []Dirent
	switch {
	case n.kind == rootDir:
		entries, err = t.listRoot(ctx)
	case t.removed(n): // open as anywhere, and empty
	default:
		entries, err = t.list(ctx, n)
		cache = true
	}
	if err != nil {
		return 0, false, err
	}
	parent := n.ino
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.parent != nil {
		parent = n.parent.ino
	}
	dots := []Dirent{{".", n.ino, Dir}, {"..", parent, Dir}}
	for i := range entries {
		if c := n.children[entries[i].Name]; c != nil {
			entries[i].Ino = c.ino
		}
	}
	t.lastHandle++
	t.handles[t.lastHandle] = &openDir{append(dots, entries...)}
	return t.lastHandle, cache, nil
}

func (t *Tree) removed(n *inode) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return n.last != nil
}

// list gives the entries of a directory of an overlay, without control files
// and without what would be taken for one.
func (t *Tree) list(ctx context.Context, n *inode) ([]Dirent, error) {
	n, o, p, err := t.at(ctx, n.ino, "")
	if err != nil {
		return nil, err
	}
	infos, err := o.List(ctx, p)
	if errors.Is(err, iofs.ErrNotExist) && n.kind != branchDir {
		return nil, errStale
	} else if err != nil {
		return nil, err
	}
	out := make([]Dirent, 0, len(infos)+2)
	for _, i := range infos {
		if p == "/" && controlNamed(i.Name) != nil {
			continue
		}
		d := Dirent{Name: i.Name}
		if i.Dir {
			d.Type = Dir
		}
		out = append(out, d)
	}
	return out, nil
}

// ReadDir gives the entries of an open directory from a cookie on; the cookie
// of an entry is its index plus one.
func (t *Tree) ReadDir(h Handle, from uint64) ([]Dirent, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d, ok := t.handles[h].(*openDir)
	if !ok {
		return nil, syscall.EBADF
	}
	return d.entries[min(from, uint64(len(d.entries))):], nil
}

// ReleaseDir ends a handle of a directory.
func (t *Tree) ReleaseDir(h Handle) {
	t.mu.Lock()
	delete(t.handles, h)
	t.mu.Unlock()
}
