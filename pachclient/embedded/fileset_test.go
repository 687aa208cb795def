package embedded

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"pachfs/pachclient/pfspb/pfs"
)

func TestLandAFileSet(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, add("/keep", "k"), add("/change", "old"), add("/gone", "g"), add("/d/x", "x"))
	set := p.fileSet(del("/change"), add("/change", "new"), add("/fresh", "f"), del("/gone"))
	p.wantTree(setRef(set), "/change=new", "/fresh=f")
	p.modify(h, del("/gone"), del("/d/"), cp("/", setRef(set), "/"))
	p.wantTree(h, "/change=new", "/fresh=f", "/keep=k")
	p.modify(h, cp("/", setRef(set), "/")) // again: a copy replaces, deletes are not carried
	p.wantTree(h, "/change=new", "/fresh=f", "/keep=k")
}

func TestAddFileSet(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, add("/a", "1"), add("/b", "2"), add("/d/x", "x"))
	set := p.fileSet(del("/a"), add("/b", "+"), del("/d/"))
	c := p.open("r", "master")
	add1 := func(ref *pfs.Commit, id string) error {
		_, err := p.AddFileSet(p.ctx, &pfs.AddFileSetRequest{Commit: ref, FileSetId: id})
		return err
	}
	p.ok(add1(c, set))
	p.wantTree(c, "/b=2+", "/d/x=x") // a delete is carried, that of a directory is not
	p.ok(add1(h, set))
	p.wantTree(c, "/b=2++", "/d/x=x")
	_, err := p.ClearCommit(p.ctx, &pfs.ClearCommitRequest{Commit: c})
	p.ok(err)
	p.wantTree(c, "/a=1", "/b=2", "/d/x=x")
	p.ok(add1(c, set))
	p.finish(c, "")
	p.wantTree(h, "/b=2+", "/d/x=x")
	p.fails(add1(c, set), codes.Unknown, "has already finished")
	o := p.open("r", "master")
	p.fails(add1(o, "0000000000004000a000000000000000"), codes.Unknown, "path does not exist")
	p.fails(add1(o, "abc"), codes.Unknown, "too short to be ID")
	p.finish(o, "")
}

func (p *peer) compose(ids ...string) string {
	p.t.Helper()
	resp, err := p.ComposeFileSet(p.ctx, &pfs.ComposeFileSetRequest{FileSetIds: ids, TtlSeconds: 60})
	p.ok(err)
	return resp.FileSetId
}

func TestComposeKeepsTheOrder(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	one := p.fileSet(add("/l", "1"), add("/m", "m"), del("/o"))
	two := p.fileSet(add("/l", "2"), del("/m"), add("/o", "o"))
	p.wantTree(setRef(p.compose(one, two)), "/l=12", "/o=o")
	p.wantTree(setRef(p.compose(two, one)), "/l=21", "/m=m")
	p.wantTree(setRef(p.compose()))
	p.modify(head("r", "master"), add("/l", "0"), add("/m", "0"), add("/o", "0"))
	for i, ids := range [][]string{{one, two}, {p.compose(one, two)}} { // the same in one step or two
		c := p.open("r", "master")
		for _, id := range ids {
			_, err := p.AddFileSet(p.ctx, &pfs.AddFileSetRequest{Commit: c, FileSetId: id})
			p.ok(err)
		}
		p.wantTree(c, "/l=012", "/o=o")
		p.finish(c, fmt.Sprint("try ", i))
	}
}

