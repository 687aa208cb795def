package staging

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"pachfs/pachclient"
)

// A held reads a commit in which some paths are still what they were in an
// older one. When a landing moves the base past a change of somebody else to a
// path that something staged above stands on, that path is held: a conflict is
// about what its user saw and edited, not about a mixture of that and of theirs.
// The paths are those of files, in the commit or in the older one.
type held struct {
	pachclient.Reader
	old   map[string]pachclient.Reader // by path
	names map[string]map[string]bool   // the entries of a directory with a held path at them, or below
}

// hold gives a reader of a commit that holds the paths, of which each has a
// reader of the commit that it is held to.
func hold(r pachclient.Reader, old map[string]pachclient.Reader) pachclient.Reader {
	if len(old) == 0 {
		return r
	}
	h := &held{r, old, map[string]map[string]bool{}}
	for p := range old {
		for dir, name := split(p); name != "" && !h.names[dir][name]; dir, name = split(dir) {
			if h.names[dir] == nil {
				h.names[dir] = map[string]bool{}
			}
			h.names[dir][name] = true
		}
	}
	return h
}

// Stat is pachclient.Reader's. A directory above something held is there when it
// has an entry, as in Pachyderm.
func (h *held) Stat(ctx context.Context, p string) (pachclient.FileInfo, error) {
	old, exact := h.old[p]
	if !exact && h.names[p] == nil {
		return h.Reader.Stat(ctx, p)
	}
	r := h.Reader
	if exact {
		r = old
	}
	fi, err := statOrNone(ctx, r, p)
	if err != nil || exact && fi.Path != "" && !fi.Dir {
		return fi, err
	}
	switch some, err := h.some(ctx, p); {
	case err != nil:
		return pachclient.FileInfo{}, err
	case some && fi.Dir:
		return fi, nil
	case some:
		return pachclient.FileInfo{Path: p, Dir: true}, nil
	case !exact && fi.Path != "" && !fi.Dir:
		return fi, nil
	}
	return pachclient.FileInfo{}, &fs.PathError{Op: "stat", Path: p, Err: fs.ErrNotExist}
}

// some says whether a directory has an entry: mostly one that is held, else the
// first that is not.
func (h *held) some(ctx context.Context, dir string) (bool, error) {
	for name := range h.names[dir] {
		if _, err := h.Stat(ctx, join(dir, name)); err == nil {
			return true, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	err := h.Reader.List(ctx, dir, func(fi pachclient.FileInfo) error {
		if _, name := split(fi.Path); h.names[dir][name] {
			return nil
		}
		return io.EOF
	})
	if errors.Is(err, io.EOF) {
		return true, nil
	} else if errors.Is(err, pachclient.ErrNotDir) {
		err = nil
	}
	return false, err
}

// List is pachclient.Reader's.
func (h *held) List(ctx context.Context, dir string, fn func(pachclient.FileInfo) error) error {
	names := h.names[dir]
	if len(names) == 0 && !h.below(dir) {
		return h.Reader.List(ctx, dir, fn)
	}
	var out []pachclient.FileInfo
	err := h.Reader.List(ctx, dir, func(fi pachclient.FileInfo) error {
		if _, name := split(fi.Path); !names[name] {
			out = append(out, fi)
		}
		return nil
	})
	if err != nil && !errors.Is(err, pachclient.ErrNotDir) { // which theirs may be
		return err
	}
	inside, err := h.entries(ctx, dir)
	if err != nil {
		return err
	}
	out = append(out, inside...)
	key := func(fi pachclient.FileInfo) string {
		if fi.Dir {
			return fi.Path + "/"
		}
		return fi.Path
	}
	slices.SortFunc(out, func(a, b pachclient.FileInfo) int { return strings.Compare(key(a), key(b)) })
	for _, fi := range out {
		if err := fn(fi); err != nil {
			return err
		}
	}
	return nil
}

// below says whether the path is held, or below one that is.
func (h *held) below(p string) bool {
	for ; p != "/"; p, _ = split(p) {
		if _, ok := h.old[p]; ok {
			return true
		}
	}
	return false
}

// entries gives the entries of a directory that are held, or have something in
// them that is. It lists the older directories rather than ask for every path.
func (h *held) entries(ctx context.Context, dir string) (out []pachclient.FileInfo, err error) {
	were := map[string]map[string]pachclient.FileInfo{} // the files of dir in an older commit, by its ID and their paths
	for name := range h.names[dir] {
		p := join(dir, name)
		old, exact := h.old[p]
		if exact && were[old.Commit().ID] == nil {
			files := map[string]pachclient.FileInfo{}
			err := old.List(ctx, dir, func(fi pachclient.FileInfo) error {
				if !fi.Dir {
					files[fi.Path] = fi
				}
				return nil
			})
			if err != nil && !errors.Is(err, pachclient.ErrNotDir) && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			were[old.Commit().ID] = files
		}
		if exact && h.names[p] == nil {
			if fi, ok := were[old.Commit().ID][p]; ok {
				out = append(out, fi)
			}
			continue
		}
		fi, err := h.Stat(ctx, p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		out = append(out, fi)
	}
	return out, nil
}

// Walk is pachclient.Reader's.
func (h *held) Walk(ctx context.Context, dir string, fn func(pachclient.FileInfo) error) error {
	if len(h.names[dir]) == 0 && !h.below(dir) {
		return h.Reader.Walk(ctx, dir, fn)
	}
	return h.List(ctx, dir, func(fi pachclient.FileInfo) error {
		if err := fn(fi); err != nil || !fi.Dir {
			return err
		}
		return h.Walk(ctx, fi.Path, fn)
	})
}

func (h *held) reader(p string) pachclient.Reader {
	if old, ok := h.old[p]; ok {
		return old
	}
	return h.Reader
}

// ReadAt is pachclient.Reader's.
func (h *held) ReadAt(ctx context.Context, fi pachclient.FileInfo, p []byte, off int64) (int, error) {
	return h.reader(fi.Path).ReadAt(ctx, fi, p, off)
}

// Open is pachclient.Reader's.
func (h *held) Open(ctx context.Context, fi pachclient.FileInfo, off int64) (io.ReadCloser, error) {
	return h.reader(fi.Path).Open(ctx, fi, off)
}

// holdsBelow says whether the directory p is in no one commit as it is shown.
func (b *base) holdsBelow(p string) bool {
	h, ok := b.r.(*held)
	return ok && len(h.names[p]) > 0
}

// source says where the server finds what the base has at p: a file, or a
// directory that holds nothing.
func (b *base) source(p string) *pachclient.Source {
	if h, ok := b.r.(*held); ok {
		return &pachclient.Source{Commit: h.reader(p).Commit(), Path: p}
	}
	return &pachclient.Source{Commit: b.info.Commit, Path: p}
}
