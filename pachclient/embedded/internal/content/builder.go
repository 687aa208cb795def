package content

import (
	"slices"
	"sync"
)

// bigBuffers are buffers that hold any chunk. Growing to that size again and
// again would cost more than the hashing.
var bigBuffers = sync.Pool{New: func() any { return new([maxChunk]byte) }}

// giveBack returns a buffer to the pool if it came from there.
func giveBack(buf []byte) {
	if cap(buf) == maxChunk {
		bigBuffers.Put((*[maxChunk]byte)(buf[:maxChunk]))
	}
}

// A Builder makes the content of one file from what is appended to it. However
// a file comes together, it is cut in the same places: the same bytes always
// have the same hash.
type Builder struct {
	w    *Writer
	size int64
	done []Chunk // cut off for good
	tail []byte  // what comes behind them
	lazy *Chunk  // or, instead of tail, the chunk that has it
	orig Hash    // the file's hash, while it is nothing but done and lazy of an existing file
	cut  cutter
}

// Build starts an empty file.
func (w *Writer) Build() *Builder { return &Builder{w: w} }

// Size gives the bytes so far.
func (b *Builder) Size() int64 { return b.size }

// Buffered gives the bytes that the builder holds in memory.
func (b *Builder) Buffered() int { return len(b.tail) }

// Write appends bytes. It does not keep p.
func (b *Builder) Write(p []byte) (int, error) {
	if err := b.load(); err != nil {
		return 0, err
	}
	written := len(p)
	b.size += int64(written)
	for len(p) > 0 {
		n := min(len(p), maxChunk-len(b.tail))
		if len(b.tail)+n > minChunk && cap(b.tail) < maxChunk {
			b.tail = append(bigBuffers.Get().(*[maxChunk]byte)[:0], b.tail...)
		}
		b.tail = append(b.tail, p[:n]...)
		p = p[n:]
		for {
			end := b.cut.cut(b.tail)
			if end == 0 {
				break
			}
			rest := slices.Clone(b.tail[end:])
			b.done = append(b.done, b.w.put(b.tail[:end]))
			b.tail, b.cut = rest, cutter{}
		}
	}
	return written, nil
}

// Append appends a file by reference, as far as it would be cut in the same
// places here; what it can't refer to, it reads and writes.
func (b *Builder) Append(f File) error {
	if f.Size == 0 {
		return nil
	}
	if b.size == 0 {
		b.orig = f.Hash
	} else if err := b.load(); err != nil {
		return err
	}
	r := b.w.s.NewReader()
	defer r.Close()
	for i, c := range f.Chunks {
		switch last := i == len(f.Chunks)-1; {
		case len(b.tail) > 0:
			data := make([]byte, c.Len)
			if err := r.ReadAt(c, data, 0); err != nil {
				return err
			}
			if _, err := b.Write(data); err != nil {
				return err
			}
		case last:
			b.lazy = &c
			b.size += c.Len
		default:
			b.done = append(b.done, c)
			b.size += c.Len
		}
	}
	return nil
}

// load brings the last chunk into memory, for something is to follow it.
func (b *Builder) load() error {
	b.orig = Hash{}
	if b.lazy == nil {
		return nil
	}
	r := b.w.s.NewReader()
	defer r.Close()
	data := make([]byte, b.lazy.Len)
	if err := r.ReadAt(*b.lazy, data, 0); err != nil {
		return err
	}
	b.tail, b.lazy, b.cut = data, nil, cutter{}
	return nil
}

// File ends the file and gives its content.
func (b *Builder) File() (File, error) {
	if b.size == 0 {
		return Empty, nil
	}
	if b.lazy != nil && b.orig != (Hash{}) {
		return File{Size: b.size, Hash: b.orig, Chunks: append(b.done, *b.lazy)}, nil
	}
	if b.lazy != nil && b.lazy.Hash != (Hash{}) {
		chunks := append(b.done, *b.lazy)
		return File{Size: b.size, Hash: sumChunks(chunks), Chunks: chunks}, nil
	}
	if err := b.load(); err != nil {
		return File{}, err
	}
	chunks := append(b.done, b.w.put(b.tail))
	return File{Size: b.size, Hash: sumChunks(chunks), Chunks: chunks}, nil
}
