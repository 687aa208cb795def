package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"pachfs/pachclient/embedded/internal/content"
)

// An ID names a node. 0 is the empty directory, which has none.
type ID uint64

// A Dir is a directory with the sums over all that is below it.
type Dir struct {
	Root  ID
	Files int64
	Size  int64
}

// An Entry is a file or a directory in its directory.
type Entry struct {
	Key     string
	IsDir   bool
	Dir     Dir          // of a directory
	File    content.File // of a file
	Replace bool         // in a file set: the file replaces what is there, it is not appended
}

func (e *Entry) sums() (files, size int64) {
	if e.IsDir {
		return e.Dir.Files, e.Dir.Size
	}
	return 1, e.File.Size
}

// weight is about what the entry takes in a node.
func (e *Entry) weight() int {
	if e.IsDir {
		return len(e.Key) + 16
	}
	return len(e.Key) + 40 + 70*len(e.File.Chunks)
}

// A child is a node in an inner node; n is set until it is stored.
type child struct {
	key   string // the first below it
	id    ID
	files int64
	size  int64
	n     *node
}

func (c *child) weight() int { return len(c.key) + 24 }

// A node is a leaf with entries or an inner node with children.
type node struct {
	inner    bool
	entries  []Entry
	children []child
}

const (
	flagDir     = 1
	flagReplace = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (n *node) encode() []byte {
	var b []byte
	if n.inner {
		b = append(b, 1)
		last := ""
		for i := range n.children {
			c := &n.children[i]
			b, last = putKey(b, last, c.key), c.key
			b = binary.AppendUvarint(b, uint64(c.id))
			b = binary.AppendUvarint(b, uint64(c.files))
			b = binary.AppendUvarint(b, uint64(c.size))
		}
	} else {
		b = append(b, 0)
		last := ""
		for i := range n.entries {
			e := &n.entries[i]
			b, last = putKey(b, last, e.Key), e.Key
			b = e.encode(b)
		}
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func (e *Entry) encode(b []byte) []byte {
	if e.IsDir {
		b = append(b, flagDir)
		b = binary.AppendUvarint(b, uint64(e.Dir.Root))
		b = binary.AppendUvarint(b, uint64(e.Dir.Files))
		return binary.AppendUvarint(b, uint64(e.Dir.Size))
	}
	flags := byte(0)
	if e.Replace {
		flags = flagReplace
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(e.File.Size))
	b = append(b, e.File.Hash[:]...)
	b = binary.AppendUvarint(b, uint64(len(e.File.Chunks)))
	for _, c := range e.File.Chunks {
		if len(e.File.Chunks) > 1 {
			b = append(b, c.Hash[:]...)
		}
		b = binary.AppendUvarint(b, uint64(c.Len))
		if c.Len > 0 {
			blob := c.Blob()
			b = append(b, blob[:]...)
			b = binary.AppendUvarint(b, uint64(c.Off))
		}
	}
	return b
}

func putKey(b []byte, last, key string) []byte {
	n := 0
	for n < len(last) && n < len(key) && last[n] == key[n] {
		n++
	}
	b = binary.AppendUvarint(b, uint64(n))
	b = binary.AppendUvarint(b, uint64(len(key)-n))
	return append(b, key[n:]...)
}

var errDamaged = errors.New("damaged tree node")

// decode reads a node. It keeps nothing of b.
func decode(b []byte) (*node, error) {
	if len(b) < 5 {
		return nil, errDamaged
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(body):]) {
		return nil, fmt.Errorf("%w: bad checksum", errDamaged)
	}
	d := &decoder{b: body[1:]}
	n := &node{inner: body[0] == 1}
	last := ""
	for len(d.b) > 0 && !d.bad {
		last = d.key(last)
		if n.inner {
			n.children = append(n.children, child{key: last, id: ID(d.num()), files: int64(d.num()), size: int64(d.num())})
		} else {
			n.entries = append(n.entries, d.entry(last))
		}
	}
	if d.bad {
		return nil, errDamaged
	}
	return n, nil
}

// A decoder takes values off a buffer; bad sticks.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) num() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) hash() (h content.Hash) {
	copy(h[:], d.take(uint64(len(h))))
	return h
}

func (d *decoder) key(last string) string {
	shared, rest := d.num(), d.num()
	if shared > uint64(len(last)) {
		d.bad, d.b = true, nil
		return ""
	}
	return last[:shared] + string(d.take(rest))
}

func (d *decoder) entry(key string) Entry {
	flags := d.take(1)
	if d.bad {
		return Entry{}
	}
	if flags[0]&flagDir != 0 {
		return Entry{Key: key, IsDir: true, Dir: Dir{Root: ID(d.num()), Files: int64(d.num()), Size: int64(d.num())}}
	}
	e := Entry{Key: key, Replace: flags[0]&flagReplace != 0}
	e.File.Size = int64(d.num())
	e.File.Hash = d.hash()
	count := d.num()
	if count > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return e
	}
	e.File.Chunks = make([]content.Chunk, 0, count)
	for range count {
		var hash, blob content.Hash
		if count > 1 {
			hash = d.hash()
		}
		length, off := d.num(), uint64(0)
		if length > 0 {
			blob, off = d.hash(), d.num()
		}
		e.File.Chunks = append(e.File.Chunks, content.At(hash, blob, int64(off), int64(length)))
	}
	return e
}
