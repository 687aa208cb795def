package tree

import (
	"sync"

	"golang.org/x/crypto/blake2b"

	"pachfs/pachclient/embedded/internal/content"
)

// maxHashes bounds the memory of Hashes.
const maxHashes = 200_000

// Hashes knows the hashes of directories. Pachyderm makes them from the hashes
// of all direct children, so they are computed when somebody asks and not by
// every change in a big directory; and remembered, since nodes never change.
type Hashes struct {
	mu    sync.Mutex
	known map[ID]content.Hash
}

// Of gives the hash of a directory. prefix is its key, for errors.
func (h *Hashes) Of(src Source, d Dir, prefix string) (content.Hash, error) {
	h.mu.Lock()
	sum, ok := h.known[d.Root]
	h.mu.Unlock()
	if ok {
		return sum, nil
	}
	hash, err := blake2b.New256(nil)
	if err != nil {
		return content.Hash{}, err
	}
	err = List(src, d, prefix, "", func(key string, e *Entry) error {
		sum := e.File.Hash
		if e.IsDir {
			if sum, err = h.Of(src, e.Dir, key); err != nil {
				return err
			}
		}
		hash.Write(sum[:])
		return nil
	})
	if err != nil {
		return content.Hash{}, err
	}
	hash.Sum(sum[:0])
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil || len(h.known) >= maxHashes {
		h.known = make(map[ID]content.Hash)
	}
	h.known[d.Root] = sum
	return sum, nil
}

// Forget drops what is known: numbers of collected nodes are never used again,
// but they need not take memory.
func (h *Hashes) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = nil
}
