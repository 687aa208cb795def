package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"pachfs/pachclient"
)

// texts are the words by which errors are told apart. Most errors of a pachd
// have the code Unknown, and the words stand somewhere in a long message; the
// first that matches counts.
var texts = []struct {
	words string
	err   error
}{
	{"has not been finished", pachclient.ErrOpenCommit},
	{" unfinished", pachclient.ErrOpenCommit},
	{" not finished", pachclient.ErrOpenCommit}, // an output commit, before 2.11
	{"has already finished", pachclient.ErrFinished},
	{"cannot clear finished commit", pachclient.ErrFinished},
	{"on an output branch", pachclient.ErrOutputBranch},
	{"Use GetFileTAR instead", pachclient.ErrIsDir},
	{"not found", iofs.ErrNotExist},
	{"does not contain item", iofs.ErrNotExist},
	{"path does not exist", iofs.ErrNotExist},
	{"no commits found", iofs.ErrNotExist},
	{"parsing fileset.ID", iofs.ErrNotExist},
	{"already exists", iofs.ErrExist},
	{"invalid:", pachclient.ErrBadName},
	{"branch name cannot be a UUID", pachclient.ErrBadName},
	{"invalid commit ID", iofs.ErrNotExist},
	{"invalid ancestry syntax", iofs.ErrNotExist},
	{"was deleted", iofs.ErrNotExist},
}

// codeErrors say what a status code means by itself.
var codeErrors = map[codes.Code]error{
	codes.NotFound:          iofs.ErrNotExist,
	codes.AlreadyExists:     iofs.ErrExist,
	codes.PermissionDenied:  iofs.ErrPermission,
	codes.Unauthenticated:   pachclient.ErrUnauthenticated,
	codes.Unavailable:       pachclient.ErrUnavailable,
	codes.Unimplemented:     pachclient.ErrUnsupported,
	codes.Canceled:          context.Canceled,
	codes.DeadlineExceeded:  context.DeadlineExceeded,
	codes.InvalidArgument:   iofs.ErrInvalid,
	codes.ResourceExhausted: iofs.ErrInvalid,
}

// Error turns the error of a call into one of the few that callers act upon,
// with the server's words. nil and io.EOF stay as they are.
func Error(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("%s: %w", op, err)
	}
	words := strings.ReplaceAll(strings.TrimSpace(s.Message()), "\n", "; ")
	kind, known := codeErrors[s.Code()]
	if !known || kind == iofs.ErrExist || kind == iofs.ErrNotExist {
		for _, t := range texts {
			if strings.Contains(s.Message(), t.words) {
				kind = t.err
				break
			}
		}
	}
	if kind == nil {
		return fmt.Errorf("%s: %s", op, words)
	}
	return fmt.Errorf("%s: %w: %s", op, kind, words)
}
