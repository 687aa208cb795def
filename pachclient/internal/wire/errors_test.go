package wire

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"pachfs/pachclient"
)

// What pachds of all ages say, and what it means. The texts were recorded, or
// stand in the sources of their time.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		code codes.Code
		text string
		want error
	}{
		{codes.NotFound, "repo (id=0, project=default, name=x, type=user) not found\nbranch \"m\" not found in repo default/x", iofs.ErrNotExist},
		{codes.Unknown, "branch master not found in repo x", iofs.ErrNotExist},
		{codes.Unknown, "branches x.user@master not found", iofs.ErrNotExist},
		{codes.NotFound, "commit x@master=0123456789ab4def0123456789abcdef not found", iofs.ErrNotExist},
		{codes.Unknown, "output commit x@master=0123456789ab4def0123456789abcdef not finished", pachclient.ErrOpenCommit},
		{codes.Unknown, "commit 0123456789ab4def0123456789abcdef in repo x has already finished", pachclient.ErrFinished},
		{codes.NotFound, "commit/0123 does not contain item: (/p)", iofs.ErrNotExist},
		{codes.Unknown, "path does not exist", iofs.ErrNotExist},
		{codes.Unknown, "parsing fileset.ID: too short to be ID len=3", iofs.ErrNotExist},
		{codes.AlreadyExists, "repo default/x already exists", iofs.ErrExist},
		{codes.Unknown, "start commit in transaction: parent commit default/x@0 has not been finished", pachclient.ErrOpenCommit},
		{codes.Unknown, "base commit default/x@1 for commit default/x@2 unfinished", pachclient.ErrOpenCommit},
		{codes.Unknown, "commit default/x@1 has already finished", pachclient.ErrFinished},
		{codes.Unknown, "cannot start a commit on an output branch: default/x@master", pachclient.ErrOutputBranch},
		{codes.Unknown, "path (/a*b) invalid: globbing character (*) not allowed in path", pachclient.ErrBadName},
		{codes.Unknown, "cannot get directory or non-regular file. Use GetFileTAR instead", pachclient.ErrIsDir},
		{codes.Unauthenticated, "provided auth token is corrupted or has expired (try logging in again)", pachclient.ErrUnauthenticated},
		{codes.PermissionDenied, "u is not authorized to perform this operation", iofs.ErrPermission},
		{codes.Unavailable, "connection refused", pachclient.ErrUnavailable},
		{codes.Unimplemented, "unknown service metadata.API", pachclient.ErrUnsupported},
		{codes.Canceled, "context canceled", context.Canceled},
		{codes.DeadlineExceeded, "context deadline exceeded", context.DeadlineExceeded},
	} {
		err := Error("op", status.Error(c.code, c.text))
		if !errors.Is(err, c.want) {
			t.Errorf("%s %q: %v, want %v", c.code, c.text, err, c.want)
		}
		for _, other := range []error{iofs.ErrNotExist, iofs.ErrExist, pachclient.ErrOpenCommit, pachclient.ErrUnavailable} {
			if other != c.want && errors.Is(err, other) {
				t.Errorf("%s %q is %v as well", c.code, c.text, other)
			}
		}
	}
	if Error("op", nil) != nil || Error("op", io.EOF) != io.EOF {
		t.Error("no error became one")
	}
}

// A literal path never reaches the server as a pattern of its own.
func TestLiteral(t *testing.T) {
	for path, want := range map[string]string{
		"/a/b c": "/a/b c", `/a\b`: `/{a\\b}`, "/x,y": "/x,y", `/d\e/f,g`: `/{d\\e/f\,g}`, "/we?rd": `/{we\?rd}`,
	} {
		if got := Literal(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
