package cache

import (
	"fmt"
	"io"
)

// fill is the goroutine of a stream.
func (s *stream) fill() {
	defer s.cancel()
	s.contents.stats.open.Add(1)
	err := s.transfer()
	s.contents.stats.open.Add(-1)
	s.mu.Lock()
	if s.ctx.Err() != nil {
		err = errGone // we ended it, not the server
	}
	s.done, s.err = true, err
	s.announce()
	s.mu.Unlock()
	s.contents.ended(s, err)
}

// transfer moves bytes until the stream's limit, as fast as its readers want.
func (s *stream) transfer() error {
	if s.how == exactly {
		p, err := s.space()
		if err != nil || p == nil {
			return err
		}
		n, err := s.from.ReadAt(s.ctx, s.file, p, s.start)
		s.arrived(n)
		return s.short(err)
	}
	rc, err := s.from.Open(s.ctx, s.file, s.start)
	if err != nil {
		return err
	}
	defer rc.Close()
	for {
		p, err := s.space()
		if err != nil || p == nil {
			return err
		}
		n, err := rc.Read(p)
		s.arrived(n)
		if err != nil {
			return s.short(err)
		}
	}
}

// short turns an end of file into an error if it came too soon.
func (s *stream) short(err error) error {
	switch {
	case s.pos == s.limit:
		return nil
	case err == nil, err == io.EOF:
		return fmt.Errorf("got %d of %d bytes: %w", s.pos, s.file.Size, io.ErrUnexpectedEOF)
	}
	return err
}

// space waits until the stream may read on, and gives the memory for it; nil
// at the end.
func (s *stream) space() ([]byte, error) {
	for {
		p, end := s.trySpace()
		if p != nil || end {
			return p, nil
		}
		select {
		case <-s.wake:
		case <-s.ctx.Done():
			return nil, s.ctx.Err()
		}
	}
}

func (s *stream) trySpace() (p []byte, end bool) {
	if s.meets() {
		return nil, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pos >= s.limit {
		return nil, true
	}
	if s.how == sequential && s.pos >= s.front+s.ahead() {
		return nil, false
	}
	if n := len(s.buffers); n == 0 || s.buffers[n-1].end() == s.pos {
		if !s.grow() {
			return nil, false
		}
	}
	b := s.buffers[len(s.buffers)-1]
	return b.data[s.pos-b.off:], false
}

// ahead is how far the stream may be ahead of its readers. s.mu is held.
func (s *stream) ahead() int64 {
	return min(max(2*(s.front-s.start), leastAhead), mostAhead)
}

// meets says whether the stream has come to where another has begun, or to a
// chunk that is on disk: there it ends, or it would fetch bytes twice.
func (s *stream) meets() bool {
	if s.how != sequential || s.pos == s.start || s.pos%chunkSize != 0 || s.pos >= s.limit {
		return false
	}
	c := s.contents
	c.mu.Lock()
	met := false
	for _, o := range s.object.streams {
		met = met || o != s && o.covers(s.pos, 0)
	}
	c.mu.Unlock()
	if !met && (c.disk == nil || !c.disk.has(s.file.Hash, s.pos/chunkSize)) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = s.pos
	return true
}

// grow adds a buffer at pos. Two a stream are always allowed, more when they
// are to be had; a reader that waits gets the place of the oldest. s.mu is held.
func (s *stream) grow() bool {
	for len(s.buffers) > 0 && s.buffers[0].end()+lateReads <= s.front {
		s.drop()
	}
	for len(s.buffers) >= 2 && !s.contents.extra.take() {
		if s.front <= s.pos {
			return false
		}
		s.drop()
	}
	end := min((s.pos/chunkSize+1)*chunkSize, s.limit)
	s.contents.memory.take(end - s.pos)
	s.buffers = append(s.buffers, buffer{s.pos, newBuffer(end - s.pos)})
	return true
}

// drop lets go of the oldest buffer. s.mu is held.
func (s *stream) drop() {
	b := s.buffers[0]
	if len(s.buffers) > 2 {
		s.contents.extra.give()
	}
	s.buffers = append(s.buffers[:0], s.buffers[1:]...)
	s.contents.memory.give(int64(len(b.data)))
	freeBuffer(b.data)
}

// arrived publishes n more bytes, and stores the chunk if that completes it.
func (s *stream) arrived(n int) {
	s.contents.stats.fetched.Add(int64(n))
	s.mu.Lock()
	s.pos += int64(n)
	s.announce()
	b := s.buffers[len(s.buffers)-1]
	full := b.end() == s.pos && b.off%chunkSize == 0 && (len(b.data) == chunkSize || s.pos == s.file.Size)
	s.mu.Unlock()
	// Only this goroutine drops buffers before it ends, so b stays.
	if full && n > 0 && s.contents.disk != nil {
		s.contents.disk.put(s.file.Hash, b.off/chunkSize, b.data)
	}
}

// announce wakes the readers. s.mu is held.
func (s *stream) announce() {
	if s.waiters > 0 {
		close(s.more)
		s.more = make(chan struct{})
	}
}
