package test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

func (m *model) step() {
	type op struct {
		weight int
		do     func(*model)
	}
	var ops []func(*model)
	for _, o := range []op{{12, (*model).create}, {12, (*model).rewrite}, {6, (*model).open}, {16, (*model).rename},
		{10, (*model).remove}, {2, (*model).removeTree}, {8, (*model).mkdir}, {5, (*model).truncate}, {4, (*model).stat},
		{5, (*model).commit}, {2, (*model).foreign}, {2, (*model).conflict}, {2, (*model).kill}, {1, (*model).remount}, {16, (*model).useHandle}} {
		ops = append(ops, slices.Repeat([]func(*model){o.do}, o.weight)...)
	}
	drawn(m, "op", ops)(m)
}

func (m *model) inode(p string) uint64 { return ino(m.t, m.dir+p) }

// create makes a file, writes to it, and closes it or not.
func (m *model) create() {
	p, keep, excl := m.anyPath(), m.number("keep open", 3) == 2, m.number("excl", 2)*os.O_EXCL
	if m.elsewhere(p) {
		return
	}
	m.did("create %s, keep open %v, excl %v", p, keep, excl != 0)
	before, _ := os.Stat(m.dir + p)
	h, ok := m.openBoth(p, os.O_RDWR|os.O_CREATE|excl, true)
	if !ok {
		return
	}
	if before == nil {
		m.half[m.inode(p)] = nil
	}
	m.writeTo(h)
	if !keep {
		m.closeHandle(len(m.handles) - 1)
	}
}

// rewrite opens a file that is there, changes it and closes it.
func (m *model) rewrite() {
	p := m.anyFile()
	if p == "" || m.elsewhere(p) {
		return
	}
	flags := drawn(m, "flags", []int{os.O_RDWR, os.O_RDWR | os.O_TRUNC})
	m.did("rewrite %s, flags %x", p, flags)
	was, before := read(m.t, m.dir+p), m.inode(p)
	if h, ok := m.openBoth(p, flags, true); ok {
		if flags&os.O_TRUNC != 0 && was != "" {
			m.dirty(before, was)
		}
		m.writeTo(h)
		m.closeHandle(len(m.handles) - 1)
	}
}

func (m *model) open() {
	p := m.anyPath()
	if len(m.handles) >= 6 || m.elsewhere(p) {
		return
	}
	write := m.number("write", 3) > 0
	flags := os.O_RDONLY
	if write {
		flags = os.O_RDWR
	}
	m.did("open %s, write %v: handle %d", p, write, len(m.handles))
	m.openBoth(p, flags, write)
}

// openBoth opens a file in both directories, and keeps it.
func (m *model) openBoth(p string, flags int, write bool) (*modelHandle, bool) {
	m.rt.Helper()
	var opened []*os.File
	err := m.both(func(dir string) (string, error) {
		f, err := os.OpenFile(dir+p, flags, 0o666)
		if err == nil {
			opened = append(opened, f)
			var st os.FileInfo
			if st, err = f.Stat(); err == nil && st.IsDir() {
				return "a directory", nil
			}
		}
		return "", err
	})
	if err != nil || isDir(m.dir+p) {
		for _, f := range opened {
			f.Close()
		}
		return nil, false
	}
	h := &modelHandle{opened[0], opened[1], write}
	m.handles = append(m.handles, h)
	return h, true
}

// dirty notes that a file was changed and not closed since; was is what it
// was before that.
func (m *model) dirty(inode uint64, was string) {
	if _, already := m.half[inode]; !already {
		m.half[inode] = &was
	}
}

func inodeOf(f *os.File) uint64 {
	st, err := f.Stat()
	if err != nil {
		return 0
	}
	return st.Sys().(*syscall.Stat_t).Ino
}

