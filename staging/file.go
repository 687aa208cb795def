package staging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"

	"pachfs/pachclient"
)

// A File is one living file, shared by all its handles: it keeps its bytes
// and its handles when it is renamed, and until the last Close when its name
// is gone. A committed file that is only read is a File too, without a change.
//
// Lock order: Overlay.mu, File.mu, journal.mu; whoever holds the mu of several
// Files holds Overlay.mu. No lock is held while the file below is read. Only a
// sync that writers outran three times holds the File's own while the disk works.
type File struct {
	o  *Overlay
	id uint64 // in the journals; 0: nothing was ever changed

	// Guarded by Overlay.mu.
	refs    int // open handles
	writers int // of them for writing

	lowerPath string // of the file below, in the tree below the layer; "": none
	lowerSize int64
	lowerHash pachclient.Hash

	// Changed with Overlay.mu and mu held, read with either.
	node  *node  // its place in layer; nil: the name is gone
	layer *layer // the layer that says what it is
	moved bool   // it stands elsewhere than the file below it

	mu       sync.Mutex
	lower    reader // the file below as it was when the first handle came; nil while there is none
	im       image  // what readers see
	stable   image  // what the next commit takes
	isStable bool   // stable means something: it was closed or synced since it came to be
	staged   bool   // the journal knows it
	attr     attr
	cur      *content          // takes the next write, where stable does not need its bytes
	owned    map[*content]bool // every content with a piece in im or stable
	retired  []*content        // merged into others, but a power cut may want them until the next sync
	held     *content          // cur, kept open while writers are there
	unsynced bool              // there are bytes or records that are not on disk
	flushed  bool              // a writer closed its descriptor and has not been released
	failed   span              // what could not be written since the file was opened: it is not complete
	synced   []vouched         // what a power cut leaves: the last that a record vouches for, and the one before, should that record be lost
}

// fileTable knows the files of an overlay by the number in the journal.
type fileTable struct {
	o        *Overlay
	byID     map[uint64]*File
	contents map[uint64]*content // only while replaying
	idMu     sync.Mutex          // guards the numbers
	lastFile uint64
	lastCont uint64
}

func (t *fileTable) add(id uint64) *File {
	f := &File{o: t.o, id: id, staged: true}
	t.byID[id] = f
	t.lastFile = max(t.lastFile, id)
	return f
}

// content gives the content of a number while a journal is replayed. Whether
// its file exists is looked at in the end: a later record may let it go.
func (t *fileTable) content(id uint64) *content {
	c := t.contents[id]
	if c == nil {
		c = &content{id: id, name: contentName(t.o.dir, id)}
		t.contents[id] = c
		t.lastCont = max(t.lastCont, id)
	}
	return c
}

func (t *fileTable) next() uint64 {
	t.idMu.Lock()
	defer t.idMu.Unlock()
	t.lastFile++
	return t.lastFile
}

// replay applies a record about the file's bytes.
func (f *File) replay(r record, t *fileTable) error {
	f.flushed = r.Op == opFlushed || f.flushed && (r.Op == opSynced || r.Op == opStable)
	switch r.Op {
	case opExtent:
		c := t.content(r.Content)
		f.im, _ = f.im.with(r.Off, r.End, c)
		f.adopt(c)
	case opTruncate:
		f.im = f.im.resized(r.Size)
	case opStable:
		f.stable, f.isStable = f.im, true
	case opSynced:
		f.vouch()
	}
	f.attr.set(r)
	return nil
}

// adopt makes the file an owner of c. Called with f.mu held, or alone.
func (f *File) adopt(c *content) {
	if c == nil || f.owned[c] {
		return
	}
	if f.owned == nil {
		f.owned = map[*content]bool{}
	}
	f.owned[c] = true
	c.own()
}

// changed says whether the file makes a difference to what is below it.
func (f *File) changed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.differs()
}

// differs is changed with f.mu held.
func (f *File) differs() bool {
	return f.moved || f.staged && (f.lowerPath == "" || !f.im.whole(f.lowerSize))
}

// commits says the same of what the next commit takes of it.
func (f *File) commits() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.taken()
}

// taken is commits with f.mu held. Of a file that was never complete a commit
// takes the file below, where it was moved to; a new one has none.
func (f *File) taken() bool {
	if f.isStable {
		return f.moved || f.lowerPath == "" || !f.stable.whole(f.lowerSize)
	}
	return f.moved && f.lowerPath != ""
}

