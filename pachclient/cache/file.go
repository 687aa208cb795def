package cache

import (
	"context"
	"io"
	"io/fs"

	"pachfs/pachclient"
)

// A file is an open stream of a Reader. It holds nothing that needs closing:
// what it reads ahead belongs to the cache and is shared.
type file struct {
	ctx    context.Context
	reader *reader
	info   pachclient.FileInfo
	off    int64
	closed bool
}

func (f *file) Read(p []byte) (int, error) {
	if f.closed {
		return 0, f.reader.wrap("read", f.info.Path, fs.ErrClosed)
	}
	n, err := f.reader.ReadAt(f.ctx, f.info, p, f.off)
	f.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (f *file) Close() error {
	f.closed = true
	return nil
}
