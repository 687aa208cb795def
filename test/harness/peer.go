package harness

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"pachfs/pachclient/pfspb/pfs"
)

// A Peer is another client of the Pachyderm, as pachctl is one: for puts of
// somebody else, and for looking at what landed. Branches are "repo@branch".
type Peer struct {
	API pfs.APIClient
}

// peerDeadline is how long a call may take.
const peerDeadline = time.Minute

// soonBack finds a server that was restarted without waiting for long.
var soonBack = grpc.WithConnectParams(grpc.ConnectParams{
	Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond}, MinConnectTimeout: 5 * time.Second})

// Dial gives a peer of the Pachyderm at a URL.
func Dial(t testing.TB, url string) *Peer {
	t.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(url, "grpc://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()), soonBack,
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &Peer{pfs.NewAPIClient(conn)}
}

func call() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), peerDeadline)
}

// RepoOf and BranchOf give the messages for "repo" and "repo@branch".
func RepoOf(ref string) *pfs.Repo {
	repo, _, _ := strings.Cut(ref, "@")
	return &pfs.Repo{Name: repo, Type: "user", Project: &pfs.Project{Name: "default"}}
}

// BranchOf gives the message for "repo@branch".
func BranchOf(ref string) *pfs.Branch {
	_, branch, _ := strings.Cut(ref, "@")
	return &pfs.Branch{Repo: RepoOf(ref), Name: branch}
}

// CommitOf names a commit of a branch; no id: its head.
func CommitOf(ref, id string) *pfs.Commit {
	return &pfs.Commit{Repo: RepoOf(ref), Branch: BranchOf(ref), Id: id}
}

// Create makes repos, and branches where a name has one.
func (p *Peer) Create(t testing.TB, refs ...string) {
	t.Helper()
	ctx, cancel := call()
	defer cancel()
	for _, ref := range refs {
		_, err := p.API.CreateRepo(ctx, &pfs.CreateRepoRequest{Repo: RepoOf(ref)})
		if err != nil && !strings.Contains(err.Error(), "already exists") {
			t.Fatalf("create repo %s: %v", ref, err)
		}
		if !strings.Contains(ref, "@") {
			continue
		}
		if _, err := p.API.CreateBranch(ctx, &pfs.CreateBranchRequest{Branch: BranchOf(ref)}); err != nil {
			t.Fatalf("create branch %s: %v", ref, err)
		}
	}
}

// Output makes a branch that a pipeline would write, fed by another one.
func (p *Peer) Output(t testing.TB, ref, from string) {
	t.Helper()
	p.Create(t, from, strings.Split(ref, "@")[0])
	ctx, cancel := call()
	defer cancel()
	_, err := p.API.CreateBranch(ctx, &pfs.CreateBranchRequest{Branch: BranchOf(ref), Provenance: []*pfs.Branch{BranchOf(from)}})
	if err != nil {
		t.Fatal(err)
	}
}

// Put commits files, as `pachctl put file` does: one ModifyFile on the branch.
func (p *Peer) Put(t testing.TB, ref string, files map[string]string) {
	t.Helper()
	ctx, cancel := call()
	defer cancel()
	if err := p.Modify(ctx, ref, files); err != nil {
		t.Fatalf("put into %s: %v", ref, err)
	}
}

// PutWait is Put, and waits until the commit is finished; it gives its id.
func (p *Peer) PutWait(t testing.TB, ref string, files map[string]string) string {
	t.Helper()
	p.Put(t, ref, files)
	return p.Finished(t, ref)
}

// Finished waits until the head is finished and gives its id.
func (p *Peer) Finished(t testing.TB, ref string) string {
	t.Helper()
	ctx, cancel := call()
	defer cancel()
	id, err := p.WaitFinished(ctx, ref)
	if err != nil {
		t.Fatalf("wait for %s: %v", ref, err)
	}
	return id
}

// WaitFinished is Finished for where a test may not be ended.
func (p *Peer) WaitFinished(ctx context.Context, ref string) (id string, err error) {
	info, err := p.API.InspectCommit(ctx, &pfs.InspectCommitRequest{Commit: CommitOf(ref, ""), Wait: pfs.CommitState_FINISHED})
	return info.GetCommit().GetId(), err
}

// Modify replaces files, and deletes those whose path starts with "-".
func (p *Peer) Modify(ctx context.Context, ref string, files map[string]string) error {
	return p.ModifyCommit(ctx, ref, "", files)
}

