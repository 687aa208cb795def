package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"iter"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"pachfs/pachclient"
	"pachfs/pachclient/internal/wire"
	pbmeta "pachfs/pachclient/pfspb/metadata"
	"pachfs/pachclient/pfspb/pfs"
)

// setTTL is how long a set lives that was just uploaded.
const setTTL = 30 * time.Minute

// Upload builds a file set of the changes. Bytes that are appended to a copy
// go into a set of their own: copied and added bytes of one path in one set
// end as a broken commit.
func (c *Client) Upload(ctx context.Context, changes iter.Seq2[pachclient.Change, error]) (pachclient.FileSet, error) {
	ids, err := c.upload(ctx, changes)
	if err != nil {
		return "", err
	}
	return c.compose(ctx, ids)
}

func (c *Client) upload(ctx context.Context, changes iter.Seq2[pachclient.Change, error]) ([]string, error) {
	ctx, cancel := context.WithCancel(c.auth(ctx))
	defer cancel()
	main, err := c.newSet(ctx)
	if err != nil {
		return nil, err
	}
	var tail *setStream
	for ch, err := range changes {
		if err != nil {
			return nil, err
		}
		if err := main.put(ctx, ch); err != nil {
			return nil, err
		}
		if ch.From != nil && ch.Open != nil {
			if tail == nil {
				if tail, err = c.newSet(ctx); err != nil {
					return nil, err
				}
			}
			if err := tail.add(ctx, ch); err != nil {
				return nil, err
			}
		}
	}
	return finish(main, tail)
}

// finish closes the streams and gives the sets' IDs.
func finish(streams ...*setStream) ([]string, error) {
	var ids []string
	for _, s := range streams {
		if s == nil {
			continue
		}
		resp, err := s.s.CloseAndRecv()
		if err != nil {
			return nil, wire.Error("upload", err)
		}
		ids = append(ids, resp.GetFileSetId())
	}
	return ids, nil
}

// compose makes one set of several, and gives it its time to live. Made twice,
// because an answer was lost, the other one expires.
func (c *Client) compose(ctx context.Context, ids []string) (pachclient.FileSet, error) {
	if len(ids) == 1 {
		set := pachclient.FileSet(ids[0])
		return set, c.Renew(ctx, set, setTTL)
	}
	var set pachclient.FileSet
	err := c.call(ctx, "compose file sets", func(ctx context.Context) error {
		resp, err := c.pfs().ComposeFileSet(ctx, &pfs.ComposeFileSetRequest{FileSetIds: ids, TtlSeconds: int64(setTTL / time.Second)})
		set = pachclient.FileSet(resp.GetFileSetId())
		return err
	})
	return set, err
}

// A setStream is an upload under way.
type setStream struct {
	s pfs.API_CreateFileSetClient
}

func (c *Client) newSet(ctx context.Context) (*setStream, error) {
	s, err := c.pfs().CreateFileSet(ctx)
	if err != nil {
		return nil, wire.Error("upload", err)
	}
	return &setStream{s}, nil
}

// send sends a message; the reason of a failure comes from the other end.
func (s *setStream) send(m *pfs.ModifyFileRequest) error {
	err := s.s.Send(m)
	if errors.Is(err, io.EOF) {
		if _, err = s.s.CloseAndRecv(); err == nil {
			err = io.ErrUnexpectedEOF
		}
	}
	return wire.Error("upload", err)
}

// put sends a change, but for what is appended to a copy.
func (s *setStream) put(ctx context.Context, ch pachclient.Change) error {
	if !utf8.ValidString(ch.Path) { // it fits into no message
		return fmt.Errorf("upload %q: %w", ch.Path, pachclient.ErrBadName)
	}
	if ch.From != nil {
		return s.send(copyFile(ch.Path, *ch.From))
	}
	if err := s.send(deleteFile(ch.Path)); err != nil { // an add alone appends
		return err
	}
	if ch.Open == nil || ch.Size == 0 {
		return s.send(addFile(ch.Path, nil))
	}
	return s.add(ctx, ch)
}

// add sends the bytes of a change in pieces.
func (s *setStream) add(ctx context.Context, ch pachclient.Change) error {
	r, err := ch.Open(ctx)
	if err != nil {
		return fmt.Errorf("upload %s: %w", ch.Path, err)
	}
	defer r.Close()
	for left := ch.Size; left > 0; {
		piece := make([]byte, min(left, maxPiece))
		if _, err := io.ReadFull(r, piece); err != nil {
			return fmt.Errorf("upload %s: %d bytes missing: %w", ch.Path, left, err)
		}
		if err := s.send(addFile(ch.Path, piece)); err != nil {
			return err
		}
		left -= int64(len(piece))
	}
	return nil
}

