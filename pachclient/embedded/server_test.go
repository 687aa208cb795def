package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	grpcmd "google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"pachfs/pachclient/pfspb/admin"
	"pachfs/pachclient/pfspb/auth"
	"pachfs/pachclient/pfspb/metadata"
	"pachfs/pachclient/pfspb/pfs"
	"pachfs/pachclient/pfspb/version"
)

func TestOneServerAtATime(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, Options{})
	_, err := Open(dir, Options{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("%v", err)
	}
	p.stop()
	start(t, dir, Options{}).stop()
}

func TestANewerFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, Options{})
	p.ok(p.s.update(p.ctx, func(t *tx) error { return t.b.Bucket(bucketMeta).Put([]byte("format"), []byte("9")) }))
	p.stop()
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "format 9") {
		t.Errorf("%v", err)
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, Options{})
	p.repo("r")
	p.modify(head("r", "master"), manyFiles("/d", 300, "x")...)
	open := p.open("r", "master")
	p.modify(open, add("/open", "o"))
	set := p.fileSet(add("/s", "set"))
	before, err := admin.NewAPIClient(p.conn).InspectCluster(p.ctx, &admin.InspectClusterRequest{})
	p.ok(err)
	p.stop()
	q := start(t, dir, Options{})
	if n := len(q.tree(open)); n != 301 {
		t.Errorf("%d files", n)
	}
	q.finish(open, "")
	q.modify(head("r", "master"), cp("/", setRef(set), "/"))
	if q.get(head("r", "master"), "/s") != "set" || q.get(head("r", "master"), "/open") != "o" {
		t.Error("wrong content")
	}
	after, err := admin.NewAPIClient(q.conn).InspectCluster(q.ctx, &admin.InspectClusterRequest{})
	q.ok(err)
	if before.DeploymentId == "" || before.DeploymentId != after.DeploymentId || before.Id != after.Id {
		t.Errorf("%v, %v", before, after)
	}
}

func TestToken(t *testing.T) {
	p := start(t, t.TempDir(), Options{Token: "secret"})
	cluster := admin.NewAPIClient(p.conn)
	_, err := p.CreateRepo(p.ctx, &pfs.CreateRepoRequest{Repo: repoRef("r")})
	p.fails(err, codes.Unauthenticated, "no authentication token (try logging in)")
	_, err = all(p.ListRepo(p.ctx, &pfs.ListRepoRequest{}))
	p.fails(err, codes.Unauthenticated, "no authentication token (try logging in)")
	_, err = cluster.InspectCluster(p.ctx, &admin.InspectClusterRequest{})
	p.ok(err)
	_, err = version.NewAPIClient(p.conn).GetVersion(p.ctx, &emptypb.Empty{})
	p.ok(err)
	bad := grpcmd.AppendToOutgoingContext(p.ctx, tokenKey, "wrong")
	_, err = cluster.InspectCluster(bad, &admin.InspectClusterRequest{CurrentProject: &pfs.Project{Name: defaultProject}})
	p.fails(err, codes.Unauthenticated, "provided auth token is corrupted or has expired (try logging in again)")
	good := grpcmd.AppendToOutgoingContext(p.ctx, tokenKey, "secret")
	_, err = p.CreateRepo(good, &pfs.CreateRepoRequest{Repo: repoRef("r")})
	p.ok(err)
	who, err := auth.NewAPIClient(p.conn).WhoAmI(good, &auth.WhoAmIRequest{})
	p.ok(err)
	if who.Username == "" {
		t.Error("nobody")
	}
}

func TestClusterServices(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	v, err := version.NewAPIClient(p.conn).GetVersion(p.ctx, &emptypb.Empty{})
	p.ok(err)
	if got := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Micro); got != "2.11.6" {
		t.Errorf("version %s", got)
	}
	_, err = auth.NewAPIClient(p.conn).WhoAmI(p.ctx, &auth.WhoAmIRequest{})
	p.fails(err, codes.Unimplemented, "the auth service is not activated")
	_, err = healthpb.NewHealthClient(p.conn).Check(p.ctx, &healthpb.HealthCheckRequest{})
	p.ok(err)
	info, err := admin.NewAPIClient(p.conn).InspectCluster(p.ctx, &admin.InspectClusterRequest{CurrentProject: &pfs.Project{Name: "none"}})
	p.ok(err)
	if len(info.Warnings) != 1 {
		t.Errorf("%v", info)
	}
	_, err = p.DeleteAll(p.ctx, &emptypb.Empty{})
	p.fails(err, codes.Unimplemented, "")
}

