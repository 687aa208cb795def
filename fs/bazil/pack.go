package bazil

import (
	"encoding/binary"
	"os"
	"syscall"

	"bazil.org/fuse"

	"pachfs/fs"
)

func packEntry(e fs.Entry) *fuse.LookupResponse {
	return &fuse.LookupResponse{Node: fuse.NodeID(e.Ino), EntryValid: e.Valid, Attr: packAttr(e.Attr)}
}

func packAttr(a fs.Attr) fuse.Attr {
	mode := os.FileMode(a.Perm & 0o777)
	if a.Perm&syscall.S_ISUID != 0 {
		mode |= os.ModeSetuid
	}
	if a.Perm&syscall.S_ISGID != 0 {
		mode |= os.ModeSetgid
	}
	switch a.Type {
	case fs.Dir:
		mode |= os.ModeDir
	case fs.Link:
		mode |= os.ModeSymlink
	}
	return fuse.Attr{Valid: a.Valid, Inode: uint64(a.Ino), Size: a.Size, Blocks: (a.Size + 511) / 512,
		Atime: a.Mtime, Mtime: a.Mtime, Ctime: a.Mtime, Mode: mode, Nlink: a.Nlink,
		Uid: a.UID, Gid: a.GID, BlockSize: 4096}
}

// packPerm gives the permission bits of a mode as the kernel has them.
func packPerm(mode os.FileMode) uint32 {
	perm := uint32(mode.Perm())
	if mode&os.ModeSetuid != 0 {
		perm |= syscall.S_ISUID
	}
	if mode&os.ModeSetgid != 0 {
		perm |= syscall.S_ISGID
	}
	return perm
}

// openNoFlush saves the round trip at a close that nobody needs to hear of;
// the library has no name for it.
const openNoFlush fuse.OpenResponseFlags = 1 << 5

func packOpen(f fs.OpenFlags) (out fuse.OpenResponseFlags) {
	if f.KeepCache {
		out |= fuse.OpenKeepCache
	}
	if f.Direct {
		out |= fuse.OpenDirectIO
	}
	if f.NoFlush {
		out |= openNoFlush
	}
	return out
}

// unknownIno stands for a number that was not given yet; 0 would make readdir
// skip the entry.
const unknownIno = 0xffffffff

// packDirents packs as many entries as fit into size bytes: what
// fuse.AppendDirent does, with a cookie that is the entry's place in the
// directory and not in the buffer. The layout is struct fuse_dirent.
func packDirents(entries []fs.Dirent, from uint64, size int) []byte {
	var out []byte
	for i, e := range entries {
		n := (24 + len(e.Name) + 7) &^ 7
		if len(out)+n > size {
			break
		}
		if out == nil {
			out = make([]byte, 0, size)
		}
		ino := uint64(e.Ino)
		if ino == 0 {
			ino = unknownIno
		}
		kind := fuse.DT_File
		switch e.Type {
		case fs.Dir:
			kind = fuse.DT_Dir
		case fs.Link:
			kind = fuse.DT_Link
		}
		at := len(out)
		out = out[:at+n]
		binary.NativeEndian.PutUint64(out[at:], ino)
		binary.NativeEndian.PutUint64(out[at+8:], from+uint64(i)+1)
		binary.NativeEndian.PutUint32(out[at+16:], uint32(len(e.Name)))
		binary.NativeEndian.PutUint32(out[at+20:], uint32(kind))
		copy(out[at+24:], e.Name)
		clear(out[at+24+len(e.Name):])
	}
	return out
}
