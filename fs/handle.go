package fs

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"syscall"
	"time"

	"pachfs/pachclient"
	"pachfs/staging"
)

// A Handle is the number of an open file or directory.
type Handle uint64

// maxSize is how long a file may get: what ext4 takes. A commit sends every
// byte, also of a hole; one with a hole of exabytes would never end.
const maxSize = 1<<44 - 4096

// An openFile is a handle of a file.
type openFile struct {
	n     *inode
	f     *staging.File // nil: a control file
	write bool
	text  string // of a control file: what it read as when it was opened
	// When a read last got no answer in time, in Unix nanoseconds.
	unanswered atomic.Int64
}

// The kernel asks twice for a page that it does not get: ahead of the reader,
// and then for the reader. The second time has waited already; it is given just
// what it takes to find out whether the server is back or the bytes are cached.
const (
	askedAgain = time.Second
	shortWait  = 100 * time.Millisecond
)

// How the kernel may treat an open file.
type OpenFlags struct {
	KeepCache bool // its pages stay valid: other bytes come under another number
	Direct    bool // no pages at all
	NoFlush   bool // nobody needs to hear of a close
}

// Open opens a file.
func (t *Tree) Open(ctx context.Context, ino Ino, write bool) (Handle, OpenFlags, error) {
	n, err := t.get(ino)
	if err != nil {
		return 0, OpenFlags{}, err
	}
	if n.kind == control {
		return t.openControl(ctx, n, write)
	}
	t.mu.Lock()
	stale, p := n.stale, n.path()
	t.mu.Unlock()
	if stale {
		return 0, OpenFlags{}, errStale
	}
	if write {
		if err := t.writable(n); err != nil {
			return 0, OpenFlags{}, err
		}
	}
	f, err := n.o.Open(ctx, p, write)
	if err != nil {
		return 0, OpenFlags{}, err
	}
	hash := f.Hash()
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.stale || changedHash(n.hash, hash) {
		t.supersede(n)
		go f.Close(write)
		return 0, OpenFlags{}, errStale
	}
	return t.handle(n, f, write), OpenFlags{KeepCache: true, NoFlush: !write}, nil
}

// handle gives a number to an open file. Called with mu held.
func (t *Tree) handle(n *inode, f *staging.File, write bool) Handle {
	of := &openFile{n: n, f: f, write: write}
	if write { // its bytes change through the kernel from now on
		n.hash = pachclient.Hash{}
	}
	n.files = append(n.files, of)
	t.lastHandle++
	t.handles[t.lastHandle] = of
	return t.lastHandle
}

func (t *Tree) file(h Handle) (*openFile, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of, ok := t.handles[h].(*openFile)
	if !ok {
		return nil, syscall.EBADF
	}
	return of, nil
}

// Read fills p from off, and gives fewer bytes only at the end of the file.
func (t *Tree) Read(ctx context.Context, h Handle, p []byte, off int64) (int, error) {
	of, err := t.file(h)
	if err != nil {
		return 0, err
	}
	if of.f == nil {
		if off >= int64(len(of.text)) {
			return 0, nil
		}
		return copy(p, of.text[off:]), nil
	}
	if time.Since(time.Unix(0, of.unanswered.Load())) < askedAgain {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, shortWait)
		defer cancel()
	}
	n, err := of.f.ReadAt(ctx, p, off)
	switch {
	case errors.Is(err, io.EOF):
		err = nil
	case errors.Is(err, context.DeadlineExceeded):
		of.unanswered.Store(time.Now().UnixNano())
	}
	return n, err
}

// Local says whether reading needs nobody but this machine's disk.
func (t *Tree) Local(h Handle, off int64, n int) bool {
	of, err := t.file(h)
	return err != nil || of.f == nil || of.f.Local(off, off+int64(n))
}

// Write stages p at off. The first write to a trigger is its message.
func (t *Tree) Write(ctx context.Context, h Handle, p []byte, off int64) (int, error) {
	of, err := t.file(h)
	if err != nil {
		return 0, err
	}
	if of.f == nil {
		return t.writeControl(ctx, of, p)
	}
	if t.frozen.Load() {
		return 0, staging.ErrClosed
	}
	if off > maxSize-int64(len(p)) {
		return 0, syscall.EFBIG
	}
	return of.f.WriteAt(p, off)
}

// Flush is told of each close of a descriptor, also of copies.
func (t *Tree) Flush(h Handle) error {
	of, err := t.file(h)
	if err == nil && of.f != nil && of.write {
		err = of.f.Flushed()
	}
	return err
}

// Fsync returns when the file is on disk.
func (t *Tree) Fsync(h Handle) error {
	of, err := t.file(h)
	if err != nil || of.f == nil {
		return err
	}
	return of.f.Sync()
}

// Release ends a handle.
func (t *Tree) Release(h Handle) error {
	t.mu.Lock()
	of, ok := t.handles[h].(*openFile)
	if !ok {
		t.mu.Unlock()
		return syscall.EBADF
	}
	delete(t.handles, h)
	for i, x := range of.n.files {
		if x == of {
			of.n.files = append(of.n.files[:i:i], of.n.files[i+1:]...)
			break
		}
	}
	t.sweep(of.n)
	t.mu.Unlock()
	if of.f == nil {
		return nil
	}
	return of.f.Close(of.write)
}

// SyncDir returns when what was done in a directory is on disk.
func (t *Tree) SyncDir(ino Ino) error {
	n, err := t.get(ino)
	if err != nil || n.o == nil {
		return err
	}
	return n.o.Sync()
}
