package embedded

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"pachfs/pachclient/pfspb/pfs"
)

// follow gives what comes on a subscription, until it ends with the last word.
func (p *peer) follow(ctx context.Context, req *pfs.SubscribeCommitRequest) (got <-chan *pfs.CommitInfo, end <-chan error) {
	infos, last := make(chan *pfs.CommitInfo, 1000), make(chan error, 1)
	go func() {
		defer close(infos)
		stream, err := p.SubscribeCommit(ctx, req)
		for err == nil {
			var info *pfs.CommitInfo
			if info, err = stream.Recv(); err == nil {
				infos <- info
			}
		}
		last <- err
	}()
	return infos, last
}

// ids takes n commits off a subscription.
func (p *peer) ids(from <-chan *pfs.CommitInfo, n int) (ids []string) {
	p.t.Helper()
	for len(ids) < n {
		select {
		case info := <-from:
			ids = append(ids, info.GetCommit().GetId())
		case <-time.After(20 * time.Second):
			p.t.Fatalf("%d commits came of %d", len(ids), n)
		}
	}
	return ids
}

// Several clients follow a repo to which several write: each gets every commit
// once, finished, in the order of its creation, whenever it began; one that
// does not read, and one that leaves, are in nobody's way.
func TestManySubscribers(t *testing.T) {
	p := start(t, t.TempDir(), Options{FinishDelay: 2 * time.Millisecond})
	p.repo("r")
	req := &pfs.SubscribeCommitRequest{Repo: repoRef("r"), State: pfs.CommitState_FINISHED}
	asleep, err := p.SubscribeCommit(p.ctx, req) // nobody reads it before the end
	p.ok(err)
	leaving, leave := context.WithCancel(p.ctx)
	gone, end := p.follow(leaving, req)
	var everything, masters []<-chan *pfs.CommitInfo
	begin := func() {
		every, _ := p.follow(p.ctx, req)
		master, _ := p.follow(p.ctx, &pfs.SubscribeCommitRequest{Repo: repoRef("r"), Branch: "master", State: pfs.CommitState_FINISHED})
		everything, masters = append(everything, every), append(masters, master)
	}
	begin()
	const writers, each = 4, 10
	together(writers, func(i int, begun func()) {
		begun()
		for n := range each {
			if err := p.modifyErr(head("r", []string{"master", "side"}[i%2]), add(fmt.Sprintf("/%d-%d", i, n), "x")); err != nil {
				t.Error(err)
			}
			if i == 0 && n == each/2 {
				leave()
			}
		}
	})
	begin()
	p.fails(<-end, codes.Canceled, "")
	log := p.log("r")
	slices.Reverse(log)
	var want, wantMaster []string
	for _, info := range log {
		want = append(want, info.Commit.Id)
	}
	infos, err := all(p.ListCommit(p.ctx, &pfs.ListCommitRequest{Repo: repoRef("r"), To: head("r", "master")}))
	p.ok(err)
	for _, info := range infos {
		wantMaster = append(wantMaster, info.Commit.Id)
	}
	slices.Reverse(wantMaster)
	for i := range everything {
		if got := p.ids(everything[i], len(want)); !slices.Equal(got, want) {
			t.Errorf("subscriber %d: %q, want %q", i, got, want)
		}
		if got := p.ids(masters[i], len(wantMaster)); !slices.Equal(got, wantMaster) {
			t.Errorf("subscriber %d of master: %q, want %q", i, got, wantMaster)
		}
	}
	for i, id := range want {
		if info, err := asleep.Recv(); err != nil || info.Commit.Id != id || info.Finished == nil {
			t.Fatalf("commit %d: %v, %v", i, info, err)
		}
	}
	if n := len(gone); n > len(want) {
		t.Errorf("%d commits came to who has left", n)
	}
}

// From leaves out one commit and nothing that is older. What is dropped while
// somebody waits for it is passed over; a deleted repo ends the subscription.
func TestSubscriptionsAndDeletion(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	var made []string
	for i := range 3 {
		p.modify(h, add(fmt.Sprint("/", i), "x"))
		made = append(made, p.inspect(h, 0).Commit.Id)
	}
	got, end := p.follow(p.ctx, &pfs.SubscribeCommitRequest{Repo: repoRef("r"), From: at("r", made[1]), State: pfs.CommitState_FINISHED})
	if ids := p.ids(got, 2); ids[0] != made[0] || ids[1] != made[2] {
		t.Errorf("%q of %q", ids, made)
	}
	c := p.open("r", "master")
	_, err := p.DropCommit(p.ctx, &pfs.DropCommitRequest{Commit: c})
	p.ok(err)
	p.modify(h, add("/next", "n"))
	if ids := p.ids(got, 1); ids[0] != p.inspect(h, 0).Commit.Id {
		t.Errorf("%q", ids)
	}
	_, err = p.DeleteRepo(p.ctx, &pfs.DeleteRepoRequest{Repo: repoRef("r")})
	p.ok(err)
	p.fails(<-end, codes.NotFound, "repo (id=0, project=default, name=r, type=user) not found")
}
