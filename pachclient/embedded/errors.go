package embedded

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// An rpcError is an error with the code that pachd gives it. Wrapping adds to
// its words and keeps the code.
type rpcError struct {
	code codes.Code
	text string
}

func (e *rpcError) Error() string { return e.text }

func fail(code codes.Code, format string, args ...any) error {
	return &rpcError{code, fmt.Sprintf(format, args...)}
}

// unknown is what pachd gives most errors.
func unknown(format string, args ...any) error { return fail(codes.Unknown, format, args...) }

func notFound(format string, args ...any) error { return fail(codes.NotFound, format, args...) }

var errClosing = fail(codes.Unavailable, "the server is closing")

// toStatus gives an error the form in which it travels.
func toStatus(err error) error {
	var e *rpcError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return status.Error(e.code, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Unknown, err.Error())
}

func errNoCommit(repo repoName, id string) error {
	return notFound("commit %s@%s not found", repo, id)
}

func errFinished(c *commitRec) error { return unknown("commit %s has already finished", c) }

func errUnfinishedParent(repo repoName, id string) error {
	return unknown("parent commit %s@%s has not been finished", repo, id)
}

func errNoProject(name string) error {
	return notFound("get project by name: project %q not found", name)
}

// errNoRepoRow is what a missing repo looks like to calls that ask the
// database for its row.
func errNoRepoRow(r repoName) error {
	return notFound("repo (id=0, project=%s, name=%s, type=%s) not found", r.Project, r.Name, r.Type)
}

func errNoBranchRow(b branchName) error { return notFound("branch (id=0, branch=%s) not found", b) }

func required(field string) error {
	return fail(codes.InvalidArgument, "validate request: invalid %s: value is required", field)
}
