package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"

	"pachfs/pachclient/pfspb/pfs"
	"pachfs/pachclient/pfspb/pps"
	"pachfs/pachclient/pfspb/version"
)

// localTree is a directory with a.txt, an empty file, sub/b.txt, and big.
func localTree(t *testing.T) (dir, big string) {
	dir, big = t.TempDir(), strings.Repeat("0123456789abcdef", 300_000)
	os.Mkdir(filepath.Join(dir, "sub"), 0o755)
	for name, data := range map[string]string{"a.txt": "alpha", "empty": "", "sub/b.txt": "beta", "sub/big": big} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, big
}

func TestPachctlRepos(t *testing.T) {
	p := startPachctl(t)
	v, err := version.NewAPIClient(p.conn).GetVersion(p.ctx, &emptypb.Empty{})
	p.ok(err)
	p.is("version", fmt.Sprintf("%d.%d.%d%s", v.Major, v.Minor, v.Micro, v.Additional), "2.11.6")

	create := func(name, description string, update bool) error {
		_, err := p.CreateRepo(p.run("create", "repo", name), &pfs.CreateRepoRequest{Repo: repoRef(name), Description: description, Update: update})
		return err
	}
	p.ok(create("r", "first", false))
	p.fails(create("r", "", false), codes.AlreadyExists, "repo default/r already exists")
	p.ok(create("r", "second", true))
	p.ok(create("q", "", false))
	list := func(req *pfs.ListRepoRequest) (names []string) {
		stream, err := p.ListRepo(p.run("list", "repo"), req)
		infos, err := all(stream, err)
		p.ok(err)
		for _, i := range infos {
			if i.Created == nil {
				t.Errorf("%v has no time", i)
			}
			names = append(names, i.Repo.Name+" "+i.Description)
		}
		slices.Sort(names)
		return names
	}
	here := []*pfs.Project{{Name: defaultProject}}
	for _, req := range []*pfs.ListRepoRequest{{Type: userRepo, Projects: here}, {Projects: here}, {Type: userRepo}} {
		if got := list(req); !slices.Equal(got, []string{"q ", "r second"}) {
			t.Errorf("list repo %v: %q", req, got)
		}
	}
	info, err := p.InspectRepo(p.run("inspect", "repo", "r"), &pfs.InspectRepoRequest{Repo: repoRef("r")})
	p.ok(err)
	p.is("description", info.Description, "second")

	remove := func(name string) bool {
		r, err := p.DeleteRepo(p.run("delete", "repo", name), &pfs.DeleteRepoRequest{Repo: repoRef(name)})
		p.ok(err)
		return r.Deleted
	}
	if !remove("r") || remove("r") || remove("none") {
		t.Error("delete repo: pachctl tells by the answer whether there was one")
	}
	_, err = p.DeleteRepos(p.run("delete", "repo", "--all"), &pfs.DeleteReposRequest{Projects: here})
	p.ok(err)
	if got := list(&pfs.ListRepoRequest{}); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

func TestPachctlProjects(t *testing.T) {
	p := startPachctl(t)
	lab := &pfs.Project{Name: "lab"}
	_, err := p.CreateProject(p.run("create", "project", "lab"), &pfs.CreateProjectRequest{Project: lab})
	p.ok(err)
	got, err := p.InspectProjectV2(p.run("inspect", "project", "lab"), &pfs.InspectProjectV2Request{Project: lab})
	p.ok(err)
	p.is("project", got.Info.Project.Name, "lab")
	repo := &pfs.Repo{Name: "q", Type: userRepo, Project: lab}
	_, err = p.CreateRepo(p.run("create", "repo", "q"), &pfs.CreateRepoRequest{Repo: repo})
	p.ok(err)

	ctx := p.run("delete", "project", "lab") // asks before it deletes what is in it
	pipelines, err := pps.NewAPIClient(p.conn).ListPipeline(ctx, &pps.ListPipelineRequest{Projects: []*pfs.Project{lab}})
	none, err := all(pipelines, err)
	p.ok(err)
	stream, err := p.ListRepo(ctx, &pfs.ListRepoRequest{Type: userRepo, Projects: []*pfs.Project{lab}})
	repos, err := all(stream, err)
	p.ok(err)
	if len(none) != 0 || len(repos) != 1 {
		t.Fatalf("%v, %v", none, repos)
	}
	_, err = p.DeleteProject(ctx, &pfs.DeleteProjectRequest{Project: lab})
	p.fails(err, codes.FailedPrecondition, "still exists")
	_, err = p.DeleteRepo(ctx, &pfs.DeleteRepoRequest{Repo: repos[0].Repo})
	p.ok(err)
	_, err = p.DeleteProject(ctx, &pfs.DeleteProjectRequest{Project: lab})
	p.ok(err)
	projects, err := p.ListProject(p.run("list", "project"), &pfs.ListProjectRequest{})
	left, err := all(projects, err)
	p.ok(err)
	if len(left) != 1 {
		t.Errorf("%v", left)
	}
}

func TestPachctlPutAndGet(t *testing.T) {
	p, web := startPachctl(t), site(t)
	p.repo("r")
	dir, big := localTree(t)
	a := filepath.Join(dir, "a.txt")
	p.ok(p.putFile("r@master", put{sources: []string{a}})) // the branch comes with it
	p.ok(p.putFile("r@master:/x/y", put{sources: []string{a, filepath.Join(dir, "sub/big"), filepath.Join(dir, "empty")}}))
	p.ok(p.putFile("r@master:/d", put{sources: []string{dir}, recursive: true}))
	p.ok(p.putFile("r@master:/d/a.txt", put{sources: []string{a}, append: true, compress: true}))
	p.ok(p.putFile("r@master:/x/y/big", put{sources: []string{a}})) // replaces it
	p.ok(p.putFile("r@master", put{sources: []string{web + "/small"}}))
	p.ok(p.putFile("r@master:/from/web", put{sources: []string{web + "/small", a}, recursive: true}))
	if n := len(p.log("r")); n != 7 {
		t.Errorf("%d commits", n)
	}
	p.fails(p.putFile("none@master", put{sources: []string{a}}), codes.NotFound, "repo default/none not found")
	p.fails(p.putFile("r@master:/half", put{sources: []string{a, web + "/none"}}), codes.Unknown, "404 Not Found")
	p.is("list", p.listFile("r@master"), "/a.txt /d/ /from/ /small /x/")
	p.is("list of a directory", p.listFile("r@master:/d"), "/d/a.txt /d/empty /d/sub/")
	p.is("list of nothing", p.listFile("r@master:/none"), "")

	for arg, want := range map[string]string{"r@master:/d/a.txt": "alphaalpha", "r@master:/small": "small", "r@master:/x/y/big": "alpha",
		"r@master^^^:/x/y/big": big, "r@master:/from/web/small": "small", "r@master:/d/empty": "", "r@master:/d/*.txt": "alphaalpha"} {
		got, err := p.getFile(arg)
		p.ok(err)
		if got != want {
			t.Errorf("get file %s: %d bytes, want %d", arg, len(got), len(want))
		}
	}
	_, err := p.getFile("r@master:/d") // pachctl rewrites these words
	p.fails(err, codes.Unknown, "cannot get directory or non-regular file. Use GetFileTAR instead")
	_, err = p.getFile("r@master:/{a.txt,small}")
	p.fails(err, codes.Unknown, "matched multiple files. Use GetFileTAR instead")
	_, err = p.getFile("r@master:/none")
	p.fails(err, codes.NotFound, "file /none not found in repo default/r at commit ")
	got, err := p.getTree("r@master:/d")
	p.ok(err)
	p.same("get file -r", got, map[string]string{"": "", "a.txt": "alphaalpha", "empty": "", "sub/": "", "sub/b.txt": "beta", "sub/big": big})
	got, err = p.getTree("r@master:/small")
	p.ok(err)
	p.same("get file -r of a file", got, map[string]string{"": "small"})
	_, err = p.getTree("r@master:/d/*") // InspectFile takes no pattern, in pachd as well
	p.fails(err, codes.NotFound, "file /d/* not found")
	stream, err := p.GetFile(p.run("get", "file", "-o", "s3://b/x"), &pfs.GetFileRequest{File: parse("r@master:/small"), URL: "s3://b/x"})
	_, err = collect(stream, err)
	p.fails(err, codes.Unimplemented, "does not write to URLs")
}

func TestPachctlFiles(t *testing.T) {
	p := startPachctl(t)
	p.repo("r")
	dir, big := localTree(t)
	p.ok(p.putFile("r@master:/d", put{sources: []string{dir}, recursive: true}))
	p.is("glob", p.list(p.GlobFile(p.run("glob", "file"), &pfs.GlobFileRequest{Commit: commitArg("r@master"), Pattern: "/**"})),
		"/d/ /d/a.txt /d/empty /d/sub/ /d/sub/b.txt /d/sub/big")
	info, err := p.InspectFile(p.run("inspect", "file"), &pfs.InspectFileRequest{File: parse("r@master:/d/sub/big")})
	p.ok(err)
	if info.File.Datum != "default" || info.FileType != pfs.FileType_FILE || info.SizeBytes != int64(len(big)) {
		t.Errorf("inspect file: %v", info)
	}
	p.modify1("r@master", cp("/e", commitArg("r@master"), "/d"))
	p.modify1("r@master", del("/e/a.txt"))
	p.is("after copy and delete", p.listFile("r@master:/e"), "/e/empty /e/sub/")
	p.modify1("r@master", del("/e/")) // delete file -r
	p.is("after delete -r", p.listFile("r@master:/"), "/d/")

	p.ok(p.putFile("r@master:/d/sub/b.txt", put{sources: []string{filepath.Join(dir, "a.txt")}}))
	for name, got := range map[string]map[string][2]string{
		"parent": p.diffFile("r@master:/"), "two": p.diffFile("r@master:/d/sub", "r@master^:/d/sub"),
	} {
		if len(got) != 1 || got["/d/sub/b.txt"] != [2]string{"beta", "alpha"} {
			t.Errorf("diff %s: %.200q", name, got)
		}
	}
	if got := p.diffFile("r@master:/d", "r@master^^^^:/d"); len(got) != 1 {
		t.Errorf("diff with the first commit: %.200q", got)
	}
}

// pachctl shows what Send returns, which is no more than "EOF" when the server has
// ended the call: an error must not overtake the rest of a small upload.
func TestPachctlSeesWhyAnUploadFailed(t *testing.T) {
	p := startPachctl(t)
	p.repo("r")
	c := p.puts("1")[0]
	for words, ops := range map[string][]op{
		"globbing character (*) not allowed in path": {setCommit(head("r", "master")), del("/ba*d"), add("/ba*d", "x")},
		"has already finished":                       {setCommit(at("r", c)), del("/a"), add("/a", "x")},
	} {
		stream, err := p.ModifyFile(p.ctx)
		p.ok(err)
		for _, o := range ops {
			p.ok(stream.Send(o))
			time.Sleep(5 * time.Millisecond) // it reads the file meanwhile
		}
		_, err = stream.CloseAndRecv()
		p.fails(err, codes.Unknown, words)
	}
	stream, err := p.ModifyFile(p.ctx) // but nobody sends for ever
	p.ok(err)
	p.ok(stream.Send(add("/no-commit", "x")))
	waitFor(t, func() bool { return stream.Send(add("/no-commit", "x")) != nil })
	_, err = stream.CloseAndRecv()
	p.fails(err, codes.Unknown, "first message must be a commit")
}

// What `pachctl mount` asks for: names without a slash in front, also such that
// are not there; contents by repo and ID; all changes at once in the end.
func TestPachctlMount(t *testing.T) {
	p := startPachctl(t)
	p.repo("r")
	p.modify(head("r", "master"), add("/d/a", "1"), add("/b", "2"))
	b, err := p.InspectBranch(p.run("mount"), &pfs.InspectBranchRequest{Branch: branchArg("r@master")})
	p.ok(err)
	pinned := &pfs.Commit{Repo: repoRef("r"), Branch: branchRef("r", "master"), Id: b.Head.Id}
	for name, want := range map[string]string{"": "/b /d/", "d": "/d/a", "b": "/b", "none": "", ".hidden/x": ""} {
		p.is(name, p.list(p.ListFile(p.ctx, &pfs.ListFileRequest{File: &pfs.File{Commit: pinned, Path: name}})), want)
	}
	p.is("content", p.get(at("r", b.Head.Id), "d/a"), "1")
	p.modify(head("r", "master"), del("b"), del("d/a"), add("d/a", "3"), add("new", "4"))
	p.wantTree(head("r", "master"), "/d/a=3", "/new=4")
}
