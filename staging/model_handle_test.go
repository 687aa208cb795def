package staging_test

import (
	"bytes"
	"slices"

	"pachfs/staging"
)

type modelHandle struct {
	f     *staging.File
	m     *refFile
	write bool
}

func (m *model) openAny() {
	p := m.anyFile()
	if p == "" || len(m.handles) >= 8 {
		return
	}
	write := m.number("write", 3) > 0
	m.did("open %s, write %v: handle %d", p, write, len(m.handles))
	m.handles = append(m.handles, m.openHandle(p, write))
}

// openHandle opens a file. One that was closed, and not released yet, is
// complete before the next writer changes it.
func (m *model) openHandle(p string, write bool) *modelHandle {
	f := m.ref.files[p]
	if write && f.flushed {
		f.settle()
	}
	return &modelHandle{m.openFile(p, write), f, write}
}

func (m *model) handleAny() {
	if len(m.handles) == 0 {
		return
	}
	i := m.number("handle", len(m.handles))
	h, what := m.handles[i], m.number("what", 8)
	switch {
	case what < 3:
		m.did("close handle %d", i)
		m.closeHandle(i)
	case !h.write:
	case what == 3:
		m.did("sync handle %d", i)
		m.must(h.f.Sync())
		h.m.settle()
	case what == 4:
		m.did("flush handle %d", i)
		m.must(h.f.Flushed())
		h.m.flushed = true
	default:
		m.did("write to handle %d", i)
		m.writeTo(h)
	}
}

// writeTo changes a file's bytes in a random way.
func (m *model) writeTo(h *modelHandle) {
	for range m.number("writes", 4) {
		size := len(h.m.b)
		switch m.number("kind of write", 5) {
		case 0:
			n := int64(m.number("size", size+20))
			m.rt.Logf("  truncate %d", n)
			m.must(h.f.Truncate(n))
			h.m.truncate(n)
		case 1:
			m.rt.Logf("  append")
			_, err := h.f.Append([]byte("+more"))
			m.must(err)
			h.m.write([]byte("+more"), int64(size))
		default:
			off := int64(m.number("offset", size+10))
			b := bytes.Repeat([]byte{'A' + byte(m.number("byte", 26))}, 1+m.number("length", 30))
			m.rt.Logf("  write %q at %d", b, off)
			_, err := h.f.WriteAt(b, off)
			m.must(err)
			h.m.write(b, off)
		}
		if p := m.ref.pathOf(h.m); p != "" {
			m.ref.touch(false, p)
		}
	}
}

func (m *model) closeHandle(i int) {
	h := m.handles[i]
	m.handles = slices.Delete(m.handles, i, i+1)
	if h.write { // as the kernel has it: close(2), and the release a little later
		m.must(h.f.Flushed())
		h.m.settle()
	}
	m.must(h.f.Close(h.write))
}

func (m *model) closeAll() {
	m.did("close all")
	for len(m.handles) > 0 {
		m.closeHandle(0)
	}
}

// writing says whether a handle may yet change a file.
func (m *model) writing(p string) bool {
	return slices.ContainsFunc(m.handles, func(h *modelHandle) bool { return h.m == m.ref.files[p] && h.write })
}
