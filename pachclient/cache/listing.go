package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"pachfs/pachclient"
)

// Who gets one of these asks the Reader below.
var (
	errNotKept = errors.New("listing is not kept")    // it must not be, or is not worth it
	errHuge    = errors.New("listing takes too long") // but goes on
)

// A callbackError is what a caller's own function returned. It goes back to
// the caller as it is.
type callbackError struct{ error }

// listingOverhead is what a listing weighs without its entries.
const listingOverhead = 512

// A listing is the children of a directory, complete or growing. Its flight
// adds to it; everyone else reads what has been published, page by page.
type listing struct {
	key    dirKey
	memory *memory
	cancel context.CancelFunc

	// guarded by dirs.mu
	waiters int
	goOn    bool

	// owned by the flight until done
	draft   draft
	last    []byte // the key that was added last
	charged int64
	tooBig  bool

	mu    sync.Mutex
	pages []page
	done  bool
	err   error
	more  chan struct{} // closed when pages or done change
}

func newListing(key dirKey, m *memory) *listing {
	return &listing{key: key, memory: m, more: make(chan struct{})}
}

// add takes the next entry from below. Lookup depends on the order that the
// contract of List promises, so an entry out of order fails: better no listing
// than one in which names can't be found.
func (l *listing) add(f pachclient.FileInfo) error {
	if f.ModTime.IsZero() {
		return errNotKept // the commit is open: it may grow
	}
	key := listKey(f)
	if l.last != nil && key <= string(l.last) {
		return fmt.Errorf("%q is listed after %q", key, l.last)
	}
	l.last = append(l.last[:0], key...)
	l.draft.add(key, f)
	if len(l.draft.records) < pageEntries {
		return nil
	}
	return l.publish()
}

// publish seals the draft as the next page, if memory allows it. A quarter of
// the memory is the most for one listing.
func (l *listing) publish() error {
	p := l.draft.seal()
	if l.charged+p.bytes() > l.memory.limit/4 {
		l.tooBig = true
		return errNotKept
	}
	if !l.memory.try(p.bytes()) {
		return errNotKept
	}
	l.charged += p.bytes()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pages = append(l.pages, p)
	l.announce()
	return nil
}

// finish publishes the rest, or err. Of a directory that is too big only this
// is kept: that it is.
func (l *listing) finish(err error) error {
	if err == nil && len(l.draft.records) > 0 {
		err = l.publish()
	}
	l.draft, l.last = draft{}, nil
	overhead := listingOverhead + int64(len(l.key.dir))
	l.memory.take(overhead)
	l.charged += overhead
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tooBig {
		l.memory.give(l.charged - overhead)
		l.charged, l.pages = overhead, nil
	}
	l.done, l.err = true, err
	l.announce()
	return err
}

// announce wakes whoever waits for more. l.mu is held.
func (l *listing) announce() {
	close(l.more)
	l.more = make(chan struct{})
}

// state is what has been published so far; pages are never changed.
func (l *listing) state() (pages []page, more <-chan struct{}, done bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pages, l.more, l.done, l.err
}

// each gives all entries to fn, as soon as they are there, and returns the key
// of the last one that it gave.
func (l *listing) each(ctx context.Context, fn func(pachclient.FileInfo) error) (last string, err error) {
	for seen := 0; ; {
		pages, more, done, err := l.state()
		for ; seen < len(pages); seen++ {
			p := pages[seen]
			for i := range p.records {
				last = p.key(i)
				if err := fn(l.info(p, i)); err != nil {
					return last, callbackError{err}
				}
			}
		}
		if done {
			return last, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return last, ctx.Err()
		}
	}
}

// info unpacks an entry.
func (l *listing) info(p page, i int) pachclient.FileInfo {
	key := p.key(i)
	name := strings.TrimSuffix(key, "/")
	path := "/" + name
	if l.key.dir != "/" && l.key.dir != "" {
		path = l.key.dir + path
	}
	r := &p.records[i]
	return pachclient.FileInfo{
		Path: path, Dir: len(name) < len(key), Size: r.size, Hash: r.hash, ModTime: p.modTime,
	}
}
