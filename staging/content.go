package staging

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
)

// A content is one file of local bytes. Several images may have pieces in it;
// it goes when the last of their owners does.
type content struct {
	id   uint64
	name string
	o    *Overlay // nil while a journal is replayed: nothing is removed yet

	mu     sync.Mutex
	f      diskFile // open while users > 0
	users  int
	owners int  // Files with a piece in it
	frozen bool // a sealed layer reads it: bytes that are there stay
}

// contentName gives the path of a content file.
func contentName(dir string, id uint64) string {
	return filepath.Join(dir, "content", fmt.Sprintf("%02x", id&0xff), fmt.Sprintf("%x", id))
}

// use opens the file if need be; done must be called for every use.
func (c *content) use() (diskFile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.f == nil {
		f, err := c.o.d.Open(c.name)
		if err != nil {
			return nil, err
		}
		c.f = f
	}
	c.users++
	return c.f, nil
}

func (c *content) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users--
	c.close()
}

// close closes the file when nobody uses it. Called with c.mu held.
func (c *content) close() {
	if c.users == 0 && c.f != nil {
		c.f.Close()
		c.f = nil
	}
}

// own counts one more File with pieces here.
func (c *content) own() {
	c.mu.Lock()
	c.owners++
	c.mu.Unlock()
}

// disown removes the file with its last owner. Readers under way keep theirs.
func (c *content) disown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owners--
	if c.owners == 0 && c.o != nil {
		c.o.doom(c.name)
	}
}

// doom has content files removed once the journals are on disk: after a power
// cut no record may speak of bytes that are gone.
func (o *Overlay) doom(names ...string) {
	o.doomedMu.Lock()
	o.doomed = append(o.doomed, names...)
	o.doomedMu.Unlock()
}

// sweep syncs the journals and removes what was doomed before.
func (o *Overlay) sweep() error {
	o.doomedMu.Lock()
	names := o.doomed
	o.doomed = nil
	o.doomedMu.Unlock()
	if err := o.Sync(); err != nil {
		o.doom(names...)
		return err
	}
	var errs []error
	for _, name := range names {
		At("doomed")
		errs = append(errs, o.d.Remove(name))
		At("swept")
	}
	return errors.Join(errs...)
}

// freeze keeps the bytes that are there from being written over.
func (c *content) freeze() {
	c.mu.Lock()
	c.frozen = true
	c.mu.Unlock()
}

func (c *content) isFrozen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frozen
}
