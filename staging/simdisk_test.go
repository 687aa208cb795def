package staging

import (
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A SimDisk is a disk in memory from which the power can be taken. It keeps
// only what the contract of a disk promises: bytes that were synced, and names
// whose directory was. Of the rest, dice keep some.
type SimDisk struct {
	Before func() // a sync of a file
	After  func() // called after each change, which waits for it

	mu       sync.Mutex
	dirs     map[string]*simDir
	boot     string
	capacity int64 // 0: no end
	used     int64
	reserve  string // the file that was allocated, and how long it is
	reserved int64
	changes  int
}

// A simDir is a directory: its names, what of them is on disk, and what was
// done since, in order. A journaling file system keeps a prefix of that.
type simDir struct {
	names, synced map[string]*simInode
	pending       []func(names map[string]*simInode)
}

// A simInode is a file's bytes, what of them is on disk, and the writes since.
type simInode struct {
	data, synced []byte
	pending      []simWrite
}

// A simWrite is bytes at off, or, where data is nil, a length.
type simWrite struct {
	off  int64
	data []byte
}

func NewSimDisk(capacity int64) *SimDisk {
	return &SimDisk{dirs: map[string]*simDir{}, boot: "boot 0", capacity: capacity}
}

func (w simWrite) apply(b []byte) []byte {
	end := w.off + int64(len(w.data))
	if grow := end - int64(len(b)); grow > 0 {
		b = append(b, make([]byte, grow)...)
	}
	if w.data == nil {
		return b[:w.off:w.off]
	}
	copy(b[w.off:], w.data)
	return b
}

// sector is what a disk writes whole or not at all.
const sector = 512

// A Fate decides what becomes of changes that were not synced.
type Fate struct {
	dice *rand.Rand // keeps some; nil: all are kept, or none
	none bool
}

// Kept is what the end of a process does to them, NothingKept the worst that
// the end of the power does, and Diced anything between.
var Kept, NothingKept = Fate{}, Fate{none: true}

func Diced(dice *rand.Rand) Fate { return Fate{dice: dice} }

func (f Fate) names(pending int) int {
	switch {
	case f.dice != nil:
		return f.dice.IntN(pending + 1)
	case f.none:
		return 0
	}
	return pending
}

// bytes says how many of n bytes at off are kept: all, none, or up to a sector.
func (f Fate) bytes(off int64, n int) int {
	if f.dice == nil {
		return f.names(n)
	}
	switch f.dice.IntN(3) {
	case 0:
		return 0
	case 1:
		return n
	}
	at := (off + int64(f.dice.IntN(n+1))) / sector * sector
	return int(max(0, at-off))
}

// survive gives the bytes that are left.
func (i *simInode) survive(f Fate) []byte {
	b := slices.Clone(i.synced)
	for _, w := range i.pending {
		if w.data == nil {
			if f.names(1) == 1 {
				b = w.apply(b)
			}
		} else if n := f.bytes(w.off, len(w.data)); n > 0 {
			b = simWrite{w.off, w.data[:n]}.apply(b)
		}
	}
	return b
}

// Cut gives the disk after the process, or the machine, ended now; what was
// below the directory from is below to.
func (d *SimDisk) Cut(f Fate, from, to string) *SimDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := &SimDisk{dirs: map[string]*simDir{}, boot: d.boot}
	if f != Kept {
		out.boot += "'" // the machine was started again
	}
	copies := map[*simInode]*simInode{}
	for _, name := range slices.Sorted(maps.Keys(d.dirs)) {
		dir := d.dirs[name]
		names := maps.Clone(dir.synced)
		for _, change := range dir.pending[:f.names(len(dir.pending))] {
			change(names)
		}
		for _, n := range slices.Sorted(maps.Keys(names)) {
			i := names[n]
			if copies[i] == nil && i != nil {
				b := i.survive(f)
				copies[i] = &simInode{data: b, synced: slices.Clone(b)}
			}
			names[n] = copies[i]
		}
		out.dirs[to+strings.TrimPrefix(name, from)] = &simDir{names: names, synced: maps.Clone(names)}
	}
	out.reach()
	return out
}