// Size gives the length in bytes.
func (f *File) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.im.size
}

// Info describes the file as it is now.
func (f *File) Info() Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.info()
}

func (f *File) info() Info {
	return Info{Size: f.im.size, ModTime: time.Unix(0, f.attr.mtime), attr: f.attr, Staged: f.differs()}
}

// ReadAt reads as io.ReaderAt does. It may wait for the network where the
// bytes are not local.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	for {
		f.mu.Lock()
		im, lower := f.im, f.lower
		f.mu.Unlock()
		n, err := readImage(ctx, im, lower, p, off)
		if errors.Is(err, fs.ErrNotExist) && !f.reads(im, lower) {
			continue // the bytes have moved into another content, or have landed
		}
		return n, err
	}
}

// reads says whether the file still is made up of these.
func (f *File) reads(im image, lower reader) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.im.same(im) && f.lower == lower
}

// readImage reads what an image says, over the file below.
func readImage(ctx context.Context, im image, lower reader, p []byte, off int64) (int, error) {
	if off >= im.size {
		return 0, io.EOF
	}
	short := off+int64(len(p)) > im.size
	n := 0
	err := im.each(off, off+int64(len(p)), func(from, to int64, src source, c *content) error {
		part := p[from-off : to-off]
		m, err := len(part), error(nil)
		switch src {
		case fromZeros:
			clear(part)
		case fromLower:
			m, err = lower.readAt(ctx, part, from)
		case fromContent:
			m, err = c.readAt(part, from)
		}
		n += m
		if err == io.EOF && m < len(part) {
			return fmt.Errorf("read %d bytes at %d: %w", len(part), from, io.ErrUnexpectedEOF)
		} else if err == io.EOF {
			return nil
		}
		return err
	})
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

func (c *content) readAt(p []byte, off int64) (int, error) {
	f, err := c.use()
	if err != nil {
		return 0, err
	}
	defer c.done()
	return f.ReadAt(p, off)
}

// WriteAt stages p at off. It never waits for the network. What it returned
// for survives the end of this process.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if err := f.stage(); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.write(p, off)
	f.failed = f.failed.tried(off, off+int64(len(p)), err)
	return n, f.o.noRoom(err)
}

// Append stages p at the end, wherever that is by then.
func (f *File) Append(p []byte) (int, error) {
	if err := f.stage(); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	off := f.im.size
	n, err := f.write(p, off)
	f.failed = f.failed.tried(off, off+int64(len(p)), err)
	return n, f.o.noRoom(err)
}

func (f *File) write(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	end := off + int64(len(p))
	if err := f.o.stage.room.room(); err != nil {
		return 0, err
	}
	c, err := f.target(off, end)
	if err != nil {
		return 0, err
	}
	if _, err := c.f.WriteAt(p, off); err != nil {
		return 0, err
	}
	At("written")
	im, news := f.im.with(off, end, c)
	now := time.Now().UnixNano()
	if (news || f.flushed) && f.node != nil { // what was flushed is no more what it was
		r := record{Op: opExtent, File: f.id, Content: c.id, Off: off, End: end, Time: now, Flags: flagTime}
		if err := f.layer.j.append(r); err != nil {
			return 0, err
		}
	}
	f.im, f.attr.mtime, f.flushed = im, now, false
	f.markUnsynced()
	return len(p), nil
}

// needs says whether c has bytes of [off, end) that the next commit takes, or
// that a power cut may fall back to. Called with f.mu held.
func (f *File) needs(c *content, off, end int64) bool {
	return f.isStable && f.stable.uses(c, off, end) ||
		slices.ContainsFunc(f.synced, func(v vouched) bool { return v.im.uses(c, off, end) || v.isStable && v.stable.uses(c, off, end) })
}

// vouch notes that a record says of what the file is now: it is on disk.
// Called with f.mu held, or alone.
func (f *File) vouch() {
	if n := len(f.synced); n == 0 || !f.synced[n-1].im.same(f.im) {
		f.synced = append(slices.Clone(f.synced[max(0, n-1):]), vouched{f.im, f.stable, f.isStable})
	}
}

// vouched is what a record says is on disk.
type vouched struct {
	im, stable image
	isStable   bool
}

