package embedded

import (
	"context"
	"slices"

	"google.golang.org/protobuf/types/known/emptypb"

	"pachfs/pachclient/pfspb/pfs"
)

// remove takes a commit out of its line: its children become those of its
// parent. Branches that point to it go to the parent; where there is none they
// get an empty commit.
func (t *tx) remove(c *commitRec) error {
	var parent *commitRec
	var err error
	if c.Parent != "" {
		if parent, err = t.commit(c.Repo, c.Parent); err != nil {
			return err
		}
	}
	if parent != nil {
		i := slices.Index(parent.Children, c.ID)
		parent.Children = slices.Replace(parent.Children, i, i+1, c.Children...)
		if err := t.putCommit(parent); err != nil {
			return err
		}
	}
	for _, id := range c.Children {
		child, err := t.commit(c.Repo, id)
		if err != nil {
			return err
		}
		child.Parent = c.Parent
		if c.Error == "" {
			if err := t.inherit(c, child); err != nil {
				return err
			}
		}
		if err := t.putCommit(child); err != nil {
			return err
		}
	}
	branches, err := t.branches(c.Repo)
	if err != nil {
		return err
	}
	for _, b := range branches {
		if b.Head != c.ID {
			continue
		}
		if parent != nil {
			err = t.setHead(b.Branch, parent.ID)
		} else {
			_, err = t.emptyCommit(b.Branch)
		}
		if err != nil {
			return err
		}
	}
	t.leaves()
	if !c.Finished.IsZero() {
		t.b.OnCommit(func() { t.s.removals.add(c) })
	}
	return t.forget(c.Repo, c.ID, number(c.Seq))
}

// inherit adds to a child what its parent, which goes, has changed.
func (t *tx) inherit(parent, child *commitRec) error {
	changes, err := child.Own.changes(t)
	if err != nil {
		return err
	}
	child.Own, _, err = t.overlay(parent.Own, changes)
	return err
}

// drop deletes a commit together with what it changed.
func (t *tx) drop(c *commitRec) error {
	if len(c.Children) > 0 {
		return unknown("cannot drop a commit that has children: %s", c)
	}
	return t.remove(c)
}

// squash deletes a commit and leaves what it changed to its children.
func (t *tx) squash(c *commitRec) error {
	if len(c.Children) == 0 {
		return unknown("cannot squash a commit that has no children as that would cause data loss, use the drop operation instead: %s", c)
	}
	for _, id := range c.Children {
		child, err := t.commit(c.Repo, id)
		if err != nil {
			return err
		}
		if child.Finished.IsZero() {
			return unknown("cannot squash until child commit %s is finished", child)
		}
	}
	return t.remove(c)
}

// DropCommit deletes a commit that has no children.
func (s *Server) DropCommit(ctx context.Context, req *pfs.DropCommitRequest) (*pfs.DropCommitResponse, error) {
	return &pfs.DropCommitResponse{}, s.update(ctx, func(t *tx) error {
		c, err := t.resolve(req.Commit)
		if err != nil {
			return err
		}
		return t.drop(c)
	})
}

// SquashCommit deletes a commit whose content its children keep.
func (s *Server) SquashCommit(ctx context.Context, req *pfs.SquashCommitRequest) (*pfs.SquashCommitResponse, error) {
	s.gate.RLock() // children inherit: trees are written
	defer s.gate.RUnlock()
	return &pfs.SquashCommitResponse{}, s.update(ctx, func(t *tx) error {
		c, err := t.resolve(req.Commit)
		if err != nil {
			return err
		}
		return t.squash(c)
	})
}

// DropCommitSet drops all commits of a set; there may be none.
func (s *Server) DropCommitSet(ctx context.Context, req *pfs.DropCommitSetRequest) (*emptypb.Empty, error) {
	if req.CommitSet == nil {
		return nil, required("DropCommitSetRequest.CommitSet")
	}
	return &emptypb.Empty{}, s.update(ctx, func(t *tx) error {
		return t.eachOfSet(req.CommitSet.Id, t.drop)
	})
}

// SquashCommitSet squashes all commits of a set; there may be none.
func (s *Server) SquashCommitSet(ctx context.Context, req *pfs.SquashCommitSetRequest) (*emptypb.Empty, error) {
	s.gate.RLock() // children inherit: trees are written
	defer s.gate.RUnlock()
	return &emptypb.Empty{}, s.update(ctx, func(t *tx) error {
		return t.eachOfSet(req.CommitSet.GetId(), t.squash)
	})
}

func (t *tx) eachOfSet(id string, fn func(*commitRec) error) error {
	all, err := t.commitSet(id)
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := fn(c); err != nil {
			return err
		}
	}
	return nil
}
