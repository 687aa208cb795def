package content

import (
	"encoding/hex"

	"golang.org/x/crypto/blake2b"
)

// A Hash is a BLAKE2b-256 hash.
type Hash [32]byte

// String gives the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Sum hashes p.
func Sum(p []byte) Hash { return blake2b.Sum256(p) }

// A Chunk is a piece of a file, and where it lies. An empty chunk lies nowhere.
type Chunk struct {
	// Hash is that of the chunk's bytes. It is zero in a file of one chunk that
	// was read back from a tree: there the file's hash says the same.
	Hash Hash
	Off  int64
	Len  int64
	blob Hash
	pack *pack // where blob will be known, while the writer is at work
}

// At makes a chunk that lies in a blob that exists.
func At(hash, blob Hash, off, length int64) Chunk {
	return Chunk{Hash: hash, Off: off, Len: length, blob: blob}
}

// Blob names the blob that holds the chunk. Of a chunk that was just written
// it is known after the writer's Sync.
func (c Chunk) Blob() Hash {
	if c.pack == nil {
		return c.blob
	}
	return c.pack.name()
}

// A File is the content of a file.
type File struct {
	Size   int64
	Hash   Hash // as FileInfo.hash tells it
	Chunks []Chunk
}

// Empty is the content of an empty file.
var Empty = File{Hash: Sum(nil)}

// sumChunks gives the hash of a file: that of its chunks' hashes.
func sumChunks(chunks []Chunk) Hash {
	joined := make([]byte, 0, len(chunks)*len(Hash{}))
	for _, c := range chunks {
		joined = append(joined, c.Hash[:]...)
	}
	return Sum(joined)
}
