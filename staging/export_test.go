package staging

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"pachfs/pachclient"
)

// NoPolling leaves the heads alone but for looks that something asks for,
// NoLooks for what the test does itself.
func NoPolling(o *Options) { o.lookEvery = time.Hour }
func NoLooks(o *Options)   { o.lookEvery = -1 }

// Follow looks at the head now.
func (o *Overlay) Follow(ctx context.Context) error {
	b, err := o.client.Branch(ctx, o.branch)
	if err != nil {
		return err
	}
	o.statusMu.Lock()
	o.progress.seen = ""
	o.statusMu.Unlock()
	return o.follow(ctx, b)
}

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

// A bootDisk is the disk of a machine that was started another time.
type bootDisk struct {
	osDisk
	boot string
}

func (d bootDisk) Boot() string { return d.boot }

// OpenBooted is Open, and InspectBooted Inspect, at another boot of the machine.
func OpenBooted(boot, dir string, o Options) (*Stage, error) {
	return openOn(bootDisk{boot: boot}, dir, o)
}

func InspectBooted(boot, dir string, c pachclient.Client) (*Inspection, error) {
	return inspectOn(bootDisk{boot: boot}, dir, Only(c))
}

// AppendRecord appends a record to the journal of a file, whole and with its sum.
func AppendRecord(name string, body ...byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(body, castagnoli))
	_, err = f.Write(append(head, body...))
	return errors.Join(err, f.Close())
}

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

// Only gives one client for every naming.
func Only(c pachclient.Client) func(string) pachclient.Client {
	return func(string) pachclient.Client { return c }
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

// Overlapping says whether a change of others at a path is in the way of what
// is staged.
func (o *Overlay) Overlapping(p string) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return overlap(o.layers, p, true)
}

// Passes says whether a landing is about to move the base, and holds no lock.
func (o *Overlay) Passes() bool {
	if !o.mu.TryRLock() {
		return false
	}
	defer o.mu.RUnlock()
	return o.moving != nil
}
