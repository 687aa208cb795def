package embedded

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"pachfs/pachclient/pfspb/pfs"
)

// Whoever writes to an open commit while somebody finishes it is in it, or is
// told that he is not.
func TestWritersAndFinish(t *testing.T) {
	p := start(t, t.TempDir(), Options{FinishDelay: time.Millisecond})
	p.repo("r")
	r := newSeed(t)
	kept, refused := 0, 0
	for round := range 8 {
		c := p.open("r", "master")
		ref := []*pfs.Commit{c, head("r", "master")}[round%2] // by its ID, or as the head
		sets := make([]string, 12)
		for i := range sets {
			sets[i] = p.fileSet(add(fmt.Sprintf("/%d/set-%d", round, i), "s"))
		}
		var mu sync.Mutex
		var want []string
		enough, first := make(chan struct{}), 1+r.IntN(len(sets))
		note := func(path string, err error) (more bool) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				if want = append(want, path); len(want) == first {
					close(enough)
				}
				return true
			case status.Code(err) == codes.Unknown && status.Convert(err).Message() == "commit default/r@"+c.Id+" has already finished":
				refused++
			default:
				t.Error(path, err)
			}
			return false
		}
		together(len(sets)*2+1, func(i int, begun func()) {
			switch begun(); {
			case i == 0:
				<-enough
				if _, err := p.FinishCommit(p.ctx, &pfs.FinishCommitRequest{Commit: c}); err != nil {
					t.Error(err)
				}
			case i <= len(sets):
				add := func() error {
					_, err := p.AddFileSet(p.ctx, &pfs.AddFileSetRequest{Commit: ref, FileSetId: sets[i-1]})
					return err
				}
				for note(fmt.Sprintf("/%d/set-%d", round, i-1), add()) {
				}
			default:
				for n := 0; ; n++ {
					path := fmt.Sprintf("/%d/put-%d-%d", round, i, n)
					if !note(path, p.modifyErr(c, add(path, "p"))) {
						break
					}
				}
			}
		})
		kept += len(want)
		p.inspect(c, pfs.CommitState_FINISHED)
		got := p.list(&pfs.ListFileRequest{File: &pfs.File{Commit: c, Path: fmt.Sprint("/", round)}})
		slices.Sort(want)
		if want = slices.Compact(want); !slices.Equal(got, want) { // a set may be added twice
			t.Errorf("the commit has %q, want %q", got, want)
		}
	}
	t.Logf("%d writes came in time, %d did not", kept, refused)
}

// A commit that has ended takes no file set, however it is named and whether
// it is finishing or finished.
func TestAddFileSetAfterFinish(t *testing.T) {
	p := start(t, t.TempDir(), Options{FinishDelay: 100 * time.Millisecond})
	p.repo("r")
	c := p.open("r", "master")
	set := p.fileSet(add("/late", "l"))
	p.finish(c, "")
	for range 2 {
		for _, ref := range []*pfs.Commit{c, head("r", "master"), at("r", "master")} {
			_, err := p.AddFileSet(p.ctx, &pfs.AddFileSetRequest{Commit: ref, FileSetId: set})
			p.fails(err, codes.Unknown, "commit default/r@"+c.Id+" has already finished")
		}
		p.inspect(c, pfs.CommitState_FINISHED)
	}
	p.wantTree(c)
	p.wantTree(setRef(set), "/late=l") // it can still go elsewhere
	p.modify(head("r", "master"), cp("/", setRef(set), "/"))
	p.wantTree(head("r", "master"), "/late=l")
}

// Of many who open a commit on a branch, or finish one, one does.
func TestOneOpensAndOneFinishes(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	for range 10 {
		var mu sync.Mutex
		var opened []*pfs.Commit
		together(10, func(_ int, begun func()) {
			begun()
			c, err := p.StartCommit(p.ctx, &pfs.StartCommitRequest{Branch: branchRef("r", "master")})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				opened = append(opened, c)
			} else if status.Code(err) != codes.Unknown {
				t.Error(err)
			}
		})
		if len(opened) != 1 {
			t.Fatalf("%d opened a commit", len(opened))
		}
		finished := 0
		together(10, func(i int, begun func()) {
			begun()
			_, err := p.FinishCommit(p.ctx, &pfs.FinishCommitRequest{Commit: opened[0], Description: fmt.Sprint(i)})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				finished++
			} else if status.Code(err) != codes.Unknown {
				t.Error(err)
			}
		})
		if finished != 1 {
			t.Fatalf("%d finished it", finished)
		}
	}
	if n := len(p.log("r")); n != 10 {
		t.Errorf("%d commits", n)
	}
}

// Puts that come beside somebody who opens and finishes commits go into an
// open one, make their own, or fail because one was opened in between; what was
// answered is there once.
func TestPutsBesideOpenCommits(t *testing.T) {
	p := start(t, t.TempDir(), Options{FinishDelay: time.Millisecond})
	p.repo("r")
	h := head("r", "master")
	r := newSeed(t) // drawn from by the one who opens and finishes alone
	until := time.Now().Add(500 * time.Millisecond)
	var mu sync.Mutex
	var want []string
	failed := 0
	together(5, func(i int, begun func()) {
		begun()
		for n := 0; time.Now().Before(until); n++ {
			if i == 0 {
				c, err := p.StartCommit(p.ctx, &pfs.StartCommitRequest{Branch: branchRef("r", "master")})
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Duration(r.Int64N(int64(5 * time.Millisecond))))
				if _, err := p.FinishCommit(p.ctx, &pfs.FinishCommitRequest{Commit: c}); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Duration(r.Int64N(int64(5 * time.Millisecond))))
				continue
			}
			path := fmt.Sprintf("/%d-%d", i, n)
			err := p.modifyErr(h, add(path, "x"))
			mu.Lock()
			switch status.Code(err) {
			case codes.OK:
				want = append(want, path+"=x")
			case codes.Unknown:
				failed++
			default:
				t.Error(err)
			}
			mu.Unlock()
		}
	})
	p.inspect(h, pfs.CommitState_FINISHED)
	if len(want) == 0 {
		t.Error("nothing was put")
	}
	slices.Sort(want)
	got := p.tree(h)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	t.Logf("%d puts in %d commits, %d failed", len(want), len(p.log("r")), failed)
}
