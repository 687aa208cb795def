package staging

import (
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// Sweep removes what nobody owns any more, now.
func (o *Overlay) Sweep() error { return o.sweep() }

// NeededContents names the content files that some file has or reads from,
// relative to the state directory.
func (o *Overlay) NeededContents() map[string]bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	out := map[string]bool{}
	for _, l := range o.layers {
		l.root.walk(func(n *node) {
			if n.kind != fileNode {
				return
			}
			for c := range n.file.owned {
				rel, _ := filepath.Rel(o.stage.dir, c.name)
				out[rel] = true
			}
			for _, c := range n.file.retired {
				rel, _ := filepath.Rel(o.stage.dir, c.name)
				out[rel] = true
			}
			for _, im := range []image{n.file.im, n.file.stable} {
				for _, p := range im.pieces {
					rel, _ := filepath.Rel(o.stage.dir, p.c.name)
					out[rel] = true
				}
			}
		})
	}
	return out
}

// OpenOn is Open on a disk that a test can take the power from.
func OpenOn(d *SimDisk, dir string, o Options) (*Stage, error) { return openOn(d, dir, o) }

// SyncClosed does now what is done SyncAfter from now.
func (o *Overlay) SyncClosed() error { return o.syncClosed() }

// CopyResidue gives a function that copies residue.db, as one moment has it.
func (o *Overlay) CopyResidue() func(name string) error {
	db := o.base.res.db
	return func(name string) error {
		return db.View(func(tx *bolt.Tx) error { return tx.CopyFile(name, 0o600) })
	}
}

// BranchDir is where the branch is in the state directory, relative to it.
func (o *Overlay) BranchDir() string {
	rel, _ := filepath.Rel(o.stage.dir, o.dir)
	return rel
}

// Layers counts the layers.
func (o *Overlay) Layers() int {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return len(o.layers)
}

// Abandon lets go of the state directory as a kill does: nothing is synced,
// written or closed in order.
func (s *Stage) Abandon() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	s.done.Wait()
	for _, o := range s.Overlays() {
		if err := o.base.res.close(); err != nil { // its lock
			return err
		}
	}
	return s.lock.Close()
}
