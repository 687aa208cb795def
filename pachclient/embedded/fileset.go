package embedded

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"pachfs/pachclient/embedded/internal/tree"
	"pachfs/pachclient/pfspb/pfs"
)

// How long a file set lives, and how long it can be renewed at once.
const (
	setTTL    = 10 * time.Minute
	maxSetTTL = 30 * time.Minute

	maxComposeTTL = 100 * 365 * 24 * 3600 // seconds; pachd has no limit here, a Duration has
)

// checkSetID accepts what has the form of a file set's ID.
func checkSetID(id string) error {
	if len(id) < 32 {
		return unknown("parsing fileset.ID: too short to be ID len=%d", len(id))
	}
	return nil
}

func (r *fileSetRec) expired(now time.Time) bool { return !r.Expires.IsZero() && now.After(r.Expires) }

// fileSet finds a file set that lives; nil: there is none.
func (t *tx) fileSet(id string) (*fileSetRec, error) {
	if err := checkSetID(id); err != nil {
		return nil, err
	}
	r, err := found(t.get, bucketFileSets, id, new(fileSetRec))
	if err == nil && r != nil && r.expired(t.now) {
		r = nil
	}
	return r, err
}

func (t *tx) putFileSet(r *fileSetRec, ttl time.Duration) error {
	r.ID = newID()
	if ttl > 0 {
		r.Expires = t.now.Add(ttl)
	}
	return t.put(bucketFileSets, r.ID, r)
}

// fileSet finds a file set to be read.
func (s *Server) fileSet(id string) (r *fileSetRec, err error) {
	err = s.view(func(t *tx) error {
		r, err = t.fileSet(id)
		return err
	})
	if err == nil && r == nil {
		err = unknown("path does not exist")
	}
	return r, err
}

// fileSetCommit is the name of a file set where a commit is expected.
func fileSetCommit(id string) *pfs.Commit {
	return &pfs.Commit{Repo: &pfs.Repo{Name: fileSetRepo, Project: &pfs.Project{Name: defaultProject}}, Id: id}
}

// newFileSet makes a file set of sorted changes.
func (t *tx) newFileSet(changes []tree.Change, ttl time.Duration) (string, error) {
	does, _, err := t.overlay(layer{}, changes)
	if err != nil {
		return "", err
	}
	r := &fileSetRec{Does: does}
	err = t.putFileSet(r, ttl)
	return r.ID, err
}

// CreateFileSet takes changes as ModifyFile does and keeps them as a file set.
func (s *Server) CreateFileSet(stream grpc.ClientStreamingServer[pfs.ModifyFileRequest, pfs.CreateFileSetResponse]) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	changes, err := s.receive(stream, target{})
	if err != nil {
		return err
	}
	id := ""
	err = s.update(stream.Context(), func(t *tx) error {
		id, err = t.newFileSet(changes, setTTL)
		return err
	})
	if err != nil {
		s.dirty.set(true)
		return err
	}
	return stream.SendAndClose(&pfs.CreateFileSetResponse{FileSetId: id})
}

// GetFileSet makes a file set of a commit: of all that is in it, or of what it
// changed.
func (s *Server) GetFileSet(ctx context.Context, req *pfs.GetFileSetRequest) (*pfs.CreateFileSetResponse, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	resp := &pfs.CreateFileSetResponse{}
	err := s.update(ctx, func(t *tx) error {
		c, err := t.resolve(req.Commit)
		if err != nil {
			return err
		}
		if err := t.checkBase(c); err != nil {
			return err
		}
		r := &fileSetRec{Does: c.Own}
		if req.Type == pfs.GetFileSetRequest_TOTAL {
			r = &fileSetRec{Does: layer{Files: c.Tree}, Total: true}
		}
		err = t.putFileSet(r, setTTL)
		resp.FileSetId = r.ID
		return err
	})
	return resp, prefixed("get file set", err)
}

