package pachclient

import (
	"context"
	"io"
	"iter"
	"time"
)

// A Client is one Pachyderm, near or far. All methods are safe for concurrent
// use. A method retries what can be retried without harm (everything but
// Land) while the server is unavailable, until its context ends or about 10 s
// have passed (not in a [Patient] context), and then fails with ErrUnavailable. A
// context that ended is reported as context.Canceled or context.DeadlineExceeded, wrapped.
// Projects that are named "" mean DefaultProject.
type Client interface {
	// Cluster says who answers. It also serves as a check of address and token.
	Cluster(ctx context.Context) (Cluster, error)

	// Projects lists the names of all projects, sorted. Servers before 2.5
	// have one: DefaultProject.
	Projects(ctx context.Context) ([]string, error)

	// Repos lists the user repos of a project with their branches, sorted by
	// name, in one round trip.
	Repos(ctx context.Context, project string) ([]RepoInfo, error)

	// Branches lists the branches of one repo as they stand, sorted by name,
	// in one round trip. fs.ErrNotExist: no such repo.
	Branches(ctx context.Context, r Repo) ([]BranchInfo, error)

	// Branch tells one branch as it stands. fs.ErrNotExist: no such branch, or repo.
	Branch(ctx context.Context, b Branch) (BranchInfo, error)

	// CreateBranch creates the branch, and its repo when that is missing. It
	// leaves an existing branch as it is. A new branch may start with an empty
	// finished commit.
	CreateBranch(ctx context.Context, b Branch) error

	// Head finds the newest commit of the branch that finished without error:
	// the head or its nearest such ancestor. It never waits for a commit. A
	// branch or repo that does not exist, is fs.ErrNotExist; a branch without
	// such a commit gives a CommitInfo whose Commit has no ID.
	Head(ctx context.Context, b Branch) (CommitInfo, error)

	// Commit tells what is known of a commit now, open or not. c.ID may be an
	// ID, an ancestry suffix or empty (see Commit); the answer has the full ID.
	Commit(ctx context.Context, c Commit) (CommitInfo, error)

	// Wait returns when the commit is finished (look at CommitInfo.Error), or
	// when ctx ends. Unlike the other methods it retries until ctx ends.
	Wait(ctx context.Context, c Commit) (CommitInfo, error)

	// Log calls fn with the commit and its ancestors, newest first, until fn
	// fails; io.EOF from fn ends it without an error. fn runs on the caller's
	// goroutine and may call the client. Nothing is retried after the first call of fn.
	Log(ctx context.Context, c Commit, fn func(CommitInfo) error) error

	// At reads a commit that is finished, or a file set. No I/O is done here.
	At(c Commit) Reader

	Writer

	// Close ends all that the client has under way and frees its connections.
	Close() error
}

// A Reader reads one commit that never changes: every answer may be kept for
// ever, keyed by commit and path. A zero Commit reads as an empty tree. Paths
// have a leading slash and no trailing one, and are always literal, also where
// Pachyderm would take them for a glob.
type Reader interface {
	// Commit is the commit that is read.
	Commit() Commit

	// Stat describes one path. fs.ErrNotExist: nothing there. The root always
	// exists and is a directory.
	Stat(ctx context.Context, path string) (FileInfo, error)

	// List calls fn with the direct children of a directory, in byte order of
	// their path where a directory counts as "name/". A directory that does
	// not exist has no children (Pachyderm can't tell it from an empty one);
	// of a file it fails with ErrNotDir. fn runs on the caller's goroutine; its
	// error ends the listing and is returned. Nothing is retried after the
	// first call of fn.
	List(ctx context.Context, dir string, fn func(FileInfo) error) error

	// Walk calls fn with everything below a directory, parents before
	// children, in the order of List; otherwise as List.
	Walk(ctx context.Context, dir string, fn func(FileInfo) error) error

	// ReadAt reads len(p) bytes of a file at off, as io.ReaderAt does: fewer
	// only with an error, io.EOF at the end. f is what Stat, List or Walk of
	// this Reader gave.
	ReadAt(ctx context.Context, f FileInfo, p []byte, off int64) (int, error)

	// Open streams a file from off to its end. Reading resumes by itself at
	// its offset after a connection broke. The stream lives until it is closed
	// or ctx ends, and takes a place on the server until then.
	Open(ctx context.Context, f FileInfo, off int64) (io.ReadCloser, error)

	// Diff calls fn with every path that differs between old and this commit,
	// in path order, directories above a change too. Otherwise as List. A zero
	// old is an empty tree. "Differs" is by hash (see Hash).
	Diff(ctx context.Context, old Commit, fn func(Diff) error) error
}

// A Writer turns many changes into one commit in steps, so that a reader never
// sees half of it and a caller who was killed in between can find out. Which
// steps, and why: docs/DESIGN.md, "Landing".
type Writer interface {
	// Upload builds a file set that holds the changes: visible to nobody until
	// it lands. The sequence is walked once, on the caller's goroutine; its
	// error ends the upload and is returned. The order of changes does not
	// count, and no path comes twice. The set lives for at least 10 minutes.
	// An upload that failed has done nothing.
	Upload(ctx context.Context, changes iter.Seq2[Change, error]) (FileSet, error)

	// Renew gives the set ttl (at most 30 minutes) from now. fs.ErrNotExist:
	// it has expired.
	Renew(ctx context.Context, s FileSet, ttl time.Duration) error

	// Land makes one finished commit on the true head of b in one transaction:
	// first every path of deletes goes (a directory with all below it when it
	// ends in "/"), then what s holds replaces what it names. It is sent once
	// and never retried, with the deadline of ctx, which travels: when ctx is
	// over and a margin has passed, a Land without an answer has happened, or
	// never will. It returns before the commit is finished, and does not know
	// its ID. The branch is created when it is missing, the repo is not.
	// fs.ErrNotExist: no such repo. ErrOpenCommit: somebody opened a commit
	// meanwhile, nothing happened. ErrUnavailable, or an ended ctx: it may
	// have happened.
	Land(ctx context.Context, b Branch, s FileSet, deletes []string) error

	// Annotate puts metadata on a finished commit. ErrUnsupported: the server
	// is older than 2.10.
	Annotate(ctx context.Context, c Commit, metadata map[string]string) error

	// Drop removes a commit without children; the branch's head becomes its
	// parent. Meant for a commit of our own that finished with an error.
	Drop(ctx context.Context, c Commit) error
}

// A Change is the new state of one file, or, with From alone, of a whole
// directory that is copied with all below it.
//
//	From nil, Open set    the file becomes the Size bytes that Open gives
//	From set, Open nil    the file becomes a server-side copy; no byte is moved
//	From set, Open set    a copy, with the Size bytes that Open gives appended
//	both nil              an empty file
type Change struct {
	Path string
	From *Source
	Size int64 // bytes that Open gives
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// A Source is a file, or a directory with all below it, of a finished commit.
type Source struct {
	Commit Commit
	Path   string
}

type patient struct{}

// Patient gives a context in which methods retry until it ends: how long to
// wait is up to whoever made it.
func Patient(ctx context.Context) context.Context { return context.WithValue(ctx, patient{}, true) }

// IsPatient says whether a context came from Patient.
func IsPatient(ctx context.Context) bool { return ctx.Value(patient{}) != nil }
