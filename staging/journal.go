package staging

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"
)

// journalMagic starts every journal that is made here.
var journalMagic = formatLine(journalWord, journalFormat)

// recordHead is the length of a record and the CRC-32C of its bytes.
const recordHead = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A journal is an append-only file of records. Nothing but the reserve's mutex
// is taken under its own.
type journal struct {
	mu     sync.Mutex
	f      diskFile
	end    int64 // where the next record goes
	synced int64 // what is on disk
	closed bool  // nothing in it counts any more
	buf    []byte
	lend   func() bool // makes room on a full disk, if it can; nil: it can't
}

// createJournal makes a new journal and returns when its header is on disk.
func createJournal(d disk, name string) (*journal, error) {
	f, err := d.Create(name)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt([]byte(journalMagic), 0)
	if err == nil {
		err = f.Sync()
	}
	if err != nil { // what is no journal would be taken for a damaged one
		return nil, errors.Join(err, f.Close(), d.Remove(name))
	}
	n := int64(len(journalMagic))
	return &journal{f: f, end: n, synced: n}, nil
}

// isUnborn says whether a journal's header never came to be on the disk.
func isUnborn(f diskFile) (bool, error) {
	head := make([]byte, len(journalMagic))
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return n < len(head) && strings.HasPrefix(journalMagic, string(head[:n])) || len(bytes.Trim(head[:n], "\x00")) == 0, nil
}

// openJournal replays a journal into fn and opens it for more. A torn tail,
// which is what a crash in the middle of an append leaves, is cut.
func openJournal(d disk, name string, fn func(record) error) (*journal, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	end, err := replay(f, fn)
	if err == nil {
		err = f.Truncate(end)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &journal{f: f, end: end}, nil
}

// errCut, from the function that a journal is replayed into, says that the
// record and all behind it don't count.
var errCut = errors.New("the rest does not count")

// replay calls fn with every whole record and says where the last one ends.
func replay(f diskFile, fn func(record) error) (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	b := make([]byte, st.Size())
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	at, err := readFormat(b, journalWord, journalFormat)
	if err != nil {
		return 0, err
	}
	for len(b)-at >= recordHead {
		n := int(binary.LittleEndian.Uint32(b[at:]))
		sum := binary.LittleEndian.Uint32(b[at+4:])
		if n == 0 || n > len(b)-at-recordHead {
			break
		}
		body := b[at+recordHead : at+recordHead+n]
		if crc32.Checksum(body, castagnoli) != sum {
			break
		}
		r, err := decode(body)
		if err == nil {
			err = fn(r)
		}
		if errors.Is(err, errCut) {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("record at %d: %w", at, err)
		}
		at += recordHead + n
	}
	return int64(at), nil
}

// append adds records with one write, so that a crash keeps a prefix of them.
// After an error none of them counts.
func (j *journal) append(rs ...record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.buf = j.buf[:0]
	for _, r := range rs {
		at := len(j.buf)
		j.buf = append(j.buf, make([]byte, recordHead)...)
		j.buf = r.encode(j.buf)
		body := j.buf[at+recordHead:]
		binary.LittleEndian.PutUint32(j.buf[at:], uint32(len(body)))
		binary.LittleEndian.PutUint32(j.buf[at+4:], crc32.Checksum(body, castagnoli))
	}
	At("append")
	_, err := j.f.WriteAt(j.buf, j.end)
	if full(err) && j.lend != nil && j.lend() {
		_, err = j.f.WriteAt(j.buf, j.end)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("journal: %w", err), j.f.Truncate(j.end))
	}
	j.end += int64(len(j.buf))
	At("appended")
	return nil
}

// sync returns when every record appended before is on disk. Appends go on
// meanwhile.
func (j *journal) sync() error {
	j.mu.Lock()
	end, done := j.end, j.closed || j.synced >= j.end
	j.mu.Unlock()
	if done {
		return nil
	}
	err := j.f.Sync()
	At("journaled")
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil && !j.closed { // its layer may have landed meanwhile
		return fmt.Errorf("journal: %w", err)
	}
	j.synced = max(j.synced, end)
	return nil
}

// close may be called again: a seal that fails closes the journal of a layer
// that stays until the overlay is closed.
func (j *journal) close() error {
	j.mu.Lock()
	closed := j.closed
	j.closed = true
	j.mu.Unlock()
	if closed {
		return nil
	}
	return j.f.Close()
}
