package embedded

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pachfs/pachclient/embedded/internal/tree"
	"pachfs/pachclient/pfspb/pfs"
)

// A snapshot is a tree that is read: that of a commit or of a file set.
type snapshot struct {
	src       nodes
	ref       *pfs.Commit // as answers name it
	asked     string      // the ID in the request, for errors
	repo      string
	rec       *commitRec // nil for a file set
	committed *timestamppb.Timestamp
	tree      tree.Dir
}

// snapshot resolves what a request reads. A finishing commit is waited for.
func (s *Server) snapshot(ctx context.Context, ref *pfs.Commit) (*snapshot, error) {
	r, err := commitRepo(ref)
	if err != nil {
		return nil, err
	}
	if r.Name == fileSetRepo {
		set, err := s.fileSet(ref.Id)
		if err != nil {
			return nil, err
		}
		return &snapshot{src: nodes{ctx, s}, ref: fileSetCommit(ref.Id), asked: ref.Id, repo: defaultProject + "/" + fileSetRepo, tree: set.Does.Files}, nil
	}
	var c *commitRec
	err = s.view(func(t *tx) error {
		if c, err = t.resolve(ref); err == nil {
			err = t.checkBase(c)
		}
		return err
	})
	if err == nil && !c.open() {
		c, err = s.lookCommit(ctx, c.Repo.commit(c.ID), pfs.CommitState_FINISHED)
	}
	if err != nil {
		return nil, err
	}
	return s.snapshotOf(ctx, c, ref.Id), nil
}

func (s *Server) snapshotOf(ctx context.Context, c *commitRec, asked string) *snapshot {
	n := &snapshot{src: nodes{ctx, s}, ref: c.Repo.commit(c.ID), asked: asked, repo: c.Repo.String(), rec: c, tree: c.Tree}
	if !c.Finishing.IsZero() {
		n.committed = timestamppb.New(c.Finishing)
	}
	return n
}

// snapshotFile resolves the commit of a file in a request, and cleans the path.
func (s *Server) snapshotFile(ctx context.Context, f *pfs.File) (*snapshot, string, error) {
	if f == nil {
		return nil, "", unknown("file cannot be nil")
	}
	n, err := s.snapshot(ctx, f.Commit)
	return n, cleanPath(f.Path), err
}

func (n *snapshot) noFile(path string) error {
	return notFound("file %s not found in repo %s at commit %s", path, n.repo, n.asked)
}

// find looks up a path.
func (n *snapshot) find(path, datum string) (tree.Found, error) {
	return tree.Find(n.src, n.tree, path[1:], datum)
}

// info describes an entry.
func (s *Server) info(n *snapshot, key string, e *tree.Entry) (*pfs.FileInfo, error) {
	path, datum := tree.Path(key)
	info := &pfs.FileInfo{
		File:      &pfs.File{Commit: n.ref, Path: path, Datum: datum},
		Committed: n.committed,
		FileType:  pfs.FileType_FILE,
		SizeBytes: e.File.Size,
		Hash:      e.File.Hash[:],
	}
	if e.IsDir {
		hash, err := s.hashes.Of(n.src, e.Dir, key)
		if err != nil {
			return nil, err
		}
		info.FileType, info.SizeBytes, info.Hash = pfs.FileType_DIR, e.Dir.Size, hash[:]
	}
	return info, nil
}

// InspectFile tells about one path.
func (s *Server) InspectFile(ctx context.Context, req *pfs.InspectFileRequest) (*pfs.FileInfo, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	n, path, err := s.snapshotFile(ctx, req.File)
	if err != nil {
		return nil, err
	}
	f, err := n.find(path, req.File.Datum)
	switch {
	case err != nil:
		return nil, err
	case f.Dir != nil:
		return s.info(n, f.DirKey, f.Dir)
	case f.File != nil:
		return s.info(n, f.FileKey, f.File)
	}
	return nil, n.noFile(path)
}
