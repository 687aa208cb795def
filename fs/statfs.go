package fs

import "golang.org/x/sys/unix"

// A Space is the room there is for staged bytes: that of the file system under
// the state directory.
type Space struct {
	BlockSize           uint32
	Blocks, Free, Avail uint64
	Files, FilesFree    uint64
}

// Statfs answers statfs(2).
func (t *Tree) Statfs() (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(t.c.Stage.Dir(), &st); err != nil {
		return Space{}, err
	}
	return Space{uint32(st.Bsize), st.Blocks, st.Bfree, st.Bavail, st.Files, st.Ffree}, nil
}
