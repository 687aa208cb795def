package embedded

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"pachfs/pachclient/pfspb/pfs"
)

// puts makes a commit for each name, which its file has.
func (p pachctl) puts(names ...string) (ids []string) {
	p.t.Helper()
	for _, name := range names {
		p.modify(head("r", "master"), add("/"+name, name))
		ids = append(ids, p.inspect(head("r", "master"), 0).Commit.Id)
	}
	return ids
}

func (p pachctl) ids(what string, got []string, want ...string) {
	p.t.Helper()
	if !slices.Equal(got, want) {
		p.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestPachctlCommits(t *testing.T) {
	p := startPachctl(t)
	p.repo("r")
	one := p.puts("1")[0]
	startCommit := func(words, parent string) (string, error) {
		req := &pfs.StartCommitRequest{Branch: branchArg(words), Description: "begun"}
		if parent != "" {
			req.Parent = commitArg(parent)
		}
		c, err := p.StartCommit(p.run("start", "commit", words), req)
		return c.GetId(), err
	}
	two, err := startCommit("r@master", "")
	p.ok(err)
	_, err = startCommit("r@master", "")
	p.fails(err, codes.Unknown, "start commit in transaction: parent commit default/r@"+two+" has not been finished")
	p.modify(commitArg("r@master"), del("/2"), add("/2", "2")) // put file: into the open commit
	inspect := func(arg string, wait pfs.CommitState) *pfs.CommitInfo {
		info, err := p.InspectCommit(p.run("inspect", "commit", arg), &pfs.InspectCommitRequest{Commit: commitArg(arg), Wait: wait})
		p.ok(err)
		return info
	}
	if c := inspect("r@master", pfs.CommitState_STARTED); c.Commit.Id != two || c.Finishing != nil || c.Description != "begun" {
		t.Errorf("open: %v", c)
	}
	finish := func() error {
		_, err := p.FinishCommit(p.run("finish", "commit"), &pfs.FinishCommitRequest{Commit: commitArg("r@master"), Description: "ended"})
		return err
	}
	p.ok(finish())
	p.fails(finish(), codes.Unknown, "commit default/r@"+two+" has already finished")
	if c := inspect("r@master", pfs.CommitState_FINISHED); c.Finished == nil || c.Description != "ended" || c.Details.SizeBytes != 2 {
		t.Errorf("wait commit: %v", c)
	}
	for arg, want := range map[string]string{"r@master^": one, "r@" + two: two, "r@" + two + "^": one, "r@master=" + one: one, "r@master.1": one} {
		p.is(arg, inspect(arg, pfs.CommitState_STARTED).Commit.Id, want)
	}
	_, err = p.InspectCommit(p.ctx, &pfs.InspectCommitRequest{Commit: commitArg("r@ffffffffffff4fffffffffffffffffff")})
	p.fails(err, codes.NotFound, "inspect commitHandle: commit default/r@ffffffffffff4fffffffffffffffffff not found")
	side, err := startCommit("r@side", "r@master^")
	p.ok(err)
	p.is("parent", inspect("r@side", pfs.CommitState_STARTED).ParentCommit.Id, one)
	p.ids("list commit", p.listCommit("r"), side, two, one)
}

func TestPachctlListCommits(t *testing.T) {
	p := startPachctl(t)
	p.repo("r")
	c := p.puts("1", "2", "3")
	p.ids("of the repo", p.listCommit("r"), c[2], c[1], c[0])
	p.ids("of the branch", p.listCommit("r@master"), c[2], c[1], c[0])
	p.ids("-n 2", p.listCommit("r", func(r *pfs.ListCommitRequest) { r.Number = 2 }), c[2], c[1])
	p.ids("--from", p.listCommit("r@master", func(r *pfs.ListCommitRequest) { r.From = commitArg("r@" + c[0]) }), c[2], c[1])
	p.ids("--all", p.listCommit("r", func(r *pfs.ListCommitRequest) { r.All = true }), c[2], c[1], c[0])
	p.ids("--origin auto", p.listCommit("r", func(r *pfs.ListCommitRequest) { r.OriginKind = pfs.OriginKind_AUTO }))

	stream, err := p.ListCommitSet(p.run("list", "commit"), &pfs.ListCommitSetRequest{Project: &pfs.Project{Name: defaultProject}})
	sets, err := all(stream, err)
	p.ok(err)
	var ids []string
	for _, s := range sets {
		ids = append(ids, s.CommitSet.Id)
		p.ids("a set", p.printable(s.Commits, nil), s.CommitSet.Id)
	}
	p.ids("list commit", ids, c[2], c[1], c[0])
	one, err := p.InspectCommitSet(p.run("list", "commit", c[1]), &pfs.InspectCommitSetRequest{CommitSet: &pfs.CommitSet{Id: c[1]}})
	p.ids("by id", p.printable(all(one, err)), c[1])

	found, err := p.FindCommits(p.run("find", "commit"), &pfs.FindCommitsRequest{Start: commitArg("r@master"), FilePath: "/2"})
	answers, err := all(found, err)
	p.ok(err)
	if len(answers) != 2 || answers[0].GetFoundCommit().GetId() != c[1] || answers[1].GetLastSearchedCommit().GetId() != c[0] || answers[1].CommitsSearched != 3 {
		t.Errorf("find commit: %v", answers)
	}
}

func TestPachctlSquashAndDelete(t *testing.T) {
	p := startPachctl(t)
	p.repo("r")
	c := p.puts("1", "2", "3", "4", "5")
	set := func(id string) *pfs.CommitSet { return &pfs.CommitSet{Id: id} }
	_, err := p.SquashCommitSet(p.run("squash", "commit", c[4]), &pfs.SquashCommitSetRequest{CommitSet: set(c[4])})
	p.fails(err, codes.Unknown, "cannot squash a commit that has no children as that would cause data loss, use the drop operation instead: default/r@"+c[4])
	_, err = p.SquashCommitSet(p.run("squash", "commit", c[1]), &pfs.SquashCommitSetRequest{CommitSet: set(c[1])})
	p.ok(err)
	_, err = p.DropCommitSet(p.run("delete", "commit", c[4]), &pfs.DropCommitSetRequest{CommitSet: set(c[4])})
	p.ok(err)
	p.ids("sets", p.listCommit("r@master"), c[3], c[2], c[0])
	_, err = p.DropCommitSet(p.run("delete", "commit", c[0]), &pfs.DropCommitSetRequest{CommitSet: set(c[0])})
	p.fails(err, codes.Unknown, "cannot drop a commit that has children: default/r@"+c[0])
	_, err = p.SquashCommit(p.run("squash", "commitV2"), &pfs.SquashCommitRequest{Commit: commitArg("r@master^")})
	p.ok(err)
	_, err = p.DropCommit(p.run("delete", "commitV2"), &pfs.DropCommitRequest{Commit: commitArg("r@master")})
	p.ok(err)
	p.ids("V2", p.listCommit("r@master"), c[0])
	p.wantTree(head("r", "master"), "/1=1")
}

func TestPachctlBranches(t *testing.T) {
	p := startPachctl(t)
	p.repo("r")
	c := p.puts("1", "2")
	create := func(name string, at *pfs.Commit) {
		t.Helper()
		_, err := p.CreateBranch(p.run("create", "branch", name), &pfs.CreateBranchRequest{Branch: branchRef("r", name), Head: at})
		p.ok(err)
	}
	word := func(w string) *pfs.Commit { // --head W, whatever it is, is an ID of a branch without a name
		return &pfs.Commit{Repo: repoRef("r"), Branch: branchRef("r", ""), Id: w}
	}
	create("none", nil)
	create("name", word("master"))
	create("id", word(c[0]))
	create("ancestor", word("master^"))
	create("full", commitArg("r@master="+c[0]))
	for name, want := range map[string]string{"name": c[1], "id": c[0], "ancestor": c[0], "full": c[0], "master": c[1]} {
		b, err := p.InspectBranch(p.run("inspect", "branch", name), &pfs.InspectBranchRequest{Branch: branchRef("r", name)})
		p.ok(err)
		if b.Head.Id != want || b.Head.Repo.GetName() != "r" { // pachctl reads head.repo
			t.Errorf("%s: %v", name, b)
		}
	}
	stream, err := p.ListBranch(p.run("list", "branch"), &pfs.ListBranchRequest{Repo: repoRef("r")})
	list, err := all(stream, err)
	p.ok(err)
	var names []string
	for _, b := range list {
		names = append(names, b.Branch.Name)
	}
	p.ids("list branch", names, "full", "ancestor", "id", "name", "none", "master")
	remove := func(name string, force bool) error {
		_, err := p.DeleteBranch(p.run("delete", "branch", name), &pfs.DeleteBranchRequest{Branch: branchRef("r", name), Force: force})
		return err
	}
	p.ok(remove("full", false))
	p.fails(remove("full", false), codes.NotFound, `get branch "default/r.user@full": branch (id=0, branch=default/r@full) not found`)
	derive := func(repo string) error { // create branch -p
		_, err := p.CreateBranch(p.run("create", "branch"), &pfs.CreateBranchRequest{Branch: branchRef(repo, "out"), Provenance: []*pfs.Branch{branchRef("r", "master")}})
		return err
	}
	p.fails(derive("r"), codes.Unknown, "repo default/r cannot be in the provenance of its own branch")
	p.repo("made")
	p.ok(derive("made"))
	p.fails(remove("master", false), codes.Unknown, `branch "default/r@master" cannot be deleted because it's in the direct provenance of [default/made@out]`)
	_, err = p.DeleteRepo(p.run("delete", "repo"), &pfs.DeleteRepoRequest{Repo: repoRef("r")})
	p.fails(err, codes.Unknown, `delete repo: delete branch default/r@master: branch "default/r@master" cannot be deleted`)
	_, err = p.CreateBranch(p.run("create", "branch"), &pfs.CreateBranchRequest{Branch: branchRef("made", "two"), Provenance: []*pfs.Branch{branchRef("r", "new")}})
	p.ok(err) // and makes what it is fed by
	p.is("made by the way", p.listFile("r@new"), "")
	p.ok(remove("master", true))
	p.is("by id all the same", p.get(at("r", c[1]), "/2"), "2")
}

func TestPachctlSubscribe(t *testing.T) {
	p := startPachctl(t)
	p.repo("r")
	old := p.puts("1")[0]
	ctx, cancel := context.WithTimeout(p.run("subscribe", "commit", "r@master"), 20*time.Second)
	defer cancel()
	for _, from := range []*pfs.Commit{nil, {Repo: repoRef("r"), Branch: branchRef("r", "")}} { // as such, and --new
		stream, err := p.SubscribeCommit(ctx, &pfs.SubscribeCommitRequest{Repo: repoRef("r"), Branch: "master", From: from, State: pfs.CommitState_STARTED})
		p.ok(err)
		first, err := stream.Recv()
		p.ok(err)
		p.is("first", first.Commit.Id, old)
	}
	stream, err := p.SubscribeCommit(ctx, &pfs.SubscribeCommitRequest{Repo: repoRef("r"), Branch: "master", State: pfs.CommitState_STARTED})
	p.ok(err)
	next := append([]string{old}, p.puts("2", "3")...)
	for _, want := range next {
		c, err := stream.Recv()
		p.ok(err)
		p.is("subscribe commit", c.Commit.Id, want)
	}
}
