package cache

import (
	"cmp"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	rescanAfter  = time.Minute
	tempLifetime = time.Hour // older ones belong to a process that died
)

// A found chunk is on disk, but not in the index.
type found struct {
	key    chunkKey
	length int32
	minute int32
}

// rescan looks again, once a minute, for what other processes stored in the
// same folder. d.mu is held.
func (d *disk) rescan(now time.Time) {
	if d.scanning || now.Sub(d.scanned) < rescanAfter {
		return
	}
	d.scanning = d.group.spawn(d.scan)
}

// scan takes into the index what it finds on disk. Chunks that have gone it
// leaves to whoever misses them.
func (d *disk) scan() {
	shards, err := os.ReadDir(d.dir)
	if err != nil {
		d.log.Warn("cache: can't look through the folder", "dir", d.dir, "err", err)
	}
	var all []found
	for _, s := range shards {
		if d.group.ctx.Err() != nil {
			break
		}
		if s.IsDir() {
			all = append(all, d.scanShard(filepath.Join(d.dir, s.Name()))...)
		}
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.minute, b.minute) })
	d.adopt(all)
}

// adopt puts what was found into the index, and evicts what is then too much.
// At the first scan the index is empty; later, what is found was written by
// another process since the last one, so it is newer than most that we know.
func (d *disk) adopt(all []found) {
	d.mu.Lock()
	for _, f := range all {
		if _, ok := d.index.where[f.key]; !ok {
			d.occupy(occupies(f.length))
			d.insert(f.key, f.length, f.minute)
		}
	}
	gone := d.reserve(0)
	d.scanned, d.scanning = time.Now(), false
	d.mu.Unlock()
	d.unlink(gone)
}

// scanShard lists the chunks of one shard that the index does not know, and
// removes what writers left that died. Errors mean that something has gone.
func (d *disk) scanShard(dir string) (all []found) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		k, ok := parseName(e.Name())
		temp := strings.HasPrefix(e.Name(), tempPrefix)
		if !ok && !temp || d.knows(k) {
			continue
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		switch {
		case temp && time.Since(info.ModTime()) > tempLifetime:
			os.Remove(path)
		case temp || path != d.path(k):
		case info.Size() <= headerSize || info.Size() > headerSize+chunkSize:
			os.Remove(path)
		default:
			all = append(all, found{k, int32(info.Size() - headerSize), int32(info.ModTime().Unix() / 60)})
		}
	}
	return all
}

func (d *disk) knows(k chunkKey) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.index.where[k]
	return ok
}

// parseName is the reverse of disk.path, for the last element.
func parseName(name string) (k chunkKey, ok bool) {
	hash, index, ok := strings.Cut(name, ".")
	b, err := hex.DecodeString(hash)
	if !ok || err != nil || len(b) != len(k.hash) {
		return k, false
	}
	n, err := strconv.ParseUint(index, 16, 32)
	k.hash, k.index = [16]byte(b), uint32(n)
	return k, err == nil
}
