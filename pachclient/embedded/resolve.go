package embedded

import (
	"errors"
	"strconv"
	"strings"

	"pachfs/pachclient/pfspb/pfs"
)

// resolve finds the commit that a reference names: by ID, as the head of a
// branch, or as an ancestor of one of these.
func (t *tx) resolve(c *pfs.Commit) (*commitRec, error) {
	r, err := commitRepo(c)
	if err != nil {
		return nil, err
	}
	repo, err := repoOf(r)
	if err != nil {
		return nil, err
	}
	base, steps, err := ancestry(c.Id)
	if err != nil {
		return nil, err
	}
	start, err := t.resolveStart(repo, c.Branch.GetName(), base, c.Id)
	if err != nil || steps == 0 {
		return start, err
	}
	found, err := t.ancestor(start, steps)
	if err == nil && found == nil {
		err = errNoCommit(repo, c.Id)
	}
	return found, err
}

// resolveStart finds the commit from which the ancestry is counted.
func (t *tx) resolveStart(repo repoName, branch, id, asked string) (*commitRec, error) {
	if commitForm.MatchString(id) {
		c, err := t.commit(repo, id)
		if err == nil && c == nil {
			err = errNoCommit(repo, asked)
		}
		return c, err
	}
	if id != "" && branch != "" {
		return nil, unknown("invalid commit ID given with a branch (%s@%s): %s\n", repo, branch, id)
	}
	if branch == "" {
		branch = id
	}
	if branch == "" {
		return nil, unknown("cannot resolve commit with no ID or branch")
	}
	return t.head(branchName{repo, branch})
}

// head gives the commit that a branch points to.
func (t *tx) head(name branchName) (*commitRec, error) {
	b, err := t.branch(name)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, t.noBranch(name)
	}
	c, err := t.commit(name.Repo, b.Head)
	if err == nil && c == nil {
		err = errNoCommit(name.Repo, b.Head)
	}
	return c, err
}

// noBranch says all that is missing where a branch was looked for.
func (t *tx) noBranch(name branchName) error {
	project, err := t.project(name.Repo.Project)
	if err != nil {
		return err
	}
	repo, err := t.repo(name.Repo)
	if err != nil {
		return err
	}
	var text []string
	if project == nil {
		text = append(text, errNoProject(name.Repo.Project).Error())
	}
	if repo == nil {
		text = append(text, errNoRepoRow(name.Repo).Error())
	}
	text = append(text, errNoBranchRow(name).Error())
	return notFound("%s\nbranch %q not found in repo %s", strings.Join(text, "\n"), name.Name, name.Repo)
}

// ancestry splits the suffix off a reference: steps > 0 is that many parents
// back, steps < 0 the commit of that number from the root.
func ancestry(s string) (base string, steps int, err error) {
	at := strings.IndexAny(s, "^~.")
	if at < 0 {
		return s, 0, nil
	}
	base, sep, rest := s[:at], s[at], s[at+1:]
	if n, err := strconv.Atoi(rest); err == nil {
		if sep == '.' {
			n = -n
		}
		return base, n, nil
	}
	for _, c := range []byte(rest) {
		if c != sep {
			return "", 0, unknown("invalid ancestry syntax %q, cannot mix %c and %c characters", s, sep, c)
		}
	}
	steps = 1 + len(rest)
	if sep == '.' {
		steps = -steps
	}
	return base, steps, nil
}

// ancestor walks; nil: it went beyond the root.
func (t *tx) ancestor(start *commitRec, steps int) (*commitRec, error) {
	if steps < 0 {
		depth := 1
		err := t.walkParents(start, func(c *commitRec) error {
			if c.Parent != "" {
				depth++
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if steps += depth; steps < 0 {
			return nil, nil
		}
	}
	var found *commitRec
	err := t.walkParents(start, func(c *commitRec) error {
		if steps == 0 {
			found = c
			return errStop
		}
		steps--
		return nil
	})
	return found, err
}

// walkParents calls fn with a commit and its ancestors until fn says errStop.
func (t *tx) walkParents(c *commitRec, fn func(*commitRec) error) error {
	for {
		if err := fn(c); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
		if c.Parent == "" {
			return nil
		}
		parent, err := t.commit(c.Repo, c.Parent)
		if err != nil {
			return err
		}
		if parent == nil {
			return errNoCommit(c.Repo, c.Parent)
		}
		c = parent
	}
}
