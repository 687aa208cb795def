package staging

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"pachfs/pachclient"
)

// Create makes a new, empty file and opens it for writing. fs.ErrExist when
// something is there.
func (o *Overlay) Create(ctx context.Context, p string, a Attr) (*File, error) {
	var f *File
	err := o.update(ctx, func(t *tx) error {
		if err := t.absent("create", p); err != nil {
			return err
		}
		if err := o.stage.room.room(); err != nil {
			return err
		}
		now := time.Now()
		a.ModTime = &now
		id := o.files.next()
		if err := o.top().log(&o.files, a.record(record{Op: opCreate, File: id, Path: p})); err != nil {
			return err
		}
		f = o.files.byID[id]
		f.refs, f.writers = 1, 1
		o.open[f] = true
		return nil
	})
	return f, o.noRoom(err)
}

// absent fails unless p can be brought into being.
func (t *tx) absent(op, p string) error {
	if err := t.writable(); err != nil {
		return err
	}
	if err := t.parent(p); err != nil {
		return err
	}
	switch _, _, err := t.stat(len(t.o.layers)-1, p); {
	case err == nil:
		return &fs.PathError{Op: op, Path: p, Err: fs.ErrExist}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return t.o.validName(p)
}

// Mkdir makes a directory. It lives in the mount; Pachyderm has directories
// only where files are.
func (o *Overlay) Mkdir(ctx context.Context, p string, a Attr) error {
	return o.update(ctx, func(t *tx) error {
		if err := t.absent("mkdir", p); err != nil {
			return err
		}
		now := time.Now()
		a.ModTime = &now
		return o.top().log(&o.files, a.record(record{Op: opMkdir, Path: p}))
	})
}

// Remove unlinks a file. Its handles keep it.
func (o *Overlay) Remove(ctx context.Context, p string) error {
	return o.update(ctx, func(t *tx) error {
		info, _, err := t.existing(p)
		if err != nil {
			return err
		}
		if info.Dir {
			return &fs.PathError{Op: "remove", Path: p, Err: pachclient.ErrIsDir}
		}
		return t.remove(p)
	})
}

// Rmdir removes an empty directory.
func (o *Overlay) Rmdir(ctx context.Context, p string) error {
	return o.update(ctx, func(t *tx) error {
		info, _, err := t.existing(p)
		if err != nil {
			return err
		}
		if !info.Dir {
			return &fs.PathError{Op: "rmdir", Path: p, Err: pachclient.ErrNotDir}
		}
		if err := t.mustBeEmpty(p); err != nil {
			return err
		}
		return t.remove(p)
	})
}

func (t *tx) existing(p string) (Info, spot, error) {
	if err := t.writable(); err != nil {
		return Info{}, spot{}, err
	}
	return t.stat(len(t.o.layers)-1, p)
}

func (t *tx) mustBeEmpty(p string) error {
	empty, err := t.empty(p)
	if err == nil && !empty {
		err = &fs.PathError{Op: "rmdir", Path: p, Err: ErrNotEmpty}
	}
	return err
}

func (t *tx) remove(p string) error {
	f, err := t.hiding(p)
	if err != nil {
		return err
	}
	return t.o.top().log(&t.o.files, record{Op: opRemove, Path: p, Flags: f | flagTime, Time: time.Now().UnixNano()})
}

// hiding gives the flags for a record after which p shows what is below it.
func (t *tx) hiding(p string) (flags, error) {
	n, _, err := t.o.top().root.resolve(p)
	if err != nil {
		return 0, err
	}
	if n != nil && n.kind == fileNode {
		return flagIf(n.below, flagBelow) | flagIf(n.belowDir, flagBelowDir), nil
	}
	info, ok, err := t.below(p)
	return flagIf(ok, flagBelow) | flagIf(ok && info.Dir, flagBelowDir), err
}

func flagIf(ok bool, f flags) flags {
	if ok {
		return f
	}
	return 0
}

// Rename moves a file or a directory, with all below it, and replaces what is
// there: a file, or an empty directory. It is one record, whatever its size.
func (o *Overlay) Rename(ctx context.Context, from, to string) error {
	return o.update(ctx, func(t *tx) error {
		info, s, err := t.existing(from)
		if err != nil || from == to {
			return err
		}
		if err := t.replaceable(from, to, info); err != nil {
			return err
		}
		f, err := t.hiding(from)
		if err != nil {
			return err
		}
		target, ok, err := t.below(to)
		if err != nil {
			return err
		}
		r := record{Op: opRename, Path: from, To: to, Time: time.Now().UnixNano(), Off: info.mtime}
		if info.Dir {
			if r.Off, err = t.dirTime(info, s); err != nil {
				return err
			}
		}
		r.Flags = f | flagTime | flagIf(info.Dir, flagDir) |
			flagIf(ok, flagToBelow) | flagIf(ok && target.Dir, flagToBelowDir)
		if !info.Dir {
			t.describeMove(&r, info, s)
		}
		return o.top().log(&o.files, r)
	})
}

// describeMove puts into r what is known of the file that moves.
func (t *tx) describeMove(r *record, info Info, s spot) {
	r.Size, r.Hash = info.Size, info.Hash
	if s.n == nil {
		r.File = t.o.files.next()
		return
	}
	f := s.n.file
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case s.layer < len(t.o.layers)-1: // in a sealed layer
		r.File, r.Size, r.Hash = t.o.files.next(), f.committed().size, pachclient.Hash{}
	case f.id == 0: // open, without a change
		r.File, r.Size, r.Hash = t.o.files.next(), f.lowerSize, f.lowerHash
	default:
		r.File, r.Size, r.Hash = f.id, f.lowerSize, f.lowerHash
	}
}

