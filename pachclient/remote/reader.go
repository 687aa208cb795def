package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"pachfs/pachclient"
	"pachfs/pachclient/internal/wire"
	"pachfs/pachclient/pfspb/pfs"
)

// A reader reads one commit.
type reader struct {
	c      *Client
	commit pachclient.Commit
}

// At reads a finished commit, or a file set.
func (c *Client) At(commit pachclient.Commit) pachclient.Reader { return &reader{c, commit} }

func (r *reader) Commit() pachclient.Commit { return r.commit }

func (r *reader) op(verb, path string) string { return verb + " " + r.commit.String() + ":" + path }

// Stat describes one path. The root exists also where nothing is in it, which
// no server says.
func (r *reader) Stat(ctx context.Context, path string) (fi pachclient.FileInfo, err error) {
	if r.commit.Zero() && path == "/" {
		return pachclient.FileInfo{Path: "/", Dir: true}, nil
	}
	if r.commit.Zero() || !utf8.ValidString(path) { // which fits into no message
		return fi, &iofs.PathError{Op: "stat", Path: path, Err: iofs.ErrNotExist}
	}
	err = r.c.call(ctx, r.op("stat", path), func(ctx context.Context) error {
		m, err := r.c.pfs().InspectFile(ctx, &pfs.InspectFileRequest{File: wire.File(r.commit, path)})
		fi = wire.FromFileInfo(m)
		return err
	})
	if path == "/" && errors.Is(err, iofs.ErrNotExist) {
		return pachclient.FileInfo{Path: "/", Dir: true}, r.exists(ctx, path)
	}
	return fi, err
}

// List lists a directory. A server answers for a file with the file itself.
func (r *reader) List(ctx context.Context, dir string, fn func(pachclient.FileInfo) error) error {
	if r.commit.Zero() {
		return nil
	}
	return each(ctx, r.c, r.op("list", dir), func(ctx context.Context) (receiver[*pfs.FileInfo], error) {
		return r.c.pfs().ListFile(ctx, &pfs.ListFileRequest{File: wire.File(r.commit, dir)})
	}, func(m *pfs.FileInfo) error {
		fi := wire.FromFileInfo(m)
		if fi.Path == dir && !fi.Dir {
			return &iofs.PathError{Op: "list", Path: dir, Err: pachclient.ErrNotDir}
		}
		return fn(fi)
	})
}

// Walk lists a directory with all below it.
func (r *reader) Walk(ctx context.Context, dir string, fn func(pachclient.FileInfo) error) error {
	if r.commit.Zero() {
		return nil
	}
	err := each(ctx, r.c, r.op("walk", dir), func(ctx context.Context) (receiver[*pfs.FileInfo], error) {
		stream, err := r.c.pfs().WalkFile(ctx, &pfs.WalkFileRequest{File: wire.File(r.commit, dir)})
		return without[*pfs.FileInfo]{stream, func(m *pfs.FileInfo) bool { // nobody has seen anything yet when that has come
			fi := wire.FromFileInfo(m)
			return fi.Path == dir && fi.Dir
		}}, err
	}, func(m *pfs.FileInfo) error {
		fi := wire.FromFileInfo(m)
		if fi.Path == dir {
			return &iofs.PathError{Op: "walk", Path: dir, Err: pachclient.ErrNotDir}
		}
		return fn(fi)
	})
	if errors.Is(err, iofs.ErrNotExist) { // of a missing directory, or in what is missing altogether
		return r.exists(ctx, dir)
	}
	return err
}

