package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"pachfs/pachclient"
)

const (
	diskFolder = "chunks-1"
	tempPrefix = "tmp-"
	diskBlock  = 4096 // what file systems give out

	pauseAfterFault = 10 * time.Second // a full disk is not asked again before
	stampMinutes    = 10               // how exact the order of use is after a restart
)

// disk keeps chunks in files, under a cap. None of its faults is a fault of
// the read that met it.
type disk struct {
	dir    string
	limit  int64 // of occupied
	most   int   // chunks that the index may know
	group  *group
	memory *memory
	stats  *counters
	log    *slog.Logger

	mu       sync.Mutex
	index    *lru
	occupied int64 // files of the index, and those that are being written
	scanned  time.Time
	scanning bool // nothing is stored before the first is done
	paused   time.Time
}

// openDisk makes the folder and begins to look what is there. Most caches are
// looked through before it returns; a big one takes nothing new until it is,
// since nobody knows how much room there is.
func openDisk(o Options, g *group, m *memory, s *counters) (*disk, error) {
	d := &disk{
		dir: filepath.Join(o.Dir, diskFolder), limit: o.DiskBytes, most: int(o.MemoryBytes / 4 / nodeBytes),
		group: g, memory: m, stats: s, log: o.Logger, index: newLRU(),
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	d.scanning = true
	g.spawn(func() { d.scan(); close(done) })
	select {
	case <-done:
	case <-time.After(50 * time.Millisecond):
	}
	return d, nil
}

func keyOf(h pachclient.Hash, index int64) chunkKey {
	return chunkKey{hash: [16]byte(h[:16]), index: uint32(index)}
}

func (d *disk) path(k chunkKey) string {
	shard := k.hash[15] ^ byte(k.index)
	return filepath.Join(d.dir, fmt.Sprintf("%02x", shard), fmt.Sprintf("%x.%x", k.hash, k.index))
}

// occupies is what a chunk file of the given length takes on the disk.
func occupies(length int32) int64 {
	return (headerSize + int64(length) + diskBlock - 1) / diskBlock * diskBlock
}

// read fills p from a chunk of the given length, if it is there and whole.
// The file is tried even when the index does not know it: another process may
// have written it, or the scan not yet come to it.
func (d *disk) read(h pachclient.Hash, index, length int64, p []byte, off int64) bool {
	k := keyOf(h, index)
	err := readChunk(d.path(k), h, index, length, p, off)
	switch {
	case err == nil:
		d.used(k, int32(length))
		return true
	case errors.Is(err, errCorrupt):
		d.stats.corrupt.Add(1)
		d.log.Warn("cache: forgetting a damaged chunk", "file", d.path(k))
		os.Remove(d.path(k))
		d.forget(k)
	case errors.Is(err, fs.ErrNotExist):
		d.forget(k)
	}
	return false
}

// has says whether a chunk is there, as far as its name tells.
func (d *disk) has(h pachclient.Hash, index int64) bool {
	_, err := os.Lstat(d.path(keyOf(h, index)))
	return err == nil
}

// used notes a use, in the index and, now and then, on disk.
func (d *disk) used(k chunkKey, length int32) {
	now := time.Now()
	minute := int32(now.Unix() / 60)
	d.mu.Lock()
	n := d.index.touch(k)
	if n == nil && !d.scanned.IsZero() {
		gone := d.reserve(occupies(length))
		d.insert(k, length, minute)
		d.mu.Unlock()
		d.unlink(gone)
		return
	}
	stale := n != nil && minute-n.stamp >= stampMinutes
	if stale {
		n.stamp = minute
	}
	d.mu.Unlock()
	if stale {
		os.Chtimes(d.path(k), now, now)
	}
}

// put stores a chunk, if nothing speaks against it.
func (d *disk) put(h pachclient.Hash, index int64, p []byte) {
	if index > 1<<32-1 {
		return // 4 PiB into a file
	}
	k, length := keyOf(h, index), int32(len(p))
	cost := occupies(length)
	now := time.Now()
	d.mu.Lock()
	if d.scanned.IsZero() || now.Before(d.paused) || cost > d.limit || d.index.touch(k) != nil {
		d.mu.Unlock()
		return
	}
	gone := d.reserve(cost)
	d.rescan(now)
	d.mu.Unlock()

	d.unlink(gone)
	err := writeChunk(d.path(k), makeHeader(h, index, p), p)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.occupy(-cost)
		d.pause(now, err)
		return
	}
	d.stats.cached.Add(int64(length))
	if d.index.touch(k) != nil {
		d.occupy(-cost) // somebody else was as quick, and has counted it
		return
	}
	d.insert(k, length, int32(now.Unix()/60))
}

// pause keeps a full or broken disk from being tried at every chunk. d.mu is held.
func (d *disk) pause(now time.Time, err error) {
	if now.Before(d.paused) {
		return
	}
	d.paused = now.Add(pauseAfterFault)
	d.log.Warn("cache: can't store, reading goes on without", "dir", d.dir, "err", err)
}
