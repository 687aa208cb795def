package cache

import "sync/atomic"

// Stats say what the cache has done so far, and what it holds now.
type Stats struct {
	ListingHits   int64 // directories asked for that were known, or on their way
	ListingMisses int64 // directories that had to be listed
	ChunkHits     int64 // reads, chunk by chunk, that needed no call of their own
	ChunkMisses   int64 // reads that started a call

	BytesFetched int64 // contents that came from the Client below
	BytesCached  int64 // contents that were stored on disk
	BytesEvicted int64 // contents that left the disk to make room
	Corrupt      int64 // chunks on disk that did not match their checksum

	OpenStreams int64 // calls for contents that are open now
	MemoryUsed  int64
	DiskUsed    int64
}

// counters are Stats in the making.
type counters struct {
	listingHits, listingMisses  atomic.Int64
	chunkHits, chunkMisses      atomic.Int64
	fetched, cached, evicted    atomic.Int64
	corrupt, open, diskOccupied atomic.Int64
}

// Stats may be called at any time, also after Close.
func (c *Client) Stats() Stats {
	n := c.stats
	return Stats{
		ListingHits:   n.listingHits.Load(),
		ListingMisses: n.listingMisses.Load(),
		ChunkHits:     n.chunkHits.Load(),
		ChunkMisses:   n.chunkMisses.Load(),
		BytesFetched:  n.fetched.Load(),
		BytesCached:   n.cached.Load(),
		BytesEvicted:  n.evicted.Load(),
		Corrupt:       n.corrupt.Load(),
		OpenStreams:   n.open.Load(),
		MemoryUsed:    c.memory.used.Load(),
		DiskUsed:      n.diskOccupied.Load(),
	}
}
