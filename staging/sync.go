package staging

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"golang.org/x/sys/unix"
)

// manyFiles is from where one sync of the whole file system is cheaper than
// one for each file.
const manyFiles = 64

// A snapshot is a file and what it was when somebody began to sync it.
type snapshot struct {
	f  *File
	im image
	l  *layer
	cs []*content
}

// syncClosed makes durable what nobody is writing, and the journals.
func (o *Overlay) syncClosed() error {
	var todo []snapshot
	o.mu.RLock()
	o.unsynced.Range(func(k, _ any) bool {
		if f := k.(*File); f.writers == 0 {
			o.unsynced.Delete(f)
			todo = f.snapshot(todo)
		}
		return true
	})
	o.mu.RUnlock()
	return errors.Join(o.syncFiles(todo), o.sweep())
}

// stands says whether the file still is what it was.
func (s snapshot) stands() bool {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	return s.f.node != nil && s.f.layer == s.l && s.f.im.same(s.im)
}

// snapshot adds the file to list when it has something to sync.
func (f *File) snapshot(list []snapshot) []snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.unsynced || f.node == nil {
		return list
	}
	f.unsynced = false
	return append(list, snapshot{f, f.im, f.layer, slices.Collect(maps.Keys(f.owned))})
}

// syncFiles makes contents durable and vouches for them in the journals, which
// are not synced here.
func (o *Overlay) syncFiles(todo []snapshot) (err error) {
	if len(todo) == 0 {
		return nil
	}
	defer func() {
		if err != nil {
			for _, s := range todo {
				s.f.mu.Lock()
				s.f.markUnsynced()
				s.f.mu.Unlock()
			}
		}
	}()
	if len(todo) >= manyFiles {
		err = o.d.SyncAll(o.dir)
	} else {
		for _, s := range todo {
			// What has landed meanwhile may be gone.
			if sErr := errors.Join(syncContents(s.cs), o.syncContentDirs(s.cs)); sErr != nil && s.stands() {
				err = errors.Join(err, sErr)
			}
		}
	}
	if err != nil {
		return err
	}
	At("contents")
	for _, s := range todo {
		s.f.mu.Lock()
		if s.f.node != nil && s.f.layer == s.l && s.f.im.same(s.im) {
			logged := s.l.j.append(record{Op: opSynced, File: s.f.id})
			if logged == nil {
				s.f.vouch()
			}
			err = errors.Join(err, logged)
		}
		s.f.mu.Unlock()
	}
	At("synced")
	return err
}

// Sync returns when every name that was made, moved or removed so far is on disk.
func (o *Overlay) Sync() error {
	o.mu.RLock()
	layers := slices.Clone(o.layers)
	o.mu.RUnlock()
	var errs []error
	for _, l := range layers {
		if l.j != nil {
			errs = append(errs, l.j.sync())
		}
	}
	return errors.Join(errs...)
}

// Sync returns when the file's bytes, the record of them and the directory
// are on disk: a power cut does not lose them. The next commit takes the file as it
// is now, even if it stays open.
func (f *File) Sync() error {
	for try := 0; ; try++ {
		done, err := f.trySync(try >= 3)
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		err = errors.Join(f.syncBelow(), f.o.Sync()) // all layers: one counts only with the seal below it
		if err != nil {
			f.mu.Lock()
			f.markUnsynced()
			f.mu.Unlock()
		}
		return err
	}
}

// syncBelow syncs the files of sealed layers that this one stands on, where
// no record says that they are on disk.
func (f *File) syncBelow() error {
	f.mu.Lock()
	below := f.lower
	f.mu.Unlock()
	var todo []snapshot
	for {
		z, ok := below.(*pinned)
		if !ok {
			return f.o.syncFiles(todo)
		}
		z.of.mu.Lock()
		if n := len(z.of.synced); z.of.node != nil && (n == 0 || !z.of.synced[n-1].im.same(z.of.im)) {
			todo = append(todo, snapshot{z.of, z.of.im, z.of.layer, slices.Collect(maps.Keys(z.of.owned))})
		}
		z.of.mu.Unlock()
		below = z.lower
	}
}

// trySync syncs what is there now. It has not succeeded when writers changed
// the file meanwhile; patient keeps them out.
func (f *File) trySync(patient bool) (done bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.failed.empty() {
		return true, fmt.Errorf("an earlier write failed: %w", unix.EIO)
	}
	if !f.staged || f.node == nil {
		return true, nil
	}
	im, l, cs, retired := f.im, f.layer, slices.Collect(maps.Keys(f.owned)), f.retired
	f.unsynced = false
	defer func() {
		if !done {
			f.markUnsynced()
		}
	}()
	if !patient {
		f.mu.Unlock()
	}
	err = errors.Join(syncContents(cs), f.o.syncContentDirs(cs))
	At("contents")
	if !patient {
		f.mu.Lock()
	}
	if f.node == nil || f.layer != l || !f.im.same(im) { // or has landed meanwhile
		return false, nil
	} else if err != nil {
		return false, err
	}
	if err = f.settle(opStable, opSynced); err != nil {
		return false, err
	}
	At("synced")
	f.letGo(retired)
	return true, nil
}

// letGo gives up those of the retired contents that no record needs any more;
// another sync may have done so for some. Called with f.mu held.
func (f *File) letGo(retired []*content) {
	var keep []*content
	for _, c := range f.retired {
		needed := slices.ContainsFunc(f.synced, func(v vouched) bool {
			return v.im.uses(c, 0, math.MaxInt64) || v.stable.uses(c, 0, math.MaxInt64)
		})
		if needed || !slices.Contains(retired, c) {
			keep = append(keep, c)
		} else {
			c.disown()
		}
	}
	f.retired = keep
}

// markUnsynced puts the file on the list of those to be synced in a while.
// Called with f.mu held.
func (f *File) markUnsynced() {
	if !f.unsynced {
		f.unsynced = true
		f.o.unsynced.Store(f, true)
	}
}

func syncContents(cs []*content) error {
	for _, c := range cs {
		f, err := c.use()
		if err != nil {
			return err
		}
		err = f.Sync()
		c.done()
		if err != nil {
			return err
		}
	}
	return nil
}
