package cache

import (
	"container/list"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"
)

// busyFor is how long a stream that was just read from is safe from making
// room for another: more readers than streams must not end up starting one for
// every read.
const busyFor = 100 * time.Millisecond

// A queue holds the streams of one kind that are open, or ended and still hold
// what arrived: last used first.
type queue struct {
	list     *list.List
	bytes    int64 // of fetches, what they may grow to
	maxLen   int
	maxBytes int64
}

func (q *queue) hasRoom(n int64) bool {
	return q.list.Len() < q.maxLen && q.bytes+n <= q.maxBytes
}

// tokens are a number of things that may be taken.
type tokens struct{ free atomic.Int64 }

func (t *tokens) take() bool {
	if t.free.Add(-1) >= 0 {
		return true
	}
	t.give()
	return false
}

func (t *tokens) give() { t.free.Add(1) }

// makeRoom closes streams that nobody needs now, least recently used first,
// until one more has room. c.mu is held, here and below.
func (c *contents) makeRoom(q *queue, n int64) bool {
	for e := q.list.Back(); e != nil && !q.hasRoom(n); {
		prev := e.Prev()
		if s := e.Value.(*stream); s.idle(busyFor) {
			c.remove(s)
		}
		e = prev
	}
	return q.hasRoom(n)
}

func (c *contents) queueOf(s *stream) *queue {
	if s.how == sequential {
		return &c.streams
	}
	return &c.fetches
}

// weight is what a fetch counts in its queue. A stream counts as one.
func (s *stream) weight() int64 {
	if s.how == sequential {
		return 0
	}
	return s.limit - s.start
}

// start lets a new stream run, with the caller as its first reader.
func (c *contents) start(s *stream) error {
	if c.closed || !c.group.spawn(s.fill) {
		s.cancel()
		return fs.ErrClosed
	}
	q := c.queueOf(s)
	s.place = q.list.PushFront(s)
	q.bytes += s.weight()
	s.object.streams = append(s.object.streams, s)
	c.join(s)
	if c.sweeper == nil {
		c.sweeper = time.AfterFunc(c.idle, c.sweep)
	}
	return nil
}

// join adds a reader. Whoever joins leaves.
func (c *contents) join(s *stream) {
	c.queueOf(s).list.MoveToFront(s.place)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiters++
	s.used = time.Now()
}

// leave takes a reader away. A fetch that was given up by its last one ends; a
// stream may be wanted again by the next read.
func (c *contents) leave(s *stream, gaveUp bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.mu.Lock()
	s.waiters--
	last := s.waiters == 0
	s.release()
	s.mu.Unlock()
	if last && gaveUp && s.how != sequential {
		c.remove(s)
	}
	if last {
		c.roomAgain()
	}
}

// ended is called by a stream when nothing more will arrive. A good one stays
// for what it holds, until it is idle or its place is needed.
func (c *contents) ended(s *stream, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || c.closed {
		c.remove(s)
	}
	s.mu.Lock()
	s.release()
	s.mu.Unlock()
	c.roomAgain()
}

// remove ends a stream, and it is found no more.
func (c *contents) remove(s *stream) {
	if s.place == nil {
		return
	}
	s.cancel()
	q := c.queueOf(s)
	q.list.Remove(s.place)
	q.bytes -= s.weight()
	s.place = nil
	i := slices.Index(s.object.streams, s)
	s.object.streams = slices.Delete(s.object.streams, i, i+1)
	s.mu.Lock()
	s.removed = true
	s.release()
	s.mu.Unlock()
	c.roomAgain()
}

// roomAgain lets those who wait for room try again.
func (c *contents) roomAgain() {
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}

// idle says whether nobody has read from the stream for d, or nobody reads and
// it has nothing left to do.
func (s *stream) idle(d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiters == 0 && (s.done || s.how == sequential && time.Since(s.used) >= d)
}

// sweep closes what was not used for a while, and comes again while there is
// something to come for.
func (c *contents) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range []*queue{&c.streams, &c.fetches} {
		for e := q.list.Front(); e != nil; {
			next := e.Next()
			if s := e.Value.(*stream); s.unusedFor(c.idle) {
				c.remove(s)
			}
			e = next
		}
	}
	c.sweeper = nil
	if !c.closed && c.streams.list.Len()+c.fetches.list.Len() > 0 {
		c.sweeper = time.AfterFunc(c.idle/4, c.sweep)
	}
}

func (s *stream) unusedFor(d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiters == 0 && time.Since(s.used) >= d
}

// close frees all. The fillers have ended.
func (c *contents) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.sweeper != nil {
		c.sweeper.Stop()
	}
	for _, q := range []*queue{&c.streams, &c.fetches} {
		for q.list.Len() > 0 {
			c.remove(q.list.Back().Value.(*stream))
		}
	}
}