func addFile(path string, b []byte) *pfs.ModifyFileRequest {
	add := &pfs.AddFile{Path: path}
	if b != nil {
		add.Source = &pfs.AddFile_Raw{Raw: wrapperspb.Bytes(b)}
	}
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_AddFile{AddFile: add}}
}

func deleteFile(path string) *pfs.ModifyFileRequest {
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_DeleteFile{DeleteFile: &pfs.DeleteFile{Path: path}}}
}

func copyFile(dst string, src pachclient.Source) *pfs.ModifyFileRequest {
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_CopyFile{CopyFile: &pfs.CopyFile{Dst: dst, Src: wire.File(src.Commit, src.Path)}}}
}

// Renew gives a set more time.
func (c *Client) Renew(ctx context.Context, s pachclient.FileSet, ttl time.Duration) error {
	return c.call(ctx, "renew file set", func(ctx context.Context) error {
		_, err := c.pfs().RenewFileSet(ctx, &pfs.RenewFileSetRequest{FileSetId: string(s), TtlSeconds: int64(ttl / time.Second)})
		return err
	})
}

// Land is one ModifyFile on the branch.
func (c *Client) Land(ctx context.Context, b pachclient.Branch, s pachclient.FileSet, deletes []string) error {
	op := "land on " + b.String()
	if err := c.hasProject(ctx, b.Project); err != nil {
		return err
	}
	paths, err := c.copies(ctx, s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.auth(ctx))
	defer cancel()
	stream, err := c.pfs().ModifyFile(ctx)
	if err != nil {
		return wire.Error(op, err)
	}
	send := func(m *pfs.ModifyFileRequest) {
		if err == nil {
			err = stream.Send(m)
		}
	}
	set := pachclient.Commit{Branch: b}
	send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_SetCommit{SetCommit: wire.Commit(set)}})
	for _, p := range deletes {
		send(deleteFile(p))
	}
	for _, p := range paths {
		send(copyFile(p, pachclient.Source{Commit: s.Commit(), Path: p}))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return wire.Error(op, err)
	}
	_, err = stream.CloseAndRecv()
	return wire.Error(op, err)
}

// copies lists the paths that make up a set: the root. Servers before 2.2 copy
// nothing when they are told to copy the root, and don't say so.
func (c *Client) copies(ctx context.Context, s pachclient.FileSet) ([]string, error) {
	v, err := c.serverVersion(ctx)
	if err != nil || !v.before(2, 2) {
		return []string{"/"}, err
	}
	var files []string
	err = c.At(s.Commit()).Walk(ctx, "/", func(fi pachclient.FileInfo) error {
		if !fi.Dir {
			files = append(files, fi.Path)
		}
		return nil
	})
	return files, err
}

// Annotate puts metadata on a commit.
func (c *Client) Annotate(ctx context.Context, commit pachclient.Commit, kv map[string]string) error {
	repo := &pfs.RepoPicker{Picker: &pfs.RepoPicker_Name{Name: &pfs.RepoPicker_RepoName{
		Project: &pfs.ProjectPicker{Picker: &pfs.ProjectPicker_Name{Name: wire.Project(commit.Branch.Project).GetName()}},
		Name:    commit.Branch.Repo, Type: "user"}}}
	target := &pbmeta.Edit_Commit{Commit: &pfs.CommitPicker{Picker: &pfs.CommitPicker_Id{
		Id: &pfs.CommitPicker_CommitByGlobalId{Repo: repo, Id: commit.ID}}}}
	req := &pbmeta.EditMetadataRequest{}
	for k, v := range kv {
		req.Edits = append(req.Edits, &pbmeta.Edit{Target: target, Op: &pbmeta.Edit_EditKey_{EditKey: &pbmeta.Edit_EditKey{Key: k, Value: v}}})
	}
	return c.call(ctx, "annotate "+commit.String(), func(ctx context.Context) error {
		_, err := c.metadata().EditMetadata(ctx, req)
		return err
	})
}

// Drop removes a commit without children. Servers of 2.6 and 2.7, and those
// before 2.5.8, drop whole sets of commits only.
func (c *Client) Drop(ctx context.Context, commit pachclient.Commit) error {
	op := "drop " + commit.String()
	again := false
	err := c.call(ctx, op, func(ctx context.Context) error {
		_, err := c.pfs().DropCommit(ctx, &pfs.DropCommitRequest{Commit: wire.Commit(commit)})
		if again && errors.Is(wire.Error(op, err), iofs.ErrNotExist) {
			return nil // gone by the call before, whose answer was lost
		}
		again = true
		return err
	})
	if !errors.Is(err, pachclient.ErrUnsupported) {
		return err
	}
	return c.call(ctx, op, func(ctx context.Context) error {
		_, err := c.pfs().DropCommitSet(ctx, &pfs.DropCommitSetRequest{CommitSet: &pfs.CommitSet{Id: commit.ID}})
		return err
	})
}
