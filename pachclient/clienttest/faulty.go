package clienttest

import (
	"context"
	"io"
	"iter"
	"sync"
	"time"

	"pachfs/pachclient"
)

// When says at which moment of a call a fault strikes.
type When int

// The moments.
const (
	Before When = iota // the call does not happen
	After              // it happens, and its answer is lost
	Hang               // it does not happen, and no answer comes until its context ends
)

// A Faulty is a whole client that fails, loses answers or hangs on request,
// and counts its calls. Operations have the names of the methods of Client,
// Reader and Writer.
type Faulty struct {
	next pachclient.Client

	mu     sync.Mutex
	faults map[string][]*fault
	calls  map[string]int
	hooks  map[string]func()
}

type fault struct {
	when When
	left int // calls that it still strikes; negative: all
	err  error
}

// NewFaulty puts a Faulty before a client.
func NewFaulty(next pachclient.Client) *Faulty {
	return &Faulty{next: next, faults: map[string][]*fault{}, calls: map[string]int{}, hooks: map[string]func(){}}
}

// Fail makes the next n calls of an operation fail (all when n is negative).
func (f *Faulty) Fail(op string, when When, n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[op] = append(f.faults[op], &fault{when, n, err})
}

// Heal takes all faults away.
func (f *Faulty) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.faults)
}

// OnCall has fn called at the start of every call of an operation, before any fault.
func (f *Faulty) OnCall(op string, fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hooks[op] = fn
}

