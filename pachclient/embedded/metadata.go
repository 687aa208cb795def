package embedded

import (
	"context"
	"maps"

	"google.golang.org/grpc/codes"

	"pachfs/pachclient/pfspb/metadata"
	"pachfs/pachclient/pfspb/pfs"
)

type metadataServer struct {
	metadata.UnimplementedAPIServer
	s *Server
}

// EditMetadata changes the keys and values of projects, repos, branches and
// commits: all edits of a request, or none.
func (m metadataServer) EditMetadata(ctx context.Context, req *metadata.EditMetadataRequest) (*metadata.EditMetadataResponse, error) {
	return &metadata.EditMetadataResponse{}, m.s.update(ctx, func(t *tx) error {
		for i, e := range req.Edits {
			if err := t.editMetadata(e); err != nil {
				return prefixed("edit #"+string(rune('0'+i%10)), err)
			}
		}
		return nil
	})
}

func (t *tx) editMetadata(e *metadata.Edit) error {
	switch target := e.Target.(type) {
	case *metadata.Edit_Project:
		p, err := t.inspectProject(&pfs.Project{Name: target.Project.GetName()})
		if err != nil {
			return err
		}
		if p.Metadata, err = edited(p.Metadata, e); err != nil {
			return err
		}
		return t.putProject(p)
	case *metadata.Edit_Repo:
		r, err := t.someRepo(pickRepo(target.Repo))
		if err != nil {
			return err
		}
		if r.Metadata, err = edited(r.Metadata, e); err != nil {
			return err
		}
		return t.putRepo(r)
	case *metadata.Edit_Branch:
		b, err := t.pickBranch(target.Branch)
		if err != nil {
			return err
		}
		if b.Metadata, err = edited(b.Metadata, e); err != nil {
			return err
		}
		return t.putBranch(b)
	case *metadata.Edit_Commit:
		c, err := t.pickCommit(target.Commit)
		if err != nil {
			return err
		}
		if c.Metadata, err = edited(c.Metadata, e); err != nil {
			return err
		}
		return t.putCommit(c)
	}
	return fail(codes.InvalidArgument, "no target that this server knows")
}

// edited applies one edit to a copy.
func edited(have map[string]string, e *metadata.Edit) (map[string]string, error) {
	now := maps.Clone(have)
	if now == nil {
		now = make(map[string]string)
	}
	switch op := e.Op.(type) {
	case *metadata.Edit_Replace_:
		return op.Replace.GetReplacement(), nil
	case *metadata.Edit_AddKey_:
		if _, ok := now[op.AddKey.GetKey()]; ok {
			return nil, fail(codes.FailedPrecondition, "add key: key %q already exists", op.AddKey.GetKey())
		}
		now[op.AddKey.GetKey()] = op.AddKey.GetValue()
	case *metadata.Edit_EditKey_:
		now[op.EditKey.GetKey()] = op.EditKey.GetValue()
	case *metadata.Edit_DeleteKey_:
		delete(now, op.DeleteKey.GetKey())
	default:
		return nil, fail(codes.InvalidArgument, "no edit that this server knows")
	}
	return now, nil
}

func pickRepo(p *pfs.RepoPicker) repoName {
	n := p.GetName()
	r := repoName{Project: n.GetProject().GetName(), Name: n.GetName(), Type: n.GetType()}
	if r.Project == "" {
		r.Project = defaultProject
	}
	if r.Type == "" {
		r.Type = userRepo
	}
	return r
}

func (t *tx) pickBranch(p *pfs.BranchPicker) (*branchRec, error) {
	name := branchName{pickRepo(p.GetName().GetRepo()), p.GetName().GetName()}
	b, err := t.branch(name)
	if err == nil && b == nil {
		err = t.noBranch(name)
	}
	return b, err
}

func (t *tx) pickCommit(p *pfs.CommitPicker) (*commitRec, error) {
	var start *commitRec
	var err error
	steps := 0
	switch pick := p.GetPicker().(type) {
	case *pfs.CommitPicker_BranchHead:
		return t.pickHead(pick.BranchHead)
	case *pfs.CommitPicker_Id:
		repo, id := pickRepo(pick.Id.GetRepo()), pick.Id.GetId()
		c, err := t.commit(repo, id)
		if err == nil && c == nil {
			err = errNoCommit(repo, id)
		}
		return c, err
	case *pfs.CommitPicker_Ancestor:
		steps = int(pick.Ancestor.GetOffset())
		start, err = t.pickCommit(pick.Ancestor.GetStart())
	case *pfs.CommitPicker_BranchRoot_:
		steps = -1 - int(pick.BranchRoot.GetOffset())
		start, err = t.pickHead(pick.BranchRoot.GetBranch())
	default:
		return nil, fail(codes.InvalidArgument, "the commit picker is empty")
	}
	if err != nil {
		return nil, err
	}
	c, err := t.ancestor(start, steps)
	if err == nil && c == nil {
		err = notFound("ancestor %d of commit %s not found", steps, start)
	}
	return c, err
}

func (t *tx) pickHead(p *pfs.BranchPicker) (*commitRec, error) {
	b, err := t.pickBranch(p)
	if err != nil {
		return nil, err
	}
	return t.head(b.Branch)
}
