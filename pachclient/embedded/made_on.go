package embedded

import "pachfs/pachclient/pfspb/pfs"

// MadeOn gives the branch on which a commit was made. Answers leave it out, as
// those of pachd 2.11 do; earlier ones had it. A commit that is gone was made on "".
func (s *Server) MadeOn(repo *pfs.Repo, id string) (branch string, err error) {
	name, err := repoOf(repo)
	if err != nil {
		return "", err
	}
	err = s.view(func(t *tx) error {
		c, err := t.commit(name, id)
		if c != nil {
			branch = c.Branch
		}
		return err
	})
	return branch, err
}