// AddFileSet applies a file set to an open commit.
func (s *Server) AddFileSet(ctx context.Context, req *pfs.AddFileSetRequest) (*emptypb.Empty, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if err := checkSetID(req.FileSetId); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.update(ctx, func(t *tx) error {
		c, err := t.resolve(req.Commit)
		if err != nil {
			return err
		}
		if !c.open() {
			return errFinished(c)
		}
		r, err := t.fileSet(req.FileSetId)
		if err != nil {
			return err
		}
		if r == nil {
			return unknown("add file set: path does not exist")
		}
		changes, err := r.changes(t)
		if err != nil {
			return err
		}
		if err := t.write(c, changes); err != nil {
			return err
		}
		return t.putCommit(c)
	})
}

// RenewFileSet lets a file set live on for a while from now.
func (s *Server) RenewFileSet(ctx context.Context, req *pfs.RenewFileSetRequest) (*emptypb.Empty, error) {
	if err := checkSetID(req.FileSetId); err != nil {
		return nil, err
	}
	ttl := time.Duration(req.TtlSeconds) * time.Second
	switch {
	case req.TtlSeconds < 1:
		return nil, unknown("ttl (%d) must be at least one second", ttl)
	case req.TtlSeconds > int64(maxSetTTL/time.Second):
		return nil, unknown("ttl (%d) exceeds max ttl (%d)", ttl, maxSetTTL)
	}
	return &emptypb.Empty{}, s.update(ctx, func(t *tx) error {
		r, err := t.fileSet(req.FileSetId)
		if err != nil {
			return err
		}
		if r == nil {
			return notFound("tracker does not contain item: (fileset/%s)", req.FileSetId)
		}
		r.Expires = t.now.Add(ttl)
		return t.put(bucketFileSets, r.ID, r)
	})
}

// ComposeFileSet makes one file set of several, the later over the earlier.
func (s *Server) ComposeFileSet(ctx context.Context, req *pfs.ComposeFileSetRequest) (*pfs.CreateFileSetResponse, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	ttl := time.Duration(min(max(req.TtlSeconds, 0), maxComposeTTL)) * time.Second
	resp := &pfs.CreateFileSetResponse{}
	return resp, s.update(ctx, func(t *tx) error {
		made := &fileSetRec{}
		if len(req.FileSetIds) > 1 { // what is made on the way
			t.leaves()
		}
		for i, id := range req.FileSetIds {
			r, err := t.fileSet(id)
			if err == nil && r == nil {
				err = unknown("the operation would create a dangling reference")
			}
			if err != nil {
				return err
			}
			if i == 0 && !r.Total {
				made.Does = r.Does
				continue
			}
			changes, err := r.changes(t)
			if err != nil {
				return err
			}
			if made.Does, _, err = t.overlay(made.Does, changes); err != nil {
				return fmt.Errorf("compose: %w", err)
			}
		}
		err := t.putFileSet(made, ttl)
		resp.FileSetId = made.ID
		return err
	})
}

// How much a shard holds unless the request says otherwise.
const (
	shardFiles = 1_000_000
	shardBytes = 1 << 30
)

// ShardFileSet cuts a file set into ranges of paths for parallel reading.
func (s *Server) ShardFileSet(ctx context.Context, req *pfs.ShardFileSetRequest) (*pfs.ShardFileSetResponse, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	r, err := s.fileSet(req.FileSetId)
	if err != nil {
		return nil, err
	}
	maxFiles, maxBytes := req.NumFiles, req.SizeBytes
	if maxFiles <= 0 {
		maxFiles = shardFiles
	}
	if maxBytes <= 0 {
		maxBytes = shardBytes
	}
	shards := []*pfs.PathRange{{}}
	files, size := int64(0), int64(0)
	err = tree.Walk(nodes{ctx, s}, r.Does.Files, "", "", func(key string, e *tree.Entry) error {
		if e.IsDir {
			return nil
		}
		if files >= maxFiles || files > 0 && size+e.File.Size > maxBytes {
			path, _ := tree.Path(key)
			shards[len(shards)-1].Upper = path
			shards = append(shards, &pfs.PathRange{Lower: path})
			files, size = 0, 0
		}
		files, size = files+1, size+e.File.Size
		return nil
	})
	return &pfs.ShardFileSetResponse{Shards: shards}, err
}
