package content

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tempPrefix marks a blob that is being written; at Open it is a leftover.
const tempPrefix = "tmp-"

// A Store is a directory of blobs.
type Store struct{ dir string }

// Open opens the store in dir, which it creates when it is missing, and
// removes what a killed process left half written.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	names, err := readNames(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasPrefix(name, tempPrefix) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return nil, err
			}
		}
	}
	return &Store{dir: dir}, nil
}

func (s *Store) path(blob Hash) string { return filepath.Join(s.dir, blob.String()) }

// save writes a blob, whole and synced, unless it is there already. Its name
// is safe only after SyncDir.
func (s *Store) save(blob Hash, data []byte) (err error) {
	if st, err := os.Stat(s.path(blob)); err == nil && st.Size() == int64(len(data)) {
		return nil
	}
	f, err := os.CreateTemp(s.dir, tempPrefix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), s.path(blob))
}

// SyncDir makes the names in a directory safe.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Blobs calls fn with every blob in the store.
func (s *Store) Blobs(fn func(blob string, size int64) error) error {
	names, err := readNames(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, tempPrefix) {
			continue
		}
		st, err := os.Stat(filepath.Join(s.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := fn(name, st.Size()); err != nil {
			return err
		}
	}
	return nil
}

// Remove deletes a blob that nothing refers to.
func (s *Store) Remove(blob string) error {
	return os.Remove(filepath.Join(s.dir, blob))
}

// Verify reads a blob and compares it with its name.
func (s *Store) Verify(blob string) error {
	data, err := os.ReadFile(filepath.Join(s.dir, blob))
	if err != nil {
		return err
	}
	if got := Sum(data); got.String() != blob {
		return fmt.Errorf("blob %s: its bytes have the hash %s", blob, got)
	}
	return nil
}

func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// A Reader reads chunks. It keeps the last blob open, because files that were
// written together are read together. It is not safe for concurrent use.
type Reader struct {
	s    *Store
	blob Hash
	f    *os.File
}

// NewReader gives a reader, to be closed.
func (s *Store) NewReader() *Reader { return &Reader{s: s} }

// Close frees the reader.
func (r *Reader) Close() error {
	if r.f == nil {
		return nil
	}
	f := r.f
	r.f = nil
	return f.Close()
}

// ReadAt fills p from off within a chunk, which must reach that far.
func (r *Reader) ReadAt(c Chunk, p []byte, off int64) error {
	if off < 0 || off+int64(len(p)) > c.Len {
		return fmt.Errorf("read of %d bytes at %d in a chunk of %d", len(p), off, c.Len)
	}
	if len(p) == 0 {
		return nil
	}
	if c.pack != nil && c.pack.readAt(p, c.Off+off) {
		return nil
	}
	blob := c.Blob()
	if r.f == nil || r.blob != blob {
		r.Close()
		f, err := os.Open(r.s.path(blob))
		if err != nil {
			return err
		}
		r.f, r.blob = f, blob
	}
	if _, err := r.f.ReadAt(p, c.Off+off); err != nil {
		if err == io.EOF {
			err = fmt.Errorf("blob %s ends early", blob)
		}
		return err
	}
	return nil
}

// Stream calls fn with the bytes of a file from off on, in pieces that fill
// buf. fn must not keep a piece.
func (r *Reader) Stream(f File, off int64, buf []byte, fn func([]byte) error) error {
	fill := 0
	for _, c := range f.Chunks {
		if off >= c.Len {
			off -= c.Len
			continue
		}
		for off < c.Len {
			n := min(int64(len(buf)-fill), c.Len-off)
			if err := r.ReadAt(c, buf[fill:fill+int(n)], off); err != nil {
				return err
			}
			off += n
			fill += int(n)
			if fill == len(buf) {
				if err := fn(buf); err != nil {
					return err
				}
				fill = 0
			}
		}
		off = 0
	}
	if fill == 0 {
		return nil
	}
	return fn(buf[:fill])
}

// Verify reads a file and compares it with its hashes.
func (r *Reader) Verify(f File) error {
	chunks := make([]Chunk, 0, len(f.Chunks))
	for _, c := range f.Chunks {
		data := make([]byte, c.Len)
		if err := r.ReadAt(c, data, 0); err != nil {
			return err
		}
		sum := Sum(data)
		if c.Hash != (Hash{}) && c.Hash != sum {
			return fmt.Errorf("a chunk in blob %s has the hash %s, not %s", c.Blob(), sum, c.Hash)
		}
		chunks = append(chunks, Chunk{Hash: sum})
	}
	if got := sumChunks(chunks); got != f.Hash {
		return fmt.Errorf("the content has the hash %s, not %s", got, f.Hash)
	}
	return nil
}
