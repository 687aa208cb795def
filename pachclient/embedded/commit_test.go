package embedded

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"pachfs/pachclient/pfspb/pfs"
)

func TestFinishingCommit(t *testing.T) {
	p := start(t, t.TempDir(), Options{FinishDelay: 150 * time.Millisecond})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, add("/a", "1"))
	info := p.inspect(h, pfs.CommitState_STARTED)
	if info.Finishing == nil || info.Finished != nil {
		t.Fatalf("%v", info)
	}
	c := p.open("r", "master") // a child may be started, written, but not read
	p.modify(c, add("/b", "2"))
	_, err := p.getErr(c, "/b", 0)
	p.fails(err, codes.Unknown, "base commit default/r@"+info.Commit.Id+" for commit default/r@"+c.Id+" unfinished")
	if p.get(info.Commit, "/a") != "1" { // reading a finishing commit waits for it
		t.Error("wrong content")
	}
	if p.inspect(info.Commit, 0).Finished == nil {
		t.Error("it was read before it was finished")
	}
	p.wantTree(c, "/a=1", "/b=2")
	p.finish(c, "")
	if p.inspect(c, pfs.CommitState_FINISHED).Finished == nil {
		t.Error("the wait ended early")
	}
}

func TestFinishingCommitIsFinishedAfterRestart(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, Options{FinishDelay: time.Hour})
	p.repo("r")
	p.modify(head("r", "master"), add("/a", "1"))
	p.stop()
	q := start(t, dir, Options{})
	if info := q.inspect(head("r", "master"), 0); info.Finished == nil {
		t.Errorf("%v", info)
	}
	q.wantTree(head("r", "master"), "/a=1")
}

func TestWaits(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	c := p.open("r", "master")
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Millisecond)
	defer cancel()
	_, err := p.InspectCommit(ctx, &pfs.InspectCommitRequest{Commit: c, Wait: pfs.CommitState_FINISHED})
	p.fails(err, codes.DeadlineExceeded, "")
	done := make(chan error, 1)
	wait := func() {
		_, err := p.InspectCommit(p.ctx, &pfs.InspectCommitRequest{Commit: c, Wait: pfs.CommitState_FINISHED})
		done <- err
	}
	go wait()
	time.Sleep(20 * time.Millisecond)
	p.finish(c, "")
	p.ok(<-done)
	c = p.open("r", "master")
	go wait()
	time.Sleep(20 * time.Millisecond)
	_, err = p.DropCommit(p.ctx, &pfs.DropCommitRequest{Commit: c})
	p.ok(err)
	p.fails(<-done, codes.Unknown, "was deleted")
}

func TestReferences(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	var ids []string
	for _, name := range []string{"/0", "/1", "/2", "/3"} {
		p.modify(head("r", "master"), add(name, "x"))
		ids = append(ids, p.inspect(head("r", "master"), 0).Commit.Id)
	}
	for ref, want := range map[string]string{
		"master": ids[3], "master^": ids[2], "master~": ids[2], "master^^": ids[1], "master^2": ids[1], "master^0": ids[3],
		"master.1": ids[0], "master.4": ids[3], "master.0": ids[3], ids[2]: ids[2], ids[2] + "^": ids[1], ids[3] + ".2": ids[1],
	} {
		if got := p.inspect(at("r", ref), 0).Commit.Id; got != want {
			t.Errorf("%s is %s, want %s", ref, got, want)
		}
	}
	b := head("r", "master")
	b.Id = "^2"
	if got := p.inspect(b, 0).Commit.Id; got != ids[1] {
		t.Errorf("^2 of a branch is %s", got)
	}
	for ref, words := range map[string]string{"master^4": "commit default/r@master^4 not found", "master.5": "not found", "nope": `branch "nope" not found in repo default/r`} {
		_, err := p.InspectCommit(p.ctx, &pfs.InspectCommitRequest{Commit: at("r", ref)})
		p.fails(err, codes.NotFound, words)
	}
	list := func(from, to string) int {
		req := &pfs.ListCommitRequest{Repo: repoRef("r"), To: at("r", to)}
		if from != "" {
			req.From = at("r", from)
		}
		infos, err := all(p.ListCommit(p.ctx, req))
		p.ok(err)
		return len(infos)
	}
	if a, b := list("", ids[2]), list(ids[0], "master"); a != 3 || b != 3 {
		t.Errorf("%d and %d commits", a, b)
	}
}

