package cache

import (
	"container/list"
	"context"
	"io/fs"
	"sync"

	"pachfs/pachclient"
)

// A dirKey names a directory of a finished commit. Before 2.6 commits on several
// branches of a repo can have one ID, so the branch belongs to the name.
type dirKey struct{ project, repo, branch, commit, dir string }

// dirs are the listings that are kept, and those that are on their way.
type dirs struct {
	group  *group
	memory *memory
	stats  *counters

	mu     sync.Mutex
	known  map[dirKey]*list.Element // of order
	order  *list.List               // of *listing, last used first
	flying map[dirKey]*listing
}

func newDirs(g *group, m *memory, s *counters) *dirs {
	return &dirs{
		group: g, memory: m, stats: s,
		known: map[dirKey]*list.Element{}, order: list.New(), flying: map[dirKey]*listing{},
	}
}

// A fetch lists one directory.
type fetch func(ctx context.Context, add func(pachclient.FileInfo) error) error

// join gives the listing of a directory, known or on its way, and starts it if
// nobody has. Whoever joins leaves.
func (d *dirs) join(key dirKey, f fetch) *listing {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.known[key]; e != nil {
		d.stats.listingHits.Add(1)
		d.order.MoveToFront(e)
		l := e.Value.(*listing)
		l.waiters++
		return l
	}
	if l := d.flying[key]; l != nil {
		d.stats.listingHits.Add(1)
		l.waiters++
		return l
	}
	d.stats.listingMisses.Add(1)
	ctx, cancel := context.WithCancel(d.group.ctx)
	l := newListing(key, d.memory)
	l.waiters, l.cancel = 1, cancel
	if !d.group.spawn(func() { d.fly(ctx, l, f) }) {
		cancel()
		l.done, l.err = true, fs.ErrClosed
		return l
	}
	d.flying[key] = l
	return l
}

// leave ends a wait. Without a waiter a listing that is on its way is given
// up, unless somebody has been served by it before its end: who asks for one
// name will ask for the next.
func (d *dirs) leave(l *listing, served bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l.waiters--
	l.goOn = l.goOn || served
	if l.waiters == 0 && !l.goOn && d.flying[l.key] == l {
		delete(d.flying, l.key)
		l.cancel()
	}
}

// fly lists a directory and keeps the result, if it is one.
func (d *dirs) fly(ctx context.Context, l *listing, f fetch) {
	defer l.cancel()
	err := l.finish(f(ctx, l.add))
	d.mu.Lock()
	wanted := d.flying[l.key] == l
	if wanted {
		delete(d.flying, l.key)
	}
	keep := wanted && (err == nil || l.tooBig)
	if keep {
		d.known[l.key] = d.order.PushFront(l)
	}
	d.mu.Unlock()
	if !keep {
		d.memory.give(l.charged)
	}
}

// trim evicts listings until they have given back excess bytes, or are gone.
func (d *dirs) trim(excess int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for excess > 0 && d.order.Len() > 0 {
		l := d.order.Remove(d.order.Back()).(*listing)
		delete(d.known, l.key)
		d.memory.give(l.charged)
		excess -= l.charged
	}
}
