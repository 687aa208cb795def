package embedded

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pachfs/pachclient/pfspb/pfs"
)

// branches gives the branches of a repo, or of all when it is the zero name,
// newest first.
func (t *tx) branches(repo repoName) ([]*branchRec, error) {
	prefix := ""
	if repo != (repoName{}) {
		prefix = repo.key() + "@"
	}
	var all []*branchRec
	err := t.scan(bucketBranches, prefix, func(key string, data []byte) error {
		b := new(branchRec)
		all = append(all, b)
		return decodeRecord(bucketBranches, key, data, b)
	})
	slices.SortFunc(all, func(a, b *branchRec) int { return int(int64(b.Seq) - int64(a.Seq)) })
	return all, err
}

// branchInfo describes a branch; all are the branches of the store.
func (t *tx) branchInfo(b *branchRec, all []*branchRec) *pfs.BranchInfo {
	info := &pfs.BranchInfo{
		Branch:    b.Branch.Repo.branch(b.Branch.Name),
		Head:      b.Branch.Repo.commit(b.Head),
		Trigger:   b.Trigger,
		Metadata:  b.Metadata,
		CreatedAt: timestamppb.New(b.Created),
		UpdatedAt: timestamppb.New(b.Updated),
	}
	for _, p := range b.Provenance {
		info.DirectProvenance = append(info.DirectProvenance, p.Repo.branch(p.Name))
	}
	for _, p := range reach(b.Branch, func(x branchName) []branchName { return provenance(x, all) }) {
		info.Provenance = append(info.Provenance, p.Repo.branch(p.Name))
	}
	for _, p := range reach(b.Branch, func(x branchName) []branchName { return subvenance(x, all) }) {
		info.Subvenance = append(info.Subvenance, p.Repo.branch(p.Name))
	}
	return info
}

// setHead points a branch, which is created when it is missing, to a commit.
func (t *tx) setHead(name branchName, id string) (err error) {
	b, err := t.branch(name)
	if err != nil {
		return err
	}
	if b == nil {
		b = &branchRec{Branch: name, Created: t.now}
		if b.Seq, err = t.nextSeq(); err != nil {
			return err
		}
	}
	b.Head, b.Updated = id, t.now
	return t.putBranch(b)
}

// CreateBranch creates a branch or changes one: its head, its provenance and
// its trigger. A new branch without a head gets an empty finished commit.
func (s *Server) CreateBranch(ctx context.Context, req *pfs.CreateBranchRequest) (*emptypb.Empty, error) {
	name, err := branchOf(req.Branch)
	if err != nil {
		return nil, err
	}
	if err := checkBranchName(name.Name); err != nil {
		if commitForm.MatchString(name.Name) {
			err = fmt.Errorf("create branch: %w", err)
		}
		return nil, err
	}
	err = s.update(ctx, func(t *tx) error {
		head, err := t.newHead(name, req.Head)
		if err != nil {
			return err
		}
		if err := t.setHead(name, head); err != nil {
			return err
		}
		b, err := t.branch(name)
		if err != nil {
			return err
		}
		b.Trigger = req.Trigger
		b.Provenance = nil
		for _, p := range req.Provenance {
			from, err := branchOf(p)
			if err != nil {
				return err
			}
			if from.Repo == name.Repo {
				return unknown("repo %s cannot be in the provenance of its own branch", name.Repo)
			}
			if err := t.fillBranch(from); err != nil {
				return err
			}
			b.Provenance = append(b.Provenance, from)
		}
		if err := t.putBranch(b); err != nil || len(b.Provenance) == 0 {
			return err
		}
		if err := t.b.Bucket(bucketMeta).Put([]byte("linked"), []byte("1")); err != nil {
			return err
		}
		return t.noCycle(name)
	})
	return &emptypb.Empty{}, err
}

// fillBranch creates a branch, with an empty commit, unless it is there.
func (t *tx) fillBranch(name branchName) error {
	if b, err := t.branch(name); err != nil || b != nil {
		return err
	}
	if err := checkBranchName(name.Name); err != nil {
		return err
	}
	head, err := t.defaultHead(name)
	if err != nil {
		return err
	}
	return t.setHead(name, head)
}

func (t *tx) noCycle(name branchName) error {
	all, err := t.linked()
	if err != nil {
		return err
	}
	above := reach(name, func(x branchName) []branchName { return provenance(x, all) })
	for _, p := range append(above, name) {
		if slices.Contains(provenance(p, all), name) {
			return unknown("branch %s cannot be in its own provenance", name)
		}
	}
	return nil
}

