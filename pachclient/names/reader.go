package names

import (
	"cmp"
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"pachfs/pachclient"
)

// A reader reads one commit with its names decoded.
type reader struct{ next pachclient.Reader }

func (r *reader) Commit() pachclient.Commit { return r.next.Commit() }

func (r *reader) Stat(ctx context.Context, path string) (pachclient.FileInfo, error) {
	fi, err := r.next.Stat(ctx, Encode(path))
	if special(path) && errors.Is(err, iofs.ErrNotExist) {
		switch raw, rawErr := r.raw(ctx, path); {
		case rawErr != nil:
			err = rawErr
		case raw != "":
			fi, err = r.next.Stat(ctx, raw)
		}
	}
	if err == nil {
		fi.Path = path
	}
	return fi, err
}

// stored finds the stored name of a path; where nothing is, it is the one that
// a file would get.
func (r *reader) stored(ctx context.Context, path string) (string, error) {
	stored := Encode(path)
	if !special(path) {
		return stored, nil
	}
	_, err := r.next.Stat(ctx, stored)
	if !errors.Is(err, iofs.ErrNotExist) {
		return stored, err
	}
	raw, err := r.raw(ctx, path)
	return cmp.Or(raw, stored), err
}

// raw finds a path of which an element was stored as it is, after it was not
// found encoded; "" when there is none. Such names are text: nothing else fits
// into a message.
func (r *reader) raw(ctx context.Context, path string) (string, error) {
	at, found, known := "", false, Encode(path)
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		child := at + "/" + Encode(name)
		if special(name) && utf8.ValidString(name) {
			var err error = iofs.ErrNotExist
			if child != known { // which was not found
				_, err = r.next.Stat(ctx, child)
			}
			if errors.Is(err, iofs.ErrNotExist) {
				child = at + "/" + name
				_, err = r.next.Stat(ctx, child)
				found = err == nil
			}
			if errors.Is(err, iofs.ErrNotExist) {
				return "", nil
			} else if err != nil {
				return "", err
			}
		}
		at = child
	}
	if !found {
		return "", nil
	}
	return at, nil
}

// List gives the children of a directory. Decoded, their order is another, so
// they are given when the last has come.
func (r *reader) List(ctx context.Context, dir string, fn func(pachclient.FileInfo) error) error {
	return r.each(ctx, dir, r.next.List, fn)
}

// Walk gives all that is below a directory, as List gives its children.
func (r *reader) Walk(ctx context.Context, dir string, fn func(pachclient.FileInfo) error) error {
	return r.each(ctx, dir, r.next.Walk, fn)
}

func (r *reader) each(ctx context.Context, dir string, list func(context.Context, string, func(pachclient.FileInfo) error) error, fn func(pachclient.FileInfo) error) error {
	stored, err := r.stored(ctx, dir)
	if err != nil {
		return err
	}
	var found entries[pachclient.FileInfo]
	err = list(ctx, stored, func(fi pachclient.FileInfo) error {
		raw := fi.Path
		fi.Path = Decode(raw)
		found = append(found, entry[pachclient.FileInfo]{fi, key(fi.Path, fi.Dir), special(raw)})
		return nil
	})
	if err != nil {
		return err
	}
	return found.give(fn)
}

// Diff gives what differs, in the order of the paths that are shown.
func (r *reader) Diff(ctx context.Context, old pachclient.Commit, fn func(pachclient.Diff) error) error {
	var found entries[pachclient.Diff]
	err := r.next.Diff(ctx, old, func(d pachclient.Diff) error {
		raw := special(d.Path())
		d.Old.Path, d.New.Path = Decode(d.Old.Path), Decode(d.New.Path)
		found = append(found, entry[pachclient.Diff]{d, key(d.Path(), d.Dir()), raw})
		return nil
	})
	if err != nil {
		return err
	}
	return found.give(fn)
}

func (r *reader) ReadAt(ctx context.Context, f pachclient.FileInfo, p []byte, off int64) (int, error) {
	shown := f.Path
	f.Path = Encode(shown)
	n, err := r.next.ReadAt(ctx, f, p, off)
	if !special(shown) || !errors.Is(err, iofs.ErrNotExist) { // what failed otherwise says nothing of the name
		return n, err
	}
	raw, rawErr := r.raw(ctx, shown)
	if rawErr != nil {
		return n, rawErr
	} else if raw == "" {
		return n, err
	}
	f.Path = raw
	return r.next.ReadAt(ctx, f, p, off)
}

func (r *reader) Open(ctx context.Context, f pachclient.FileInfo, off int64) (io.ReadCloser, error) {
	stored, err := r.stored(ctx, f.Path)
	if err != nil {
		return nil, err
	}
	f.Path = stored
	return r.next.Open(ctx, f, off)
}

// An entry is something that is given in the order of the paths.
type entry[T any] struct {
	v   T
	key string // the path, with a slash behind a directory's
	raw bool   // its stored name is none that Pachyderm takes
}

type entries[T any] []entry[T]

func key(path string, dir bool) string {
	if dir {
		return strings.TrimSuffix(path, "/") + "/"
	}
	return path
}

// give calls fn with the entries in order. A raw one that is shown under the
// name of another stands back.
func (es entries[T]) give(fn func(T) error) error {
	byKey := func(a, b entry[T]) int { return strings.Compare(a.key, b.key) }
	if !slices.IsSortedFunc(es, byKey) {
		slices.SortStableFunc(es, byKey)
	}
	regular := map[string]bool{}
	if slices.ContainsFunc(es, func(e entry[T]) bool { return e.raw }) {
		for _, e := range es {
			if !e.raw {
				regular[strings.TrimSuffix(e.key, "/")] = true
			}
		}
	}
	for _, e := range es {
		if e.raw && regular[strings.TrimSuffix(e.key, "/")] {
			continue
		}
		if err := fn(e.v); err != nil {
			return err
		}
	}
	return nil
}