// ModifyCommit is Modify for a commit that is open.
func (p *Peer) ModifyCommit(ctx context.Context, ref, id string, files map[string]string) error {
	stream, err := p.API.ModifyFile(ctx)
	if err != nil {
		return err
	}
	send := func(m *pfs.ModifyFileRequest) {
		if err == nil {
			err = stream.Send(m)
		}
	}
	send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_SetCommit{SetCommit: CommitOf(ref, id)}})
	for path, data := range files {
		name := strings.TrimPrefix(path, "-")
		send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_DeleteFile{DeleteFile: &pfs.DeleteFile{Path: name}}})
		if name != path {
			continue
		}
		const piece = 1 << 20
		for first := true; first || data != ""; first = false {
			n := min(piece, len(data))
			send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_AddFile{AddFile: &pfs.AddFile{
				Path: name, Source: &pfs.AddFile_Raw{Raw: wrapperspb.Bytes([]byte(data[:n]))}}}})
			data = data[n:]
		}
	}
	var done *emptypb.Empty
	if done, err = stream.CloseAndRecv(); err != nil || done == nil {
		return fmt.Errorf("ModifyFile: %w", err)
	}
	return nil
}

// StartCommit opens a commit on a branch and leaves it open.
func (p *Peer) StartCommit(t testing.TB, ref string) string {
	t.Helper()
	ctx, cancel := call()
	defer cancel()
	id, err := p.Begin(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Begin is StartCommit for where a test may not be ended, End is FinishCommit.
func (p *Peer) Begin(ctx context.Context, ref string) (id string, err error) {
	c, err := p.API.StartCommit(ctx, &pfs.StartCommitRequest{Branch: BranchOf(ref)})
	return c.GetId(), err
}

// End finishes a commit.
func (p *Peer) End(ctx context.Context, ref, id string) error {
	_, err := p.API.FinishCommit(ctx, &pfs.FinishCommitRequest{Commit: CommitOf(ref, id)})
	return err
}

// FinishCommit finishes it.
func (p *Peer) FinishCommit(t testing.TB, ref, id string) {
	t.Helper()
	ctx, cancel := call()
	defer cancel()
	if err := p.End(ctx, ref, id); err != nil {
		t.Fatal(err)
	}
}

// Head gives the id of the branch's head as it stands; "" if there is none.
func (p *Peer) Head(t testing.TB, ref string) string {
	t.Helper()
	ctx, cancel := call()
	defer cancel()
	b, err := p.API.InspectBranch(ctx, &pfs.InspectBranchRequest{Branch: BranchOf(ref)})
	if status.Code(err) == codes.NotFound || err != nil && strings.Contains(err.Error(), "not found") {
		return ""
	}
	if err != nil {
		t.Fatalf("head of %s: %v", ref, err)
	}
	return b.GetHead().GetId()
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

// Commits lists the commits of a branch that came after one ("": all), oldest first.
func (p *Peer) Commits(t testing.TB, ref, since string) []*pfs.CommitInfo {
	t.Helper()
	head := p.Head(t, ref)
	if head == "" || head == since {
		return nil
	}
	ctx, cancel := call()
	defer cancel()
	var out []*pfs.CommitInfo
	for id := head; id != "" && id != since; {
		info, err := p.API.InspectCommit(ctx, &pfs.InspectCommitRequest{Commit: CommitOf(ref, id)})
		if err != nil {
			t.Fatalf("commit %s of %s: %v", id, ref, err)
		}
		out = append([]*pfs.CommitInfo{info}, out...)
		id = info.GetParentCommit().GetId()
	}
	return out
}

// Tree gives all files of a commit, by path; no id: of the head.
func (p *Peer) Tree(t testing.TB, ref, id string) map[string]string {
	t.Helper()
	if id == "" && p.Head(t, ref) == "" {
		return map[string]string{}
	}
	ctx, cancel := call()
	defer cancel()
	stream, err := p.API.GetFileTAR(ctx, &pfs.GetFileRequest{File: &pfs.File{Commit: CommitOf(ref, id), Path: "/"}})
	msgs, err := all(stream, err)
	if err != nil && strings.Contains(err.Error(), "file / not found") { // an empty commit
		return map[string]string{}
	}
	if err != nil {
		t.Fatalf("tree of %s %s: %v", ref, id, err)
	}
	var b bytes.Buffer
	for _, m := range msgs {
		b.Write(m.Value)
	}
	files := map[string]string{}
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatalf("tree of %s: %v", ref, err)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files["/"+strings.TrimPrefix(h.Name, "/")] = string(data)
	}
}

// Diff gives the files that differ between a commit and its parent: "+" new,
// "M" changed, "-" gone.
func (p *Peer) Diff(t testing.TB, ref, id string) map[string]string {
	t.Helper()
	ctx, cancel := call()
	defer cancel()
	stream, err := p.API.DiffFile(ctx, &pfs.DiffFileRequest{NewFile: &pfs.File{Commit: CommitOf(ref, id), Path: "/"}})
	list, err := all(stream, err)
	if err != nil {
		t.Fatalf("diff of %s@%s: %v", ref, id, err)
	}
	out := map[string]string{}
	for _, d := range list {
		from, to := d.GetOldFile(), d.GetNewFile()
		isFile := func(i *pfs.FileInfo) bool { return i != nil && i.FileType == pfs.FileType_FILE }
		switch {
		case isFile(from) && isFile(to):
			out[to.File.Path] = "M"
		case isFile(to):
			out[to.File.Path] = "+"
		case isFile(from):
			out[from.File.Path] = "-"
		}
	}
	return out
}