// newHead says to which commit CreateBranch points the branch.
func (t *tx) newHead(name branchName, ref *pfs.Commit) (string, error) {
	if ref == nil {
		return t.defaultHead(name)
	}
	if r, err := commitRepo(ref); err != nil {
		return "", err
	} else if from, err := repoOf(r); err != nil {
		return "", err
	} else if from != name.Repo {
		return "", unknown("branch and head commit must belong to the same repo")
	}
	c, err := t.resolve(ref)
	if err != nil {
		return "", fmt.Errorf("unable to inspect %s@%s: %w", name.Repo, ref.Id, err)
	}
	return c.ID, nil
}

func (t *tx) defaultHead(name branchName) (string, error) {
	b, err := t.branch(name)
	if err != nil {
		return "", err
	}
	if b != nil {
		return b.Head, nil
	}
	if r, err := t.repo(name.Repo); err != nil {
		return "", err
	} else if r == nil {
		return "", notFound("get commit by commit key: %v\ncommit (int_id=0, commit_id=%s.%s@%s) not found",
			errNoRepoRow(name.Repo), name.Repo, name.Repo.Type, newID())
	}
	c, err := t.emptyCommit(name)
	if err != nil {
		return "", err
	}
	return c.ID, nil
}

// InspectBranch tells about one branch.
func (s *Server) InspectBranch(ctx context.Context, req *pfs.InspectBranchRequest) (info *pfs.BranchInfo, err error) {
	name, err := branchOf(req.Branch)
	if err != nil {
		return nil, err
	}
	err = s.view(func(t *tx) error {
		b, err := t.branch(name)
		if err == nil && b == nil {
			err = fmt.Errorf("inspect branch in transaction: %w", t.noBranch(name))
		}
		if err != nil {
			return err
		}
		all, err := t.linked()
		info = t.branchInfo(b, all)
		return err
	})
	return info, err
}

// ListBranch lists the branches of a repo, or of all, newest first.
func (s *Server) ListBranch(req *pfs.ListBranchRequest, stream grpc.ServerStreamingServer[pfs.BranchInfo]) error {
	var infos []*pfs.BranchInfo
	err := s.view(func(t *tx) error {
		var name repoName
		if req.Repo != nil {
			var err error
			if name, err = repoOf(req.Repo); err != nil {
				return err
			}
			if _, err := t.someRepo(name); err != nil {
				return err
			}
		}
		list, err := t.branches(name)
		if err != nil {
			return err
		}
		all, err := t.linked()
		for _, b := range list {
			infos = append(infos, t.branchInfo(b, all))
		}
		return err
	})
	if req.Reverse {
		slices.Reverse(infos)
	}
	return sendAll(stream, infos, err)
}

func (t *tx) deleteBranch(name branchName, force bool) error {
	all, err := t.linked()
	if err != nil {
		return err
	}
	made := subvenance(name, all)
	if len(made) > 0 && !force {
		return unknown("branch %q cannot be deleted because it's in the direct provenance of %v", name.String(), made)
	}
	for _, below := range made {
		b, err := t.branch(below)
		if err != nil {
			return err
		}
		b.Provenance = slices.DeleteFunc(b.Provenance, func(p branchName) bool { return p == name })
		if err := t.putBranch(b); err != nil {
			return err
		}
	}
	return t.del(bucketBranches, name.key())
}

// DeleteBranch deletes a branch; its commits stay.
func (s *Server) DeleteBranch(ctx context.Context, req *pfs.DeleteBranchRequest) (*emptypb.Empty, error) {
	if req.Branch == nil {
		return nil, required("DeleteBranchRequest.Branch")
	}
	name, err := branchOf(req.Branch)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.update(ctx, func(t *tx) error {
		b, err := t.branch(name)
		if err != nil {
			return err
		}
		if b == nil {
			err := errNoBranchRow(name)
			if r, _ := t.repo(name.Repo); r == nil {
				err = notFound("%v\n%v", errNoRepoRow(name.Repo), err)
			}
			return fmt.Errorf("get branch \"%s.%s@%s\": %w", name.Repo, name.Repo.Type, name.Name, err)
		}
		return t.deleteBranch(name, req.Force)
	})
}
