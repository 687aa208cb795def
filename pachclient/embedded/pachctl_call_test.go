package embedded

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	grpcmd "google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"pachfs/pachclient/pfspb/admin"
	"pachfs/pachclient/pfspb/pfs"
	"pachfs/pachclient/pfspb/version"
)

// A pachctl sends what pachctl 2.11.6 sends, message for message.
type pachctl struct{ *peer }

func startPachctl(t *testing.T) pachctl {
	return pachctl{start(t, t.TempDir(), Options{LikePachd: true})}
}

// run is the begin of every command: its words go along, and the first call
// asks for the cluster.
func (p pachctl) run(words ...string) context.Context {
	p.t.Helper()
	ctx := grpcmd.AppendToOutgoingContext(p.ctx, "command", "pachctl "+strings.Join(words, " "))
	info, err := admin.NewAPIClient(p.conn).InspectCluster(ctx, &admin.InspectClusterRequest{
		ClientVersion: &version.Version{Major: 2, Minor: 11, Micro: 6}, CurrentProject: &pfs.Project{Name: defaultProject}})
	p.ok(err)
	if info.Id == "" || info.DeploymentId == "" || !info.WarningsOk || info.Paused || len(info.Warnings) > 0 {
		p.t.Fatalf("%v: pachctl would warn: %v", words, info)
	}
	return ctx
}

var (
	branchWord = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
	idWord     = regexp.MustCompile(`^[0-9a-f]{12}4[0-9a-f]{19}$`)
)

// parse reads repo@branch=commit:path as pachctl does: what is no branch name is
// an ID, and then the branch has none.
func parse(arg string) *pfs.File {
	repo, rest, _ := strings.Cut(arg, "@")
	rest, name, _ := strings.Cut(rest, ":")
	branch, id, both := strings.Cut(rest, "=")
	if !both && (idWord.MatchString(rest) || !branchWord.MatchString(rest)) {
		branch, id = "", rest
	}
	return &pfs.File{Commit: &pfs.Commit{Repo: repoRef(repo), Branch: branchRef(repo, branch), Id: id}, Path: name}
}

func commitArg(arg string) *pfs.Commit { return parse(arg).Commit }

func branchArg(arg string) *pfs.Branch { return parse(arg).Commit.Branch }

// put is how to put: what -f names (a file, a directory, a URL), -r, -a, -c.
type put struct {
	sources           []string
	recursive, append bool
	compress          bool
}

// putFile is `put file`: all sources in one stream, after a look at the repo.
func (p pachctl) putFile(to string, how put) error {
	p.t.Helper()
	ctx, target := p.run("put", "file", to), parse(to)
	if _, err := p.InspectRepo(ctx, &pfs.InspectRepoRequest{Repo: target.Commit.Repo}); err != nil {
		return err
	}
	var opts []grpc.CallOption
	if how.compress {
		opts = append(opts, grpc.UseCompressor(gzip.Name))
	}
	ops := []op{setCommit(target.Commit)}
	for _, source := range how.sources {
		ops = append(ops, p.putOps(target.Path, source, how, len(how.sources) > 1)...)
	}
	stream, err := p.ModifyFile(ctx, opts...)
	_, err = send[emptypb.Empty](stream, err, ops)
	return err
}

func (p pachctl) putOps(to, source string, how put, many bool) (ops []op) {
	isURL := strings.Contains(source, "://")
	switch {
	case to == "" && isURL:
		_, to, _ = strings.Cut(strings.TrimPrefix(source, "http://"), "/")
	case to == "":
		to = path.Base(source) // no leading slash: so it is
	case many:
		to = path.Join(to, path.Base(source))
	}
	replace := func(to string) {
		if !how.append {
			ops = append(ops, del(to))
		}
	}
	if isURL {
		replace(to)
		return append(ops, fromURL(to, source, how.recursive))
	}
	p.ok(filepath.WalkDir(source, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		dst := path.Join(to, strings.TrimPrefix(name, source))
		replace(dst)
		if len(data) == 0 {
			ops = append(ops, &pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_AddFile{AddFile: &pfs.AddFile{Path: dst}}})
		}
		for piece := range slices.Chunk(data, 2<<20) {
			ops = append(ops, add(dst, string(piece)))
		}
		return err
	}))
	return ops
}

// getFile is `get file`, without -o.
func (p pachctl) getFile(arg string) (string, error) {
	p.t.Helper()
	stream, err := p.GetFile(p.run("get", "file", arg), &pfs.GetFileRequest{File: parse(arg)})
	return collect(stream, err)
}

