package pachclient

import "errors"

// What can go wrong, in the few words that callers act upon. A missing thing
// is fs.ErrNotExist, an existing one fs.ErrExist, a refused one
// fs.ErrPermission. All come wrapped with the operation and its object.
var (
	// ErrUnavailable: the server can't be reached or did not answer in time,
	// and trying again may help. Retries have been made already. An error of
	// Land with it may hide a success.
	ErrUnavailable = errors.New("pachyderm is not reachable")

	// ErrUnauthenticated: the token is missing, wrong or expired.
	ErrUnauthenticated = errors.New("not logged in")

	// ErrBadName: Pachyderm refuses this name.
	ErrBadName = errors.New("pachyderm refuses this name")

	// ErrOpenCommit: somebody holds a commit open where a finished one is needed.
	ErrOpenCommit = errors.New("a commit is still open")

	// ErrFinished: the commit does not take writes any more.
	ErrFinished = errors.New("the commit has already finished")

	// ErrOutputBranch: the branch is written by a pipeline.
	ErrOutputBranch = errors.New("an output branch is read-only")

	// ErrUnsupported: the server is too old for this call.
	ErrUnsupported = errors.New("the server does not know this call")

	// ErrIsDir, ErrNotDir: the path is a directory where a file is needed, or
	// the reverse.
	ErrIsDir  = errors.New("is a directory")
	ErrNotDir = errors.New("not a directory")
)
