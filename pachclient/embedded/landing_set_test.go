package embedded

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"pachfs/pachclient/pfspb/pfs"
)

// Second: what holds is a file set, and then one ModifyFile.

// What lands is seen whole or not at all, is never an open head, and deletes
// and directories that go are named in the same stream.
func TestALandingAppearsWhole(t *testing.T) {
	p := start(t, t.TempDir(), Options{FinishDelay: 5 * time.Millisecond})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, manyFiles("/old", 200, "o")...)
	p.modify(h, add("/dir/a", "a"), add("/dir/b/c", "c"), add("/keep", "k"), add("/change", "before"))
	before := p.inspect(h, pfs.CommitState_FINISHED).Commit.Id
	var land []op
	for _, path := range p.list(&pfs.ListFileRequest{File: &pfs.File{Commit: h, Path: "/old"}}) {
		land = append(land, del(path))
	}
	set := p.fileSet(append(manyFiles("/new", 200, "n"), del("/change"), add("/change", "after"))...)
	land = append(land, del("/dir/"), cp("/", setRef(set), "/"))
	done := make(chan struct{})
	var watchers sync.WaitGroup
	for range 3 {
		watchers.Go(func() {
			for ended := false; !ended; {
				select {
				case <-done:
					ended = true
				default:
				}
				info, err := p.InspectCommit(p.ctx, &pfs.InspectCommitRequest{Commit: h})
				if err != nil || info.Finishing == nil {
					t.Errorf("the head is %v, %v", info, err)
					return
				}
				files, err := all(p.WalkFile(p.ctx, &pfs.WalkFileRequest{File: &pfs.File{Commit: info.Commit, Path: "/"}}))
				if want := map[bool]int{true: 208, false: 204}[info.Commit.Id == before]; err != nil || len(files) != want {
					t.Errorf("%d entries, want %d, %v", len(files), want, err)
					return
				}
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	p.modify(h, land...)
	p.inspect(h, pfs.CommitState_FINISHED)
	close(done)
	watchers.Wait()
	if got := p.get(h, "/change") + p.get(h, "/keep"); got != "afterk" {
		t.Errorf("%q", got)
	}
}

// Landings beside other writers, some on heads that are still finishing: each
// makes one commit that holds just its change, nobody fails, nobody is pushed
// off the branch.
func TestLandingsQueue(t *testing.T) {
	p := start(t, t.TempDir(), Options{FinishDelay: 3 * time.Millisecond})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, add("/shared", "0"))
	var writers sync.WaitGroup
	want := []string{""}
	for i := range 4 {
		for j := range 6 {
			want = append(want, fmt.Sprintf("/%d-%d", i, j))
		}
		writers.Go(func() {
			for j := range 6 {
				path := fmt.Sprintf("/%d-%d", i, j)
				ops := []op{add(path, path)}
				if i < 2 {
					set, err := p.fileSetErr(ops...)
					if err != nil {
						t.Errorf("file set of %s: %v", path, err)
						return
					}
					ops = []op{cp("/", setRef(set), "/"), del("/none")}
				}
				if err := p.modifyErr(h, ops...); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
		})
	}
	writers.Wait()
	p.inspect(h, pfs.CommitState_FINISHED)
	log := p.log("r")
	slices.Reverse(log)
	var got []string
	for i, info := range log {
		if i > 0 && info.ParentCommit.Id != log[i-1].Commit.Id {
			t.Errorf("commit %d does not lie on the one before it", i)
		}
		diff, err := all(p.DiffFile(p.ctx, &pfs.DiffFileRequest{NewFile: &pfs.File{Commit: info.Commit, Path: "/"}}))
		p.ok(err)
		change := ""
		for _, d := range diff {
			if path := d.NewFile.GetFile().GetPath(); path != "/" && path != "/shared" {
				change += path
			}
		}
		got = append(got, change)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("commits with the changes %q\nwant %q", got, want)
	}
}

// Clients that are gone somewhere within the call: each landing has happened
// or never will; sent again where it has not, there is one commit for each.
func TestClientsThatVanish(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, add("/x", "x"))
	first := p.fileSet(add("/y", "y"))
	begin := time.Now()
	p.modify(h, cp("/", setRef(first), "/"))
	typical := time.Since(begin)
	r := newSeed(t)
	landed := 0
	for i := range 40 {
		path := fmt.Sprintf("/%d", i)
		set := p.fileSet(add(path, strings.Repeat("y", 1000)))
		answer := p.vanish(time.Duration(r.Int64N(int64(typical))), setCommit(h), cp("/", setRef(set), "/"))
		n := len(p.log("r"))
		switch there := n == i+3; {
		case there:
			landed++
		case answer == nil || n != i+2:
			t.Fatalf("%d commits after %d, answer %v", n, i, answer)
		default:
			p.modify(h, cp("/", setRef(set), "/"))
		}
		if got := p.get(h, path); len(got) != 1000 || len(p.log("r")) != i+3 {
			t.Fatalf("%d bytes, %d commits", len(got), len(p.log("r")))
		}
	}
	t.Logf("%d of 40 had landed, the others were sent again", landed)
}

// vanish calls ModifyFile on a connection of its own and is gone after a while.
// When it returns the server has done with the call, also with one that began
// after its client had gone.
func (p *peer) vanish(after time.Duration, ops ...op) error {
	p.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	p.ok(err)
	gs := grpc.NewServer(grpc.WaitForHandlers(true))
	pfs.RegisterAPIServer(gs, p.s)
	go gs.Serve(l)
	defer gs.Stop()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	p.ok(err)
	defer conn.Close()
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	stream, err := pfs.NewAPIClient(conn).ModifyFile(ctx)
	p.ok(err)
	for _, o := range ops {
		p.ok(stream.Send(o))
	}
	time.AfterFunc(after, cancel)
	_, err = stream.CloseAndRecv()
	return err
}
