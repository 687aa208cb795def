package test

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

func (x *fsx) write() string {
	off, n := x.reach(12_000)
	p := x.bytes(n)
	_, err := x.f.WriteAt(p, int64(off))
	ok(x.t, err)
	x.grow(off + n)
	copy(x.want[off:], p)
	return fmt.Sprintf("write [%d, %d)", off, off+n)
}

func (x *fsx) appendSome() string {
	n := min(1+x.r.IntN(3000), maxFsx-len(x.want))
	p := x.bytes(n)
	_, err := x.ap.Write(p)
	ok(x.t, err)
	x.want = append(x.want, p...)
	return fmt.Sprintf("append %d", n)
}

func (x *fsx) read() string {
	off, n := x.reach(20_000)
	f := []*os.File{x.f, x.ro}[x.r.IntN(2)]
	p := make([]byte, n)
	got, err := f.ReadAt(p, int64(off))
	if err != io.EOF {
		ok(x.t, err)
	}
	if got != min(n, max(0, len(x.want)-off)) {
		x.t.Errorf("read of [%d, %d) gives %d of %d bytes", off, off+n, got, len(x.want))
	}
	x.same("read", p[:got], off)
	return fmt.Sprintf("read [%d, %d)", off, off+n)
}

func (x *fsx) truncate() string {
	n := x.r.IntN(maxFsx)
	if x.r.IntN(2) == 0 {
		n = x.r.IntN(len(x.want) + 1)
	}
	if x.r.IntN(2) == 0 {
		ok(x.t, x.f.Truncate(int64(n)))
	} else {
		ok(x.t, os.Truncate(x.path, int64(n)))
	}
	x.grow(n)
	clear(x.want[n:])
	x.want = x.want[:n]
	return fmt.Sprintf("truncate %d", n)
}

// mapped gives a range of the file and a shared mapping of it; nil if there is none.
func (x *fsx) mapped(prot int) (off int, p []byte, unmap func()) {
	if len(x.want) == 0 {
		return 0, nil, nil
	}
	off = x.r.IntN(len(x.want))
	n := 1 + x.r.IntN(min(12_000, len(x.want)-off))
	start := off &^ (os.Getpagesize() - 1)
	m, err := unix.Mmap(int(x.f.Fd()), int64(start), off-start+n, prot, unix.MAP_SHARED)
	ok(x.t, err)
	return off, m[off-start:], func() { ok(x.t, unix.Munmap(m)) }
}

func (x *fsx) mapWrite() string {
	off, m, unmap := x.mapped(unix.PROT_READ | unix.PROT_WRITE)
	if m == nil {
		return "map nothing"
	}
	copy(m, x.bytes(len(m)))
	copy(x.want[off:], m)
	unmap()
	return fmt.Sprintf("map-write [%d, %d)", off, off+len(m))
}

func (x *fsx) mapRead() string {
	off, m, unmap := x.mapped(unix.PROT_READ)
	if m == nil {
		return "map nothing"
	}
	x.same("mapped", m, off)
	unmap()
	return fmt.Sprintf("map-read [%d, %d)", off, off+len(m))
}

func (x *fsx) reopen() string {
	x.close()
	x.open()
	return "reopen"
}

func (x *fsx) sync() string {
	ok(x.t, x.f.Sync())
	return "fsync"
}

// forget drops the kernel's pages: what is read next is what pachfs has.
func (x *fsx) forget() string {
	ok(x.t, unix.Fadvise(int(x.f.Fd()), 0, 0, unix.FADV_DONTNEED))
	return "forget"
}

// whole looks at all of it, by its path.
func (x *fsx) whole() string {
	st, err := os.Stat(x.path)
	ok(x.t, err)
	got, err := os.ReadFile(x.path)
	ok(x.t, err)
	x.same("the whole", got, 0)
	if st.Size() != int64(len(x.want)) || len(got) != len(x.want) {
		x.t.Errorf("stat: %d, read: %d, want %d bytes", st.Size(), len(got), len(x.want))
	}
	return "whole"
}
