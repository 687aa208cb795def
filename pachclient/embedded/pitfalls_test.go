package embedded

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"pachfs/pachclient/pfspb/pfs"
)

// A subscription ends when a finished commit of its repo is dropped or
// squashed, on whichever branch, and delivers what came before. Other repos
// and commits that are still open don't matter.
func TestSubscriptionEndsWithACommit(t *testing.T) {
	for what, remove := range map[string]func(p *peer, first, second *pfs.Commit) error{
		"drop": func(p *peer, _, c *pfs.Commit) error {
			_, err := p.DropCommit(p.ctx, &pfs.DropCommitRequest{Commit: c})
			return err
		},
		"squash": func(p *peer, c, _ *pfs.Commit) error {
			_, err := p.SquashCommit(p.ctx, &pfs.SquashCommitRequest{Commit: c})
			return err
		},
		"drop set": func(p *peer, _, c *pfs.Commit) error {
			_, err := p.DropCommitSet(p.ctx, &pfs.DropCommitSetRequest{CommitSet: &pfs.CommitSet{Id: c.Id}})
			return err
		},
		"squash sets": func(p *peer, c, _ *pfs.Commit) error {
			_, err := p.SquashCommitSet(p.ctx, &pfs.SquashCommitSetRequest{CommitSet: &pfs.CommitSet{Id: c.Id}})
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			p := start(t, t.TempDir(), Options{})
			p.repo("r", "other")
			subscribe := func(repo string) grpc.ServerStreamingClient[pfs.CommitInfo] {
				s, err := p.SubscribeCommit(p.ctx, &pfs.SubscribeCommitRequest{Repo: repoRef(repo), Branch: "master", State: pfs.CommitState_STARTED})
				p.ok(err)
				return s
			}
			stream, elsewhere := subscribe("r"), subscribe("other")
			next := func(s grpc.ServerStreamingClient[pfs.CommitInfo], want *pfs.Commit) {
				t.Helper()
				if info, err := s.Recv(); err != nil || info.Commit.Id != want.Id {
					t.Fatalf("%v, %v, want %v", info, err, want)
				}
			}
			dropped := p.open("r", "master") // never finished
			next(stream, dropped)
			_, err := p.DropCommit(p.ctx, &pfs.DropCommitRequest{Commit: dropped})
			p.ok(err)
			empty := p.inspect(head("r", "master"), 0).Commit // what the branch got in its place
			next(stream, empty)

			p.modify(head("r", "side"), add("/1", "x"))
			first := p.inspect(head("r", "side"), 0).Commit
			p.modify(head("r", "side"), add("/2", "x"))
			second := p.inspect(head("r", "side"), 0).Commit
			p.ok(remove(p, first, second))
			if info, err := stream.Recv(); status.Code(err) != codes.NotFound {
				t.Errorf("%v, %v", info, err)
			}

			again := subscribe("r") // what was removed before is no matter
			next(again, empty)
			p.modify(head("r", "master"), add("/3", "x"))
			next(again, p.inspect(head("r", "master"), 0).Commit)
			p.modify(head("other", "master"), add("/a", "x"))
			next(elsewhere, p.inspect(head("other", "master"), 0).Commit)
		})
	}
}

// An open commit on one that is still finishing can't be read, and takes plain
// changes but no delete of a directory.
func TestUnfinishedBase(t *testing.T) {
	p := start(t, t.TempDir(), Options{FinishDelay: 500 * time.Millisecond})
	p.repo("r")
	p.modify(head("r", "master"), add("/d/a", "1"))
	c := p.open("r", "master")
	_, err := p.getErr(c, "/d/a", 0)
	p.fails(err, codes.Unknown, " unfinished")
	p.fails(p.modifyErr(c, del("/d/")), codes.Unknown, " unfinished")
	p.modify(c, add("/b", "2"), del("/d/a"))
	p.inspect(p.inspect(c, 0).ParentCommit, pfs.CommitState_FINISHED)
	p.wantTree(c, "/b=2")
}

// A set carries the deletes of files, and no deletes of directories.
func TestSetsCarryNoDirectoryDeletes(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	p.modify(head("r", "master"), add("/d/a", "1"), add("/d/b", "2"), add("/c", "3"))
	set := p.fileSet(del("/d/"), del("/c"), del("/d"), add("/e", "4"))
	c := p.open("r", "master")
	_, err := p.AddFileSet(p.ctx, &pfs.AddFileSetRequest{Commit: c, FileSetId: set})
	p.ok(err)
	p.wantTree(c, "/d/a=1", "/d/b=2", "/e=4")
	p.finish(c, "")
	p.modify(head("r", "master"), add("/c", "3"))
	p.modify(head("r", "master"), cp("/", setRef(set), "/")) // a copy carries no deletes at all
	p.wantTree(head("r", "master"), "/c=3", "/d/a=1", "/d/b=2", "/e=4")
}

// ListCommit goes down to "from" only when that is an ID; any other name of the
// same commit gives the whole history.
func TestListCommitFrom(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	var ids []string
	for _, f := range []string{"/1", "/2", "/3"} {
		p.modify(head("r", "master"), add(f, "x"))
		ids = append([]string{p.inspect(head("r", "master"), 0).Commit.Id}, ids...)
	}
	list := func(from *pfs.Commit) (got []string) {
		stream, err := p.ListCommit(p.ctx, &pfs.ListCommitRequest{Repo: repoRef("r"), From: from, To: head("r", "master")})
		infos, err := all(stream, err)
		p.ok(err)
		for _, i := range infos {
			got = append(got, i.Commit.Id)
		}
		return got
	}
	whole := list(nil)
	if !slices.Equal(whole[:3], ids) {
		t.Fatalf("%q, want %q", whole, ids)
	}
	if got := list(at("r", ids[2])); !slices.Equal(got, ids[:2]) {
		t.Errorf("from an ID: %q of %q", got, ids)
	}
	for _, name := range []string{"master^2", ids[1] + "^"} {
		if got := list(at("r", name)); !slices.Equal(got, whole) {
			t.Errorf("from %s: %q of %q", name, got, whole)
		}
	}
}

// A file under a file is found when the commit ends; not so when a path sorts
// between the two. The change of places in one stream is no collision.
func TestCollisions(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, add("/a", "1"), add("/a/b", "2"))
	if info := p.inspect(h, 0); info.Error != "file / directory path collision (/a/b)" || info.Finished == nil {
		t.Errorf("%v", info)
	}
	p.modify(h, add("/a", "1"), add("/d/x", "2"))
	p.modify(h, del("/d/"), add("/d", "3"), del("/a"), add("/a/b", "4"))
	if info := p.inspect(h, 0); info.Error != "" {
		t.Errorf("%v", info)
	}
	p.wantTree(h, "/a/b=4", "/d=3")
	p.modify(h, add("/a.txt", "between"))
	p.modify(h, add("/a", "unseen"))
	if info := p.inspect(h, 0); info.Error != "" {
		t.Errorf("%v", info)
	}
}
