package staging_test

import (
	"os"
	"path/filepath"
	"time"

	"pachfs/staging"
)

// openOn opens a state directory on a disk whose power can be cut.
func (b *bench) openOn(d *staging.SimDisk, dir string) {
	b.t.Helper()
	b.disk = d
	b.openBy(func(dir string, o staging.Options) (*staging.Stage, error) {
		if o.SyncAfter == 0 {
			o.SyncAfter = time.Hour // the test says when
		}
		return staging.OpenOn(d, dir, o)
	}, dir)
}

// onSimDisk starts the stage anew, empty, on a disk whose power can be cut.
func (b *bench) onSimDisk(capacity int64) *staging.SimDisk {
	b.t.Helper()
	b.must(b.stage.Close())
	b.openOn(staging.NewSimDisk(capacity), filepath.Join(memory(b.t), "state"))
	return b.disk
}

// cut is what another pachfs finds after the end of this one, or of the power.
func (b *bench) cut(f staging.Fate) *bench {
	b.t.Helper()
	return b.cutOff(b.disk, f, b.o.CopyResidue(), filepath.Join(memory(b.t), "left"))
}

// cutOff opens what is left on a disk after the process, or the machine, ended now.
func (b *bench) cutOff(d *staging.SimDisk, f staging.Fate, residue func(string) error, dir string) *bench {
	b.t.Helper()
	after := b.sibling()
	left := d.Cut(f, b.stage.Dir(), dir)
	if sub := filepath.Join(dir, b.o.BranchDir()); left.Has(sub) {
		b.must(os.MkdirAll(sub, 0o700))
		b.must(residue(filepath.Join(sub, "residue.db")))
	}
	after.openOn(left, dir)
	return after
}

// memory gives a directory for what bbolt and the lock keep on a real disk,
// where a sync costs nothing.
func memory(t tester) string {
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = ""
	}
	dir, err := os.MkdirTemp(base, "pachfs-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
