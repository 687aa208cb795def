package embedded

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/emptypb"

	"pachfs/pachclient/pfspb/pfs"
)

// noDeadline is the context of what no caller waits for.
var noDeadline = context.Background()

// startCommit opens a commit on a branch, which is created when it is missing;
// its repo is not. Without a parent the head of the branch is it.
func (t *tx) startCommit(name branchName, parent *pfs.Commit, description string) (*commitRec, error) {
	if err := checkBranchName(name.Name); err != nil {
		return nil, err
	}
	if _, err := t.someRepo(name.Repo); err != nil {
		return nil, err
	}
	b, err := t.branch(name)
	if err != nil {
		return nil, err
	}
	if b != nil && len(b.Provenance) > 0 {
		return nil, unknown("cannot start a commit on an output branch: %s", name)
	}
	var p *commitRec
	if parent != nil {
		p, err = t.parent(name, parent)
	} else if b != nil {
		p, err = t.head(name)
	}
	if err != nil {
		return nil, err
	}
	if p != nil && p.open() {
		return nil, errUnfinishedParent(p.Repo, p.ID)
	}
	return t.newCommit(name, p, pfs.OriginKind_USER, description)
}

func (t *tx) parent(name branchName, ref *pfs.Commit) (*commitRec, error) {
	if ref.Repo == nil && ref.Branch.GetRepo() == nil {
		ref = &pfs.Commit{Repo: name.Repo.proto(), Branch: ref.Branch, Id: ref.Id}
	}
	p, err := t.resolve(ref)
	if err != nil {
		return nil, fmt.Errorf("parent commit not found: %w", err)
	}
	if p.Repo != name.Repo {
		return nil, unknown("parent commit %s is not of repo %s", p, name.Repo)
	}
	return p, nil
}

// StartCommit opens a commit.
func (s *Server) StartCommit(ctx context.Context, req *pfs.StartCommitRequest) (ref *pfs.Commit, err error) {
	err = s.update(ctx, func(t *tx) error {
		if req.Branch == nil {
			return unknown("branch must be specified")
		}
		name, err := branchOf(req.Branch)
		if err != nil {
			return err
		}
		c, err := t.startCommit(name, req.Parent, req.Description)
		if err == nil {
			ref = c.Repo.commit(c.ID)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("start commit in transaction: %w", err)
	}
	return ref, nil
}

// FinishCommit ends an open commit, with an error if one is given.
func (s *Server) FinishCommit(ctx context.Context, req *pfs.FinishCommitRequest) (*emptypb.Empty, error) {
	if _, err := commitRepo(req.Commit); err != nil {
		return nil, fmt.Errorf("check new file commit: %w", err)
	}
	return &emptypb.Empty{}, s.update(ctx, func(t *tx) error {
		c, err := t.resolve(req.Commit)
		if err != nil {
			return fmt.Errorf("finish commit in transaction: %w", err)
		}
		return t.finish(c, req.Description, req.Error)
	})
}

// ClearCommit drops what was written to an open commit.
func (s *Server) ClearCommit(ctx context.Context, req *pfs.ClearCommitRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.update(ctx, func(t *tx) error {
		c, err := t.resolve(req.Commit)
		if err != nil {
			return err
		}
		if !c.open() {
			return unknown("cannot clear finished commit")
		}
		t.leaves()
		c.Tree, c.Own, c.Invalid = c.Base, layer{}, false
		return t.putCommit(c)
	})
}
