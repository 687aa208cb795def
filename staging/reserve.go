package staging

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A reserve is room on the disk that writers can't have: a file that takes it
// up until a commit, or a record, needs it. So a full disk refuses new bytes,
// while what is staged can still be closed, removed, discarded and landed, which is
// what makes room again.
//
// Its mutex is a leaf.
type reserve struct {
	d    disk
	dir  string
	name string
	size int64 // 0: this file system can't hold room back
	log  *slog.Logger

	lent atomic.Bool // the file is gone: writers are refused

	mu    sync.Mutex
	users int // commits under way
}

// The reserve is a part of the disk, within bounds.
const (
	reservePart = 64
	minReserve  = 1 << 20
	maxReserve  = 64 << 20
)

func newReserve(d disk, dir, name string, log *slog.Logger) *reserve {
	r := &reserve{d: d, dir: dir, name: name, log: log, size: minReserve}
	if total, _, err := d.Space(dir); err == nil {
		r.size = max(minReserve, min(maxReserve, total/reservePart))
	}
	if err := r.fill(); err != nil {
		log.Warn("no room is held back for commits", "err", err)
		if r.lent.Store(full(err)); !full(err) {
			r.size = 0
		}
	}
	return r
}

// full says whether an error is that of a disk, or a quota, without room.
func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// fill takes the room up again.
func (r *reserve) fill() error {
	if err := r.d.Allocate(r.name, r.size); err != nil {
		return errors.Join(err, r.drop())
	}
	r.lent.Store(false)
	return nil
}

func (r *reserve) drop() error {
	if err := r.d.Remove(r.name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lend gives the room to whoever records something, and says whether there was any.
func (r *reserve) lend() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.size == 0 || r.lent.Swap(true) {
		return false
	}
	r.log.Warn("the disk is full: new bytes are refused until there is room", "dir", r.dir)
	return r.drop() == nil
}

// commit says that a commit begins: once it has needed the room it keeps it to
// its end, which the function that is given tells.
func (r *reserve) commit() (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.users--
		r.refill()
	}
}

// within makes a call that a full disk must not stop: again with the room that
// was held back, if there is none without.
func (r *reserve) within(fn func() error) error {
	err := fn()
	if full(err) && r.lend() {
		err = fn()
	}
	return err
}

// refill takes the room back when nobody needs it and it is there. Called with mu held.
func (r *reserve) refill() {
	if r.users == 0 && r.lent.Load() && r.fill() == nil {
		r.log.Info("there is room again", "dir", r.dir)
	}
}

// room fails with ENOSPC while the reserve is lent and can't be taken back.
func (r *reserve) room() error {
	if !r.lent.Load() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refill()
	if r.lent.Load() {
		return &fs.PathError{Op: "write", Path: r.dir, Err: unix.ENOSPC}
	}
	return nil
}

// close leaves no file behind where nothing waits for a commit.
func (r *reserve) close(staged bool) error {
	if staged {
		return nil
	}
	return r.drop()
}

// noRoom has the status say why a writer was refused.
func (o *Overlay) noRoom(err error) error {
	if !full(err) {
		return err
	}
	_, free, _ := o.d.Space(o.dir)
	err = fmt.Errorf("no room for more staged changes in %s (%d bytes free): what is staged is safe and can be committed or discarded; make room: %w", o.stage.dir, free, err)
	o.setError(err)
	return err
}
