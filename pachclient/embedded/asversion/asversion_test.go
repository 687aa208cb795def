package asversion_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"pachfs/pachclient/embedded"
	"pachfs/pachclient/embedded/asversion"
	"pachfs/pachclient/pfspb/pfs"
)

// start gives a client of a server that answers as a release, with the repo r.
func start(t *testing.T, release string) (*asversion.Server, pfs.APIClient) {
	t.Helper()
	back, err := embedded.Open(t.TempDir(), embedded.Options{})
	ok(t, err)
	t.Cleanup(func() { back.Close() })
	s, err := asversion.New(back, release)
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	conn, err := grpc.NewClient("passthrough:///s", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.Dial(ctx) }))
	ok(t, err)
	t.Cleanup(func() { conn.Close() })
	c := pfs.NewAPIClient(conn)
	_, err = c.CreateRepo(t.Context(), &pfs.CreateRepoRequest{Repo: repo})
	ok(t, err)
	return s, c
}

var (
	repo   = &pfs.Repo{Name: "r", Type: "user", Project: &pfs.Project{Name: "default"}}
	master = &pfs.Branch{Repo: repo, Name: "master"}
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fails(t *testing.T, err error, code codes.Code, words string) {
	t.Helper()
	if st := status.Convert(err); st.Code() != code || !strings.Contains(st.Message(), words) {
		t.Errorf("%v, want %v with %q", err, code, words)
	}
}

// modify is a ModifyFile on a commit.
func modify(t *testing.T, c pfs.APIClient, commit *pfs.Commit, ops ...*pfs.ModifyFileRequest) error {
	t.Helper()
	stream, err := c.ModifyFile(t.Context())
	ok(t, err)
	for _, m := range append([]*pfs.ModifyFileRequest{{Body: &pfs.ModifyFileRequest_SetCommit{SetCommit: commit}}}, ops...) {
		if err := stream.Send(m); err != nil {
			break // CloseAndRecv has the reason
		}
	}
	_, err = stream.CloseAndRecv()
	return err
}

func add(path string) *pfs.ModifyFileRequest {
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_AddFile{AddFile: &pfs.AddFile{Path: path}}}
}

func cp(dst string, src *pfs.File) *pfs.ModifyFileRequest {
	return &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_CopyFile{CopyFile: &pfs.CopyFile{Dst: dst, Src: src}}}
}

// Answers have the shape of their time.
func TestAnswers(t *testing.T) {
	for release, want := range map[string]struct{ repo, branch, project, created bool }{
		"2.1.9": {branch: true}, "2.5.9": {branch: true, project: true},
		"2.6.11": {repo: true, branch: true, project: true}, "2.11.6": {repo: true, project: true, created: true},
	} {
		_, c := start(t, release)
		ok(t, modify(t, c, &pfs.Commit{Repo: repo, Branch: master}, add("/a")))
		info, err := c.InspectCommit(t.Context(), &pfs.InspectCommitRequest{Commit: &pfs.Commit{Repo: repo, Branch: master}})
		ok(t, err)
		b, err := c.InspectBranch(t.Context(), &pfs.InspectBranchRequest{Branch: master})
		ok(t, err)
		for _, got := range []*pfs.Commit{info.Commit, b.Head} {
			if (got.Repo != nil) != want.repo || (got.Branch != nil) != want.branch {
				t.Errorf("%s: %v", release, got)
			}
			if want.branch && (got.Branch.Name != "master" || got.Branch.Repo.GetName() != "r") {
				t.Errorf("%s: branch %v", release, got.Branch)
			}
		}
		if (b.Branch.Repo.Project != nil) != want.project || (info.CreatedAt != nil) != want.created {
			t.Errorf("%s: %v, %v", release, b, info)
		}
	}
}