// target gives the content that takes a write to [off, end): the one that took
// the last, unless it has bytes there that are needed. Called with f.mu held.
func (f *File) target(off, end int64) (*content, error) {
	if c := f.cur; c != nil && !c.isFrozen() && !f.needs(c, off, end) {
		return c, f.hold(c)
	}
	c, err := f.o.newContent()
	if err != nil {
		return nil, err
	}
	f.adopt(c)
	f.cur = c
	return c, f.hold(c)
}

// hold keeps c open for the writes to come. Called with f.mu held.
func (f *File) hold(c *content) error {
	if f.held == c {
		return nil
	}
	if _, err := c.use(); err != nil {
		return err
	}
	f.drop()
	f.held = c
	return nil
}

// drop ends hold.
func (f *File) drop() {
	if f.held != nil {
		f.held.done()
		f.held = nil
	}
}

// Truncate sets the length; what is added reads as zeros.
func (f *File) Truncate(size int64) error {
	if err := f.stage(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = f.failed.cut(size)
	if size == f.im.size {
		return nil
	}
	now := time.Now().UnixNano()
	if f.node != nil {
		r := record{Op: opTruncate, File: f.id, Size: size, Time: now, Flags: flagTime}
		if err := f.layer.j.append(r); err != nil {
			return err
		}
	}
	f.im, f.attr.mtime, f.flushed = f.im.resized(size), now, false
	f.markUnsynced()
	return nil
}

// Flushed notes that a descriptor was closed. The file counts as closed only
// when the handle is released, which comes later and not always. A restart in
// between finds the note in the journal: close(2) has returned by then.
func (f *File) Flushed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.flushed && f.failed.empty() && f.half() {
		if err := f.layer.j.append(record{Op: opFlushed, File: f.id}); err != nil {
			return err
		}
		At("flushed")
	}
	f.flushed = true
	return nil
}

// half says whether readers see something that a commit would not take: the
// file was changed since it was closed or synced last. Called with f.mu held.
func (f *File) half() bool {
	switch {
	case !f.staged || f.node == nil:
		return false
	case f.isStable:
		return !f.stable.same(f.im)
	}
	return f.lowerPath == "" || !f.im.whole(f.lowerSize)
}

// settle makes what readers see what the next commit takes, and merges
// contents where they pile up. Called with f.mu held, and not Overlay.mu: that copies.
func (f *File) settle(ops ...op) error {
	if err := f.mark(ops...); err != nil {
		return err
	}
	return f.merge()
}

// mark is settle without the merging. Called with f.mu held.
func (f *File) mark(ops ...op) error {
	rs := make([]record, len(ops))
	for i, op := range ops {
		rs[i] = record{Op: op, File: f.id, Time: f.attr.mtime, Flags: flagTime}
	}
	if err := f.layer.j.append(rs...); err != nil {
		return err
	}
	At("settled")
	f.stable, f.isStable, f.flushed = f.im, true, false
	if slices.Contains(ops, opSynced) {
		f.vouch()
	}
	return nil
}

// closed notes that a writer was released, and maybe that there is none left.
// Called with f.mu held.
func (f *File) closed(idle bool) error {
	if idle {
		f.drop()
	}
	if !f.failed.empty() { // whoever writes it anew completes it
		if f.flushed = false; idle {
			f.failed = span{}
		}
		return nil
	}
	if !f.staged || f.node == nil || f.isStable && f.stable.same(f.im) {
		f.flushed = false
		return nil
	}
	if !idle && !f.flushed { // somebody else has written since
		return nil
	}
	return f.settle(opStable)
}

// release gives back what the file holds on the local disk, when neither a
// name nor a handle leads to it any more. Called with f.mu held, or alone.
func (f *File) release() {
	f.drop()
	f.unpin()
	f.disown()
}

// disown gives back the file's contents. Called with f.mu held, or alone.
func (f *File) disown() {
	for c := range f.owned {
		c.disown()
	}
	for _, c := range f.retired {
		c.disown()
	}
	f.owned, f.retired, f.cur = nil, nil, nil
}

// committed gives what the next commit takes of the file. Called with f.mu held.
func (f *File) committed() image {
	if f.isStable {
		return f.stable
	}
	return image{size: f.lowerSize, lower: f.lowerSize}
}

// move notes that the file stands elsewhere than the file below it. Until now
// it may have been open without a change. Called with Overlay.mu held.
func (f *File) move(id uint64, files *fileTable) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.id == 0 {
		f.id, f.staged = id, true
		files.byID[id] = f
	}
	f.moved = true
}
