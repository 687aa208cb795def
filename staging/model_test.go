package staging_test

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"pachfs/pachclient/clienttest"
	"pachfs/staging"
)

var (
	modelSeed  = flag.Uint64("seed", 0, "of the model test; 0: another one each time")
	modelSteps = flag.Int("steps", 1500, "of the model test")
)

// A model is a tree as a map, and a branch that must show the same.
type model struct {
	*bench
	rnd     *rand.Rand
	spell   *strings.Replacer // what names are in their places
	dirs    map[string]bool   // without the root
	files   map[string]*modelFile
	handles []*modelHandle
	others  int  // commits by somebody else
	landing bool // one may have been sent and not been heard of
	busy    bool // one is under way
	log     []string
}

// A modelFile is shared by its name and its handles.
type modelFile struct{ b []byte }

type modelHandle struct {
	f     *staging.File
	m     *modelFile
	write bool
}

func TestModel(t *testing.T) { runModel(t, strings.NewReplacer()) }

// The same with names that are stored encoded, or look as if they were.
func TestModelEncodedNames(t *testing.T) {
	runModel(t, strings.NewReplacer("a", "(", "b", "%28", "c", "%2528", "x", "\xc3", "y", "%C3"), encoded)
}

func runModel(t *testing.T, spell *strings.Replacer, tune ...func(*staging.Options)) {
	t.Helper()
	seed, steps := *modelSeed, *modelSteps
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	if testing.Short() {
		steps = min(steps, 300)
	}
	t.Logf("go test ./staging -run '^%s$' -seed %d -steps %d", t.Name(), seed, steps)
	m := &model{spell: spell, rnd: rand.New(rand.NewPCG(seed, 0)), dirs: map[string]bool{}, files: map[string]*modelFile{}}
	first := tree{}
	for i := range 8 {
		p := spell.Replace(fmt.Sprintf("/%c/%c%d", "abc"[i%3], "xy"[i%2], i%2))
		first[p] = strings.Repeat(p, 1+i)
	}
	for p, b := range first {
		m.files[p] = &modelFile{[]byte(b)}
	}
	for p := range first {
		m.dirs[path.Dir(p)] = true
	}
	m.bench = newBench(t, tune...)
	m.follows(m.foreign(first))
	defer func() {
		if t.Failed() {
			t.Logf("after %d steps, the last ones:\n%s", len(m.log), strings.Join(m.log[max(0, len(m.log)-60):], "\n"))
		}
	}()
	m.compare()
	for range steps {
		m.step()
		m.compare()
	}
	all := "\n" + strings.Join(m.log, "\n")
	for _, what := range []string{"commit ends", "kill in this commit", "kill in a commit", "commit that fails", "foreign commit"} {
		n := strings.Count(all, "\n"+what)
		t.Logf("%4d × %s", n, what)
		if n == 0 && steps >= 1500 {
			t.Errorf("never tried: %s", what)
		}
	}
}

func (m *model) did(format string, args ...any) { m.log = append(m.log, fmt.Sprintf(format, args...)) }

// compare holds the whole tree, and every open handle, against the model.
func (m *model) compare() {
	m.t.Helper()
	want := tree{}
	for d := range m.dirs {
		want[d+"/"] = ""
	}
	for p, f := range m.files {
		want[p] = string(f.b)
	}
	m.same("mount", m.mounted(), want)
	for _, h := range m.handles {
		if got := m.slurp(h.f); got != string(h.m.b) {
			m.t.Fatalf("a handle reads %.60q, want %.60q", got, h.m.b)
		}
	}
	m.must(m.stage.Check())
	if len(m.handles) == 0 {
		m.noLeftovers()
	}
}

func pick[T any](rnd *rand.Rand, s []T) (v T) {
	if len(s) > 0 {
		v = s[rnd.IntN(len(s))]
	}
	return v
}

