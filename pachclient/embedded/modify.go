package embedded

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"pachfs/pachclient/embedded/internal/tree"
	"pachfs/pachclient/pfspb/pfs"
)

// A target is where a ModifyFile stream goes: into a commit that was open when
// the stream began, or into a new commit of a branch.
type target struct {
	commit *commitRec
	branch branchName
}

// ModifyFile changes files. When the stream is over, all of it happens in one
// transaction, or nothing.
func (s *Server) ModifyFile(stream grpc.ClientStreamingServer[pfs.ModifyFileRequest, emptypb.Empty]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	set, ok := first.Body.(*pfs.ModifyFileRequest_SetCommit)
	if !ok {
		return unknown("first message must be a commit")
	}
	to, err := s.target(set.SetCommit)
	if err != nil {
		return err
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	changes, err := s.receive(stream, to)
	if err != nil {
		return err
	}
	if err := s.land(stream.Context(), to, changes); err != nil {
		s.dirty.set(true)
		return err
	}
	return stream.SendAndClose(&emptypb.Empty{})
}

// target finds out where a stream goes. A repo that is missing is noticed
// when the stream is over, as in pachd.
func (s *Server) target(ref *pfs.Commit) (to target, err error) {
	r, err := commitRepo(ref)
	if err != nil {
		return to, err
	}
	repo, err := repoOf(r)
	if err != nil {
		return to, err
	}
	name := ref.Branch.GetName()
	if name == "" && !strings.ContainsAny(ref.Id, "^~.") && !commitForm.MatchString(ref.Id) && ref.Branch != nil {
		name = ref.Id // pachctl sends a branch name in ID with a nameless branch
	}
	byName := name != "" && (ref.Id == "" || ref.Id == name)
	err = s.view(func(t *tx) error {
		if byName {
			to.branch = branchName{repo, name}
			b, err := t.branch(to.branch)
			if err != nil || b == nil {
				return err
			}
			head, err := t.commit(repo, b.Head)
			if err == nil && head != nil && head.open() {
				to.commit = head
			}
			return err
		}
		to.commit, err = t.resolve(ref)
		if err == nil && !to.commit.open() {
			err = errFinished(to.commit)
		}
		return err
	})
	return to, err
}

// receive takes the messages of a stream. to is zero for a file set.
func (s *Server) receive(stream modifyStream, to target) ([]tree.Change, error) {
	g := newStage(s.content)
	changes, err := s.receiveInto(g, stream, to)
	if err != nil {
		g.w.Sync() // whatever comes of it: nothing of this stream may go on behind its back
	}
	if err != nil || g.lost {
		s.dirty.set(true)
	}
	return changes, err
}

type modifyStream interface {
	Recv() (*pfs.ModifyFileRequest, error)
	Context() context.Context
}

func (s *Server) receiveInto(g *stage, stream modifyStream, to target) ([]tree.Change, error) {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return g.finish()
		}
		if err != nil {
			return nil, err
		}
		switch body := req.Body.(type) {
		case *pfs.ModifyFileRequest_AddFile:
			err = s.addFile(stream.Context(), g, body.AddFile)
		case *pfs.ModifyFileRequest_DeleteFile:
			err = s.deleteFile(stream.Context(), g, to, body.DeleteFile)
		case *pfs.ModifyFileRequest_CopyFile:
			err = s.copyFile(stream.Context(), g, body.CopyFile)
		case *pfs.ModifyFileRequest_SetCommit:
			err = unknown("cannot set commit")
		default:
			err = unknown("unrecognized message type")
		}
		if err != nil {
			return nil, err
		}
	}
}

// land makes the changes happen.
func (s *Server) land(ctx context.Context, to target, changes []tree.Change) error {
	return s.update(ctx, func(t *tx) error {
		if to.commit == nil {
			c, err := t.startCommit(to.branch, nil, "")
			if err != nil {
				return err
			}
			if err := t.write(c, changes); err != nil {
				return err
			}
			return t.finish(c, "", "")
		}
		c, err := t.commit(to.commit.Repo, to.commit.ID)
		switch {
		case err != nil:
			return err
		case c == nil:
			return errNoCommit(to.commit.Repo, to.commit.ID)
		case !c.open():
			return errFinished(c)
		}
		if err := t.write(c, changes); err != nil {
			return err
		}
		return t.putCommit(c)
	})
}

// write applies changes to the tree of an open commit.
func (t *tx) write(c *commitRec, changes []tree.Change) error {
	if len(changes) == 0 {
		return nil
	}
	first := c.Tree.Root == 0 && c.Own == (layer{})
	if c.Own != (layer{}) { // what was written before is replaced
		t.leaves()
	}
	own, collision, err := t.overlay(c.Own, changes)
	if err != nil {
		return err
	}
	c.Own = own
	if first { // what the commit puts is all there is
		c.Tree = own.Files
	} else {
		if err := settle(t, c.Tree, changes, t.newWriter()); err != nil {
			return err
		}
		if c.Tree, collision, err = tree.Apply(t, c.Tree, changes); err != nil {
			return err
		}
	}
	if collision != nil {
		c.Invalid = true
	}
	return nil
}
