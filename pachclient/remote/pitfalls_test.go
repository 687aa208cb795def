package remote_test

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"pachfs/pachclient"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/embedded/asversion"
	"pachfs/pachclient/pfspb/pfs"
	"pachfs/pachclient/remote"
)

// onReleases runs a test of the client, with somebody else who speaks the plain
// API, against every release.
func onReleases(t *testing.T, o embedded.Options, test func(t *testing.T, c *remote.Client, other pfs.APIClient)) {
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			s := serveAs(t, release, o)
			test(t, dialAs(t, s), plain(t, s))
		})
	}
}

func plain(t *testing.T, s *asversion.Server) pfs.APIClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///s", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.Dial(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return pfs.NewAPIClient(conn)
}

// The branch images as the plain API names it.
var (
	imagesRepo   = &pfs.Repo{Name: images.Repo, Type: "user", Project: &pfs.Project{Name: images.Project}}
	imagesBranch = &pfs.Branch{Repo: imagesRepo, Name: images.Name}
	imagesHead   = &pfs.Commit{Repo: imagesRepo, Branch: imagesBranch}
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A copy can make names that no add can. They are read as they are, and match
// nothing else.
func TestGlobCharactersAreLiteral(t *testing.T) {
	onReleases(t, embedded.Options{}, func(t *testing.T, c *remote.Client, other pfs.APIClient) {
		r, _ := bigFile(t, c, "the wrong file")
		names := []string{"/b*", "/?ig", "/{big,big}", "/[a-z]ig", `/b\*`, "/@(big)", "/**", `/d*/\big`, "/!(x)", "/b+(i)g^", "/ümlaut*", "/big|big"}
		for _, name := range names { // each with a content of its own
			set, err := c.Upload(t.Context(), seq(add("/source", name)))
			ok(t, err)
			stream, err := other.ModifyFile(t.Context())
			ok(t, err)
			ok(t, stream.Send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_SetCommit{SetCommit: imagesHead}}))
			src := &pfs.Commit{Repo: &pfs.Repo{Name: pachclient.FileSetRepo}, Branch: &pfs.Branch{Repo: &pfs.Repo{Name: pachclient.FileSetRepo}}, Id: string(set)}
			ok(t, stream.Send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_CopyFile{CopyFile: &pfs.CopyFile{Dst: name, Src: &pfs.File{Commit: src, Path: "/source"}}}}))
			_, err = stream.CloseAndRecv()
			ok(t, err)
		}
		head, err := c.Head(t.Context(), images)
		ok(t, err)
		if head.Commit.Same(r.Commit()) {
			t.Fatal("nothing was copied")
		}
		r = c.At(head.Commit)
		for _, name := range names {
			fi, err := r.Stat(t.Context(), name)
			ok(t, err)
			s, err := r.Open(t.Context(), fi, 0)
			ok(t, err)
			got, err := io.ReadAll(s)
			s.Close()
			if err != nil || string(got) != name {
				t.Errorf("%s reads as %q, %v", name, got, err)
			}
		}
	})
}

// An open commit is not waited for and never the head that is read; on a base
// that is not finished it can't be read, and says so.
func TestOpenCommits(t *testing.T) {
	onReleases(t, embedded.Options{FinishDelay: 2 * time.Second}, func(t *testing.T, c *remote.Client, other pfs.APIClient) {
		ctx := t.Context()
		first, _ := bigFile(t, c, "one")
		set, err := c.Upload(ctx, seq(add("/big", "two")))
		ok(t, err)
		ok(t, c.Land(ctx, images, set, nil))
		open, err := other.StartCommit(ctx, &pfs.StartCommitRequest{Branch: imagesBranch})
		ok(t, err)
		b, err := c.Branch(ctx, images)
		if err != nil || b.Head.ID != open.Id {
			t.Fatalf("%+v, %v", b, err)
		}
		never := func(fi pachclient.FileInfo) error { return errors.New("has " + fi.Path) }
		if err := c.At(b.Head).List(ctx, "/", never); !errors.Is(err, pachclient.ErrOpenCommit) {
			t.Errorf("list: %v", err)
		}
		if _, err := c.At(b.Head).Stat(ctx, "/big"); !errors.Is(err, pachclient.ErrOpenCommit) {
			t.Errorf("stat: %v", err)
		}
		head, err := c.Head(ctx, images)
		if err != nil || !head.Commit.Same(first.Commit()) {
			t.Errorf("head %+v, %v; want %s", head, err, first.Commit())
		}
		info, err := c.Commit(ctx, b.Head)
		ok(t, err)
		_, err = c.Wait(ctx, info.Parent)
		ok(t, err)
		fi, err := c.At(b.Head).Stat(ctx, "/big")
		if err != nil || fi.Size != 3 {
			t.Errorf("%+v, %v", fi, err)
		}
		_, err = other.FinishCommit(ctx, &pfs.FinishCommitRequest{Commit: &pfs.Commit{Repo: imagesRepo, Branch: imagesBranch, Id: open.Id}, Error: "it went wrong"})
		ok(t, err)
		bad, err := c.Wait(ctx, b.Head)
		if err != nil || bad.Good() || bad.Error != "it went wrong" {
			t.Errorf("%+v, %v", bad, err)
		}
		head, err = c.Head(ctx, images)
		if err != nil || !head.Commit.Same(info.Parent) {
			t.Errorf("head %+v, %v; want %s", head, err, info.Parent)
		}
	})
}

// A set that was not renewed in time is missing for every call, and nothing
// comes of landing it.
func TestExpiredSet(t *testing.T) {
	onReleases(t, embedded.Options{}, func(t *testing.T, c *remote.Client, _ pfs.APIClient) {
		ctx := t.Context()
		first, _ := bigFile(t, c, "one")
		set, err := c.Upload(ctx, seq(add("/late", "x")))
		ok(t, err)
		ok(t, c.Renew(ctx, set, time.Second))
		r := c.At(set.Commit())
		_, err = r.Stat(ctx, "/late")
		ok(t, err)
		time.Sleep(1100 * time.Millisecond)
		never := func(fi pachclient.FileInfo) error { return errors.New("has " + fi.Path) }
		_, stat := r.Stat(ctx, "/")
		for what, err := range map[string]error{"stat": stat, "list": r.List(ctx, "/", never), "walk": r.Walk(ctx, "/", never),
			"renew": c.Renew(ctx, set, time.Minute), "land": c.Land(ctx, images, set, []string{"/big"})} {
			if !errors.Is(err, iofs.ErrNotExist) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if b, err := c.Branch(ctx, images); err != nil || !b.Head.Same(first.Commit()) {
			t.Errorf("%+v, %v", b, err)
		}
	})
}