// Calls says how often an operation was called.
func (f *Faulty) Calls(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

func (f *Faulty) strike(op string) *fault {
	f.mu.Lock()
	f.calls[op]++
	hook := f.hooks[op]
	var hit *fault
	for _, x := range f.faults[op] {
		if x.left != 0 {
			x.left--
			hit = &fault{x.when, 0, x.err}
			break
		}
	}
	f.mu.Unlock()
	if hook != nil {
		hook()
	}
	return hit
}

// do makes a call unless a fault says otherwise.
func (f *Faulty) do(ctx context.Context, op string, call func() error) error {
	x := f.strike(op)
	switch {
	case x == nil:
		return call()
	case x.when == Hang:
		<-ctx.Done()
		return ctx.Err()
	case x.when == After:
		if err := call(); err != nil {
			return err
		}
	}
	return x.err
}

func get[T any](ctx context.Context, f *Faulty, op string, call func() (T, error)) (T, error) {
	var out, zero T
	err := f.do(ctx, op, func() (err error) { out, err = call(); return err })
	if err != nil {
		return zero, err
	}
	return out, nil
}

func (f *Faulty) Cluster(ctx context.Context) (pachclient.Cluster, error) {
	return get(ctx, f, "Cluster", func() (pachclient.Cluster, error) { return f.next.Cluster(ctx) })
}

func (f *Faulty) Projects(ctx context.Context) ([]string, error) {
	return get(ctx, f, "Projects", func() ([]string, error) { return f.next.Projects(ctx) })
}

func (f *Faulty) Repos(ctx context.Context, project string) ([]pachclient.RepoInfo, error) {
	return get(ctx, f, "Repos", func() ([]pachclient.RepoInfo, error) { return f.next.Repos(ctx, project) })
}

func (f *Faulty) Branches(ctx context.Context, r pachclient.Repo) ([]pachclient.BranchInfo, error) {
	return get(ctx, f, "Branches", func() ([]pachclient.BranchInfo, error) { return f.next.Branches(ctx, r) })
}

func (f *Faulty) Branch(ctx context.Context, b pachclient.Branch) (pachclient.BranchInfo, error) {
	return get(ctx, f, "Branch", func() (pachclient.BranchInfo, error) { return f.next.Branch(ctx, b) })
}

func (f *Faulty) CreateBranch(ctx context.Context, b pachclient.Branch) error {
	return f.do(ctx, "CreateBranch", func() error { return f.next.CreateBranch(ctx, b) })
}

func (f *Faulty) Head(ctx context.Context, b pachclient.Branch) (pachclient.CommitInfo, error) {
	return get(ctx, f, "Head", func() (pachclient.CommitInfo, error) { return f.next.Head(ctx, b) })
}

func (f *Faulty) Commit(ctx context.Context, c pachclient.Commit) (pachclient.CommitInfo, error) {
	return get(ctx, f, "Commit", func() (pachclient.CommitInfo, error) { return f.next.Commit(ctx, c) })
}

func (f *Faulty) Wait(ctx context.Context, c pachclient.Commit) (pachclient.CommitInfo, error) {
	return get(ctx, f, "Wait", func() (pachclient.CommitInfo, error) { return f.next.Wait(ctx, c) })
}

func (f *Faulty) Log(ctx context.Context, c pachclient.Commit, fn func(pachclient.CommitInfo) error) error {
	return f.do(ctx, "Log", func() error { return f.next.Log(ctx, c, fn) })
}

func (f *Faulty) Upload(ctx context.Context, cs iter.Seq2[pachclient.Change, error]) (pachclient.FileSet, error) {
	return get(ctx, f, "Upload", func() (pachclient.FileSet, error) { return f.next.Upload(ctx, cs) })
}

func (f *Faulty) Renew(ctx context.Context, s pachclient.FileSet, ttl time.Duration) error {
	return f.do(ctx, "Renew", func() error { return f.next.Renew(ctx, s, ttl) })
}

func (f *Faulty) Land(ctx context.Context, b pachclient.Branch, s pachclient.FileSet, deletes []string) error {
	return f.do(ctx, "Land", func() error { return f.next.Land(ctx, b, s, deletes) })
}

func (f *Faulty) Annotate(ctx context.Context, c pachclient.Commit, kv map[string]string) error {
	return f.do(ctx, "Annotate", func() error { return f.next.Annotate(ctx, c, kv) })
}

func (f *Faulty) Drop(ctx context.Context, c pachclient.Commit) error {
	return f.do(ctx, "Drop", func() error { return f.next.Drop(ctx, c) })
}

func (f *Faulty) Close() error { return f.next.Close() }

// At reads a commit, with faults on the reads.
func (f *Faulty) At(c pachclient.Commit) pachclient.Reader { return faultyReader{f, f.next.At(c)} }

type faultyReader struct {
	f    *Faulty
	next pachclient.Reader
}

func (r faultyReader) Commit() pachclient.Commit { return r.next.Commit() }

func (r faultyReader) Stat(ctx context.Context, p string) (pachclient.FileInfo, error) {
	return get(ctx, r.f, "Stat", func() (pachclient.FileInfo, error) { return r.next.Stat(ctx, p) })
}

func (r faultyReader) List(ctx context.Context, dir string, fn func(pachclient.FileInfo) error) error {
	return r.f.do(ctx, "List", func() error { return r.next.List(ctx, dir, fn) })
}

func (r faultyReader) Walk(ctx context.Context, dir string, fn func(pachclient.FileInfo) error) error {
	return r.f.do(ctx, "Walk", func() error { return r.next.Walk(ctx, dir, fn) })
}

func (r faultyReader) ReadAt(ctx context.Context, fi pachclient.FileInfo, p []byte, off int64) (int, error) {
	return get(ctx, r.f, "ReadAt", func() (int, error) { return r.next.ReadAt(ctx, fi, p, off) })
}

func (r faultyReader) Open(ctx context.Context, fi pachclient.FileInfo, off int64) (io.ReadCloser, error) {
	return get(ctx, r.f, "Open", func() (io.ReadCloser, error) { return r.next.Open(ctx, fi, off) })
}

func (r faultyReader) Diff(ctx context.Context, old pachclient.Commit, fn func(pachclient.Diff) error) error {
	return r.f.do(ctx, "Diff", func() error { return r.next.Diff(ctx, old, fn) })
}
