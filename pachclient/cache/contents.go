package cache

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"pachfs/pachclient"
)

// idleAfter is how long a stream nobody reads from stays open.
const idleAfter = 5 * time.Second

// contents finds for every read the cheapest source: a stream that has the
// bytes, the disk, a stream that will have them, or a new call.
type contents struct {
	group  *group
	memory *memory
	disk   *disk // nil: none
	stats  *counters
	idle   time.Duration

	extra tokens // buffers that streams may have beyond their two

	// mu comes before stream.mu.
	mu      sync.Mutex
	objects map[objectKey]*list.Element // of recent
	recent  *list.List                  // of *object, last used first
	streams queue                       // that read ahead, until the end of their file
	fetches queue                       // of one chunk, or a part of one
	room    chan struct{}               // closed when a queue may have room again; nil: nobody waits
	sweeper *time.Timer                 // nil: nothing to sweep
	closed  bool
}

// newContents divides what streams may hold, a budget in bytes, into quarters:
// two for two chunks a stream, one for fetches, one for more of a fast stream.
func newContents(budget int64, g *group, m *memory, d *disk, s *counters) *contents {
	quarter := budget / 4
	c := &contents{
		group: g, memory: m, disk: d, stats: s, idle: idleAfter,
		objects: map[objectKey]*list.Element{}, recent: list.New(),
		streams: queue{list: list.New(), maxLen: int(quarter / chunkSize), maxBytes: budget},
		fetches: queue{list: list.New(), maxLen: int(4 * quarter / chunkSize), maxBytes: quarter},
	}
	c.extra.free.Store(quarter / chunkSize)
	return c
}

// readAt is io.ReaderAt for a content that the Reader from can give.
func (c *contents) readAt(ctx context.Context, from pachclient.Reader, f pachclient.FileInfo, p []byte, off int64) (n int, err error) {
	if off >= f.Size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), f.Size-off)]
	o, goesOn := c.visit(f, off, int64(len(want)))
	for err = ctx.Err(); n < len(want) && err == nil; {
		at := off + int64(n)
		end := min((at/chunkSize+1)*chunkSize-off, int64(len(want)))
		r := request{object: o, from: from, file: f, p: want[n:end], off: at, goesOn: goesOn || n > 0}
		var m int
		m, err = c.readPiece(ctx, r)
		n += m
	}
	if err == nil && len(want) < len(p) {
		err = io.EOF
	}
	return n, err
}

// A request is the part of a read that lies in one chunk.
type request struct {
	object *object
	from   pachclient.Reader
	file   pachclient.FileInfo
	p      []byte
	off    int64
	goesOn bool // it begins where a read ended before
}

func (r *request) chunk() int64 { return r.off / chunkSize }

// readPiece reads until the request is served. It asks again when a stream
// that it shares goes another way before the bytes are there.
func (c *contents) readPiece(ctx context.Context, r request) (n int, err error) {
	for {
		s := c.buffered(&r)
		if s == nil && c.fromDisk(&r) {
			c.stats.chunkHits.Add(1)
			return n + len(r.p), nil
		}
		if s == nil {
			if s, err = c.source(ctx, &r); err != nil {
				return n, err
			}
		}
		m, err := s.read(ctx, r.p, r.off)
		c.leave(s, ctx.Err() != nil)
		n += m
		if !errors.Is(err, errGone) {
			return n, err
		}
		r.p, r.off = r.p[m:], r.off+int64(m)
	}
}

func (c *contents) fromDisk(r *request) bool {
	if c.disk == nil {
		return false
	}
	start := r.chunk() * chunkSize
	return c.disk.read(r.file.Hash, r.chunk(), min(chunkSize, r.file.Size-start), r.p, r.off-start)
}

// buffered joins a stream that has the first byte in memory.
func (c *contents) buffered(r *request) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := r.object.find(r.off, 0)
	if s != nil {
		c.stats.chunkHits.Add(1)
		c.join(s)
	}
	return s
}

// source joins a stream that has the first byte or will come to it, or starts
// one. It waits while too much is under way.
func (c *contents) source(ctx context.Context, r *request) (*stream, error) {
	for {
		s, room, err := c.trySource(r)
		if s != nil || err != nil {
			return s, err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for other reads: %w", ctx.Err())
		}
	}
}

func (c *contents) trySource(r *request) (s *stream, room <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := r.object.find(r.off, skipAhead); s != nil {
		c.stats.chunkHits.Add(1)
		c.join(s)
		return s, nil, nil
	}
	how := c.choose(r)
	s = newStream(c, r, how)
	if how != sequential && !c.makeRoom(&c.fetches, s.limit-s.start) {
		s.cancel()
		if c.room == nil {
			c.room = make(chan struct{})
		}
		return nil, c.room, nil
	}
	if err := c.start(s); err != nil {
		return nil, nil, err
	}
	c.stats.chunkMisses.Add(1)
	r.object.missed(r.chunk())
	return s, nil, nil
}
