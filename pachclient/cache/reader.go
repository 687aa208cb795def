package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"pachfs/pachclient"
)

// reader reads one finished commit. Walk is that of the Reader below: it is
// read once, by whoever wants all of it.
type reader struct {
	pachclient.Reader
	client *Client
}

// Stat asks the listing of the parent, which knows what is missing, too. A
// parent that is a file or missing has no children.
func (r *reader) Stat(ctx context.Context, path string) (pachclient.FileInfo, error) {
	if err := ctx.Err(); err != nil {
		return pachclient.FileInfo{}, r.wrap("stat", path, err)
	}
	dir, name := split(path)
	l := r.join(dir)
	info, err := l.lookup(ctx, name)
	r.client.dirs.leave(l, err == nil || err == fs.ErrNotExist || err == errHuge)
	switch {
	case err == nil:
		return info, nil
	case err == errNotKept, err == errHuge:
		return r.Reader.Stat(ctx, path)
	case errors.Is(err, pachclient.ErrNotDir):
		err = fs.ErrNotExist
	}
	return pachclient.FileInfo{}, r.wrap("stat", path, err)
}

// List gives entries while they arrive. If the listing turns out to be nothing
// to keep, the rest comes from below without a copy here.
func (r *reader) List(ctx context.Context, dir string, fn func(pachclient.FileInfo) error) error {
	if err := ctx.Err(); err != nil {
		return r.wrap("list", dir, err)
	}
	l := r.join(dir)
	last, err := l.each(ctx, fn)
	r.client.dirs.leave(l, false)
	if err == nil {
		return nil
	}
	if own, ok := err.(callbackError); ok {
		return own.error
	}
	if err != errNotKept {
		return r.wrap("list", dir, err)
	}
	return r.Reader.List(ctx, dir, func(f pachclient.FileInfo) error {
		if last != "" && listKey(f) <= last {
			return nil
		}
		return fn(f)
	})
}

// join finds the listing of dir, or starts it. The root has no parent that
// lists it; "" stands for one, which is listed by asking for the root.
func (r *reader) join(dir string) *listing {
	fetch := func(ctx context.Context, add func(pachclient.FileInfo) error) error {
		if dir != "" {
			return r.Reader.List(ctx, dir, add)
		}
		root, err := r.Reader.Stat(ctx, "/")
		if err != nil {
			return err
		}
		return add(root)
	}
	return r.client.dirs.join(dirKeyOf(r.Commit(), dir), fetch)
}

func dirKeyOf(c pachclient.Commit, dir string) dirKey {
	project := c.Branch.Project
	if project == "" {
		project = pachclient.DefaultProject
	}
	return dirKey{project, c.Branch.Repo, c.Branch.Name, c.ID, dir}
}

// direct says whether a read can't be answered here.
func direct(f pachclient.FileInfo, off int64) bool {
	return f.Dir || off < 0 || f.Hash.Zero() && f.Size > 0
}

func (r *reader) ReadAt(ctx context.Context, f pachclient.FileInfo, p []byte, off int64) (int, error) {
	if direct(f, off) {
		return r.Reader.ReadAt(ctx, f, p, off)
	}
	n, err := r.client.contents.readAt(ctx, r.Reader, f, p, off)
	if err != nil && err != io.EOF {
		err = r.wrap("read", f.Path, err)
	}
	return n, err
}

// Open reads through ReadAt, which keeps a stream for whoever reads on.
func (r *reader) Open(ctx context.Context, f pachclient.FileInfo, off int64) (io.ReadCloser, error) {
	if direct(f, off) {
		return r.Reader.Open(ctx, f, off)
	}
	return &file{ctx: ctx, reader: r, info: f, off: off}, nil
}

func (r *reader) wrap(op, path string, err error) error {
	return fmt.Errorf("%s %s:%s: %w", op, r.Commit(), path, err)
}

// split cuts a path into its directory and its last element. The root is the
// element "" of the directory "".
func split(path string) (dir, name string) {
	if path == "/" {
		return "", ""
	}
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 1)], path[i+1:]
}
