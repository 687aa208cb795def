package cache

import (
	"sync"
	"sync/atomic"
)

// memory is the one account of all that the cache holds in memory. Listings
// are what gives way: trim evicts them.
type memory struct {
	limit int64
	used  atomic.Int64
	trim  func(excess int64)
}

// take is for those whose share was set aside when the cache was made: they
// are never refused.
func (m *memory) take(n int64) {
	if excess := m.used.Add(n) - m.limit; excess > 0 {
		m.trim(excess)
	}
}

// try is for those who can do without.
func (m *memory) try(n int64) bool {
	m.take(n)
	if m.used.Load() > m.limit {
		m.give(n)
		return false
	}
	return true
}

func (m *memory) give(n int64) { m.used.Add(-n) }

// Buffers of whole chunks are used again and again; they are what a fast
// stream would otherwise make most garbage of.
var chunkPool = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// newBuffer gives n bytes, at most a chunk.
func newBuffer(n int64) []byte {
	if n < chunkSize {
		return make([]byte, n)
	}
	return chunkPool.Get().(*[chunkSize]byte)[:]
}

// freeBuffer takes back what newBuffer gave, when nobody looks at it any more.
func freeBuffer(p []byte) {
	if len(p) == chunkSize {
		chunkPool.Put((*[chunkSize]byte)(p))
	}
}
