package cache

import (
	"context"
	"fmt"
	"io"
	"io/fs"

	"pachfs/pachclient"
)

// emptyReader reads the zero commit: an empty tree, known without asking.
type emptyReader struct{ pachclient.Reader }

func (e emptyReader) Stat(_ context.Context, path string) (pachclient.FileInfo, error) {
	if path == "/" {
		return pachclient.FileInfo{Path: "/", Dir: true}, nil
	}
	return pachclient.FileInfo{}, e.missing("stat", path)
}

func (emptyReader) List(context.Context, string, func(pachclient.FileInfo) error) error { return nil }

func (emptyReader) Walk(context.Context, string, func(pachclient.FileInfo) error) error { return nil }

func (e emptyReader) ReadAt(_ context.Context, f pachclient.FileInfo, _ []byte, _ int64) (int, error) {
	return 0, e.missing("read", f.Path)
}

func (e emptyReader) Open(_ context.Context, f pachclient.FileInfo, _ int64) (io.ReadCloser, error) {
	return nil, e.missing("open", f.Path)
}

// Diff asks only if there is something that can have gone.
func (e emptyReader) Diff(ctx context.Context, old pachclient.Commit, fn func(pachclient.Diff) error) error {
	if old.Zero() {
		return nil
	}
	return e.Reader.Diff(ctx, old, fn)
}

func (e emptyReader) missing(op, path string) error {
	return fmt.Errorf("%s %s:%s: %w", op, e.Commit(), path, fs.ErrNotExist)
}
