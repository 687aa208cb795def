package cache

import "os"

// Accounting. The rule: what a file takes is reserved before it is written,
// and what must go for it is gone by then, so the cap holds at every moment.

// insert adds a chunk whose room has been reserved. d.mu is held.
func (d *disk) insert(k chunkKey, length, stamp int32) {
	d.index.insert(k, length, stamp)
	d.memory.take(nodeBytes)
}

// reserve makes room for cost bytes and one more chunk, and takes it. The
// chunks that it returns are out of the index, and must be unlinked before the
// room is used. d.mu is held.
func (d *disk) reserve(cost int64) (gone []chunkKey) {
	d.occupy(cost)
	for d.index.len() > 0 && (d.occupied > d.limit || d.index.len() >= d.most) {
		k := d.index.oldest()
		d.stats.evicted.Add(int64(d.drop(k)))
		gone = append(gone, k)
	}
	return gone
}

// drop takes a chunk out of the index and the account. d.mu is held.
func (d *disk) drop(k chunkKey) (length int32) {
	length, ok := d.index.remove(k)
	if ok {
		d.occupy(-occupies(length))
		d.memory.give(nodeBytes)
	}
	return length
}

// occupy counts room that was taken or given back. d.mu is held.
func (d *disk) occupy(n int64) {
	d.occupied += n
	d.stats.diskOccupied.Store(d.occupied)
}

// forget drops a chunk whose file has gone.
func (d *disk) forget(k chunkKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(k)
}

// unlink removes files of chunks that are in the index no more. Another process
// may have been first; if it fails otherwise, a later scan finds them again.
func (d *disk) unlink(gone []chunkKey) {
	for _, k := range gone {
		os.Remove(d.path(k))
	}
}