// Has says whether a directory is there.
func (d *SimDisk) Has(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dirs[name] != nil
}

// reach forgets directories that no name leads to any more. A nil inode in a
// directory is a directory.
func (d *SimDisk) reach() {
	for _, name := range slices.Sorted(maps.Keys(d.dirs)) {
		parent, ok := d.dirs[filepath.Dir(name)]
		if !ok {
			if !d.root(name) {
				delete(d.dirs, name)
			}
		} else if _, ok := parent.names[filepath.Base(name)]; !ok {
			delete(d.dirs, name)
		}
	}
}

// root says whether a directory was there before the disk was used.
func (d *SimDisk) root(name string) bool { return !strings.Contains(name, "/branches") }

// changed counts a change, and tells of it with no lock held.
func (d *SimDisk) changed() {
	d.mu.Lock()
	d.changes++
	d.mu.Unlock()
	if d.After != nil {
		Aside(d.After)
	}
}

// Aside runs fn to its end, in a goroutine of its own: when fn fails, and with
// that its goroutine, the one that must go on and answer (a commit's, say) is
// not the one that ends.
func Aside(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	<-done
}

// Changes counts all that was ever changed.
func (d *SimDisk) Changes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changes
}

// do changes the names of a directory. Called with mu held.
func (dir *simDir) do(change func(names map[string]*simInode)) {
	change(dir.names)
	dir.pending = append(dir.pending, change)
}

