package control

import (
	"errors"

	"pachfs/pachclient"
	"pachfs/staging"
)

// The exit statuses of all commands.
const (
	ExitDone     = 0 // done, or nothing to do
	ExitFault    = 1
	ExitUsage    = 2
	ExitStaged   = 3 // changes stay staged
	ExitConflict = 4
)

// ErrStays marks a failure to land: the changes are still there.
var ErrStays = errors.New("the changes stay staged")

// An Error is a failure with the exit status that it stands for.
type Error struct {
	Message string `json:"error"`
	Exit    int    `json:"exit"`
}

func (e *Error) Error() string { return e.Message }

// ExitCode tells the exit status for an error; staged says that it came from
// an attempt to land changes, which stay where they are.
func ExitCode(err error, staged bool) int {
	var e *Error
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &e):
		return e.Exit
	case errors.Is(err, staging.ErrConflict):
		return ExitConflict
	case staged, errors.Is(err, ErrStays):
		return ExitStaged
	}
	return ExitFault
}

// Info tells of a daemon and its branches.
type Info struct {
	Mountpoint string           `json:"mountpoint"`
	Server     string           `json:"server"`
	Project    string           `json:"project"`
	Problem    string           `json:"problem,omitempty"` // of the server or its configuration
	StateDir   string           `json:"state_dir"`
	PID        int              `json:"pid"`
	Branches   []staging.Status `json:"branches"`
}

// A CommitRequest asks to land a branch, or all of them.
type CommitRequest struct {
	Branch     string `json:"branch,omitempty"`
	Message    string `json:"message,omitempty"`
	OnConflict string `json:"on_conflict,omitempty"` // a staging.Policy; none: the mount's
}

// Commits says which commit each branch got; "" where nothing made a difference.
type Commits map[string]string

// A DiscardRequest asks to forget staged changes.
type DiscardRequest struct {
	Branch string           `json:"branch"`
	Paths  pachclient.Paths `json:"paths,omitempty"`
}

// A DiffLine is one staged path.
type DiffLine struct {
	Op   string          `json:"op"`
	Path pachclient.Path `json:"path"`
}

// Stopped is how a daemon ended.
type Stopped struct {
	Exit    int    `json:"exit"`
	Message string `json:"message,omitempty"`
}

// branchOf reads a branch's name of the mount's project.
func (s *Server) branchOf(name string) (pachclient.Branch, error) {
	b, err := pachclient.ParseBranch(s.Project, name)
	if err != nil {
		return b, &Error{err.Error(), ExitUsage}
	}
	return b, nil
}