func (m *model) anyFile() string { return pick(m.rnd, slices.Sorted(maps.Keys(m.files))) }
func (m *model) anyDir() string  { return pick(m.rnd, append(slices.Sorted(maps.Keys(m.dirs)), "/")) }
func (m *model) anyPath() string {
	switch m.rnd.IntN(3) {
	case 0:
		if p := m.anyFile(); p != "" {
			return p
		}
		fallthrough
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
	return path.Join(dir, m.spell.Replace(pick(m.rnd, []string{"a", "b", "c", "x0", "x1", "y0", "y1"})))
}

func (m *model) exists(p string) bool { return p == "/" || m.dirs[p] || m.files[p] != nil }

func (m *model) isEmpty(dir string) bool {
	for p := range m.dirs {
		if path.Dir(p) == dir {
			return false
		}
	}
	for p := range m.files {
		if path.Dir(p) == dir {
			return false
		}
	}
	return true
}

func (m *model) step() {
	ctx := m.t.Context()
	switch n := m.rnd.IntN(100); {
	case n < 10: // create
		p := m.newPath()
		keep := m.rnd.IntN(4) == 0
		m.did("create %s, keep open %v", p, keep)
		f, err := m.o.Create(ctx, p, staging.Attr{})
		if m.exists(p) {
			m.is(err, fs.ErrExist)
			return
		}
		m.must(err)
		h := &modelHandle{f, &modelFile{}, true}
		m.files[p] = h.m
		m.writeTo(h)
		if keep {
			m.handles = append(m.handles, h)
		} else {
			m.must(f.Close(true))
		}
	case n < 25: // open, change, close
		if p := m.anyFile(); p != "" {
			m.did("change %s", p)
			f := m.openFile(p, true)
			m.writeTo(&modelHandle{f, m.files[p], true})
			m.must(f.Close(true))
		}
	case n < 31: // open and keep
		if p := m.anyFile(); p != "" && len(m.handles) < 8 {
			write := m.rnd.IntN(3) > 0
			m.did("open %s, write %v: handle %d", p, write, len(m.handles))
			m.handles = append(m.handles, &modelHandle{m.openFile(p, write), m.files[p], write})
		}
	case n < 45: // a kept handle
		if len(m.handles) > 0 {
			m.useHandle(m.rnd.IntN(len(m.handles)))
		}
	case n < 65:
		m.renameAny(m.anyPath(), m.anyPath())
	case n < 73:
		m.removeAny(m.anyPath())
	case n < 81: // rm -r
		if dir := m.anyDir(); dir != "/" && m.rnd.IntN(3) == 0 {
			m.removeTree(dir)
		}
	case n < 88:
		p := m.newPath()
		m.did("mkdir %s", p)
		err := m.o.Mkdir(ctx, p, staging.Attr{})
		if m.exists(p) {
			m.is(err, fs.ErrExist)
			return
		}
		m.must(err)
		m.dirs[p] = true
	case m.busy: // what follows waits for the landing
	case n < 91:
		m.did("commit")
		_, err := m.o.Commit(ctx, "")
		m.must(err)
	case n < 93:
		m.commitAndGoOn()
	case n < 94:
		m.did("commit that fails")
		m.Fail("Upload", clienttest.Before, 1, errOther)
		m.o.Commit(ctx, "")
		m.Heal()
	case n < 96:
		m.foreignCommit()
	case n < 98:
		m.handles = nil
		if m.rnd.IntN(2) == 0 {
			m.did("kill")
			m.kill()
		} else {
			m.killInCommit()
		}
	default:
		m.did("close all")
		for len(m.handles) > 0 {
			m.closeHandle(0)
		}
	}
}

// commitAndGoOn is a landing with changes meanwhile, which some call of it
// waits for; now and then it is killed there.
func (m *model) commitAndGoOn() {
	op := pick(m.rnd, []string{"Upload", "Walk", "Land", "Wait", "Annotate"})
	g := m.stop(op)
	l := m.begin("")
	select {
	case <-g.at:
	case <-l.done:
		m.did("commit without a call of %s", op)
		m.OnCall(op, func() {})
		m.must(l.err)
		return
	}
	m.did("commit, and at %s:", op)
	m.busy = true
	for range 1 + m.rnd.IntN(8) {
		m.step()
		m.compare()
	}
	m.busy = false
	if op == "Land" || m.rnd.IntN(3) > 0 {
		m.did("commit ends")
		close(g.open)
		l.end()
		return
	}
	m.did("kill in this commit")
	dir, old := m.cp(), m.stage
	for _, any := range calls {
		m.Fail(any, clienttest.Before, -1, errKilled)
	}
	close(g.open)
	<-l.done
	m.handles, m.landing = nil, true
	m.open(dir)
	m.must(old.Close())
}

// killInCommit is a kill at one of the points of a landing.
func (m *model) killInCommit() {
	op := pick(m.rnd, []string{"Upload", "Walk", "Land", "Wait", "Diff", "Annotate"})
	m.did("kill in a commit, at %s", op)
	old := m.stage
	if dir := m.dieAt(op, 1, op == "Land"); dir != "" {
		m.landing = true
		m.open(dir)
		m.must(old.Close())
	} else {
		m.kill()
	}
}

// writeTo changes a file's bytes in a random way.
func (m *model) writeTo(h *modelHandle) {
	for range m.rnd.IntN(4) {
		size := int64(len(h.m.b))
		switch m.rnd.IntN(5) {
		case 0:
			n := m.rnd.Int64N(size + 20)
			m.did("  truncate %d", n)
			m.must(h.f.Truncate(n))
			h.m.b = append(h.m.b[:min(n, size):min(n, size)], make([]byte, max(0, n-size))...)
		case 1:
			m.did("  append")
			_, err := h.f.Append([]byte("+more"))
			m.must(err)
			h.m.b = append(h.m.b, "+more"...)
		default:
			off := m.rnd.Int64N(size + 10)
			b := bytes.Repeat([]byte{'A' + byte(m.rnd.IntN(26))}, 1+m.rnd.IntN(30))
			m.did("  write %d at %d", len(b), off)
			_, err := h.f.WriteAt(b, off)
			m.must(err)
			h.m.b = append(h.m.b, make([]byte, max(0, off+int64(len(b))-size))...)
			copy(h.m.b[off:], b)
		}
	}
}

func (m *model) useHandle(i int) {
	h := m.handles[i]
	switch {
	case m.rnd.IntN(3) == 0:
		m.did("close handle %d", i)
		m.closeHandle(i)
	case !h.write:
	case m.rnd.IntN(3) == 0:
		m.did("sync handle %d", i)
		m.must(h.f.Sync())
	default:
		m.did("write to handle %d", i)
		m.writeTo(h)
	}
}

func (m *model) closeHandle(i int) {
	h := m.handles[i]
	m.handles = slices.Delete(m.handles, i, i+1)
	m.must(h.f.Close(h.write))
}

func (m *model) renameAny(from, to string) {
	m.did("rename %s %s", from, to)
	err := m.o.Rename(m.t.Context(), from, to)
	dir := from == "/" || m.dirs[from]
	switch {
	case !m.exists(from):
		m.is(err, fs.ErrNotExist)
		return
	case from == to:
		m.must(err)
		return
	case dir && (from == "/" || strings.HasPrefix(to, from+"/")),
		m.files[to] != nil && dir,
		(to == "/" || m.dirs[to]) && (!dir || !m.isEmpty(to)):
		if err == nil {
			m.t.Fatalf("rename %s %s succeeds", from, to)
		}
		return
	}
	m.must(err)
	if !dir {
		f := m.files[from]
		delete(m.files, from)
		m.files[to] = f
		return
	}
	dirs, files := map[string]bool{}, map[string]*modelFile{}
	moved := func(p string) string {
		if rest, ok := strings.CutPrefix(p, from+"/"); ok {
			return to + "/" + rest
		} else if p == from {
			return to
		}
		return p
	}
	for p := range m.dirs {
		dirs[moved(p)] = true
	}
	for p, f := range m.files {
		files[moved(p)] = f
	}
	m.dirs, m.files = dirs, files
}

func (m *model) removeAny(p string) {
	m.did("remove %s", p)
	ctx := m.t.Context()
	switch {
	case m.files[p] != nil:
		m.must(m.o.Remove(ctx, p))
		delete(m.files, p)
	case p == "/":
	case !m.dirs[p]:
		m.is(m.o.Remove(ctx, p), fs.ErrNotExist)
		m.is(m.o.Rmdir(ctx, p), fs.ErrNotExist)
	case m.isEmpty(p):
		m.must(m.o.Rmdir(ctx, p))
		delete(m.dirs, p)
	default:
		m.is(m.o.Rmdir(ctx, p), staging.ErrNotEmpty)
	}
}

func (m *model) removeTree(dir string) {
	m.did("rm -r %s", dir)
	for _, p := range slices.Sorted(maps.Keys(m.files)) {
		if strings.HasPrefix(p, dir+"/") {
			m.rm(p)
			delete(m.files, p)
		}
	}
	dirs := slices.Sorted(maps.Keys(m.dirs))
	slices.Reverse(dirs)
	for _, p := range dirs {
		if p == dir || strings.HasPrefix(p, dir+"/") {
			m.rmdir(p)
			delete(m.dirs, p)
		}
	}
}

// foreignCommit is a commit by somebody else of a path where nothing is staged:
// a new one, or while nothing is staged at all, one that is there.
func (m *model) foreignCommit() {
	m.others++
	p := fmt.Sprintf("/foreign%d", m.others)
	if old := m.anyFile(); old != "" && !m.o.Dirty() && !m.writing(old) {
		p = old
	}
	content := fmt.Sprintf("the %dth foreign commit", m.others)
	m.did("foreign commit of %s", p)
	if m.landing { // until its fate is known, the base stays
		m.landing = false
		_, err := m.o.Commit(m.t.Context(), "")
		m.must(err)
	}
	m.follows(m.foreign(tree{p: content}))
	m.files[p] = &modelFile{[]byte(content)} // handles go on reading what was there
}

// writing says whether a handle may yet change a file.
func (m *model) writing(p string) bool {
	return slices.ContainsFunc(m.handles, func(h *modelHandle) bool { return h.m == m.files[p] && h.write })
}
