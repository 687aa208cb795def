package embedded

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"pachfs/pachclient/pfspb/pfs"
)

// A peer is a server and a client that speaks gRPC to it in memory.
type peer struct {
	t    testing.TB
	s    *Server
	conn *grpc.ClientConn
	pfs.APIClient
	ctx context.Context
}

// start opens a store; it is checked when the test ends.
func start(t testing.TB, dir string, o Options) *peer {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:memory",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.Dial(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(32<<20)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	p := &peer{t, s, conn, pfs.NewAPIClient(conn), ctx}
	t.Cleanup(func() {
		cancel()
		p.stop()
	})
	return p
}

// stop checks the store and closes it; twice is once.
func (p *peer) stop() {
	p.t.Helper()
	if p.conn == nil {
		return
	}
	if err := p.s.Check(context.Background()); err != nil {
		p.t.Errorf("check: %v", err)
	}
	p.conn.Close()
	p.conn = nil
	if err := p.s.Close(); err != nil {
		p.t.Errorf("close: %v", err)
	}
}

func repoRef(name string) *pfs.Repo {
	return &pfs.Repo{Name: name, Type: userRepo, Project: &pfs.Project{Name: defaultProject}}
}

func branchRef(repo, branch string) *pfs.Branch {
	return &pfs.Branch{Repo: repoRef(repo), Name: branch}
}

// head names the head of a branch, at names a commit, setRef a file set.
func head(repo, branch string) *pfs.Commit {
	return &pfs.Commit{Repo: repoRef(repo), Branch: branchRef(repo, branch)}
}

func at(repo, id string) *pfs.Commit { return &pfs.Commit{Repo: repoRef(repo), Id: id} }

func setRef(id string) *pfs.Commit {
	return &pfs.Commit{Repo: &pfs.Repo{Name: fileSetRepo}, Id: id}
}

// An op is one message of a stream.
type op = *pfs.ModifyFileRequest

func add(path, data string) op {
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_AddFile{AddFile: &pfs.AddFile{
		Path: path, Source: &pfs.AddFile_Raw{Raw: wrapperspb.Bytes([]byte(data))}}}}
}

func del(path string) op {
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_DeleteFile{DeleteFile: &pfs.DeleteFile{Path: path}}}
}

func cp(dst string, src *pfs.Commit, path string) op {
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_CopyFile{CopyFile: &pfs.CopyFile{
		Dst: dst, Src: &pfs.File{Commit: src, Path: path}}}}
}

func setCommit(c *pfs.Commit) op {
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_SetCommit{SetCommit: c}}
}

type sender[R any] interface {
	Send(op) error
	CloseAndRecv() (*R, error)
}

func send[R any](stream sender[R], err error, ops []op) (*R, error) {
	if err != nil {
		return nil, err
	}
	for _, o := range ops {
		if err := stream.Send(o); err != nil {
			break // CloseAndRecv has the reason
		}
	}
	return stream.CloseAndRecv()
}

func (p *peer) modifyErr(c *pfs.Commit, ops ...op) error {
	stream, err := p.ModifyFile(p.ctx)
	_, err = send[emptypb.Empty](stream, err, append([]op{setCommit(c)}, ops...))
	return err
}

func (p *peer) modify(c *pfs.Commit, ops ...op) {
	p.t.Helper()
	p.ok(p.modifyErr(c, ops...))
}

func (p *peer) fileSetErr(ops ...op) (string, error) {
	stream, err := p.CreateFileSet(p.ctx)
	resp, err := send[pfs.CreateFileSetResponse](stream, err, ops)
	return resp.GetFileSetId(), err
}

func (p *peer) fileSet(ops ...op) string {
	p.t.Helper()
	id, err := p.fileSetErr(ops...)
	p.ok(err)
	return id
}

func (p *peer) ok(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// fails wants an error with a code and words.
func (p *peer) fails(err error, code codes.Code, words string) {
	p.t.Helper()
	if st := status.Convert(err); st.Code() != code || !strings.Contains(st.Message(), words) {
		p.t.Fatalf("got %v, want %v with %q", err, code, words)
	}
}

func (p *peer) repo(names ...string) {
	p.t.Helper()
	for _, name := range names {
		_, err := p.CreateRepo(p.ctx, &pfs.CreateRepoRequest{Repo: repoRef(name)})
		p.ok(err)
	}
}

func (p *peer) open(repo, branch string) *pfs.Commit {
	p.t.Helper()
	c, err := p.StartCommit(p.ctx, &pfs.StartCommitRequest{Branch: branchRef(repo, branch)})
	p.ok(err)
	return c
}

func (p *peer) finish(c *pfs.Commit, errText string) {
	p.t.Helper()
	_, err := p.FinishCommit(p.ctx, &pfs.FinishCommitRequest{Commit: c, Error: errText})
	p.ok(err)
}

func (p *peer) inspect(c *pfs.Commit, wait pfs.CommitState) *pfs.CommitInfo {
	p.t.Helper()
	info, err := p.InspectCommit(p.ctx, &pfs.InspectCommitRequest{Commit: c, Wait: wait})
	p.ok(err)
	return info
}

func (p *peer) getErr(c *pfs.Commit, path string, off int64) (string, error) {
	stream, err := p.GetFile(p.ctx, &pfs.GetFileRequest{File: &pfs.File{Commit: c, Path: path}, Offset: off})
	var b strings.Builder
	for err == nil {
		var m *wrapperspb.BytesValue
		if m, err = stream.Recv(); err == nil {
			b.Write(m.Value)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b.String(), err
}

func (p *peer) get(c *pfs.Commit, path string) string {
	p.t.Helper()
	got, err := p.getErr(c, path, 0)
	p.ok(err)
	return got
}

// all receives a whole stream.
func all[M any](stream grpc.ServerStreamingClient[M], err error) ([]*M, error) {
	var got []*M
	for err == nil {
		var m *M
		if m, err = stream.Recv(); err == nil {
			got = append(got, m)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return got, err
}

// tree gives "path=content" of all files, or just the paths of directories.
func (p *peer) tree(c *pfs.Commit) []string {
	p.t.Helper()
	stream, err := p.WalkFile(p.ctx, &pfs.WalkFileRequest{File: &pfs.File{Commit: c, Path: "/"}})
	infos, err := all(stream, err)
	p.ok(err)
	var got []string
	for _, i := range infos {
		if i.FileType == pfs.FileType_FILE {
			got = append(got, i.File.Path+"="+p.get(c, i.File.Path))
		}
	}
	return got
}

func (p *peer) wantTree(c *pfs.Commit, want ...string) {
	p.t.Helper()
	if got := p.tree(c); !slices.Equal(got, want) {
		p.t.Fatalf("tree\n got %q\nwant %q", got, want)
	}
}

func (p *peer) log(repo string) []*pfs.CommitInfo {
	p.t.Helper()
	stream, err := p.ListCommit(p.ctx, &pfs.ListCommitRequest{Repo: repoRef(repo)})
	infos, err := all(stream, err)
	p.ok(err)
	return infos
}

func paths(infos []*pfs.FileInfo) []string {
	var got []string
	for _, i := range infos {
		got = append(got, i.File.Path)
	}
	return got
}
