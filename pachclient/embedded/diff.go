package embedded

import (
	"bytes"
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"pachfs/pachclient/embedded/internal/tree"
	"pachfs/pachclient/pfspb/pfs"
)

// DiffFile sends what differs between two trees, by hash. Without an old file
// it is the same path in the parent.
func (s *Server) DiffFile(req *pfs.DiffFileRequest, stream grpc.ServerStreamingServer[pfs.DiffFileResponse]) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if req.NewFile == nil {
		return unknown("file cannot be nil")
	}
	now, path, err := s.snapshotFile(stream.Context(), req.NewFile)
	if err != nil {
		return prefixed("inspect commitHandle", err)
	}
	was, oldPath, err := s.oldSide(stream.Context(), now, path, req.OldFile)
	if err != nil {
		return err
	}
	a, err := was.find(oldPath, "")
	if err != nil {
		return err
	}
	b, err := now.find(path, "")
	if err != nil {
		return err
	}
	d := &differ{s: s, was: was, now: now, stream: stream}
	if path != oldPath {
		return d.merge(a, b)
	}
	return d.same(a, b)
}

func (s *Server) oldSide(ctx context.Context, now *snapshot, path string, old *pfs.File) (*snapshot, string, error) {
	if old != nil {
		return s.snapshotFile(ctx, old)
	}
	if now.rec == nil || now.rec.Parent == "" {
		return &snapshot{src: now.src}, path, nil
	}
	was, err := s.snapshot(ctx, now.rec.Repo.commit(now.rec.Parent))
	return was, path, err
}

type differ struct {
	s        *Server
	was, now *snapshot
	stream   grpc.ServerStreamingServer[pfs.DiffFileResponse]
}

// same compares one path in two trees.
func (d *differ) same(a, b tree.Found) error {
	if a.File != nil || b.File != nil {
		key := b.FileKey
		if b.File == nil {
			key = a.FileKey
		}
		if err := d.pair(key, a.File, b.File); err != nil {
			return err
		}
	}
	if a.Dir == nil && b.Dir == nil {
		return nil
	}
	key, da, db := b.DirKey, tree.Dir{}, tree.Dir{}
	if a.Dir != nil {
		key, da = a.DirKey, a.Dir.Dir
	}
	if b.Dir != nil {
		key, db = b.DirKey, b.Dir.Dir
	}
	if da.Root == db.Root {
		return nil
	}
	if err := d.pair(key, a.Dir, b.Dir); err != nil {
		return err
	}
	return tree.Diff(d.now.src, da, db, key, d.pair)
}

// pair sends one path, unless both sides have the same hash.
func (d *differ) pair(key string, a, b *tree.Entry) (err error) {
	if a != nil && b != nil && !a.IsDir && a.File.Hash == b.File.Hash {
		return nil
	}
	resp := &pfs.DiffFileResponse{}
	if a != nil {
		if resp.OldFile, err = d.s.info(d.was, key, a); err != nil {
			return err
		}
	}
	if b != nil {
		if resp.NewFile, err = d.s.info(d.now, key, b); err != nil {
			return err
		}
	}
	if a != nil && b != nil && bytes.Equal(resp.OldFile.Hash, resp.NewFile.Hash) {
		return nil
	}
	return d.stream.Send(resp)
}

// merge compares different paths: what they have in common by full path is
// compared, the rest stands alone. Both are held in memory; nobody asks for
// this of big trees.
func (d *differ) merge(a, b tree.Found) error {
	old, err := d.list(d.was, a)
	if err != nil {
		return err
	}
	now, err := d.list(d.now, b)
	if err != nil {
		return err
	}
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].key < now[0].key:
			err, old = d.pair(old[0].key, &old[0].e, nil), old[1:]
		case len(old) == 0 || now[0].key < old[0].key:
			err, now = d.pair(now[0].key, nil, &now[0].e), now[1:]
		default:
			err, old, now = d.pair(now[0].key, &old[0].e, &now[0].e), old[1:], now[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *differ) list(n *snapshot, f tree.Found) ([]pagerEntry, error) {
	var all []pagerEntry
	add := func(key string, e *tree.Entry) error {
		all = append(all, pagerEntry{key, *e})
		return nil
	}
	if f.File != nil {
		add(f.FileKey, f.File)
	}
	if f.Dir == nil {
		return all, nil
	}
	add(f.DirKey, f.Dir)
	err := tree.Walk(n.src, f.Dir.Dir, f.DirKey, "", add)
	return all, err
}

// FindCommits sends the ancestors of a commit that wrote or deleted a file.
func (s *Server) FindCommits(req *pfs.FindCommitsRequest, stream grpc.ServerStreamingServer[pfs.FindCommitsResponse]) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if req.Start == nil {
		return fail(codes.InvalidArgument, "validate recv: invalid FindCommitsRequest.Start: value is required")
	}
	var c *commitRec
	err := s.view(func(t *tx) (err error) {
		c, err = t.resolve(req.Start)
		if err == nil && c.Finished.IsZero() {
			err = fail(codes.Unavailable, "commit %s not finished", c)
		}
		return err
	})
	if err != nil {
		return err
	}
	searched, found := uint32(0), uint32(0)
	for {
		var parent *commitRec
		err := s.view(func(t *tx) (err error) {
			if c.Parent != "" {
				parent, err = t.commit(c.Repo, c.Parent)
			}
			return err
		})
		if err != nil {
			return err
		}
		touched, err := touches(nodes{stream.Context(), s}, c.Own, req.FilePath)
		if err != nil {
			return fmt.Errorf("search commit %s: %w", c, err)
		}
		if touched {
			found++
			hit := &pfs.FindCommitsResponse_FoundCommit{FoundCommit: c.Repo.commit(c.ID)}
			if err := stream.Send(&pfs.FindCommitsResponse{Result: hit, CommitsSearched: searched}); err != nil {
				return err
			}
		}
		searched++
		if parent == nil || req.Limit > 0 && found >= req.Limit {
			end := &pfs.FindCommitsResponse_LastSearchedCommit{LastSearchedCommit: c.Repo.commit(c.ID)}
			return stream.Send(&pfs.FindCommitsResponse{Result: end, CommitsSearched: searched})
		}
		c = parent
	}
}

// touches says whether a layer puts or deletes a file.
func touches(src tree.Source, l layer, path string) (bool, error) {
	if len(path) < 2 || path[0] != '/' {
		return false, nil
	}
	put, err := tree.Lookup(src, l.Files, path[1:])
	if err != nil || put != nil {
		return put != nil, err
	}
	deleted, err := tree.Lookup(src, l.Deletes, path[1:])
	return deleted != nil, err
}
