package staging_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"pachfs/pachclient/clienttest"
	"pachfs/staging"
)

// While the layers of a landing are removed, what is swept meanwhile must not
// be bytes that one of their journals still speaks of: without power, that
// journal may be there again.
func TestSweptWhileLayersAreDropped(t *testing.T) {
	b := newBench(t, staging.NoLooks)
	disk := b.onSimDisk(0)
	b.write("/a", "mine")
	b.Fail("Upload", clienttest.Before, 1, errOther)
	_, err := b.o.Commit(t.Context(), "")
	b.is(err, errOther)
	b.Heal()
	b.write("/b", "mine")
	type cut struct {
		disk *staging.SimDisk
		dir  string
	}
	var cuts []cut
	residue, sweeping := b.o.CopyResidue(), false
	disk.After = func() { // on the goroutine of the commit
		if sweeping || b.o.TryLayers() != 1 { // until the layers are out of the tree
			return
		}
		sweeping = true
		if err := b.o.SyncClosed(); err != nil {
			t.Error(err)
		}
		sweeping = false
		for range 10 {
			fate := staging.Diced(rand.New(rand.NewPCG(1, uint64(len(cuts)))))
			dir := filepath.Join(memory(t), "left")
			sub := filepath.Join(dir, b.o.BranchDir())
			if err := errors.Join(os.MkdirAll(sub, 0o700), residue(filepath.Join(sub, "residue.db"))); err != nil {
				t.Error(err)
			}
			cuts = append(cuts, cut{disk.Cut(fate, b.stage.Dir(), dir), dir})
		}
	}
	b.lands()
	disk.After = nil
	if len(cuts) == 0 {
		t.Error("the power was never cut")
	}
	for _, c := range cuts {
		after := b.sibling()
		after.openOn(c.disk, c.dir)
		b.must(after.stage.Check())
		after.same("mount", after.mounted(), tree{"/a": "mine", "/b": "mine"})
		b.must(after.stage.Close())
	}
}
