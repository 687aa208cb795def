package cache

import (
	"cmp"
	"context"
	"slices"
	"time"

	"pachfs/pachclient"
)

// mostDerived is the most differences that are worth to be remembered while a
// Diff goes by.
const mostDerived = 100_000

// A change is all that differs between two commits, by directory.
type change struct {
	dirs  map[string][]pachclient.Diff // "" is the parent of the root
	count int
	now   time.Time // when the later commit was finished
}

// Diff passes what differs through. Whoever asks for it moves on to the later
// commit, so what is known of the earlier one's directories is taken along: a
// head that moves costs no listing, and what was just landed can be read while
// the server is away.
func (r *reader) Diff(ctx context.Context, old pachclient.Commit, fn func(pachclient.Diff) error) error {
	all := change{dirs: map[string][]pachclient.Diff{}}
	err := r.Reader.Diff(ctx, old, func(d pachclient.Diff) error {
		all.add(d)
		return fn(d)
	})
	if err == nil && all.count <= mostDerived && !all.now.IsZero() && !old.Zero() {
		r.client.dirs.derive(dirKeyOf(old, ""), dirKeyOf(r.Commit(), ""), all)
	}
	return err
}

func (c *change) add(d pachclient.Diff) {
	if c.count++; c.count > mostDerived {
		c.dirs = nil
		return
	}
	dir, _ := split(d.Path())
	c.dirs[dir] = append(c.dirs[dir], d)
	if d.New.Path != "" {
		c.now = d.New.ModTime
	}
}

// derive lists for the later commit what is known of the earlier one.
func (d *dirs) derive(old, now dirKey, c change) {
	for _, l := range d.of(old) {
		key := now
		key.dir = l.key.dir
		d.keep(l.after(key, c))
	}
	for _, diffs := range c.dirs { // directories that have come to be
		for _, x := range diffs {
			if path := x.New.Path; x.New.Dir && x.Old.Path == "" && path != "/" {
				key := now
				key.dir = path
				d.keep(newListing(key, d.memory).after(key, c))
			}
		}
	}
}

// of gives the complete listings of a commit.
func (d *dirs) of(commit dirKey) []*listing {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []*listing
	for key, e := range d.known {
		if l := e.Value.(*listing); key.commit == commit.commit && key.repo == commit.repo && key.project == commit.project && key.branch == commit.branch && !l.tooBig {
			out = append(out, l)
		}
	}
	return out
}

// keep takes a listing that no flight brought, unless there is one. Those it
// came from share its pages, and are charged for them as well: they go first.
func (d *dirs) keep(l *listing) {
	if l == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known[l.key] != nil || d.flying[l.key] != nil {
		d.memory.give(l.charged)
		return
	}
	d.known[l.key] = d.order.PushFront(l)
}

// after gives the listing as it is after a change; nil when there is no memory
// for it, or when it does not fit together.
func (l *listing) after(key dirKey, c change) *listing {
	pages, _, _, _ := l.state()
	out := newListing(key, l.memory)
	ok := true
	if diffs := c.dirs[key.dir]; len(diffs) > 0 {
		ok = out.merge(l, pages, diffs, c.now)
	} else {
		for _, p := range pages {
			p.modTime = c.now
			ok = ok && out.share(p)
		}
	}
	if ok = ok && out.finish(nil) == nil && !out.tooBig; !ok {
		l.memory.give(out.charged)
		return nil
	}
	return out
}

// share takes over a page as it is, if memory allows it.
func (l *listing) share(p page) bool {
	if !l.memory.try(p.bytes()) {
		return false
	}
	l.charged += p.bytes()
	l.pages = append(l.pages, p)
	return true
}

// merge lays the differences over the entries of another listing.
func (l *listing) merge(old *listing, pages []page, diffs []pachclient.Diff, now time.Time) bool {
	gone, come := map[string]bool{}, []pachclient.FileInfo{}
	for _, d := range diffs {
		if d.Old.Path != "" {
			gone[listKey(d.Old)] = true
		}
		if d.New.Path != "" {
			gone[listKey(d.New)] = true
			come = append(come, d.New)
		}
	}
	slices.SortFunc(come, func(a, b pachclient.FileInfo) int { return cmp.Compare(listKey(a), listKey(b)) })
	ok := true
	for _, p := range pages {
		for i := range p.records {
			key := p.key(i)
			for ok && len(come) > 0 && listKey(come[0]) < key {
				ok, come = l.add(come[0]) == nil, come[1:]
			}
			if ok && !gone[key] {
				f := old.info(p, i)
				f.ModTime = now
				ok = l.add(f) == nil
			}
		}
	}
	for ; ok && len(come) > 0; come = come[1:] {
		ok = l.add(come[0]) == nil
	}
	return ok
}
