package cache

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"pachfs/pachclient"
)

// The format of one chunk on disk; doc.go has it as a table.
const (
	chunkSize  = 1 << 20
	blockSize  = 64 << 10 // what one checksum covers, so that a small read verifies little
	blocks     = chunkSize / blockSize
	sumsAt     = 52
	headerSize = sumsAt + 4*blocks + 4
	magic      = "pachfs1\n"
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errCorrupt = errors.New("chunk is short, damaged or another one")
)

// A header is all that a chunk file says of itself.
type header [headerSize]byte

// makeHeader describes the chunk of number index, whose bytes are p.
func makeHeader(h pachclient.Hash, index int64, p []byte) (b header) {
	copy(b[0:], magic)
	copy(b[8:], h[:])
	binary.LittleEndian.PutUint64(b[40:], uint64(index))
	binary.LittleEndian.PutUint32(b[48:], uint32(len(p)))
	for i := 0; i*blockSize < len(p); i++ {
		binary.LittleEndian.PutUint32(b[sumsAt+4*i:], checksum(p[i*blockSize:min((i+1)*blockSize, len(p))]))
	}
	binary.LittleEndian.PutUint32(b[headerSize-4:], checksum(b[:headerSize-4]))
	return b
}

// describes says whether the header is whole, and that of this chunk.
func (b *header) describes(h pachclient.Hash, index, length int64) bool {
	return string(b[:8]) == magic &&
		checksum(b[:headerSize-4]) == binary.LittleEndian.Uint32(b[headerSize-4:]) &&
		pachclient.Hash(b[8:40]) == h &&
		binary.LittleEndian.Uint64(b[40:]) == uint64(index) &&
		binary.LittleEndian.Uint32(b[48:]) == uint32(length)
}

// verify checks blocks, the first of which is the block of number first.
func (b *header) verify(first int64, p []byte) bool {
	for i := first; len(p) > 0; i++ {
		block := p[:min(blockSize, len(p))]
		if checksum(block) != binary.LittleEndian.Uint32(b[sumsAt+4*i:]) {
			return false
		}
		p = p[len(block):]
	}
	return true
}

func checksum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// readChunk fills p from offset off of a chunk of the given length. All blocks
// that p touches are verified: errCorrupt.
func readChunk(path string, h pachclient.Hash, index, length int64, p []byte, off int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var b header
	if err := readFull(f, b[:], 0); err != nil {
		return err
	}
	if !b.describes(h, index, length) {
		return errCorrupt
	}
	lo := off / blockSize * blockSize
	hi := min((off+int64(len(p))+blockSize-1)/blockSize*blockSize, length)
	whole := p
	if hi-lo > int64(len(p)) {
		whole = newBuffer(hi - lo)
		defer freeBuffer(whole)
	}
	if err := readFull(f, whole, headerSize+lo); err != nil {
		return err
	}
	if !b.verify(lo/blockSize, whole) {
		return errCorrupt
	}
	if hi-lo > int64(len(p)) {
		copy(p, whole[off-lo:])
	}
	return nil
}

// readFull takes a file that ends too soon for a corrupt one.
func readFull(f *os.File, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n < len(p) && err == io.EOF {
		return errCorrupt
	}
	if n == len(p) {
		return nil
	}
	return err
}

// writeChunk makes a chunk file that is complete from the moment it has its
// name. Half of one is never left under any name, unless the process dies.
func writeChunk(path string, b header, p []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix+"*")
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		f, err = os.CreateTemp(filepath.Dir(path), tempPrefix+"*")
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b[:])
	if err == nil {
		_, err = f.Write(p)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