func TestBranches(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	create := func(name string, h *pfs.Commit) {
		_, err := p.CreateBranch(p.ctx, &pfs.CreateBranchRequest{Branch: branchRef("r", name), Head: h})
		p.ok(err)
	}
	create("master", nil)
	if info := p.inspect(head("r", "master"), 0); info.Finished == nil || info.Origin.Kind != pfs.OriginKind_AUTO {
		t.Errorf("%v", info)
	}
	p.wantTree(head("r", "master"))
	p.modify(head("r", "master"), add("/a", "1"))
	p.modify(head("r", "master"), add("/b", "2"))
	create("old", at("r", "master^"))
	p.wantTree(head("r", "old"), "/a=1")
	create("old", nil) // nothing changes
	p.wantTree(head("r", "old"), "/a=1")
	create("old", at("r", "master"))
	p.wantTree(head("r", "old"), "/a=1", "/b=2")
	infos, err := all(p.ListBranch(p.ctx, &pfs.ListBranchRequest{Repo: repoRef("r")}))
	p.ok(err)
	if len(infos) != 2 || infos[0].Branch.Name != "old" {
		t.Errorf("%v", infos)
	}
	_, err = p.DeleteBranch(p.ctx, &pfs.DeleteBranchRequest{Branch: branchRef("r", "old")})
	p.ok(err)
	_, err = p.InspectBranch(p.ctx, &pfs.InspectBranchRequest{Branch: branchRef("r", "old")})
	p.fails(err, codes.NotFound, `branch "old" not found in repo default/r`)
	info, err := p.InspectRepo(p.ctx, &pfs.InspectRepoRequest{Repo: repoRef("r")})
	p.ok(err)
	if info.Details.SizeBytes != 2 || len(info.Branches) != 1 {
		t.Errorf("%v", info)
	}
}

func TestDropAndSquash(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	var cs []*pfs.Commit
	for _, name := range []string{"/0", "/1", "/2"} {
		p.modify(h, add(name, "x"))
		cs = append(cs, p.inspect(h, 0).Commit)
	}
	drop := func(c *pfs.Commit) error {
		_, err := p.DropCommit(p.ctx, &pfs.DropCommitRequest{Commit: c})
		return err
	}
	squash := func(c *pfs.Commit) error {
		_, err := p.SquashCommit(p.ctx, &pfs.SquashCommitRequest{Commit: c})
		return err
	}
	p.fails(drop(cs[1]), codes.Unknown, "cannot drop a commit that has children: default/r@"+cs[1].Id)
	p.fails(squash(cs[2]), codes.Unknown, "cannot squash a commit that has no children")
	p.ok(squash(cs[1]))
	p.wantTree(h, "/0=x", "/1=x", "/2=x")
	if info := p.inspect(h, 0); info.ParentCommit.Id != cs[0].Id {
		t.Errorf("%v", info)
	}
	find, err := all(p.FindCommits(p.ctx, &pfs.FindCommitsRequest{Start: h, FilePath: "/1"}))
	p.ok(err)
	if find[0].GetFoundCommit().GetId() != cs[2].Id { // what was squashed is the child's now
		t.Errorf("%v", find)
	}
	p.ok(drop(cs[2]))
	p.wantTree(h, "/0=x")
	p.ok(drop(cs[0]))
	p.wantTree(h)
	if info := p.inspect(h, 0); info.Origin.Kind != pfs.OriginKind_AUTO {
		t.Errorf("%v", info)
	}
	_, err = p.DropCommitSet(p.ctx, &pfs.DropCommitSetRequest{CommitSet: &pfs.CommitSet{Id: newID()}})
	p.ok(err)
	_, err = all(p.InspectCommitSet(p.ctx, &pfs.InspectCommitSetRequest{CommitSet: &pfs.CommitSet{Id: newID()}}))
	p.fails(err, codes.NotFound, "no commits found for commitset")
	sets, err := all(p.ListCommitSet(p.ctx, &pfs.ListCommitSetRequest{}))
	p.ok(err)
	if len(sets) != 1 {
		t.Errorf("%d sets", len(sets))
	}
}

