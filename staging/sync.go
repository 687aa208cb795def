package staging

import (
	"errors"
	"maps"
	"slices"
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