func TestMetadata(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	p.modify(head("r", "master"), add("/a", "1"))
	id := p.inspect(head("r", "master"), 0).Commit.Id
	picker := &pfs.RepoPicker{Picker: &pfs.RepoPicker_Name{Name: &pfs.RepoPicker_RepoName{Name: "r", Type: userRepo, Project: &pfs.ProjectPicker{Picker: &pfs.ProjectPicker_Name{Name: defaultProject}}}}}
	target := &metadata.Edit_Commit{Commit: &pfs.CommitPicker{Picker: &pfs.CommitPicker_Id{Id: &pfs.CommitPicker_CommitByGlobalId{Repo: picker, Id: id}}}}
	edit := func(edits ...*metadata.Edit) error {
		_, err := metadata.NewAPIClient(p.conn).EditMetadata(p.ctx, &metadata.EditMetadataRequest{Edits: edits})
		return err
	}
	addKey := func(k, v string) *metadata.Edit {
		return &metadata.Edit{Target: target, Op: &metadata.Edit_AddKey_{AddKey: &metadata.Edit_AddKey{Key: k, Value: v}}}
	}
	p.ok(edit(addKey("pachfs.message", "hello"), addKey("pachfs.host", "here")))
	p.fails(edit(addKey("new", "x"), addKey("pachfs.host", "there")), codes.FailedPrecondition, "already exists")
	if got := p.inspect(at("r", id), 0).Metadata; len(got) != 2 || got["pachfs.message"] != "hello" || got["pachfs.host"] != "here" {
		t.Errorf("%v", got)
	}
	if got := p.log("r")[0].Metadata; len(got) != 2 {
		t.Errorf("%v", got)
	}
}

// A server answers on TCP and Unix sockets at once, and takes gzip.
func TestListeners(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	p.ok(err)
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	p.ok(err)
	done := make(chan error, 2)
	for _, l := range []net.Listener{tcp, unix} {
		go func() { done <- p.s.Serve(l) }()
	}
	for i, target := range []string{tcp.Addr().String(), "unix:" + unix.Addr().String()} {
		conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
		p.ok(err)
		stream, err := pfs.NewAPIClient(conn).ModifyFile(p.ctx)
		_, err = send[emptypb.Empty](stream, err, []op{setCommit(head("r", "master")), add(fmt.Sprint("/", i), strings.Repeat("z", 1<<20))})
		p.ok(err)
		conn.Close()
	}
	if n := len(p.tree(head("r", "master"))); n != 2 {
		t.Errorf("%d files", n)
	}
	p.stop()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Requests with holes in them get an answer, and the server goes on.
func TestMalformedRequests(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	p.modify(head("r", "master"), add("/a", "1"))
	bad := []*pfs.Commit{nil, {}, {Repo: &pfs.Repo{}}, {Branch: &pfs.Branch{}}, {Branch: &pfs.Branch{Name: "x"}, Id: "y"}, {Repo: repoRef("r")}, {Repo: repoRef("r"), Id: "."}, {Repo: &pfs.Repo{Name: fileSetRepo}}}
	var files []*pfs.File
	files = append(files, nil)
	for _, c := range bad {
		files = append(files, &pfs.File{Commit: c, Path: "/a"})
	}
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	for _, f := range files {
		_, err := p.InspectFile(p.ctx, &pfs.InspectFileRequest{File: f})
		note(err)
		_, err = all(p.GetFile(p.ctx, &pfs.GetFileRequest{File: f}))
		note(err)
		_, err = all(p.GetFileTAR(p.ctx, &pfs.GetFileRequest{File: f}))
		note(err)
		_, err = all(p.ListFile(p.ctx, &pfs.ListFileRequest{File: f}))
		note(err)
		_, err = all(p.WalkFile(p.ctx, &pfs.WalkFileRequest{File: f}))
		note(err)
		_, err = all(p.DiffFile(p.ctx, &pfs.DiffFileRequest{NewFile: f}))
		note(err)
		c := f.GetCommit()
		_, err = p.InspectCommit(p.ctx, &pfs.InspectCommitRequest{Commit: c})
		note(err)
		_, err = p.FinishCommit(p.ctx, &pfs.FinishCommitRequest{Commit: c})
		note(err)
		_, err = p.DropCommit(p.ctx, &pfs.DropCommitRequest{Commit: c})
		note(err)
		_, err = p.AddFileSet(p.ctx, &pfs.AddFileSetRequest{Commit: c, FileSetId: newID()})
		note(err)
		note(p.modifyErr(c))
		note(p.modifyErr(head("r", "b"), &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_CopyFile{CopyFile: &pfs.CopyFile{Dst: "/x", Src: f}}}))
	}
	for _, body := range []op{
		{Body: &pfs.ModifyFileRequest_AddFile{}}, {Body: &pfs.ModifyFileRequest_DeleteFile{}}, {Body: &pfs.ModifyFileRequest_CopyFile{}},
		add("/"+strings.Repeat("a/", 1<<20), "deep"), add("/", "root"), cp("/\x00", head("r", "master"), "/a"),
	} {
		note(p.modifyErr(head("r", "master"), body))
	}
	for _, err := range errs {
		if err == nil || strings.Contains(err.Error(), "panic") {
			t.Errorf("got %v", err)
		}
	}
	p.wantTree(head("r", "master"), "/a=1")
}

func TestPanicsAreAnswered(t *testing.T) {
	s := &Server{opts: Options{}}
	s.log = slogDiscard()
	_, err := s.interceptUnary(context.Background(), nil, &grpc.UnaryServerInfo{FullMethod: "/x/Y"}, func(context.Context, any) (any, error) {
		panic("oh no")
	})
	(&peer{t: t}).fails(err, codes.Aborted, "panic: oh no")
}