func TestGetFileSet(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r", "s")
	p.modify(head("r", "master"), add("/a", "1"), add("/b", "2"), add("/c", "3"))
	p.modify(head("r", "master"), add("/a", "+"), del("/b"))
	get := func(kind pfs.GetFileSetRequest_FileSetType) string {
		resp, err := p.GetFileSet(p.ctx, &pfs.GetFileSetRequest{Commit: head("r", "master"), Type: kind})
		p.ok(err)
		return resp.FileSetId
	}
	p.wantTree(setRef(get(pfs.GetFileSetRequest_TOTAL)), "/a=1+", "/c=3")
	diff := get(pfs.GetFileSetRequest_DIFF)
	p.wantTree(setRef(diff), "/a=+")
	p.modify(head("s", "master"), add("/a", "x"), add("/b", "y"))
	c := p.open("s", "master")
	for _, id := range []string{diff, get(pfs.GetFileSetRequest_TOTAL)} {
		_, err := p.AddFileSet(p.ctx, &pfs.AddFileSetRequest{Commit: c, FileSetId: id})
		p.ok(err)
	}
	p.wantTree(c, "/a=x+1+", "/c=3")
	p.finish(c, "")
}

func TestFileSetsExpire(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, Options{})
	p.repo("r")
	set, kept := p.fileSet(add("/a", "gone soon")), p.fileSet(add("/b", "stays"))
	renew := func(id string, ttl int64) error {
		_, err := p.RenewFileSet(p.ctx, &pfs.RenewFileSetRequest{FileSetId: id, TtlSeconds: ttl})
		return err
	}
	p.fails(renew(set, 0), codes.Unknown, "must be at least one second")
	p.fails(renew(set, 1801), codes.Unknown, "exceeds max ttl")
	p.ok(renew(kept, 1800))
	p.ok(renew(set, 1))
	if p.get(setRef(set), "/a") != "gone soon" {
		t.Error("it is gone too soon")
	}
	time.Sleep(1100 * time.Millisecond)
	_, err := p.getErr(setRef(set), "/a", 0)
	p.fails(err, codes.Unknown, "path does not exist")
	p.fails(renew(set, 60), codes.NotFound, "tracker does not contain item: (fileset/"+set+")")
	p.fails(p.modifyErr(head("r", "master"), cp("/", setRef(set), "/")), codes.Unknown, "path does not exist")

	p.stop()
	q := start(t, dir, Options{})
	q.ok(q.s.sweep(time.Now()))
	q.wantTree(setRef(kept), "/b=stays")
	waitFor(t, func() bool { return q.blobs() == 1 }) // its content is collected
	q.ok(q.s.sweep(time.Now().Add(31 * time.Minute)))
	if n := q.blobs(); n != 0 {
		t.Errorf("%d blobs", n)
	}
	if n := stored(q.s); n != 0 {
		t.Errorf("%d nodes", n)
	}
}

// stored counts the tree nodes in the database.
func stored(s *Server) (n int) {
	s.view(func(t *tx) error {
		return t.scan(bucketNodes, "", func(string, []byte) error {
			n++
			return nil
		})
	})
	return n
}

func TestCollectionWaitsForWriters(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	stream, err := p.ModifyFile(p.ctx)
	p.ok(err)
	p.ok(stream.Send(setCommit(head("r", "master"))))
	for range 3 { // more than a blob holds
		p.ok(stream.Send(add("/big", string(make([]byte, 5<<20)))))
	}
	p.ok(stream.Send(add("/small", "s")))
	waitFor(t, func() bool { return p.s.Stats().BytesReceived > 15<<20 })
	p.s.dirty.set(true)
	p.ok(p.s.sweep(time.Now()))
	_, err = stream.CloseAndRecv()
	p.ok(err)
	p.ok(p.s.sweep(time.Now()))
	if got := p.get(head("r", "master"), "/big"); len(got) != 15<<20 {
		t.Errorf("%d bytes", len(got))
	}
	_, err = p.DeleteRepo(p.ctx, &pfs.DeleteRepoRequest{Repo: repoRef("r")})
	p.ok(err)
	p.ok(p.s.sweep(time.Now()))
	if b, n := p.blobs(), stored(p.s); b != 0 || n != 0 {
		t.Errorf("%d blobs and %d nodes are left", b, n)
	}
}
