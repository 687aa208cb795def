package embedded

import (
	"regexp"
	"strings"

	"pachfs/pachclient/pfspb/pfs"
)

var (
	nameForm   = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
	commitForm = regexp.MustCompile(`^[0-9a-f]{12}4[0-9a-f]{19}$`)
)

const maxProjectName = 51

func checkName(name string) error {
	if !nameForm.MatchString(name) {
		return unknown("name (%s) invalid: only alphanumeric characters, underscores, and dashes are allowed", name)
	}
	return nil
}

func checkBranchName(name string) error {
	if commitForm.MatchString(name) {
		return unknown("branch name cannot be a UUID V4")
	}
	return checkName(name)
}

func checkProjectName(name string) error {
	err := checkName(name)
	if err == nil && strings.ContainsRune("_-", rune(name[0])) {
		err = unknown("project names must start with an alphanumeric character")
	}
	if over := len(name) - maxProjectName; err == nil && over > 0 {
		err = unknown("project name %q is %d characters longer than the %d max", name, over, maxProjectName)
	}
	return err
}

// repoOf reads the name of a repo. A missing project is the default one; a
// missing type is refused, as pachd's database does.
func repoOf(r *pfs.Repo) (repoName, error) {
	if r == nil {
		return repoName{}, unknown("repo cannot be nil")
	}
	name := repoName{Project: projectOf(r.Project), Name: r.Name, Type: r.Type}
	switch r.Type {
	case userRepo, "meta", "spec":
		return name, nil
	}
	return name, unknown("scanning repo row: ERROR: invalid input value for enum pfs.repo_type: %q (SQLSTATE 22P02)", r.Type)
}

func projectOf(p *pfs.Project) string {
	if p.GetName() == "" {
		return defaultProject
	}
	return p.Name
}

func branchOf(b *pfs.Branch) (branchName, error) {
	if b == nil {
		return branchName{}, unknown("branch cannot be nil")
	}
	repo, err := repoOf(b.Repo)
	return branchName{repo, b.Name}, err
}

// commitRepo gives the repo that a reference to a commit names.
func commitRepo(c *pfs.Commit) (*pfs.Repo, error) {
	switch {
	case c == nil:
		return nil, unknown("commit cannot be nil")
	case c.Repo != nil:
		return c.Repo, nil
	case c.Branch.GetRepo() != nil:
		return c.Branch.Repo, nil
	}
	return nil, unknown("commit must have a repo")
}
