package staging_test

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"pachfs/staging"
)

// modelOps is what can happen, and how often; the last list waits for a landing
// that is under way.
func modelOps() (always, idle []modelOp) {
	always = weighted([]modelOp{{10, (*model).createAny}, {14, (*model).changeAny}, {6, (*model).openAny},
		{20, (*model).renameAny}, {8, (*model).removeAny}, {2, (*model).removeTree}, {7, (*model).mkdirAny}, {15, (*model).handleAny}})
	return always, weighted([]modelOp{{3, (*model).commit}, {3, (*model).commitAndGoOn}, {1, (*model).commitFails}, {1, (*model).commitUnheard},
		{2, (*model).foreignAny}, {3, (*model).conflictAny}, {2, (*model).killAny}, {2, (*model).killInCommit},
		{1, (*model).unmount}, {2, (*model).closeAll}})
}

type modelOp struct {
	weight int
	do     func(*model)
}

func weighted(ops []modelOp) (out []modelOp) {
	for _, op := range ops {
		out = append(out, slices.Repeat([]modelOp{op}, op.weight)...)
	}
	return out
}

func (m *model) step() {
	ops, idle := modelOps()
	if !m.busy {
		ops = append(ops, idle...)
	}
	draw(m, "op", ops).do(m)
}

func (m *model) anyFile() string {
	if len(m.ref.files) == 0 {
		return ""
	}
	return draw(m, "file", slices.Sorted(maps.Keys(m.ref.files)))
}

func (m *model) anyDir() string {
	return draw(m, "dir", append([]string{"/"}, slices.Sorted(maps.Keys(m.ref.dirs))...))
}

func (m *model) anyPath() string {
	switch m.number("kind of path", 3) {
	case 0:
		if p := m.anyFile(); p != "" {
			return p
		}
	case 1:
		return m.anyDir()
	}
	return m.newPath()
}

// newPath is mostly a path where nothing is; few names, so that they come again.
func (m *model) newPath() string {
	dir := m.anyDir()
	if strings.Count(dir, "/") > 3 {
		dir = "/"
	}
	return path.Join(dir, draw(m, "name", []string{"a", "b", "c", "x0", "x1", "y0", "y1"}))
}

func (m *model) createAny() {
	p, keep := m.newPath(), m.number("keep open", 3) == 2
	m.did("create %s, keep open %v", p, keep)
	f, err := m.o.Create(m.t.Context(), p, staging.Attr{})
	if m.ref.exists(p) {
		m.is(err, fs.ErrExist)
		return
	}
	m.must(err)
	h := &modelHandle{f, &refFile{}, true}
	m.ref.files[p] = h.m
	m.ref.touch(false, p)
	m.writeTo(h)
	m.handles = append(m.handles, h)
	if !keep {
		m.closeHandle(len(m.handles) - 1)
	}
}

func (m *model) changeAny() {
	p := m.anyFile()
	if p == "" {
		return
	}
	m.did("change %s", p)
	m.handles = append(m.handles, m.openHandle(p, true))
	m.writeTo(m.handles[len(m.handles)-1])
	m.closeHandle(len(m.handles) - 1)
}

func (m *model) mkdirAny() {
	p := m.newPath()
	m.did("mkdir %s", p)
	err := m.o.Mkdir(m.t.Context(), p, staging.Attr{})
	if m.ref.exists(p) {
		m.is(err, fs.ErrExist)
		return
	}
	m.must(err)
	m.ref.dirs[p] = ""
	m.ref.touch(false, p)
}

func (m *model) renameAny() {
	from, to := m.anyPath(), m.anyPath()
	m.did("rename %s %s", from, to)
	err := m.o.Rename(m.t.Context(), from, to)
	r := m.ref
	dir := r.isDir(from)
	switch {
	case !r.exists(from):
		m.is(err, fs.ErrNotExist)
		return
	case from == to:
		m.must(err)
		return
	case dir && (from == "/" || strings.HasPrefix(to, from+"/")),
		r.files[to] != nil && dir,
		r.isDir(to) && (!dir || !r.isEmpty(to)):
		if err == nil {
			m.t.Fatalf("rename %s %s succeeds", from, to)
		}
		return
	}
	m.must(err)
	r.touch(true, from, to)
	if !dir {
		r.files[from], r.files[to] = nil, r.files[from]
		delete(r.files, from)
		return
	}
	moved := func(p string) string {
		if rest, ok := strings.CutPrefix(p, from+"/"); ok {
			return to + "/" + rest
		} else if p == from {
			return to
		}
		return p
	}
	dirs, files := map[string]string{}, map[string]*refFile{}
	delete(r.dirs, to)
	for p, below := range r.dirs {
		dirs[moved(p)] = below
	}
	for p, f := range r.files {
		files[moved(p)] = f
	}
	r.dirs, r.files = dirs, files
}

func (m *model) removeAny() {
	p := m.anyPath()
	m.did("remove %s", p)
	ctx := m.t.Context()
	switch r := m.ref; {
	case r.files[p] != nil:
		m.removeFile(p)
	case p == "/":
	case !r.isDir(p):
		m.is(m.o.Remove(ctx, p), fs.ErrNotExist)
		m.is(m.o.Rmdir(ctx, p), fs.ErrNotExist)
	case r.isEmpty(p):
		m.removeDir(p)
	default:
		m.is(m.o.Rmdir(ctx, p), staging.ErrNotEmpty)
	}
}

func (m *model) removeFile(p string) {
	m.rm(p)
	delete(m.ref.files, p)
	m.ref.touch(false, p)
}

func (m *model) removeDir(p string) {
	m.rmdir(p)
	delete(m.ref.dirs, p)
	m.ref.touch(false, p)
}

func (m *model) removeTree() {
	dir := m.anyDir()
	if dir == "/" {
		return
	}
	m.did("rm -r %s", dir)
	for _, p := range slices.Sorted(maps.Keys(m.ref.files)) {
		if strings.HasPrefix(p, dir+"/") {
			m.removeFile(p)
		}
	}
	dirs := slices.Sorted(maps.Keys(m.ref.dirs))
	slices.Reverse(dirs)
	for _, p := range dirs {
		if p == dir || strings.HasPrefix(p, dir+"/") {
			m.removeDir(p)
		}
	}
}
