package cache

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"pachfs/pachclient"
)

// How much a stream fetches.
type how int

const (
	sequential how = iota // from the request to the end of the file, as far as somebody reads
	wholeChunk            // the chunk that the request lies in
	exactly               // what the request asks for
)

const (
	skipAhead = 1 << 20 // what a stream reads over rather than start another

	// A stream keeps ahead of its readers by twice what they have read, within
	// these bounds, and keeps lateReads behind them: the kernel's readahead
	// does not come in order.
	leastAhead = 256 << 10
	mostAhead  = 4 << 20
	lateReads  = 256 << 10
)

// errGone is no error of a read: the stream does not have the bytes any more,
// or will not get them.
var errGone = errors.New("stream has gone")

// A stream is one call for contents, and what has arrived of it lately. One
// goroutine fills it (fill.go); any number of readers copy from it.
type stream struct {
	contents *contents
	object   *object
	from     pachclient.Reader
	file     pachclient.FileInfo
	how      how
	start    int64
	ctx      context.Context
	cancel   context.CancelFunc

	place *list.Element // in its queue; nil: removed. Guarded by contents.mu

	mu      sync.Mutex
	limit   int64    // it reads to here
	buffers []buffer // one behind the other, the last one being filled
	pos     int64    // all before has arrived
	front   int64    // how far readers want to read
	waiters int
	used    time.Time
	done    bool // nothing will arrive any more
	removed bool
	err     error
	more    chan struct{} // closed when more has arrived
	wake    chan struct{} // holds a token when readers went on
}

// A buffer is the bytes of a file from off on, at most to the end of a chunk.
type buffer struct {
	off  int64
	data []byte
}

func (b buffer) end() int64 { return b.off + int64(len(b.data)) }

func newStream(c *contents, r *request, h how) *stream {
	s := &stream{
		contents: c, object: r.object, from: r.from, file: r.file, how: h,
		start: r.off, limit: r.file.Size, front: r.off + int64(len(r.p)), used: time.Now(),
		more: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	switch h {
	case wholeChunk:
		s.start = r.chunk() * chunkSize
		s.limit = min(s.start+chunkSize, s.limit)
	case exactly:
		s.limit = r.off + int64(len(r.p))
	}
	s.pos = s.start
	s.ctx, s.cancel = context.WithCancel(c.group.ctx)
	return s
}

// base is the first byte that is still there. s.mu is held.
func (s *stream) base() int64 {
	if len(s.buffers) > 0 {
		return s.buffers[0].off
	}
	return s.pos
}

// covers says whether the byte at off is there, or arrives when the stream
// reads at most skip bytes further.
func (s *stream) covers(off, skip int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case off < s.base() || off >= s.limit:
		return false
	case off < s.pos:
		return true
	}
	return !s.done && skip > 0 && off <= s.pos+skip
}

// read copies from off on what is there and what arrives, until p is full.
func (s *stream) read(ctx context.Context, p []byte, off int64) (n int, err error) {
	s.want(off + int64(len(p)))
	for {
		m, more, err := s.copy(p[n:], off+int64(n))
		n += m
		if n == len(p) || err != nil {
			return n, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return n, ctx.Err()
		}
	}
}

// want tells the filler how far somebody reads.
func (s *stream) want(end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.front = max(s.front, end)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// copy takes what is there now. It holds the lock meanwhile, so that buffers
// can be used again as soon as the stream lets go of them.
func (s *stream) copy(p []byte, off int64) (n int, more <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if off < s.base() {
		return 0, nil, errGone
	}
	for _, b := range s.buffers {
		at := off + int64(n)
		if end := min(b.end(), s.pos); b.off <= at && at < end {
			n += copy(p[n:], b.data[at-b.off:end-b.off])
		}
	}
	if n < len(p) && (s.done || off+int64(n) >= s.limit) {
		err = s.err
		if err == nil {
			err = errGone
		}
	}
	return n, s.more, err
}

// release gives the memory back once nobody needs it: the filler has ended,
// the stream can't be found any more, and the last reader has left. s.mu is held.
func (s *stream) release() {
	if !s.done || !s.removed || s.waiters > 0 {
		return
	}
	for len(s.buffers) > 0 {
		s.drop()
	}
}
