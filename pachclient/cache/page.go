package cache

import (
	"strings"
	"time"
	"unsafe"

	"pachfs/pachclient"
)

// pageEntries is how many entries make a page: enough to make its own weight
// count for nothing, few enough to come soon.
const pageEntries = 256

// A page is some entries of a listing, in order and packed: one string for all
// names, one array for the rest. An entry weighs 48 bytes and its name.
type page struct {
	keys    string
	records []record
	modTime time.Time // of all: when the commit was finished
}

type record struct {
	size int64
	hash pachclient.Hash
	end  uint32 // of the entry's key in keys
}

// listKey is what listings are ordered by: the name, with a slash behind it if
// it is a directory.
func listKey(f pachclient.FileInfo) string {
	name := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
	if f.Dir {
		return name + "/"
	}
	return name
}

func (p page) key(i int) string {
	start := uint32(0)
	if i > 0 {
		start = p.records[i-1].end
	}
	return p.keys[start:p.records[i].end]
}

// bytes is the memory that a page needs.
func (p page) bytes() int64 {
	return int64(unsafe.Sizeof(p)) + int64(len(p.keys)) + int64(len(p.records))*int64(unsafe.Sizeof(record{}))
}

// A draft is a page in the making. Its buffers serve one page after another,
// so that the pages themselves are cut to size.
type draft struct {
	keys    []byte
	records []record
	modTime time.Time
}

func (d *draft) add(key string, f pachclient.FileInfo) {
	d.keys = append(d.keys, key...)
	d.records = append(d.records, record{size: f.Size, hash: f.Hash, end: uint32(len(d.keys))})
	d.modTime = f.ModTime
}

func (d *draft) seal() page {
	p := page{keys: string(d.keys), records: append([]record(nil), d.records...), modTime: d.modTime}
	d.keys, d.records = d.keys[:0], d.records[:0]
	return p
}
