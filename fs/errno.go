package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"log/slog"
	"syscall"

	"pachfs/pachclient"
	"pachfs/staging"
)

// ErrInterrupted is what a waiting request ends with when its process was
// interrupted.
var ErrInterrupted = errors.New("interrupted")

// errStale: the inode was superseded; the kernel looks the path up again.
var errStale = errors.New("superseded")

// errnos says which error number stands for which error: the first that
// matches. What is not here is EIO, and is logged.
var errnos = []struct {
	err   error
	errno syscall.Errno
}{
	{ErrInterrupted, syscall.EINTR},
	{context.Canceled, syscall.EINTR},
	{errStale, syscall.ESTALE},
	{staging.ErrConflict, syscall.EBUSY},
	{pachclient.ErrOpenCommit, syscall.EBUSY},
	{staging.ErrBusy, syscall.EBUSY},
	{staging.ErrReadOnly, syscall.EROFS},
	{pachclient.ErrOutputBranch, syscall.EROFS},
	{staging.ErrNotEmpty, syscall.ENOTEMPTY},
	{pachclient.ErrBadName, syscall.EINVAL},
	{pachclient.ErrIsDir, syscall.EISDIR},
	{pachclient.ErrNotDir, syscall.ENOTDIR},
	{pachclient.ErrUnauthenticated, syscall.EACCES},
	{iofs.ErrNotExist, syscall.ENOENT},
	{iofs.ErrExist, syscall.EEXIST},
	{iofs.ErrInvalid, syscall.EINVAL},
	{iofs.ErrPermission, syscall.EACCES},
	{staging.ErrClosed, syscall.ESHUTDOWN},
}

// local are the errors of the disk under the state directory that tell a
// writer something; any other would mislead, and is EIO.
var local = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}

// Errno gives the error number for an error of this package, and 0 for none.
func Errno(log *slog.Logger, op string, err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if n, ok := err.(syscall.Errno); ok { // chosen on purpose, not wrapped
		return n
	}
	for _, n := range local {
		if errors.Is(err, n) {
			log.Warn("request failed", "op", op, "err", err)
			return n
		}
	}
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			return e.errno
		}
	}
	log.Error("request failed", "op", op, "err", err)
	return syscall.EIO
}
