package staging

import (
	"encoding/binary"
	"fmt"

	"pachfs/pachclient"
)

// An op says what a record means. The numbers are on disk.
type op uint8

const (
	opOpen     op = 1  // a process opened the layer: Text is the machine's boot id
	opCreate   op = 2  // a new file File at Path
	opCopyUp   op = 3  // File at Path stands on the file below: Size, Hash
	opAdopt    op = 4  // File at Path goes on from the layer below: an image, with or without a file below
	opMkdir    op = 5  // a new directory at Path
	opRemove   op = 6  // the file or directory at Path is gone
	opRename   op = 7  // Path became To; of a file below: File, Size, Hash, and in Off its mtime
	opExtent   op = 8  // [Off, End) of File stands in Content
	opTruncate op = 9  // File has Size now
	opStable   op = 10 // File was closed or synced: what it is now goes into the next commit
	opSynced   op = 11 // File's content is on disk as it is now
	opAttr     op = 12 // mode, owner and time of Path
	opDiscard  op = 13 // whatever is staged at Path is forgotten; all of the layer when it is "/"
	opConflict op = 14 // Path was changed by somebody else below what is staged there, which goes on to stand on the commit To
	opFellBack op = 15 // the power went: every file is what it was when it was synced last
	opFlushed  op = 17 // a descriptor of File was closed, and nothing was written since
	opCarried  op = 16 // all that was open in the layer below stands before this; without it that one is not sealed

	opSealed   op = 20 // the layer is frozen; Text is the message of the commit
	opUploaded op = 21 // Text is the file set that holds this layer and those below
	opLanding  op = 22 // the change was sent: To is the checked head, Text the set, Time the deadline
	opLanded   op = 23 // To is the commit that holds the layer and those below it
)

// known says whether this pachfs can replay the op.
func (o op) known() bool { return o >= opOpen && o <= opFlushed || o >= opSealed && o <= opLanded }

// The fields of a record. Which of them an op uses is said at the op; those
// that are zero are not written.
type record struct {
	Op      op
	File    uint64
	Content uint64
	Path    string
	To      string
	Text    string
	Off     int64
	End     int64
	Size    int64
	Lower   int64
	Time    int64 // Unix nanoseconds
	Mode    uint32
	UID     uint32
	GID     uint32
	Flags   flags
	Hash    pachclient.Hash
}

// flags are the facts about the tree below that a record was written with, so
// that replaying it asks nobody.
type flags uint32

const (
	flagDir        flags = 1 << iota // Path is a directory
	flagBelow                        // something stands at Path in the tree below
	flagBelowDir                     // ... and it is a directory
	flagToBelow                      // something stands at To in the tree below; of opAdopt: at Path, though the file does not stand on it
	flagToBelowDir                   // ... and it is a directory
	flagOwner                        // UID and GID are set
	flagMode                         // Mode is set
	flagTime                         // Time is set

	knownFlags = flagTime<<1 - 1
)

// The tags of a record's fields on disk. Integers are varints, strings and
// hashes have a length before them.
const (
	tagFile = iota + 1
	tagContent
	tagPath
	tagTo
	tagText
	tagOff
	tagEnd
	tagSize
	tagLower
	tagTime
	tagMode
	tagUID
	tagGID
	tagFlags
	tagHash
)

// encode appends the record's bytes to b.
func (r record) encode(b []byte) []byte {
	b = append(b, byte(r.Op))
	num := func(tag byte, v uint64) {
		if v != 0 {
			b = binary.AppendUvarint(append(b, tag), v)
		}
	}
	text := func(tag byte, s string) {
		if s != "" {
			b = append(binary.AppendUvarint(append(b, tag), uint64(len(s))), s...)
		}
	}
	num(tagFile, r.File)
	num(tagContent, r.Content)
	text(tagPath, r.Path)
	text(tagTo, r.To)
	text(tagText, r.Text)
	num(tagOff, uint64(r.Off))
	num(tagEnd, uint64(r.End))
	num(tagSize, uint64(r.Size))
	num(tagLower, uint64(r.Lower))
	num(tagTime, uint64(r.Time))
	num(tagMode, uint64(r.Mode))
	num(tagUID, uint64(r.UID))
	num(tagGID, uint64(r.GID))
	num(tagFlags, uint64(r.Flags))
	if !r.Hash.Zero() {
		text(tagHash, string(r.Hash[:]))
	}
	return b
}

// decode reads a record that encode wrote.
func decode(b []byte) (record, error) {
	if len(b) == 0 {
		return record{}, fmt.Errorf("empty record: %w", ErrCorrupt)
	}
	r := record{Op: op(b[0])}
	for b = b[1:]; len(b) > 0; {
		tag := b[0]
		v, n := binary.Uvarint(b[1:])
		if n <= 0 {
			return r, fmt.Errorf("record %d, field %d: %w", r.Op, tag, ErrCorrupt)
		}
		b = b[1+n:]
		var text string
		switch tag {
		case tagPath, tagTo, tagText, tagHash:
			if v > uint64(len(b)) {
				return r, fmt.Errorf("record %d, field %d is too long: %w", r.Op, tag, ErrCorrupt)
			}
			text, b = string(b[:v]), b[v:]
		}
		if err := r.set(tag, v, text); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (r *record) set(tag byte, v uint64, text string) error {
	switch tag {
	case tagFile:
		r.File = v
	case tagContent:
		r.Content = v
	case tagPath:
		r.Path = text
	case tagTo:
		r.To = text
	case tagText:
		r.Text = text
	case tagOff:
		r.Off = int64(v)
	case tagEnd:
		r.End = int64(v)
	case tagSize:
		r.Size = int64(v)
	case tagLower:
		r.Lower = int64(v)
	case tagTime:
		r.Time = int64(v)
	case tagMode:
		r.Mode = uint32(v)
	case tagUID:
		r.UID = uint32(v)
	case tagGID:
		r.GID = uint32(v)
	case tagFlags:
		if r.Flags = flags(v); v > uint64(knownFlags) {
			return fmt.Errorf("record %d has an unknown flag in %#x: %w", r.Op, v, ErrNewerFormat)
		}
	case tagHash:
		if len(text) != len(r.Hash) {
			return fmt.Errorf("record %d: a hash of %d bytes: %w", r.Op, len(text), ErrCorrupt)
		}
		copy(r.Hash[:], text)
	default:
		return fmt.Errorf("record %d has an unknown field %d: %w", r.Op, tag, ErrNewerFormat)
	}
	return nil
}
