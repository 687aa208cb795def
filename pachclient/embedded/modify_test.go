package embedded

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"pachfs/pachclient/pfspb/pfs"
)

func TestModifyMakesOneFinishedCommit(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	p.modify(head("r", "master"), add("/a", "1"), add("/b", "2"), add("/a", "1"))
	p.wantTree(head("r", "master"), "/a=11", "/b=2")
	p.modify(head("r", "master"), add("/a", "+"), del("/b"), add("/c", "3"), del("/c"), del("/nothing"))
	p.wantTree(head("r", "master"), "/a=11+")
	p.modify(head("r", "master"), del("/a"), add("/a", ""))
	p.wantTree(head("r", "master"), "/a=")
	log := p.log("r")
	if len(log) != 3 {
		t.Fatalf("%d commits", len(log))
	}
	for i, c := range log {
		if c.Finished == nil || c.Error != "" || c.Origin.Kind != pfs.OriginKind_USER {
			t.Errorf("commit %v", c)
		}
		if i+1 < len(log) && c.ParentCommit.Id != log[i+1].Commit.Id {
			t.Errorf("parent of %s is %s", c.Commit.Id, c.ParentCommit.Id)
		}
	}
}

func TestNothingIsVisibleBeforeTheEnd(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	p.modify(head("r", "master"), add("/old", "o"))
	stream, err := p.ModifyFile(p.ctx)
	p.ok(err)
	p.ok(stream.Send(setCommit(head("r", "master"))))
	p.ok(stream.Send(add("/new", strings.Repeat("n", 100_000))))
	p.modify(head("r", "master"), add("/other", "x")) // another writer in between
	p.wantTree(head("r", "master"), "/old=o", "/other=x")
	if n := len(p.log("r")); n != 2 {
		t.Errorf("%d commits", n)
	}
	_, err = stream.CloseAndRecv()
	p.ok(err)
	if got := p.get(head("r", "master"), "/new"); len(got) != 100_000 {
		t.Errorf("%d bytes", len(got))
	}
	p.get(head("r", "master"), "/other") // it lies on the true head
}

func TestAnErrorDiscardsTheStream(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	p.fails(p.modifyErr(head("r", "master"), add("/good", "1"), add("/ba*d", "2")), codes.Unknown,
		"path (/ba*d) invalid: globbing character (*) not allowed in path")
	p.fails(p.modifyErr(head("none", "master"), add("/good", "1")), codes.NotFound, "repo default/none not found")
	p.fails(p.modifyErr(head("r", "a b"), add("/good", "1")), codes.Unknown, "name (a b) invalid")
	stream, err := p.ModifyFile(p.ctx)
	_, err = send[struct{}](discard{stream}, err, []op{add("/a", "1")})
	p.fails(err, codes.Unknown, "first message must be a commit")
	p.fails(p.modifyErr(head("r", "master"), setCommit(head("r", "master"))), codes.Unknown, "cannot set commit")
	p.fails(p.modifyErr(head("r", "master"), &pfs.ModifyFileRequest{}), codes.Unknown, "unrecognized message type")
	if n := len(p.log("r")); n != 0 {
		t.Errorf("%d commits", n)
	}
}

// discard is a stream whose answer does not matter.
type discard struct{ pfs.API_ModifyFileClient }

func (d discard) CloseAndRecv() (*struct{}, error) {
	_, err := d.API_ModifyFileClient.CloseAndRecv()
	return nil, err
}

func TestCancelledStream(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	ctx, cancel := context.WithCancel(p.ctx)
	stream, err := p.ModifyFile(ctx)
	p.ok(err)
	p.ok(stream.Send(setCommit(head("r", "master"))))
	p.ok(stream.Send(add("/a", "1")))
	cancel()
	_, err = stream.CloseAndRecv()
	p.fails(err, codes.Canceled, "")
	time.Sleep(20 * time.Millisecond)
	if n := len(p.log("r")); n != 0 {
		t.Errorf("%d commits", n)
	}
}

// What was not answered before the deadline must not happen after it.
func TestDeadlineIsKept(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	var blocked sync.WaitGroup
	release := make(chan struct{})
	holding := make(chan struct{})
	blocked.Go(func() {
		p.s.update(context.Background(), func(*tx) error { // the database is busy
			close(holding)
			<-release
			return nil
		})
	})
	<-holding
	ctx, cancel := context.WithTimeout(p.ctx, 50*time.Millisecond)
	defer cancel()
	stream, err := p.ModifyFile(ctx)
	p.ok(err)
	p.ok(stream.Send(setCommit(head("r", "master"))))
	p.ok(stream.Send(add("/a", "1")))
	_, err = stream.CloseAndRecv()
	p.fails(err, codes.DeadlineExceeded, "")
	close(release)
	blocked.Wait()
	time.Sleep(50 * time.Millisecond)
	if n := len(p.log("r")); n != 0 {
		t.Errorf("%d commits", n)
	}
}

func TestOpenHead(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	p.modify(head("r", "master"), add("/a", "1"))
	c := p.open("r", "master")
	p.modify(head("r", "master"), add("/b", "2")) // into the open commit
	p.wantTree(c, "/a=1", "/b=2")
	if info := p.inspect(c, 0); info.Finishing != nil || len(p.log("r")) != 2 {
		t.Errorf("%v", info)
	}
	_, err := p.StartCommit(p.ctx, &pfs.StartCommitRequest{Branch: branchRef("r", "master")})
	p.fails(err, codes.Unknown, "parent commit default/r@"+c.Id+" has not been finished")
	p.finish(c, "")
	p.fails(p.modifyErr(c, add("/c", "3")), codes.Unknown, "commit default/r@"+c.Id+" has already finished")

	stream, err := p.ModifyFile(p.ctx) // begins on a finished head, ends on an open one
	p.ok(err)
	before := p.s.Stats().BytesReceived
	p.ok(stream.Send(setCommit(head("r", "master"))))
	p.ok(stream.Send(add("/late", "x")))
	waitFor(t, func() bool { return p.s.Stats().BytesReceived > before })
	o := p.open("r", "master")
	_, err = stream.CloseAndRecv()
	p.fails(err, codes.Unknown, "parent commit default/r@"+o.Id+" has not been finished")
	p.finish(o, "")
	p.wantTree(head("r", "master"), "/a=1", "/b=2")
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it did not happen")
}

