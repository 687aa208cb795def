package embedded

import (
	"context"
	"errors"
	"fmt"
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
			err = s.addFile(g, body.AddFile)
		case *pfs.ModifyFileRequest_DeleteFile:
			err = s.deleteFile(g, to, body.DeleteFile)
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

func (s *Server) addFile(g *stage, req *pfs.AddFile) error {
	path, err := writePath(req.GetPath())
	if err != nil {
		return err
	}
	if path == "/" {
		return unknown("path (%s) invalid: the root is not a file", req.Path)
	}
	if _, ok := req.Source.(*pfs.AddFile_Url); ok {
		return unknown("files from a URL are not supported by the embedded server")
	}
	data := req.GetRaw().GetValue()
	s.stats.received.Add(int64(len(data)))
	return g.add(tree.Key(path, cleanDatum(req.Datum)), data)
}

// cleanDatum makes a datum fit for a key: NUL separates it from the name.
func cleanDatum(datum string) string { return strings.ReplaceAll(datum, "\x00", "") }

func (s *Server) deleteFile(g *stage, to target, req *pfs.DeleteFile) error {
	path, err := writePath(req.GetPath())
	if err != nil {
		return err
	}
	if !strings.HasSuffix(req.Path, "/") {
		g.delete(tree.Key(path, cleanDatum(req.Datum)))
		return nil
	}
	prefix := strings.TrimPrefix(path+"/", "/")
	if path == "/" {
		prefix = ""
	}
	keys, err := s.below(to, prefix)
	if err != nil {
		return err
	}
	g.deleteDir(prefix, keys)
	return nil
}

// below gives the keys of all files in a directory of the target, as it stands
// now. A file set has no target: nothing is there.
func (s *Server) below(to target, prefix string) ([]string, error) {
	var base tree.Dir
	err := s.view(func(t *tx) error {
		c := to.commit
		if c == nil {
			b, err := t.branch(to.branch)
			if err != nil || b == nil {
				return err
			}
			if c, err = t.commit(b.Branch.Repo, b.Head); err != nil || c == nil {
				return err
			}
			if !c.open() {
				base = c.Base
				return nil
			}
		}
		now, err := t.commit(c.Repo, c.ID)
		if err != nil || now == nil {
			return err
		}
		base = now.Tree
		return t.checkBase(now)
	})
	if err != nil {
		return nil, err
	}
	dir := &tree.Entry{IsDir: true, Dir: base}
	if prefix != "" {
		if dir, err = tree.Lookup(nodes{s}, base, prefix); err != nil || dir == nil {
			return nil, err
		}
	}
	var keys []string
	err = tree.Walk(nodes{s}, dir.Dir, prefix, "", func(key string, e *tree.Entry) error {
		if !e.IsDir {
			keys = append(keys, key)
		}
		return nil
	})
	return keys, err
}

// checkBase refuses to read an open commit whose parent is not finished.
func (t *tx) checkBase(c *commitRec) error {
	if !c.open() || c.Parent == "" {
		return nil
	}
	p, err := t.commit(c.Repo, c.Parent)
	if err == nil && p != nil && p.Finished.IsZero() {
		err = unknown("base commit %s for commit %s unfinished", p, c)
	}
	return err
}

// copyFile puts files that exist elsewhere, by reference.
func (s *Server) copyFile(ctx context.Context, g *stage, req *pfs.CopyFile) error {
	dst, err := copyPath(req.GetDst())
	if err != nil {
		return err
	}
	if req.Src == nil {
		return required("CopyFile.Src")
	}
	from, err := s.snapshot(ctx, req.Src.Commit)
	if err != nil {
		return prefixed("inspect commitHandle", err)
	}
	put := func(path string, e *tree.Entry) error {
		if path, err = checkLength(path); err != nil {
			return err
		}
		if path == "/" {
			return unknown("path (%s) invalid: the root is not a file", req.Dst)
		}
		return g.copy(tree.Key(path, cleanDatum(req.Datum)), e.File, req.Append)
	}
	found, err := s.find(from, cleanPath(req.Src.Path), req.Src.Datum)
	if err != nil {
		return err
	}
	if found.File != nil {
		if err := put(dst, found.File); err != nil {
			return err
		}
	}
	if found.Dir == nil {
		return nil
	}
	return tree.Walk(nodes{s}, found.Dir.Dir, "", "", func(key string, e *tree.Entry) error {
		if e.IsDir {
			return nil
		}
		name, _ := tree.Path(key)
		return put(strings.TrimSuffix(dst, "/")+name, e)
	})
}

func prefixed(words string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", words, err)
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
	own, collision, err := t.overlay(c.Own, changes)
	if err != nil {
		return err
	}
	c.Own = own
	if first { // what the commit puts is all there is
		c.Tree = own.Files
	} else {
		if err := settle(t, c.Tree, changes, t.s.content.NewWriter()); err != nil {
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
