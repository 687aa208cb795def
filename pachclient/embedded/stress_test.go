package embedded

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"pachfs/pachclient/pfspb/pfs"
)

// TestStress lets writers, readers, droppers and the collector loose on one
// store. The check at the end says whether anything came to harm.
func TestStress(t *testing.T) {
	p := start(t, t.TempDir(), Options{FinishDelay: 2 * time.Millisecond})
	p.repo("a", "b")
	seed := newSeed(t).Uint64()
	until := time.Now().Add(1500 * time.Millisecond)
	var wg sync.WaitGroup
	work := func(fn func(r *rand.Rand, h *pfs.Commit)) {
		for i := range 2 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				for time.Now().Before(until) {
					fn(r, head([]string{"a", "b"}[r.IntN(2)], "master"))
				}
			})
		}
	}
	path := func(r *rand.Rand) string { return fmt.Sprintf("/d%d/f%d", r.IntN(3), r.IntN(30)) }
	work(func(r *rand.Rand, h *pfs.Commit) {
		if err := p.modifyErr(h, add(path(r), "appended"), del(path(r)), del(fmt.Sprintf("/d%d/", r.IntN(3)))); err != nil {
			t.Error("modify:", err)
		}
	})
	work(func(r *rand.Rand, h *pfs.Commit) {
		var sets []string
		for range 2 {
			set, err := p.fileSetErr(del(path(r)), add(path(r), fmt.Sprint(r.Uint64())))
			if err != nil {
				t.Error("file set:", err)
				return
			}
			sets = append(sets, set)
		}
		both, err := p.ComposeFileSet(p.ctx, &pfs.ComposeFileSetRequest{FileSetIds: sets, TtlSeconds: 1})
		if err != nil {
			t.Error("compose:", err)
			return
		}
		if err := p.modifyErr(h, cp("/", setRef(both.FileSetId), "/")); err != nil {
			t.Error("land:", err)
		}
	})
	work(func(_ *rand.Rand, h *pfs.Commit) {
		infos, err := all(p.WalkFile(p.ctx, &pfs.WalkFileRequest{File: &pfs.File{Commit: h, Path: "/"}}))
		for _, i := range infos {
			if i.FileType == pfs.FileType_FILE && err == nil {
				_, err = p.getErr(i.File.Commit, i.File.Path, 0)
			}
		}
		if err != nil && status.Code(err) != codes.NotFound && !strings.Contains(err.Error(), "was deleted") {
			t.Error("read:", err) // that the commit is dropped under it, is no harm
		}
	})
	work(func(_ *rand.Rand, h *pfs.Commit) { // fails when somebody else was there in between
		p.DropCommit(p.ctx, &pfs.DropCommitRequest{Commit: h})
		h.Id = "^"
		p.SquashCommit(p.ctx, &pfs.SquashCommitRequest{Commit: h})
		time.Sleep(3 * time.Millisecond)
	})
	wg.Go(func() {
		for time.Now().Before(until) {
			p.s.dirty.set(true)
			if err := p.s.sweep(time.Now()); err != nil {
				t.Error("sweep:", err)
			}
			time.Sleep(time.Millisecond)
		}
	})
	wg.Wait()
	p.ok(p.s.sweep(time.Now()))
}