func collect(stream grpc.ServerStreamingClient[wrapperspb.BytesValue], err error) (string, error) {
	msgs, err := all(stream, err)
	var b strings.Builder
	for _, m := range msgs {
		b.Write(m.Value)
	}
	return b.String(), err
}

// getTree is `get file -r -o`: the tar, with what InspectFile says is its root
// cut off the names. Directories must say that they are.
func (p pachctl) getTree(arg string) (map[string]string, error) {
	p.t.Helper()
	ctx := p.run("get", "file", "-r", arg)
	info, err := p.InspectFile(ctx, &pfs.InspectFileRequest{File: parse(arg)})
	if err != nil {
		return nil, err
	}
	stream, err := p.GetFileTAR(ctx, &pfs.GetFileRequest{File: parse(arg)})
	data, err := collect(stream, err)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for r := tar.NewReader(strings.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		p.ok(err)
		body, err := io.ReadAll(r)
		p.ok(err)
		name, below := strings.CutPrefix(h.Name, info.File.Path)
		if isDir := h.Typeflag == tar.TypeDir; !below || isDir != strings.HasSuffix(h.Name, "/") && h.Name != info.File.Path {
			p.t.Errorf("tar entry %q of %q, type %c", h.Name, info.File.Path, h.Typeflag)
		}
		files[name] = string(body)
	}
}

// list gives "path size" of what a listing call sends.
func (p pachctl) list(stream grpc.ServerStreamingClient[pfs.FileInfo], err error) string {
	p.t.Helper()
	infos, err := all(stream, err)
	p.ok(err)
	return strings.Join(paths(infos), " ")
}

func (p pachctl) listFile(arg string) string {
	p.t.Helper()
	return p.list(p.ListFile(p.run("list", "file", arg), &pfs.ListFileRequest{File: parse(arg)}))
}

// diffFile is `diff file`: what differs, and the contents of files by the
// commits that the answer names, which have no branch.
func (p pachctl) diffFile(words ...string) map[string][2]string {
	p.t.Helper()
	ctx, req := p.run(append([]string{"diff", "file"}, words...)...), &pfs.DiffFileRequest{NewFile: parse(words[0])}
	if len(words) > 1 {
		req.OldFile = parse(words[1])
	}
	stream, err := p.DiffFile(ctx, req)
	list, err := all(stream, err)
	p.ok(err)
	content := func(i *pfs.FileInfo) string {
		if i == nil {
			return "-"
		}
		c := i.File.Commit
		if c.Branch != nil || c.Id == "" || c.Repo.GetType() != userRepo {
			p.t.Errorf("commit of %s: %v", i.File.Path, c)
		}
		return p.get(c, i.File.Path)
	}
	out := map[string][2]string{}
	for _, d := range list {
		if some := cmp(d.NewFile, d.OldFile); some.FileType == pfs.FileType_FILE {
			out[some.File.Path] = [2]string{content(d.OldFile), content(d.NewFile)}
		}
	}
	return out
}

func cmp(a, b *pfs.FileInfo) *pfs.FileInfo {
	if a != nil {
		return a
	}
	return b
}

// modify1 is `copy file` and `delete file`: one change in a stream.
func (p pachctl) modify1(to string, change op) {
	p.t.Helper()
	stream, err := p.ModifyFile(p.run("modify", to))
	_, err = send[emptypb.Empty](stream, err, []op{setCommit(commitArg(to)), change})
	p.ok(err)
}

// listCommit is `list commit R` and `R@B`. pachctl reads commit.repo and origin
// of each without asking whether they are there.
func (p pachctl) listCommit(arg string, more ...func(*pfs.ListCommitRequest)) []string {
	p.t.Helper()
	req := &pfs.ListCommitRequest{Repo: commitArg(arg).Repo}
	if strings.Contains(arg, "@") {
		req.To = commitArg(arg)
	}
	for _, m := range more {
		m(req)
	}
	stream, err := p.ListCommit(p.run("list", "commit", arg), req)
	return p.printable(all(stream, err))
}

func (p pachctl) printable(infos []*pfs.CommitInfo, err error) (ids []string) {
	p.t.Helper()
	p.ok(err)
	for _, c := range infos {
		if c.Commit.GetRepo().GetProject().GetName() == "" || c.Origin == nil || c.Started == nil {
			p.t.Errorf("pachctl can't print %v", c)
		}
		ids = append(ids, c.Commit.Id)
	}
	return ids
}

func (p pachctl) same(what string, got, want map[string]string) {
	p.t.Helper()
	if !maps.Equal(got, want) {
		p.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func (p pachctl) is(what, got, want string) {
	p.t.Helper()
	if got != want {
		p.t.Errorf("%s: %q, want %q", what, got, want)
	}
}
