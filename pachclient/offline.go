package pachclient

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"time"
)

// Offline is a Client that reaches nobody: every call fails with ErrUnavailable
// at once. It is for work on what is kept here that must not ask a server.
type Offline struct{}

var _ Client = Offline{}

func away(op string) error { return fmt.Errorf("%s: no server is asked: %w", op, ErrUnavailable) }

func (Offline) Cluster(context.Context) (Cluster, error)   { return Cluster{}, away("cluster") }
func (Offline) Projects(context.Context) ([]string, error) { return nil, away("projects") }
func (Offline) CreateBranch(context.Context, Branch) error { return away("create branch") }
func (Offline) Drop(context.Context, Commit) error         { return away("drop") }
func (Offline) Close() error                               { return nil }
func (Offline) At(c Commit) Reader                         { return offlineReader{c} }
func (Offline) Repos(context.Context, string) ([]RepoInfo, error) {
	return nil, away("repos")
}
func (Offline) Branches(context.Context, Repo) ([]BranchInfo, error) {
	return nil, away("branches")
}
func (Offline) Branch(context.Context, Branch) (BranchInfo, error) {
	return BranchInfo{}, away("branch")
}
func (Offline) Head(context.Context, Branch) (CommitInfo, error) { return CommitInfo{}, away("head") }
func (Offline) Commit(context.Context, Commit) (CommitInfo, error) {
	return CommitInfo{}, away("commit")
}
func (Offline) Wait(context.Context, Commit) (CommitInfo, error) { return CommitInfo{}, away("wait") }
func (Offline) Log(context.Context, Commit, func(CommitInfo) error) error {
	return away("log")
}
func (Offline) Upload(context.Context, iter.Seq2[Change, error]) (FileSet, error) {
	return "", away("upload")
}
func (Offline) Renew(context.Context, FileSet, time.Duration) error { return away("renew") }
func (Offline) Land(context.Context, Branch, FileSet, []string) error {
	return away("land")
}
func (Offline) Annotate(context.Context, Commit, map[string]string) error {
	return away("annotate")
}

// An offlineReader knows no commit but the zero one, which is an empty tree.
type offlineReader struct{ c Commit }

func (r offlineReader) Commit() Commit { return r.c }

func (r offlineReader) Stat(_ context.Context, path string) (FileInfo, error) {
	switch {
	case path == "/":
		return FileInfo{Path: path, Dir: true}, nil
	case r.c.Zero():
		return FileInfo{}, &fs.PathError{Op: "stat", Path: path, Err: fs.ErrNotExist}
	}
	return FileInfo{}, away("stat " + path)
}

func (r offlineReader) List(_ context.Context, dir string, _ func(FileInfo) error) error {
	return r.walk("list", dir)
}

func (r offlineReader) Walk(_ context.Context, dir string, _ func(FileInfo) error) error {
	return r.walk("walk", dir)
}

func (r offlineReader) walk(op, dir string) error {
	if r.c.Zero() {
		return nil
	}
	return away(op + " " + dir)
}

func (offlineReader) ReadAt(_ context.Context, f FileInfo, _ []byte, _ int64) (int, error) {
	return 0, away("read " + f.Path)
}

func (offlineReader) Open(_ context.Context, f FileInfo, _ int64) (io.ReadCloser, error) {
	return nil, away("open " + f.Path)
}

func (offlineReader) Diff(context.Context, Commit, func(Diff) error) error { return away("diff") }
