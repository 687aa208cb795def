package content

import (
	"sync"

	"golang.org/x/sync/errgroup"
)

// packSize is how big a blob of small chunks gets, and the size from which on
// a chunk is a blob of its own.
const packSize = 4 << 20

// parallel is how many blobs of one writer are on their way to the disk while
// it goes on. With packs and chunks of up to 20 MB it bounds the memory, too.
const parallel = 2

// A pack is a blob that is being filled, or on its way to the disk.
type pack struct {
	mu   sync.Mutex
	blob Hash
	buf  []byte // nil once the blob is on disk
}

func (p *pack) name() Hash {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.blob
}

// readAt says false when the bytes are on disk already.
func (p *pack) readAt(b []byte, off int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.buf == nil {
		return false
	}
	copy(b, p.buf[off:])
	return true
}

// A Writer puts chunks away. What it wrote is safe after Sync. It is not safe
// for concurrent use.
type Writer struct {
	s       *Store
	pack    *pack
	saves   errgroup.Group
	touched bool
}

// NewWriter gives a writer. One that is given up leaves blobs that nothing
// refers to.
func (s *Store) NewWriter() *Writer {
	w := &Writer{s: s}
	w.saves.SetLimit(parallel)
	return w
}

// put stores one chunk. It keeps data.
func (w *Writer) put(data []byte) Chunk {
	c := Chunk{Hash: Sum(data), Len: int64(len(data))}
	if len(data) == 0 {
		return c
	}
	if len(data) >= packSize {
		c.pack = &pack{buf: data}
		w.save(c.pack)
		return c
	}
	if w.pack == nil {
		w.pack = &pack{}
	}
	p := w.pack
	p.mu.Lock()
	c.pack, c.Off = p, int64(len(p.buf))
	p.buf = append(p.buf, data...)
	full := len(p.buf) >= packSize
	p.mu.Unlock()
	giveBack(data)
	if full {
		w.save(p)
		w.pack = nil
	}
	return c
}

// save sends a pack to the disk; it waits while too many are on their way.
func (w *Writer) save(p *pack) {
	w.touched = true
	w.saves.Go(func() error {
		blob := Sum(p.buf) // nobody writes it any more
		if err := w.s.save(blob, p.buf); err != nil {
			return err
		}
		p.mu.Lock()
		buf := p.buf
		p.blob, p.buf = blob, nil
		p.mu.Unlock()
		giveBack(buf)
		return nil
	})
}

// Sync returns when everything that was written is on disk and can be found
// there after a power cut. It also ends what goes on in the background, so a
// writer that is given up must be synced, too.
func (w *Writer) Sync() error {
	if w.pack != nil {
		w.save(w.pack)
		w.pack = nil
	}
	if err := w.saves.Wait(); err != nil {
		return err
	}
	if !w.touched {
		return nil
	}
	w.touched = false
	return SyncDir(w.s.dir)
}
