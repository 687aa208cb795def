package embedded

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pachfs/pachclient/pfspb/pfs"
)

// CreateProject creates a project, or changes the description of one.
func (s *Server) CreateProject(ctx context.Context, req *pfs.CreateProjectRequest) (*emptypb.Empty, error) {
	name := req.Project.GetName()
	if err := checkProjectName(name); err != nil {
		return nil, fmt.Errorf("invalid project name: %w", err)
	}
	err := s.update(ctx, func(t *tx) error {
		p, err := t.project(name)
		switch {
		case err != nil:
			return err
		case p == nil:
			p = &projectRec{Name: name, Created: t.now}
		case !req.Update:
			return fail(codes.AlreadyExists, "project %q already exists\nproject %s already exists", name, name)
		}
		p.Description = req.Description
		return t.putProject(p)
	})
	return &emptypb.Empty{}, err
}

// inspectProject finds a project; its error is that of InspectProject.
func (t *tx) inspectProject(p *pfs.Project) (*projectRec, error) {
	rec, err := t.project(projectOf(p))
	if err == nil && rec == nil {
		err = fmt.Errorf("error getting project %q: %w", projectOf(p), errNoProject(projectOf(p)))
	}
	return rec, err
}

func (p *projectRec) info() *pfs.ProjectInfo {
	return &pfs.ProjectInfo{
		Project:     &pfs.Project{Name: p.Name},
		Description: p.Description,
		CreatedAt:   timestamppb.New(p.Created),
		Metadata:    p.Metadata,
	}
}

// InspectProject tells about one project.
func (s *Server) InspectProject(ctx context.Context, req *pfs.InspectProjectRequest) (info *pfs.ProjectInfo, err error) {
	if req.Project == nil {
		return nil, required("InspectProjectRequest.Project")
	}
	err = s.view(func(t *tx) error {
		p, err := t.inspectProject(req.Project)
		if err == nil {
			info = p.info()
		}
		return err
	})
	return info, err
}

// InspectProjectV2 tells the same, and the defaults of pipelines: none.
func (s *Server) InspectProjectV2(ctx context.Context, req *pfs.InspectProjectV2Request) (*pfs.InspectProjectV2Response, error) {
	if req.Project == nil {
		return nil, required("InspectProjectV2Request.Project")
	}
	info, err := s.InspectProject(ctx, &pfs.InspectProjectRequest{Project: req.Project})
	if err != nil {
		return nil, fmt.Errorf("could not inspect project %q: %w", projectOf(req.Project), err)
	}
	return &pfs.InspectProjectV2Response{Info: info, DefaultsJson: "{}"}, nil
}

// ListProject lists all projects by name.
func (s *Server) ListProject(_ *pfs.ListProjectRequest, stream grpc.ServerStreamingServer[pfs.ProjectInfo]) error {
	var infos []*pfs.ProjectInfo
	err := s.view(func(t *tx) error {
		return t.scan(bucketProjects, "", func(name string, data []byte) error {
			var p projectRec
			if err := decodeRecord(bucketProjects, name, data, &p); err != nil {
				return err
			}
			infos = append(infos, p.info())
			return nil
		})
	})
	return sendAll(stream, infos, err)
}

// sendAll streams what a transaction collected.
func sendAll[M any](stream grpc.ServerStreamingServer[M], all []*M, err error) error {
	for _, m := range all {
		if err != nil {
			break
		}
		err = stream.Send(m)
	}
	return err
}

// DeleteProject deletes a project; with force its repos, too.
func (s *Server) DeleteProject(ctx context.Context, req *pfs.DeleteProjectRequest) (*emptypb.Empty, error) {
	name := projectOf(req.Project)
	err := s.update(ctx, func(t *tx) error {
		p, err := t.project(name)
		if err != nil {
			return err
		}
		if p == nil {
			return notFound("delete project %q: project %q not found", name, name)
		}
		repos, err := t.repos(name, "")
		if err != nil {
			return err
		}
		for _, r := range repos {
			if !req.Force {
				return fail(codes.FailedPrecondition, "cannot delete project %s: repo %s still exists", name, r.Repo)
			}
			if err := t.deleteRepo(r.Repo, true); err != nil {
				return err
			}
		}
		return t.del(bucketProjects, name)
	})
	return &emptypb.Empty{}, err
}