func TestSubscribe(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	p.modify(head("r", "master"), add("/0", "x"))
	p.modify(head("r", "side"), add("/0", "x"))
	stream, err := p.SubscribeCommit(p.ctx, &pfs.SubscribeCommitRequest{Repo: repoRef("r"), Branch: "master", State: pfs.CommitState_FINISHED})
	p.ok(err)
	next := func() string {
		info, err := stream.Recv()
		p.ok(err)
		if info.Finished == nil {
			t.Errorf("%v", info)
		}
		return info.Commit.Id
	}
	if next() != p.inspect(head("r", "master"), 0).Commit.Id {
		t.Error("not the first commit")
	}
	c := p.open("r", "master")
	finished := make(chan error, 1)
	time.AfterFunc(30*time.Millisecond, func() {
		_, err := p.FinishCommit(p.ctx, &pfs.FinishCommitRequest{Commit: c})
		finished <- err
	})
	if next() != c.Id {
		t.Error("not the second commit")
	}
	p.ok(<-finished)
	p.modify(head("r", "side"), add("/1", "x"))
	p.modify(head("r", "master"), add("/1", "x"))
	if next() != p.inspect(head("r", "master"), 0).Commit.Id {
		t.Error("not the third commit")
	}
	start := time.Now()
	p.ok(p.s.Check(p.ctx))
	p.ok(p.s.Close()) // ends the subscription
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("closing took %v", d)
	}
	p.conn.Close()
	p.conn = nil
}

func TestProjectsAndRepos(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	project := &pfs.Project{Name: "other"}
	_, err := p.CreateProject(p.ctx, &pfs.CreateProjectRequest{Project: project})
	p.ok(err)
	_, err = p.CreateProject(p.ctx, &pfs.CreateProjectRequest{Project: project})
	p.fails(err, codes.AlreadyExists, `project "other" already exists`)
	repo := &pfs.Repo{Name: "r", Type: userRepo, Project: project}
	_, err = p.CreateRepo(p.ctx, &pfs.CreateRepoRequest{Repo: repo})
	p.ok(err)
	p.repo("r")
	_, err = p.CreateRepo(p.ctx, &pfs.CreateRepoRequest{Repo: repoRef("r")})
	p.fails(err, codes.AlreadyExists, "repo default/r already exists")
	p.modify(&pfs.Commit{Repo: repo, Branch: &pfs.Branch{Repo: repo, Name: "master"}}, add("/a", "1"))
	names := func(projects ...*pfs.Project) (got []string) {
		infos, err := all(p.ListRepo(p.ctx, &pfs.ListRepoRequest{Projects: projects}))
		p.ok(err)
		for _, i := range infos {
			got = append(got, i.Repo.Project.Name+"/"+i.Repo.Name)
		}
		return got
	}
	p.wantPaths(names(), []string{"default/r", "other/r"})
	p.wantPaths(names(project), []string{"other/r"})
	_, err = p.DeleteProject(p.ctx, &pfs.DeleteProjectRequest{Project: project})
	p.fails(err, codes.FailedPrecondition, "repo other/r still exists")
	_, err = p.DeleteProject(p.ctx, &pfs.DeleteProjectRequest{Project: project, Force: true})
	p.ok(err)
	resp, err := p.DeleteRepo(p.ctx, &pfs.DeleteRepoRequest{Repo: repo})
	p.ok(err)
	if resp.Deleted {
		t.Error("deleted what is not there")
	}
	projects, err := all(p.ListProject(p.ctx, &pfs.ListProjectRequest{}))
	p.ok(err)
	if len(projects) != 1 || projects[0].Project.Name != defaultProject {
		t.Errorf("%v", projects)
	}
	_, err = p.InspectRepo(p.ctx, &pfs.InspectRepoRequest{Repo: &pfs.Repo{Name: "r"}})
	p.fails(err, codes.Unknown, "invalid input value for enum")
}

// A client may stop reading a listing; the server must not mind.
func TestCancelledListing(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	p.modify(head("r", "master"), manyFiles("/d", 3000, "x")...)
	for range 20 {
		ctx, cancel := context.WithCancel(p.ctx)
		stream, err := p.WalkFile(ctx, &pfs.WalkFileRequest{File: &pfs.File{Commit: head("r", "master"), Path: "/"}})
		p.ok(err)
		if _, err := stream.Recv(); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		cancel()
	}
	waitFor(t, func() bool {
		if !p.s.gate.TryLock() {
			return false
		}
		p.s.gate.Unlock()
		return true
	})
	if !slices.Contains(p.list(&pfs.ListFileRequest{File: &pfs.File{Commit: head("r", "master"), Path: "/"}}), "/d/") {
		t.Error("no listing")
	}
}