func simErr(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

func (d *SimDisk) in(op, name string) (*simDir, string, error) {
	dir := d.dirs[filepath.Dir(name)]
	if dir == nil {
		return nil, "", simErr(op, name, fs.ErrNotExist)
	}
	return dir, filepath.Base(name), nil
}

// MkdirAll makes the directory on the real disk too: residue.db and the lock live there.
func (d *SimDisk) MkdirAll(name string) error {
	defer d.changed()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mkdir(name)
	return os.MkdirAll(name, 0o700)
}

func (d *SimDisk) mkdir(name string) {
	if d.dirs[name] != nil {
		return
	}
	d.dirs[name] = &simDir{names: map[string]*simInode{}, synced: map[string]*simInode{}}
	if !d.root(name) {
		parent, base := filepath.Dir(name), filepath.Base(name)
		d.mkdir(parent)
		d.dirs[parent].do(func(names map[string]*simInode) { names[base] = nil })
	}
}

func (d *SimDisk) Open(name string) (diskFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, base, err := d.in("open", name)
	if err != nil {
		return nil, err
	}
	i := dir.names[base]
	if i == nil {
		return nil, simErr("open", name, fs.ErrNotExist)
	}
	return &simFile{d, i, base}, nil
}

func (d *SimDisk) Create(name string) (diskFile, error) {
	defer d.changed()
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, base, err := d.in("create", name)
	if err != nil {
		return nil, err
	}
	if _, ok := dir.names[base]; ok {
		return nil, simErr("create", name, fs.ErrExist)
	}
	i := &simInode{}
	dir.do(func(names map[string]*simInode) { names[base] = i })
	return &simFile{d, i, base}, nil
}

// Rename is within one directory.
func (d *SimDisk) Rename(from, to string) error {
	defer d.changed()
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, base, err := d.in("rename", from)
	if err != nil || filepath.Dir(from) != filepath.Dir(to) || dir.names[base] == nil {
		return simErr("rename", from, fs.ErrInvalid)
	}
	dir.do(func(names map[string]*simInode) {
		if i := names[base]; i != nil {
			names[filepath.Base(to)] = i
			delete(names, base)
		}
	})
	return nil
}

func (d *SimDisk) Remove(name string) error {
	defer d.changed()
	d.mu.Lock()
	defer d.mu.Unlock()
	if name == d.reserve {
		d.used -= d.reserved
		d.reserve, d.reserved = "", 0
		return nil
	}
	dir, base, err := d.in("remove", name)
	if err != nil {
		return err
	}
	i := dir.names[base]
	if i == nil {
		return simErr("remove", name, fs.ErrNotExist)
	}
	d.used -= int64(len(i.data))
	dir.do(func(names map[string]*simInode) { delete(names, base) })
	return nil
}

// RemoveAll is not needed where branches stay.
func (d *SimDisk) RemoveAll(name string) error { return simErr("remove all", name, fs.ErrInvalid) }

func (d *SimDisk) ReadDir(name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dirs[name] == nil {
		return nil, nil
	}
	out := slices.Collect(maps.Keys(d.dirs[name].names))
	sort.Strings(out)
	return out, nil
}

func (d *SimDisk) SyncDir(name string) error {
	defer d.changed()
	d.mu.Lock()
	defer d.mu.Unlock()
	dir := d.dirs[name]
	if dir == nil {
		return simErr("sync", name, fs.ErrNotExist)
	}
	dir.synced, dir.pending = maps.Clone(dir.names), nil
	return nil
}

func (d *SimDisk) SyncAll(string) error {
	defer d.changed()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, dir := range d.dirs {
		dir.synced, dir.pending = maps.Clone(dir.names), nil
		for _, i := range dir.names {
			if i != nil {
				i.synced, i.pending = slices.Clone(i.data), nil
			}
		}
	}
	return nil
}

// Allocate counts the room, and keeps no bytes.
func (d *SimDisk) Allocate(name string, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if grow := size - d.reserved; d.capacity > 0 && d.used+grow > d.capacity {
		return simErr("allocate", name, unix.ENOSPC)
	}
	d.used += size - d.reserved
	d.reserved, d.reserve = size, name
	return nil
}

func (d *SimDisk) Space(string) (total, free int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.capacity == 0 {
		return 1 << 40, 1 << 40, nil
	}
	return d.capacity, d.capacity - d.used, nil
}

func (d *SimDisk) Boot() string { return d.boot }

// A simFile is an open file of a SimDisk.
type simFile struct {
	d    *SimDisk
	i    *simInode
	name string
}

func (f *simFile) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if off >= int64(len(f.i.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.i.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *simFile) WriteAt(p []byte, off int64) (int, error) {
	defer f.d.changed()
	if err := f.write("write", simWrite{off, append([]byte{}, p...)}); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *simFile) Truncate(size int64) error {
	defer f.d.changed()
	return f.write("truncate", simWrite{off: size})
}

func (f *simFile) write(op string, w simWrite) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	grow := w.off + int64(len(w.data)) - int64(len(f.i.data))
	if grow > 0 && f.d.capacity > 0 && f.d.used+grow > f.d.capacity {
		return simErr(op, f.name, unix.ENOSPC)
	}
	if grow > 0 || w.data == nil {
		f.d.used += grow
	}
	f.i.data = w.apply(f.i.data)
	f.i.pending = append(f.i.pending, w)
	return nil
}

func (f *simFile) Sync() error {
	if f.d.Before != nil {
		Aside(f.d.Before)
	}
	defer f.d.changed()
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.i.synced, f.i.pending = slices.Clone(f.i.data), nil
	return nil
}

func (f *simFile) Close() error { return nil }

func (f *simFile) Stat() (fs.FileInfo, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return simInfo{f.name, int64(len(f.i.data))}, nil
}

type simInfo struct {
	name string
	size int64
}

func (i simInfo) Name() string       { return i.name }
func (i simInfo) Size() int64        { return i.size }
func (i simInfo) Mode() fs.FileMode  { return 0o600 }
func (i simInfo) ModTime() time.Time { return time.Time{} }
func (i simInfo) IsDir() bool        { return false }
func (i simInfo) Sys() any           { return nil }