// replaceable fails unless to may become what is at from.
func (t *tx) replaceable(from, to string, info Info) error {
	if info.Dir && within(to, from) {
		return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrInvalid}
	}
	if err := t.parent(to); err != nil {
		return err
	}
	old, _, err := t.stat(len(t.o.layers)-1, to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case old.Dir && !info.Dir:
		return &fs.PathError{Op: "rename", Path: to, Err: pachclient.ErrIsDir}
	case !old.Dir && info.Dir:
		return &fs.PathError{Op: "rename", Path: to, Err: pachclient.ErrNotDir}
	case old.Dir:
		if err := t.mustBeEmpty(to); err != nil {
			return err
		}
	}
	return t.o.validName(to)
}

// validName fails for a name that can't be stored. The status and, once, the
// log have the words: all that the caller gets is an EINVAL.
func (o *Overlay) validName(p string) error {
	_, name := split(p)
	err := o.opts.ValidName(name)
	if err != nil && o.setError(err) {
		o.log.Warn("a name is refused", "path", p, "err", err)
	}
	return err
}

// SetAttr sets mode, owner and time. They are kept while a path is staged; for
// another it does nothing, as Pachyderm stores none of them.
func (o *Overlay) SetAttr(p string, a Attr) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.readOnly.Load() {
		return fmt.Errorf("%s: %w", o.branch, ErrReadOnly)
	}
	n, _, err := o.top().root.resolve(p)
	if err != nil || n == nil || !n.changes() {
		return nil
	}
	r := a.record(record{Op: opAttr, Path: p})
	if n.kind != fileNode {
		return o.top().log(&o.files, r)
	}
	if err := o.top().j.append(r); err != nil {
		return err
	}
	n.file.setAttr(r)
	return nil
}

// SetAttr is Overlay.SetAttr for a file whose name may be gone.
func (f *File) SetAttr(a Attr) error {
	f.o.mu.RLock()
	defer f.o.mu.RUnlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.differs() {
		return nil
	}
	r := a.record(record{Op: opAttr})
	if f.node != nil {
		r.Path = f.node.path()
		if err := f.layer.j.append(r); err != nil {
			return err
		}
	}
	f.attr.set(r)
	return nil
}

func (f *File) setAttr(r record) {
	f.mu.Lock()
	f.attr.set(r)
	f.mu.Unlock()
}
