package embedded

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pachfs/pachclient/pfspb/pfs"
)

// reached says whether a commit has come as far as a state. A commit without
// provenance is ready from the start.
func (c *commitRec) reached(state pfs.CommitState) bool {
	switch state {
	case pfs.CommitState_FINISHING:
		return !c.Finishing.IsZero()
	case pfs.CommitState_FINISHED:
		return !c.Finished.IsZero()
	}
	return true
}

// waitCommit waits until a commit has reached a state; it gives nil when the
// commit is deleted meanwhile.
func (s *Server) waitCommit(ctx context.Context, c *commitRec, state pfs.CommitState) (*commitRec, error) {
	err := s.await(ctx, func() (bool, error) {
		err := s.view(func(t *tx) (err error) {
			c, err = t.commit(c.Repo, c.ID)
			return err
		})
		return err != nil || c == nil || c.reached(state), err
	})
	return c, err
}

// lookCommit finds a commit and waits until it has reached a state.
func (s *Server) lookCommit(ctx context.Context, ref *pfs.Commit, state pfs.CommitState) (*commitRec, error) {
	var c *commitRec
	err := s.view(func(t *tx) (err error) {
		c, err = t.resolve(ref)
		return err
	})
	if err != nil || c.reached(state) {
		return c, err
	}
	now, err := s.waitCommit(ctx, c, state)
	if err == nil && now == nil {
		err = unknown("commit %s was deleted", c)
	}
	return now, err
}

// InspectCommit tells about one commit, or about a file set as if it were one.
func (s *Server) InspectCommit(ctx context.Context, req *pfs.InspectCommitRequest) (info *pfs.CommitInfo, err error) {
	r, err := commitRepo(req.Commit)
	if err != nil {
		return nil, err
	}
	if r.Name == fileSetRepo {
		if _, err := s.fileSet(req.Commit.Id); err != nil {
			return nil, err
		}
		return &pfs.CommitInfo{
			Commit:      fileSetCommit(req.Commit.Id),
			Description: "FileSet - Virtual Commit",
			Finished:    timestamppb.New(time.Unix(0, 0)),
		}, nil
	}
	c, err := s.lookCommit(ctx, req.Commit, req.Wait)
	if err != nil {
		return nil, fmt.Errorf("inspect commitHandle: %w", err)
	}
	err = s.view(func(t *tx) error {
		info, err = t.commitInfo(c)
		return err
	})
	return info, err
}

// ListCommit lists the commits of a repo, or the ancestors of one.
func (s *Server) ListCommit(req *pfs.ListCommitRequest, stream grpc.ServerStreamingServer[pfs.CommitInfo]) error {
	repo, err := repoOf(req.Repo)
	if err != nil {
		return err
	}
	var infos []*pfs.CommitInfo
	err = s.view(func(t *tx) error {
		r, err := t.repo(repo)
		if err == nil && r == nil {
			err = fmt.Errorf("ensure repo exists: %w", notFound("repo %s not found", repo))
		}
		if err != nil {
			return err
		}
		return t.listCommit(repo, req, func(c *commitRec) error {
			info, err := t.commitInfo(c)
			if err != nil {
				return err
			}
			info.SizeBytesUpperBound = c.Tree.Size
			infos = append(infos, info)
			if req.Number > 0 && int64(len(infos)) >= req.Number {
				return errStop
			}
			return nil
		})
	})
	return sendAll(stream, infos, err)
}

// listCommit calls fn with the commits that a request asks for.
func (t *tx) listCommit(repo repoName, req *pfs.ListCommitRequest, fn func(*commitRec) error) error {
	filter := func(c *commitRec) error {
		if req.OriginKind != pfs.OriginKind_ORIGIN_KIND_UNKNOWN && !req.All && c.Origin != req.OriginKind {
			return nil
		}
		if req.StartedTime != nil {
			limit := req.StartedTime.AsTime()
			if req.Reverse && !c.Started.After(limit) || !req.Reverse && !c.Started.Before(limit) {
				return nil
			}
		}
		return fn(c)
	}
	if req.From != nil && req.To == nil {
		return unknown("cannot use `from` commit without `to` commit")
	}
	for _, ref := range []*pfs.Commit{req.From, req.To} {
		if ref == nil {
			continue
		}
		r, err := commitRepo(ref)
		if err != nil {
			return err
		}
		if name, err := repoOf(r); err != nil {
			return err
		} else if name != repo {
			return unknown("`from` and `to` commits need to be from repo %s", repo)
		}
	}
	if req.To == nil {
		return t.commitsInOrder(repo, req.Reverse, filter)
	}
	if req.Reverse {
		return unknown("cannot use 'Reverse' while also using 'From' or 'To'")
	}
	to, err := t.resolve(req.To)
	if err != nil {
		return fmt.Errorf("inspect commitHandle: %w", err)
	}
	return t.walkParents(to, func(c *commitRec) error {
		if c.ID == req.From.GetId() {
			return errStop
		}
		return filter(c)
	})
}

// commitsInOrder calls fn with the commits of a repo, newest first; with
// oldestFirst the other way.
func (t *tx) commitsInOrder(repo repoName, oldestFirst bool, fn func(*commitRec) error) error {
	prefix := repo.key() + "@"
	cursor := t.b.Bucket(bucketOrder).Cursor()
	step := cursor.Next
	k, id := cursor.Seek([]byte(prefix))
	if !oldestFirst {
		step = cursor.Prev
		if k, _ = cursor.Seek([]byte(repo.key() + "A")); k == nil { // A comes after @
			k, id = cursor.Last()
		} else {
			k, id = cursor.Prev()
		}
	}
	for ; k != nil && strings.HasPrefix(string(k), prefix); k, id = step() {
		c, err := t.commit(repo, string(id))
		if err != nil {
			return err
		}
		if c == nil {
			return errNoCommit(repo, string(id))
		}
		if err := fn(c); err != nil {
			if err == errStop {
				return nil
			}
			return err
		}
	}
	return nil
}
