package embedded

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"pachfs/pachclient/pfspb/pfs"
)

// These are the findings of how one lands on a real pachd, as far as they are
// about the server. First: to open a commit on the branch is not safe.

// put begins a ModifyFile on the branch and gives what ends it.
func (p *peer) put(c *pfs.Commit, ops ...op) (end func() error) {
	p.t.Helper()
	received := p.s.Stats().BytesReceived
	stream, err := p.ModifyFile(p.ctx)
	p.ok(err)
	p.ok(stream.Send(setCommit(c)))
	for _, o := range ops {
		p.ok(stream.Send(o))
	}
	waitFor(p.t, func() bool { return p.s.Stats().BytesReceived > received })
	return func() error {
		_, err := stream.CloseAndRecv()
		return err
	}
}

// While our commit is open it is the head, readers of the branch see it half
// made, and a foreign put that begins meanwhile goes into it. Its parent tells
// none of it.
func TestAnOpenCommitBelongsToAll(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, add("/old", "o"))
	parent := p.inspect(h, 0).Commit
	ours := p.open("r", "master")
	info, err := p.InspectBranch(p.ctx, &pfs.InspectBranchRequest{Branch: branchRef("r", "master")})
	p.ok(err)
	if info.Head.Id != ours.Id {
		t.Errorf("the head is %s", info.Head.Id)
	}
	end := p.put(h, add("/theirs", "t"))
	p.wantTree(h, "/old=o")
	_, err = p.AddFileSet(p.ctx, &pfs.AddFileSetRequest{Commit: ours, FileSetId: p.fileSet(add("/ours", "1"))})
	p.ok(err)
	p.wantTree(h, "/old=o", "/ours=1")
	p.ok(end())
	p.wantTree(h, "/old=o", "/ours=1", "/theirs=t")
	_, err = p.StartCommit(p.ctx, &pfs.StartCommitRequest{Branch: branchRef("r", "master")})
	p.fails(err, codes.Unknown, "parent commit default/r@"+ours.Id+" has not been finished")
	p.finish(ours, "")
	if info := p.inspect(h, 0); info.Commit.Id != ours.Id || info.ParentCommit.Id != parent.Id || len(p.log("r")) != 2 {
		t.Errorf("%v", info)
	}
	p.wantTree(ours, "/old=o", "/ours=1", "/theirs=t")
}

// A put that began in our commit and ends when that is finishing or finished
// fails: it is not lost behind an answer of OK, and the commit is unharmed (on
// the real server it is forgotten).
func TestAPutThatEndsAfterItsCommit(t *testing.T) {
	for _, delay := range []time.Duration{0, 200 * time.Millisecond} {
		p := start(t, t.TempDir(), Options{FinishDelay: delay})
		p.repo("r")
		h := head("r", "master")
		for _, to := range []func(c *pfs.Commit) *pfs.Commit{func(*pfs.Commit) *pfs.Commit { return h }, func(c *pfs.Commit) *pfs.Commit { return c }} {
			ours := p.open("r", "master")
			end := p.put(to(ours), add("/theirs", "t"))
			p.finish(ours, "")
			p.fails(end(), codes.Unknown, "commit default/r@"+ours.Id+" has already finished")
			p.inspect(ours, pfs.CommitState_FINISHED)
			p.wantTree(h)
		}
		p.modify(h, add("/later", "l"))
		p.wantTree(h, "/later=l")
	}
}

// An open commit stalls who waits for finished ones, also those of other
// branches that come after it.
func TestAnOpenCommitStallsSubscribers(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	stream, err := p.SubscribeCommit(p.ctx, &pfs.SubscribeCommitRequest{Repo: repoRef("r"), State: pfs.CommitState_FINISHED})
	p.ok(err)
	got := make(chan string, 10)
	go func() {
		defer close(got)
		for {
			info, err := stream.Recv()
			if err != nil {
				return
			}
			got <- info.Commit.Id
		}
	}()
	ours := p.open("r", "master")
	p.modify(head("r", "side"), add("/a", "1"))
	theirs := p.inspect(head("r", "side"), 0).Commit
	select {
	case id := <-got:
		t.Fatalf("%s came while %s was open", id, ours.Id)
	case <-time.After(100 * time.Millisecond):
	}
	p.finish(ours, "")
	if first, second := <-got, <-got; first != ours.Id || second != theirs.Id {
		t.Errorf("%s and %s came, want %s and %s", first, second, ours.Id, theirs.Id)
	}
}

// A head that is moved to a commit of another branch shows it whole; but
// nothing compares: a foreign commit is pushed off the branch, and subscribers
// of the branch don't hear of ours.
func TestAMovedHeadComparesNothing(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, add("/old", "o"))
	first := p.inspect(h, 0).Commit
	mine, err := p.StartCommit(p.ctx, &pfs.StartCommitRequest{Branch: branchRef("r", "mine"), Parent: first})
	p.ok(err)
	p.modify(mine, add("/ours", "1"))
	p.wantTree(h, "/old=o")
	p.finish(mine, "")
	p.modify(h, add("/theirs", "t"))
	theirs := p.inspect(h, 0).Commit
	_, err = p.CreateBranch(p.ctx, &pfs.CreateBranchRequest{Branch: branchRef("r", "master"), Head: mine})
	p.ok(err)
	p.wantTree(h, "/old=o", "/ours=1")
	p.wantTree(theirs, "/old=o", "/theirs=t")
	p.modify(h, add("/next", "n"))
	next := p.inspect(h, 0)
	if next.ParentCommit.Id != mine.Id {
		t.Errorf("%v", next)
	}
	stream, err := p.SubscribeCommit(p.ctx, &pfs.SubscribeCommitRequest{Repo: repoRef("r"), Branch: "master", State: pfs.CommitState_FINISHED})
	p.ok(err)
	for _, want := range []*pfs.Commit{first, theirs, next.Commit} {
		if info, err := stream.Recv(); err != nil || info.Commit.Id != want.Id {
			t.Errorf("got %v, %v, want %s", info, err, want.Id)
		}
	}
}

// Moving an output branch strips its provenance.
func TestAMovedOutputBranchIsNoneAnyMore(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("in", "out")
	p.modify(head("in", "master"), add("/a", "1"))
	p.modify(head("out", "master"), add("/b", "1"))
	create := func(req *pfs.CreateBranchRequest) *pfs.BranchInfo {
		req.Branch = branchRef("out", "master")
		_, err := p.CreateBranch(p.ctx, req)
		p.ok(err)
		info, err := p.InspectBranch(p.ctx, &pfs.InspectBranchRequest{Branch: req.Branch})
		p.ok(err)
		return info
	}
	if info := create(&pfs.CreateBranchRequest{Provenance: []*pfs.Branch{branchRef("in", "master")}}); len(info.Provenance) != 1 {
		t.Errorf("%v", info)
	}
	if info := create(&pfs.CreateBranchRequest{Head: at("out", "master")}); len(info.Provenance) != 0 {
		t.Errorf("%v", info)
	}
	p.modify(head("out", "master"), add("/b", "2"))
}
