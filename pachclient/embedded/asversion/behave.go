package asversion

import (
	"path"
	"regexp"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"pachfs/pachclient"
	"pachfs/pachclient/pfspb/pfs"
	pbversion "pachfs/pachclient/pfspb/version"
)

var commitID = regexp.MustCompile(`^[0-9a-f]{12}4[0-9a-f]{19}`)

// request makes a request what this version makes of it. It says whether
// anything is left to be done.
func (s *Server) request(m proto.Message) (pass bool, err error) {
	s.version.strip(m.ProtoReflect(), s.skip)
	if modify, ok := m.(*pfs.ModifyFileRequest); ok {
		if c := modify.GetSetCommit(); c != nil && c.Branch == nil && s.version.before(2, 11) {
			return false, s.crash("ModifyFile on a commit without a branch")
		}
		if c := modify.GetCopyFile(); c != nil && path.Clean("/"+c.Src.GetPath()) == "/" && s.version.before(2, 2) {
			return false, nil
		}
	}
	if !s.version.before(2, 6) {
		return true, nil
	}
	return true, each(m.ProtoReflect(), s.findUnderBranch)
}

func (s *Server) crash(what string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crashes = append(s.crashes, what)
	return status.Error(codes.Unavailable, "error reading from server: EOF")
}

// findUnderBranch refuses a reference to a commit that a server before 2.6
// doesn't resolve: its commits are kept under their branch.
func (s *Server) findUnderBranch(c *pfs.Commit) error {
	switch {
	case c.Branch == nil:
		return status.Error(codes.Unknown, "cannot resolve commit with no branch")
	case c.Branch.Repo == nil:
		return status.Error(codes.Unknown, "cannot resolve commit with no repo")
	case c.Branch.Repo.Name == pachclient.FileSetRepo || c.Branch.Name == "":
		return nil
	}
	id := commitID.FindString(c.Id)
	if id == "" {
		return nil
	}
	made, err := s.backend.MadeOn(c.Branch.Repo, id)
	if err == nil && made != c.Branch.Name {
		err = status.Errorf(codes.NotFound, "commit %s@%s=%s not found", c.Branch.Repo.Name, c.Branch.Name, c.Id)
	}
	return err
}

// answer makes an answer what this version says.
func (s *Server) answer(m proto.Message) error {
	if v, ok := m.(*pbversion.Version); ok {
		v.Major, v.Minor, v.Micro = s.version.major, s.version.minor, s.version.micro
	}
	if s.version.before(2, 11) {
		if err := each(m.ProtoReflect(), s.nameBranch); err != nil {
			return err
		}
	}
	s.version.strip(m.ProtoReflect(), func(string) {})
	return nil
}

// nameBranch adds the branch, which servers from 2.11 on leave out.
func (s *Server) nameBranch(c *pfs.Commit) (err error) {
	if c.Branch != nil || c.Repo == nil {
		return nil
	}
	c.Branch = &pfs.Branch{Repo: proto.CloneOf(c.Repo)}
	if c.Repo.Name != pachclient.FileSetRepo {
		c.Branch.Name, err = s.backend.MadeOn(c.Repo, c.Id)
	}
	return err
}

// code gives an error the code that this version gives it.
func (s *Server) code(err error) error {
	if st := status.Convert(err); s.version.before(2, 2) && st.Code() == codes.NotFound && strings.Contains(st.Message(), "branch ") {
		return status.Error(codes.Unknown, st.Message())
	}
	return err
}
