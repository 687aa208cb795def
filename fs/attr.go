package fs

import (
	"time"

	"pachfs/staging"
)

// An Ino is an inode number. Root is the mount's own directory.
type Ino uint64

// Root is the number of the root.
const Root Ino = 1

// How long the kernel may keep what it was told.
const (
	longValid     = time.Hour
	negativeValid = 250 * time.Millisecond
	rootValid     = time.Second
)

// A Type is the kind of an inode as the kernel knows it.
type Type uint8

// The kinds of inodes that a mount has.
const (
	File Type = iota
	Dir
	Link
)

// An Attr is what stat shows.
type Attr struct {
	Ino      Ino
	Type     Type
	Size     uint64
	Perm     uint32
	Nlink    uint32
	UID, GID uint32
	Mtime    time.Time
	Valid    time.Duration // how long the kernel may keep it
}

// An Entry is the answer to a lookup. Ino 0: there is nothing, for Valid.
type Entry struct {
	Ino   Ino
	Attr  Attr
	Valid time.Duration
}

// attr describes a file or directory of an overlay.
func (t *Tree) attr(n *inode, info staging.Info) Attr {
	a := Attr{Ino: n.ino, Size: uint64(info.Size), Nlink: 1, Mtime: info.ModTime, Valid: longValid}
	a.Perm = 0o666 &^ t.c.Umask
	if info.Dir {
		a.Type, a.Nlink, a.Perm = Dir, 2, 0o777&^t.c.Umask
	}
	if perm, ok := info.Perm(); ok {
		a.Perm = perm & 0o7777
	}
	a.UID, a.GID = t.c.UID, t.c.GID
	if uid, gid, ok := info.Owner(); ok {
		a.UID, a.GID = uid, gid
	}
	if n.o.ReadOnly() {
		a.Perm &^= 0o222
	}
	return a
}

// fixed describes what this package makes up itself.
func (t *Tree) fixed(n *inode) Attr {
	a := Attr{Ino: n.ino, UID: t.c.UID, GID: t.c.GID, Mtime: t.started, Nlink: 1, Valid: longValid}
	switch n.kind {
	case rootDir, branchDir:
		a.Type, a.Nlink, a.Perm = Dir, 2, 0o777&^t.c.Umask
		if n.kind == rootDir {
			a.Valid = rootValid
		}
	case link:
		a.Type, a.Perm, a.Size, a.Valid = Link, 0o777, uint64(len(n.target)), 0
	case control:
		a.Perm, a.Valid, a.Mtime = 0o666, 0, time.Now()
		if !n.ctl.trigger {
			a.Perm = 0o444
		}
		a.Size = uint64(len(n.text))
	}
	return a
}