// writeTo changes an open file in a random way.
func (m *model) writeTo(h *modelHandle) {
	for range m.number("writes", 4) {
		was := m.slurp(h.plain)
		switch m.number("kind of write", 5) {
		case 0:
			n := int64(m.number("size", len(was)+20))
			m.rt.Logf("  truncate %d", n)
			m.handle(h, func(f *os.File) (int, error) { return 0, f.Truncate(n) })
			if n == int64(len(was)) {
				continue
			}
		default:
			off := int64(m.number("offset", len(was)+10))
			b := strings.Repeat(string(rune('A'+m.number("byte", 26))), 1+m.number("length", 30))
			m.rt.Logf("  write %q at %d", b, off)
			m.handle(h, func(f *os.File) (int, error) { return f.WriteAt([]byte(b), off) })
		}
		m.dirty(inodeOf(h.plain), was)
	}
}

// handle does a thing to both files of a handle.
func (m *model) handle(h *modelHandle, do func(*os.File) (int, error)) {
	m.rt.Helper()
	n, err := do(h.ours)
	want, wantErr := do(h.plain)
	if n != want || errnoOf(err) != errnoOf(wantErr) {
		m.rt.Fatalf("the mount gives %d, %v; the plain directory %d, %v", n, err, want, wantErr)
	}
}

func (m *model) useHandle() {
	if len(m.handles) == 0 {
		return
	}
	i := m.number("handle", len(m.handles))
	h := m.handles[i]
	switch what := m.number("what", 6); {
	case what < 2:
		m.did("close handle %d", i)
		m.closeHandle(i)
	case !h.write:
	case what == 2:
		m.did("sync handle %d", i)
		m.sync(h)
	default:
		m.did("write to handle %d", i)
		m.writeTo(h)
	}
}

func (m *model) sync(h *modelHandle) {
	m.handle(h, func(f *os.File) (int, error) { return 0, f.Sync() })
	delete(m.half, inodeOf(h.plain))
}

func (m *model) closeHandle(i int) {
	h := m.handles[i]
	m.handles = slices.Delete(m.handles, i, i+1)
	if h.write {
		delete(m.half, inodeOf(h.plain))
	}
	m.handle(h, func(f *os.File) (int, error) { return 0, f.Close() })
}

func (m *model) closeAll() {
	for len(m.handles) > 0 {
		m.closeHandle(0)
	}
}

func (m *model) rename() {
	from, to := m.anyPath(), m.anyPath()
	m.did("rename %s %s", from, to)
	m.both(func(dir string) (string, error) { return "", syscall.Rename(dir+from, dir+to) })
}

func (m *model) remove() {
	p := m.anyPath()
	call := drawn(m, "call", []string{"unlink", "rmdir"})
	m.did("%s %s", call, p)
	m.both(func(dir string) (string, error) {
		if call == "rmdir" {
			return "", syscall.Rmdir(dir + p)
		}
		return "", syscall.Unlink(dir + p)
	})
}

func (m *model) removeTree() {
	p := m.anyPath()
	m.did("rm -r %s", p)
	m.both(func(dir string) (string, error) { return "", os.RemoveAll(dir + p) })
}

func (m *model) mkdir() {
	p := m.anyPath()
	m.did("mkdir %s", p)
	m.both(func(dir string) (string, error) { return "", syscall.Mkdir(dir+p, 0o777) })
}

// elsewhere says whether a file is open for writing. A second writer is not tried
// here: this process starts others, each of which closes its copies of all that
// is open, and what the kernel tells of that looks like the first one's close.
func (m *model) elsewhere(p string) bool {
	st, err := os.Stat(m.dir + p)
	return err == nil && slices.ContainsFunc(m.handles, func(h *modelHandle) bool {
		return h.write && inodeOf(h.plain) == st.Sys().(*syscall.Stat_t).Ino
	})
}

// truncate is by path, and complete when it returns.
func (m *model) truncate() {
	p, n := m.anyPath(), int64(m.number("size", 6000))
	if m.elsewhere(p) {
		return
	}
	m.did("truncate %s %d", p, n)
	if m.both(func(dir string) (string, error) { return "", syscall.Truncate(dir+p, n) }) == nil {
		delete(m.half, m.inode(p))
	}
}

func (m *model) stat() {
	p := m.anyPath()
	m.did("stat %s", p)
	m.both(func(dir string) (string, error) {
		st, err := os.Lstat(dir + p)
		if err != nil || st.IsDir() {
			return "a directory", err
		}
		return fmt.Sprint(st.Size(), st.Mode()), nil
	})
}