// What a release does not know is skipped, or Unimplemented.
func TestUnknown(t *testing.T) {
	for release, dropped := range map[string]bool{"2.1.9": false, "2.5.7": false, "2.5.8": true, "2.6.11": false, "2.8.0": true, "2.11.6": true} {
		s, c := start(t, release)
		ok(t, modify(t, c, &pfs.Commit{Repo: repo, Branch: master}, add("/a")))
		_, err := c.DropCommit(t.Context(), &pfs.DropCommitRequest{Commit: &pfs.Commit{Repo: repo, Branch: master}})
		if !dropped {
			fails(t, err, codes.Unimplemented, "unknown method DropCommit for service pfs_v2.API")
		} else {
			ok(t, err)
		}
		if got := slices.Contains(s.Skipped(), "pfs_v2.API/DropCommit"); got == dropped {
			t.Errorf("%s: skipped %q", release, s.Skipped())
		}
	}
	for release, want := range map[string]int{"2.3.9": 2, "2.4.0": 1} { // pages
		_, c := start(t, release)
		ok(t, modify(t, c, &pfs.Commit{Repo: repo, Branch: master}, add("/a"), add("/b")))
		stream, err := c.ListFile(t.Context(), &pfs.ListFileRequest{File: &pfs.File{Commit: &pfs.Commit{Repo: repo, Branch: master}}, Number: 1})
		ok(t, err)
		n := 0
		for _, err = stream.Recv(); err == nil; _, err = stream.Recv() {
			n++
		}
		if n != want {
			t.Errorf("%s: %d files", release, n)
		}
	}
}

// What servers did by themselves.
func TestBehaviour(t *testing.T) {
	s, c := start(t, "2.1.9")
	on := &pfs.Commit{Repo: repo, Branch: master}
	ok(t, modify(t, c, on, add("/a")))
	info, err := c.InspectCommit(t.Context(), &pfs.InspectCommitRequest{Commit: on})
	ok(t, err)
	id := info.Commit.Id
	stat := func(commit *pfs.Commit, path string) error {
		_, err := c.InspectFile(t.Context(), &pfs.InspectFileRequest{File: &pfs.File{Commit: commit, Path: path}})
		return err
	}
	ok(t, stat(&pfs.Commit{Branch: &pfs.Branch{Repo: repo}, Id: id}, "/a"))
	fails(t, stat(&pfs.Commit{Repo: repo, Id: id}, "/a"), codes.Unknown, "no branch")
	fails(t, stat(&pfs.Commit{Repo: repo, Branch: &pfs.Branch{Name: "master"}, Id: id}, "/a"), codes.Unknown, "no repo")
	fails(t, stat(&pfs.Commit{Branch: &pfs.Branch{Repo: repo, Name: "other"}, Id: id}, "/a"), codes.NotFound, "not found")
	fails(t, stat(&pfs.Commit{Branch: &pfs.Branch{Repo: repo, Name: "none"}}, "/a"), codes.Unknown, "not found")

	all := &pfs.File{Commit: &pfs.Commit{Branch: master, Id: id}, Path: "/"}
	ok(t, modify(t, c, &pfs.Commit{Branch: &pfs.Branch{Repo: repo, Name: "copy"}}, cp("/", all)))
	fails(t, stat(&pfs.Commit{Branch: &pfs.Branch{Repo: repo, Name: "copy"}}, "/a"), codes.NotFound, "not found") // and no word of it
	if s.Crashes() != nil {
		t.Errorf("crashes %q", s.Crashes())
	}
	fails(t, modify(t, c, &pfs.Commit{Repo: repo, Id: "master"}, add("/b")), codes.Unavailable, "EOF")
	if len(s.Crashes()) != 1 {
		t.Errorf("crashes %q", s.Crashes())
	}

	_, c = start(t, "2.6.11")
	ok(t, modify(t, c, on, add("/a")))
	info, err = c.InspectCommit(t.Context(), &pfs.InspectCommitRequest{Commit: on})
	ok(t, err)
	ok(t, stat(&pfs.Commit{Repo: repo, Branch: &pfs.Branch{Name: "any"}, Id: info.Commit.Id}, "/a"))
	all.Commit = info.Commit
	ok(t, modify(t, c, &pfs.Commit{Repo: repo, Branch: &pfs.Branch{Repo: repo, Name: "copy"}}, cp("/", all)))
	ok(t, stat(&pfs.Commit{Branch: &pfs.Branch{Repo: repo, Name: "copy"}}, "/a"))
}
