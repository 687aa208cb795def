package pachclient

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// DefaultProject is the project of a repo that names none.
const DefaultProject = "default"

// DefaultBranch is the branch that a bare repo name stands for.
const DefaultBranch = "master"

// FileSetRepo is the virtual repo whose commits are file sets.
const FileSetRepo = "__filesets__"

// A Repo names a user repo of a project.
type Repo struct{ Project, Name string }

func (r Repo) String() string { return r.Name }

// A RepoInfo is a repo and the names of its branches, sorted.
type RepoInfo struct {
	Repo     Repo
	Branches []string
}

// A Branch names a branch of a repo.
type Branch struct{ Project, Repo, Name string }

// ParseBranch reads "repo@branch", or "repo" for its default branch.
// It fails with ErrBadName for anything that cannot name a branch.
func ParseBranch(project, s string) (Branch, error) {
	repo, name, ok := strings.Cut(s, "@")
	if !ok {
		name = DefaultBranch
	}
	b := Branch{Project: project, Repo: repo, Name: name}
	if !ValidRefName(repo) || !ValidRefName(name) || IsCommitID(name) {
		return Branch{}, fmt.Errorf("%q is not repo@branch: %w", s, ErrBadName)
	}
	return b, nil
}

// String gives "repo@branch".
func (b Branch) String() string { return b.Repo + "@" + b.Name }

// In gives the repo of the branch.
func (b Branch) In() Repo { return Repo{Project: b.Project, Name: b.Repo} }

// A BranchInfo is a branch as it stands.
type BranchInfo struct {
	Branch Branch
	Head   Commit // may be open; no ID: the branch has no commit
	Output bool   // written by a pipeline (its provenance is not empty): nobody else may write it
}

// A Commit names a commit of Branch's repo by its ID: 32 lowercase hex digits.
// Branch.Name may be empty in answers (servers from 2.11 on leave it out);
// requests should carry it when it is known, for servers before 2.6: there
// commits on several branches of a repo can have one ID.
// In requests ID may also be an ancestry suffix ("^", "^2", ".1") on the
// branch or on an ID, or empty for the head of the branch as it stands.
type Commit struct {
	Branch Branch
	ID     string
}

func (c Commit) String() string { return c.Branch.Repo + "@" + c.ID }

// Zero says whether c names nothing: the state of a branch without commits.
// Reading it shows an empty tree.
func (c Commit) Zero() bool { return c.ID == "" }

// Same says whether c and d are one commit; their branch names don't count.
func (c Commit) Same(d Commit) bool {
	return c.ID == d.ID && c.Branch.In() == d.Branch.In()
}

// IsCommitID says whether s has the form of a commit ID.
func IsCommitID(s string) bool {
	if len(s) != 32 || s[12] != '4' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// A CommitInfo is what is known of a commit.
type CommitInfo struct {
	Commit      Commit
	Parent      Commit // zero: none
	Description string
	Started     time.Time
	Finishing   time.Time // zero: open
	Finished    time.Time // zero: open or finishing
	Error       string    // not empty: it finished badly; descendants skip its data
	Metadata    map[string]string
}

// Good says whether the commit is finished without error.
func (i CommitInfo) Good() bool { return !i.Finished.IsZero() && i.Error == "" }

// Open says whether the commit still takes writes.
func (i CommitInfo) Open() bool { return i.Finishing.IsZero() }

// A Hash is a file's content hash as Pachyderm computes it: equal hash means
// equal bytes, also across commits, branches and repos. The reverse holds for
// files under 1,000,000 bytes only. The zero Hash is "unknown".
type Hash [32]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Zero says whether the hash is unknown.
func (h Hash) Zero() bool { return h == Hash{} }

// A FileInfo describes a file or a directory of a commit.
type FileInfo struct {
	Path    string // from the root with a leading slash, never a trailing one; the root is "/"
	Dir     bool
	Size    int64     // bytes; of a directory the sum of its files
	Hash    Hash      // of a directory: ignores names, so equal hashes do not mean equal trees
	ModTime time.Time // when the commit that was asked was finished
}

// A Diff is one path that differs between two commits. Old.Path or New.Path
// is empty where the path does not exist.
type Diff struct{ Old, New FileInfo }

// Path gives the path that differs.
func (d Diff) Path() string {
	if d.New.Path != "" {
		return d.New.Path
	}
	return d.Old.Path
}

// Dir says whether the path is a directory, on the side where it exists.
func (d Diff) Dir() bool {
	if d.New.Path != "" {
		return d.New.Dir
	}
	return d.Old.Dir
}

// A FileSet is the ID of an uploaded change that is in no commit yet.
type FileSet string

// Commit gives the virtual commit under which the set can be read.
func (s FileSet) Commit() Commit {
	return Commit{Branch: Branch{Repo: FileSetRepo}, ID: string(s)}
}

// A Cluster says which Pachyderm answers.
type Cluster struct {
	ID         string
	Deployment string // survives restarts and changes of address; falls back to ID
	Version    string // "2.11.6"; "0.0.0" when the server doesn't say
}