// exists fails with fs.ErrNotExist when there is no such commit or file set.
// Listing, also of a path that is missing, is the one call that tells these apart.
func (r *reader) exists(ctx context.Context, path string) error {
	err := r.List(ctx, path, func(pachclient.FileInfo) error { return io.EOF })
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// ReadAt reads a part of a file: GetFile knows no length, so it is ended when
// there is enough.
func (r *reader) ReadAt(ctx context.Context, f pachclient.FileInfo, p []byte, off int64) (int, error) {
	if off >= f.Size || len(p) == 0 {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n, err := r.readSome(ctx, f, p, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (r *reader) readSome(ctx context.Context, f pachclient.FileInfo, p []byte, off int64) (int, error) {
	s, err := r.Open(ctx, f, off)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	n, err := io.ReadFull(s, p[:min(int64(len(p)), f.Size-off)])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%s: %d of %d bytes at %d: %w", r.op("read", f.Path), n, len(p), off, io.ErrUnexpectedEOF)
	}
	return n, err
}

// Open streams a file.
func (r *reader) Open(ctx context.Context, f pachclient.FileInfo, off int64) (io.ReadCloser, error) {
	if f.Dir {
		return nil, &iofs.PathError{Op: "open", Path: f.Path, Err: pachclient.ErrIsDir}
	}
	ctx, cancel := context.WithCancel(ctx)
	return &stream{r: r, f: f, ctx: ctx, cancel: cancel, off: off}, nil
}

// A stream is a GetFile that goes on where it was when its connection broke.
type stream struct {
	r      *reader
	f      pachclient.FileInfo
	ctx    context.Context
	cancel context.CancelFunc
	off    int64 // of what rest begins with
	rest   []byte
	recv   receiver[*wrapperspb.BytesValue]
	end    context.CancelFunc // of recv
}

// Read waits for one message at most.
func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(s.rest) == 0 {
		if s.off >= s.f.Size {
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.rest)
	s.rest, s.off = s.rest[n:], s.off+int64(n)
	return n, nil
}

// next gets a message, over a new call when the old one was lost.
func (s *stream) next() error {
	return s.r.c.call(s.ctx, s.r.op("read", s.f.Path), func(ctx context.Context) error {
		if s.recv == nil {
			ctx, end := context.WithCancel(ctx)
			recv, err := s.r.c.pfs().GetFile(ctx, &pfs.GetFileRequest{File: wire.File(s.r.commit, wire.Literal(s.f.Path)), Offset: s.off})
			if err != nil {
				end()
				return err
			}
			s.recv, s.end = recv, end
		}
		m, err := s.recv.Recv()
		if err != nil {
			s.end()
			s.recv = nil
			if errors.Is(err, io.EOF) {
				return errStarted{fmt.Errorf("%s ends at %d of %d bytes: %w", s.f.Path, s.off, s.f.Size, io.ErrUnexpectedEOF)}
			}
			return err
		}
		s.rest = m.GetValue()
		return nil
	})
}

func (s *stream) Close() error {
	s.cancel()
	if s.end != nil {
		s.end()
	}
	return nil
}

// Diff lists what differs from another commit.
func (r *reader) Diff(ctx context.Context, old pachclient.Commit, fn func(pachclient.Diff) error) error {
	if r.commit.Zero() {
		if old.Zero() {
			return nil
		}
		return r.c.At(old).Walk(ctx, "/", func(fi pachclient.FileInfo) error { return fn(pachclient.Diff{Old: fi}) })
	}
	if old.Zero() { // an absent old file would mean the parent
		return r.Walk(ctx, "/", func(fi pachclient.FileInfo) error { return fn(pachclient.Diff{New: fi}) })
	}
	return each(ctx, r.c, r.op("diff", "/"), func(ctx context.Context) (receiver[*pfs.DiffFileResponse], error) {
		return r.c.pfs().DiffFile(ctx, &pfs.DiffFileRequest{NewFile: wire.File(r.commit, "/"), OldFile: wire.File(old, "/")})
	}, func(m *pfs.DiffFileResponse) error {
		var d pachclient.Diff
		if m.GetNewFile() != nil {
			d.New = wire.FromFileInfo(m.GetNewFile())
		}
		if m.GetOldFile() != nil {
			d.Old = wire.FromFileInfo(m.GetOldFile())
		}
		return fn(d)
	})
}
