package staging_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"pachfs/staging"
)

// Closed files, and all names, are on disk within SyncAfter of their last
// change, with nobody asking for it: the power that goes then takes nothing
// that was written. Few files are synced one by one, many all at once.
func TestSyncAfter(t *testing.T) {
	for _, n := range []int{3, 200} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			const after = 200 * time.Millisecond
			b := newBench(t, func(o *staging.Options) { o.SyncAfter = after })
			b.foreign(tree{"/old": "0123456789", "/gone": "gone", "/moved": "moved"})
			b.must(b.stage.Close())
			disk, tmp := staging.NewSimDisk(0), memory(t)
			b.openOn(disk, filepath.Join(tmp, "state"))
			residue := b.o.CopyResidue()
			start := time.Now()
			for i := range n {
				b.write(fmt.Sprintf("/d/%d", i), fmt.Sprint("file ", i))
			}
			b.over("/old", "X", 3)
			b.add("/old", "more")
			b.rm("/gone")
			b.mv("/moved", "/there")
			want := b.mounted()
			tries, left := 0, func() tree {
				dir := filepath.Join(memory(t), "left")
				x := b.cutOff(disk, staging.NothingKept, residue, dir)
				defer x.stage.Close()
				return x.mounted()
			}
			for ; !same(left(), want); tries++ {
				if d := time.Since(start); d > 10*after {
					b.same("without power "+d.String()+" after", left(), want)
				}
				time.Sleep(after / 20)
			}
			t.Logf("on disk after %v (promised: %v, looked %d times)", time.Since(start).Round(time.Millisecond), after, tries+1)
		})
	}
}

func same(a, b tree) bool {
	for p, s := range a {
		if t, ok := b[p]; !ok || s != t {
			return false
		}
	}
	return len(a) == len(b)
}

// Without it they are not: what TestSyncAfter looks at can be lost.
func TestSyncNever(t *testing.T) {
	b := newBench(t)
	b.must(b.stage.Close())
	disk, tmp := staging.NewSimDisk(0), memory(t)
	b.openOn(disk, filepath.Join(tmp, "state"))
	b.write("/a", "1")
	x := b.cutOff(disk, staging.NothingKept, b.o.CopyResidue(), filepath.Join(tmp, "left"))
	if got := x.mounted(); len(got) > 0 {
		t.Fatalf("%v is on disk", got)
	}
}
