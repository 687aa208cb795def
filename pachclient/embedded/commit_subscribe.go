package embedded

import (
	"fmt"
	"sync"

	"google.golang.org/grpc"

	"pachfs/pachclient/pfspb/pfs"
)

// SubscribeCommit sends the commits of a repo in the order of their creation,
// those that exist and those to come, each when it has reached a state. One
// that has not holds back all that come after it. As in pachd 2.11 a finished
// commit that is dropped or squashed ends the subscriptions of its repo.
func (s *Server) SubscribeCommit(req *pfs.SubscribeCommitRequest, stream grpc.ServerStreamingServer[pfs.CommitInfo]) error {
	repo, err := repoOf(req.Repo)
	if err != nil {
		return err
	}
	if req.From != nil {
		r, err := commitRepo(req.From)
		if err != nil {
			return err
		}
		if from, err := repoOf(r); err != nil {
			return err
		} else if from != repo {
			return unknown("the `from` commit needs to be from repo %s", repo)
		}
	}
	last, since := uint64(0), s.removals.last(repo).count
	for {
		c, err := s.nextCommit(stream, repo, last, since)
		if err != nil {
			return err
		}
		last = c.Seq
		if !wanted(c, req) {
			continue
		}
		if c, err = s.waitCommit(stream.Context(), c, req.State); err != nil {
			return err
		}
		if c == nil { // deleted while it was waited for
			continue
		}
		var info *pfs.CommitInfo
		err = s.view(func(t *tx) (err error) {
			info, err = t.commitInfo(c)
			return err
		})
		if err != nil {
			return err
		}
		if err := stream.Send(info); err != nil {
			return err
		}
	}
}

func wanted(c *commitRec, req *pfs.SubscribeCommitRequest) bool {
	if req.Branch != "" && c.Branch != req.Branch {
		return false
	}
	if req.From != nil && c.ID == req.From.Id {
		return false
	}
	return req.All || req.OriginKind == pfs.OriginKind_ORIGIN_KIND_UNKNOWN || c.Origin == req.OriginKind
}

// nextCommit waits for the first commit of a repo that comes after a number, or
// fails when one is removed, after as many as were when it was subscribed.
func (s *Server) nextCommit(stream grpc.ServerStream, repo repoName, last uint64, removed int) (*commitRec, error) {
	var next *commitRec
	err := s.await(stream.Context(), func() (bool, error) {
		err := s.view(func(t *tx) error {
			if r, err := t.repo(repo); err != nil {
				return err
			} else if r == nil {
				return fmt.Errorf("get repo ID: %w", errNoRepoRow(repo))
			}
			prefix := repo.key() + "@"
			k, id := t.b.Bucket(bucketOrder).Cursor().Seek([]byte(prefix + number(last+1)))
			if k == nil || len(k) < len(prefix) || string(k[:len(prefix)]) != prefix {
				if r := s.removals.last(repo); r.count > removed {
					return notFound("commit (int_id=%d, commit_id=) not found", r.seq)
				}
				return nil
			}
			var err error
			next, err = t.commit(repo, string(id))
			return err
		})
		return next != nil, err
	})
	return next, err
}

// removals are the finished commits that were dropped or squashed since the
// server was opened.
type removals struct {
	mu sync.Mutex
	of map[repoName]removal
}

type removal struct {
	count int    // in a repo
	seq   uint64 // of the last
}

func (r *removals) add(c *commitRec) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = make(map[repoName]removal)
	}
	r.of[c.Repo] = removal{r.of[c.Repo].count + 1, c.Seq}
}

func (r *removals) last(repo repoName) removal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[repo]
}
