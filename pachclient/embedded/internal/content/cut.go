package content

import (
	"math/bits"
	"math/rand"
)

// Where a file is cut into chunks is part of the wire format, because the hash
// of a file of minChunk bytes and more depends on it: a buzhash rolls over the
// last window bytes, and a chunk ends where the low bits of the hash are zero.
const (
	minChunk = 1_000_000
	maxChunk = 20_000_000
	window   = 64
	cutMask  = 1<<23 - 1
)

// rolls has a random word for every byte: the first 256 different ones of
// Go's generator, seeded with 1.
var rolls = func() (table [256]uint64) {
	random := rand.New(rand.NewSource(1))
	seen := make(map[uint64]bool)
	for i := range table {
		x := uint64(random.Int63())
		for seen[x] {
			x = uint64(random.Int63())
		}
		seen[x] = true
		table[i] = x
	}
	return table
}()

// A cutter finds the end of a chunk in a buffer that grows.
type cutter struct {
	scanned int
	sum     uint64
}

// cut gives the length of the chunk that buf begins with, or 0 when buf has
// not reached its end yet. The window is as long as the hash has bits, so what
// leaves it has been rotated back to where it started; and no chunk ends before
// minChunk, so the hash is not needed of what lies further before.
func (c *cutter) cut(buf []byte) int {
	if len(buf) < minChunk {
		return 0
	}
	i := c.scanned
	sum := c.sum
	if i < minChunk {
		sum = 0
		for _, b := range buf[minChunk-window : minChunk] {
			sum = bits.RotateLeft64(sum, 1) ^ rolls[b]
		}
		if sum&cutMask == 0 {
			return minChunk
		}
		i = minChunk
	}
	for ; i < len(buf); i++ {
		sum = bits.RotateLeft64(sum, 1) ^ rolls[buf[i-window]] ^ rolls[buf[i]]
		if sum&cutMask == 0 {
			return i + 1
		}
	}
	c.scanned, c.sum = i, sum
	if len(buf) >= maxChunk {
		return maxChunk
	}
	return 0
}
