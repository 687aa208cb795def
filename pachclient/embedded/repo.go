package embedded

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pachfs/pachclient/pfspb/pfs"
)

// CreateRepo creates a repo, or with update sets the description of one that
// may exist.
func (s *Server) CreateRepo(ctx context.Context, req *pfs.CreateRepoRequest) (*emptypb.Empty, error) {
	if req.Repo == nil {
		return nil, unknown("repo cannot be nil")
	}
	if req.Repo.Type == "" {
		req.Repo.Type = userRepo
	}
	name, err := repoOf(req.Repo)
	if err != nil {
		return nil, err
	}
	if name.Name == fileSetRepo {
		return nil, unknown("%s is a reserved name", fileSetRepo)
	}
	if err := checkName(name.Name); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.update(ctx, func(t *tx) error {
		project, err := t.project(name.Project)
		if err != nil {
			return err
		}
		if project == nil {
			return fmt.Errorf("cannot find project %q: %w", name.Project, errNoProject(name.Project))
		}
		r, err := t.repo(name)
		if err != nil {
			return err
		}
		if r == nil {
			r = &repoRec{Repo: name, Created: t.now}
			if r.Seq, err = t.nextSeq(); err != nil {
				return err
			}
		} else if !req.Update {
			return fail(codes.AlreadyExists, "repo %s already exists", name)
		}
		r.Description = req.Description
		return t.putRepo(r)
	})
}

// someRepo finds a repo that must exist.
func (t *tx) someRepo(name repoName) (*repoRec, error) {
	r, err := t.repo(name)
	if err == nil && r == nil {
		err = notFound("repo %s not found", name)
	}
	return r, err
}

// repoInfo describes a repo without its size.
func (t *tx) repoInfo(r *repoRec) (*pfs.RepoInfo, error) {
	info := &pfs.RepoInfo{
		Repo:        r.Repo.proto(),
		Created:     timestamppb.New(r.Created),
		Description: r.Description,
		Metadata:    r.Metadata,
	}
	branches, err := t.branches(r.Repo)
	for _, b := range branches {
		info.Branches = append(info.Branches, r.Repo.branch(b.Branch.Name))
	}
	return info, err
}

// repoSize is the size of a repo as pachd counts it: that of the newest good
// commit of the branch master.
func (t *tx) repoSize(name repoName) (int64, error) {
	b, err := t.branch(branchName{name, "master"})
	if err != nil || b == nil {
		return 0, err
	}
	head, err := t.commit(name, b.Head)
	if err != nil || head == nil {
		return 0, err
	}
	return head.Base.Size, nil
}

// InspectRepo tells about one repo.
func (s *Server) InspectRepo(ctx context.Context, req *pfs.InspectRepoRequest) (info *pfs.RepoInfo, err error) {
	name, err := repoOf(req.Repo)
	if err != nil {
		return nil, err
	}
	err = s.view(func(t *tx) error {
		r, err := t.someRepo(name)
		if err != nil {
			return err
		}
		if info, err = t.repoInfo(r); err != nil {
			return err
		}
		size, err := t.repoSize(name)
		info.Details = &pfs.RepoInfo_Details{SizeBytes: size}
		return err
	})
	return info, err
}

// repos gives the repos of a project, or of all when it is "", of one type or
// of all, by name.
func (t *tx) repos(project, kind string) ([]*repoRec, error) {
	prefix := ""
	if project != "" {
		prefix = project + "/"
	}
	var all []*repoRec
	err := t.scan(bucketRepos, prefix, func(key string, data []byte) error {
		r := new(repoRec)
		if err := decodeRecord(bucketRepos, key, data, r); err != nil {
			return err
		}
		if kind == "" || r.Repo.Type == kind {
			all = append(all, r)
		}
		return nil
	})
	return all, err
}

// ListRepo lists repos, newest first as pachd does; with a page, by name.
func (s *Server) ListRepo(req *pfs.ListRepoRequest, stream grpc.ServerStreamingServer[pfs.RepoInfo]) error {
	var infos []*pfs.RepoInfo
	err := s.view(func(t *tx) error {
		all, err := t.repos("", req.Type)
		if err != nil {
			return err
		}
		if len(req.Projects) > 0 {
			all = slices.DeleteFunc(all, func(r *repoRec) bool {
				return !slices.ContainsFunc(req.Projects, func(p *pfs.Project) bool { return projectOf(p) == r.Repo.Project })
			})
		}
		if req.Page == nil {
			slices.SortFunc(all, func(a, b *repoRec) int { return int(int64(b.Seq) - int64(a.Seq)) })
		}
		for _, r := range page(all, req.Page) {
			info, err := t.repoInfo(r)
			if err != nil {
				return err
			}
			if info.SizeBytesUpperBound, err = t.repoSize(r.Repo); err != nil {
				return err
			}
			infos = append(infos, info)
		}
		return nil
	})
	return sendAll(stream, infos, err)
}

// page cuts one page out of a list.
func page[R any](all []R, p *pfs.RepoPage) []R {
	if p.GetPageSize() <= 0 || p.PageIndex < 0 {
		return all
	}
	if p.PageIndex > int64(len(all))/p.PageSize {
		return nil
	}
	all = all[p.PageIndex*p.PageSize:]
	return all[:min(p.PageSize, int64(len(all)))]
}

// deleteRepo removes a repo with all that is in it.
func (t *tx) deleteRepo(name repoName, force bool) error {
	branches, err := t.branches(name)
	if err != nil {
		return err
	}
	for _, b := range branches {
		if err := t.deleteBranch(b.Branch, force); err != nil {
			return fmt.Errorf("delete repo: delete branch %s: %w", b.Branch, err)
		}
	}
	var keys, ids []string
	err = t.scan(bucketOrder, name.key()+"@", func(seq string, id []byte) error {
		keys, ids = append(keys, seq), append(ids, string(id))
		return nil
	})
	if err != nil {
		return err
	}
	for i, id := range ids {
		if err := t.forget(name, id, keys[i]); err != nil {
			return err
		}
	}
	t.leaves()
	return t.del(bucketRepos, name.key())
}

// DeleteRepo deletes a repo; one that does not exist is no error.
func (s *Server) DeleteRepo(ctx context.Context, req *pfs.DeleteRepoRequest) (*pfs.DeleteRepoResponse, error) {
	name, err := repoOf(req.Repo)
	if err != nil {
		return nil, err
	}
	resp := &pfs.DeleteRepoResponse{}
	return resp, s.update(ctx, func(t *tx) error {
		r, err := t.repo(name)
		if err != nil || r == nil {
			return err
		}
		resp.Deleted = true
		return t.deleteRepo(name, req.Force)
	})
}

// DeleteRepos deletes all repos of some projects, or of all.
func (s *Server) DeleteRepos(ctx context.Context, req *pfs.DeleteReposRequest) (*pfs.DeleteReposResponse, error) {
	resp := &pfs.DeleteReposResponse{}
	return resp, s.update(ctx, func(t *tx) error {
		all, err := t.repos("", "")
		if err != nil {
			return err
		}
		for _, r := range all {
			named := slices.ContainsFunc(req.Projects, func(p *pfs.Project) bool { return projectOf(p) == r.Repo.Project })
			if !named && !req.All {
				continue
			}
			if err := t.deleteRepo(r.Repo, true); err != nil {
				return err
			}
			resp.Repos = append(resp.Repos, r.Repo.proto())
		}
		return nil
	})
}
