package staging

import "errors"

// What can go wrong here, besides the errors of io/fs, of pachclient and of
// the local disk (ENOSPC and the like, as they come).
var (
	// ErrReadOnly: nothing can be staged here (a commit, an output branch, --read-only).
	ErrReadOnly = errors.New("read-only")

	// ErrNotEmpty: the directory holds something.
	ErrNotEmpty = errors.New("directory not empty")

	// ErrConflict: somebody else changed a path that is staged here.
	ErrConflict = errors.New("somebody else changed what is staged here")

	// ErrLocked: another process has the state directory.
	ErrLocked = errors.New("the state directory is in use by another pachfs")

	// ErrOtherCluster: what is staged belongs to another Pachyderm.
	ErrOtherCluster = errors.New("the staged changes belong to another Pachyderm")

	// ErrOtherNaming: what is staged has names that would mean others now.
	ErrOtherNaming = errors.New("the staged changes were named in another way")

	// ErrNewerFormat: a newer pachfs wrote this state directory.
	ErrNewerFormat = errors.New("written by a newer pachfs")

	// ErrCorrupt: the state directory breaks an invariant.
	ErrCorrupt = errors.New("the state directory is damaged")

	// ErrBusy: not while a commit is under way.
	ErrBusy = errors.New("a commit is under way")

	// ErrClosed: the overlay was closed.
	ErrClosed = errors.New("the staging area is closed")
)