func TestConcurrentWriters(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 5 {
				if err := p.modifyErr(head("r", "master"), add("/log", "x"), add(fmt.Sprintf("/%d-%d", i, j), "y")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(p.log("r")); n != 40 {
		t.Errorf("%d commits", n)
	}
	if got := p.get(head("r", "master"), "/log"); got != strings.Repeat("x", 40) {
		t.Errorf("%q", got)
	}
}

func TestDirectoryDelete(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	p.modify(head("r", "master"), add("/d/1", "1"), add("/d/s/2", "2"), add("/dx", "3"), add("/k", "4"))
	p.modify(head("r", "master"), del("/d")) // without the slash: not the directory
	p.wantTree(head("r", "master"), "/d/1=1", "/d/s/2=2", "/dx=3", "/k=4")
	p.modify(head("r", "master"), add("/d/early", "e"), del("/d/"), add("/d/late", "l"))
	p.wantTree(head("r", "master"), "/d/late=l", "/dx=3", "/k=4")
	p.modify(head("r", "master"), del("/d/"), add("/d", "now a file"))
	p.wantTree(head("r", "master"), "/d=now a file", "/dx=3", "/k=4")
	p.modify(head("r", "master"), del("/"))
	p.wantTree(head("r", "master"))
}

func TestCopy(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r", "s")
	p.modify(head("r", "master"), add("/a", "A"), add("/b", "B"), add("/d/x", "X"), add("/d/e/y", "Y"))
	h := head("r", "master")
	p.modify(h, cp("/a", h, "/b"), cp("/b", h, "/a")) // a swap: sources are read from the commit
	p.wantTree(h, "/a=B", "/b=A", "/d/e/y=Y", "/d/x=X")
	p.modify(h, cp("/moved", h, "/d"), del("/d/"), cp("/none", h, "/missing"))
	p.wantTree(h, "/a=B", "/b=A", "/moved/e/y=Y", "/moved/x=X")
	p.modify(head("s", "master"), cp("/", h, "/"), add("/a", "+"))
	p.wantTree(head("s", "master"), "/a=B+", "/b=A", "/moved/e/y=Y", "/moved/x=X")
	p.fails(p.modifyErr(h, cp("/z", head("none", "master"), "/a")), codes.NotFound, "repo (id=0, project=default, name=none, type=user) not found")
}

func TestErroredCommitsAreSkipped(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, add("/a", "1"))
	good := p.inspect(h, 0).Commit
	c := p.open("r", "master")
	p.modify(c, add("/lost", "x"), add("/a", "+"))
	p.finish(c, "went wrong")
	if info := p.inspect(c, pfs.CommitState_FINISHED); info.Error != "went wrong" || info.ParentCommit.Id != good.Id {
		t.Errorf("%v", info)
	}
	p.wantTree(c, "/a=1+", "/lost=x")
	p.modify(h, add("/b", "2"))
	p.wantTree(h, "/a=1", "/b=2")
	if info := p.inspect(h, 0); info.ParentCommit.Id != c.Id {
		t.Errorf("parent %v", info.ParentCommit)
	}

	p.modify(h, add("/x", "f"), add("/x/y", "d")) // a collision is found when the commit ends
	info := p.inspect(h, pfs.CommitState_FINISHED)
	if info.Error != "file / directory path collision (/x/y)" {
		t.Errorf("error %q", info.Error)
	}
	stream, err := p.ListFile(p.ctx, &pfs.ListFileRequest{File: &pfs.File{Commit: h, Path: "/"}})
	_, err = all(stream, err)
	p.fails(err, codes.Unknown, "file / directory path collision (/x/y)")
	if p.get(h, "/b") != "2" {
		t.Error("a path beside the collision is not readable")
	}
	p.modify(h, add("/c", "3"))
	p.wantTree(h, "/a=1", "/b=2", "/c=3")

	_, err = p.DropCommit(p.ctx, &pfs.DropCommitRequest{Commit: p.inspect(h, 0).Commit})
	p.ok(err)
	if now := p.inspect(h, 0).Commit.Id; now != info.Commit.Id {
		t.Errorf("head %s, want %s", now, info.Commit.Id)
	}
}

func TestOutputBranchIsRefused(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("in", "out")
	p.modify(head("in", "master"), add("/a", "1"))
	_, err := p.CreateBranch(p.ctx, &pfs.CreateBranchRequest{Branch: branchRef("out", "master"), Provenance: []*pfs.Branch{branchRef("in", "master")}})
	p.ok(err)
	info, err := p.InspectBranch(p.ctx, &pfs.InspectBranchRequest{Branch: branchRef("out", "master")})
	p.ok(err)
	if len(info.Provenance) != 1 || info.Provenance[0].Repo.Name != "in" {
		t.Errorf("%v", info)
	}
	const words = "cannot start a commit on an output branch: default/out@master"
	p.fails(p.modifyErr(head("out", "master"), add("/x", "1")), codes.Unknown, words)
	_, err = p.StartCommit(p.ctx, &pfs.StartCommitRequest{Branch: branchRef("out", "master")})
	p.fails(err, codes.Unknown, words)
}
