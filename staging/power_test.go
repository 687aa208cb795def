package staging_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/clienttest"
	"pachfs/staging"
)

var cuts = flag.Int("cuts", 10000, "power cuts of TestPower; -short does 200")

// A version of a file is what it was after one operation. The power may leave
// any since the last that was synced.
type powerFile struct {
	versions []string
	synced   int  // the version that is surely on disk
	made     bool // here: it came to be as an empty file
}

// A shot is the tree after one operation: which version of which file is where.
type shot map[string]at

type at struct {
	f *powerFile // nil: a directory
	v int
}

// A power run stages and commits on a disk that is cloned, as if the power went,
// after each change to it.
type power struct {
	*bench
	rnd     *rand.Rand
	tmp     string
	residue func(string) error
	names   map[string]*powerFile
	open    map[*powerFile]*staging.File
	dirs    map[string]bool
	shots   []shot
	durable int // the shot from which on names are surely on disk
	landing bool
	every   int // one change in so many is followed by a cut
	cut     int
	log     []string
}

// After a power cut at any change of the disk, with whatever was not synced
// lost, kept or torn: the names are those of some moment since the last sync,
// every file reads as it was at some moment since it was last synced, Check
// finds nothing, and a commit lands just that (promises 8 and 9).
func TestPower(t *testing.T) {
	n := *cuts
	if testing.Short() {
		n = min(n, 200)
	}
	const perRun = 100
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for i := range uint64(max(1, n/perRun)) {
		t.Run(fmt.Sprint(seed+i), func(t *testing.T) {
			b := newBench(t)
			p := &power{bench: b, rnd: rand.New(rand.NewPCG(seed+i, 1)), names: map[string]*powerFile{},
				open: map[*powerFile]*staging.File{}, dirs: map[string]bool{}, every: 3}
			defer func() {
				if t.Failed() {
					t.Logf("go test ./staging -run TestPower -cuts 1 -seed %d; after %d steps:\n%s", seed+i, len(p.log), strings.Join(p.log, "\n"))
				}
			}()
			p.begin()
			for p.cut < perRun && !t.Failed() {
				p.step()
			}
			if !t.Failed() {
				p.end()
			}
		})
	}
}

func (p *power) begin() {
	first := tree{"/a": "committed a", "/b": strings.Repeat("b", 2000), "/d/x": "committed x"}
	p.foreign(first)
	for name, content := range first {
		p.names[name] = &powerFile{versions: []string{content}}
	}
	p.dirs["/d"] = true
	p.opts.LandTimeout = 100 * time.Millisecond
	p.tmp = memory(p.t)
	p.onSimDisk(0)
	p.residue = p.o.CopyResidue()
	p.next()
	p.durable = 0
	p.disk.After = p.changed
}

// next notes the tree as it is in the model, before the operation is made: the
// power may go in the middle of it.
func (p *power) next() {
	s := shot{}
	for d := range p.dirs {
		s[d+"/"] = at{}
	}
	for name, f := range p.names {
		s[name] = at{f, len(f.versions) - 1}
	}
	p.shots = append(p.shots, s)
}

func (p *power) do(what string, fn func() error) {
	p.t.Helper()
	p.log = append(p.log, fmt.Sprintf("%d %s", len(p.shots), what))
	p.next()
	if err := fn(); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

var powerPaths = []string{"/a", "/b", "/c", "/d/x", "/d/y", "/e/x", "/e/y"}

func (p *power) step() {
	name := pick(p.rnd, powerPaths)
	f := p.names[name]
	h := p.open[f]
	switch p.rnd.IntN(13) {
	case 0, 1, 2:
		if f == nil {
			p.create(name)
		} else {
			p.write(name, f)
		}
	case 3:
		if f != nil {
			size := p.rnd.IntN(1500)
			p.change(f, resize(f.last(), size))
			p.do(fmt.Sprintf("truncate %s to %d", name, size), func() error { return p.with(name, f, func(h *staging.File) error { return h.Truncate(int64(size)) }) })
		}
	case 4:
		if f != nil {
			delete(p.names, name)
			p.do("remove "+name, func() error { return p.o.Remove(p.t.Context(), name) })
		}
	case 5, 6:
		p.rename(name, pick(p.rnd, powerPaths))
	case 7:
		p.moveDir()
	case 8, 9:
		if h != nil {
			p.do("fsync "+name, h.Sync)
			f.synced, p.durable = len(f.versions)-1, len(p.shots)-1
		}
	case 10:
		if h != nil {
			delete(p.open, f)
			p.do("close "+name, func() error { return h.Close(true) })
		}
	case 11:
		p.do("sync", p.o.SyncClosed)
		p.settled()
	case 12:
		p.commit()
	}
}

func (f *powerFile) last() string { return f.versions[len(f.versions)-1] }

func (p *power) change(f *powerFile, content string) { f.versions = append(f.versions, content) }

// with calls fn with a handle, which stays open now and then.
func (p *power) with(name string, f *powerFile, fn func(*staging.File) error) error {
	h := p.open[f]
	if h == nil {
		var err error
		if h, err = p.o.Open(p.t.Context(), name, true); err != nil {
			return err
		}
		p.open[f] = h
	}
	if err := fn(h); err != nil || p.rnd.IntN(2) == 0 {
		return err
	}
	delete(p.open, f)
	return h.Close(true)
}

func resize(s string, n int) string { return (s + strings.Repeat("\x00", n))[:n] }

func (p *power) write(name string, f *powerFile) {
	off, part := p.rnd.IntN(len(f.last())+100), strings.Repeat(fmt.Sprintf("%d ", len(p.shots)), 1+p.rnd.IntN(300))
	old := resize(f.last(), max(len(f.last()), off+len(part)))
	p.change(f, old[:off]+part+old[off+len(part):])
	p.do(fmt.Sprintf("write %s at %d, %d bytes", name, off, len(part)), func() error {
		return p.with(name, f, func(h *staging.File) error {
			_, err := h.WriteAt([]byte(part), int64(off))
			return err
		})
	})
}

func (p *power) create(name string) {
	if dir := path.Dir(name); dir != "/" && !p.dirs[dir] {
		p.dirs[dir] = true
		p.do("mkdir "+dir, func() error { return p.o.Mkdir(p.t.Context(), dir, staging.Attr{}) })
	}
	f := &powerFile{versions: []string{""}, made: true}
	p.names[name] = f
	p.do("create "+name, func() error {
		h, err := p.o.Create(p.t.Context(), name, staging.Attr{})
		p.open[f] = h
		return err
	})
}

func (p *power) rename(from, to string) {
	if f := p.names[from]; f != nil && from != to && (path.Dir(to) == "/" || p.dirs[path.Dir(to)]) {
		p.names[to] = f
		delete(p.names, from)
		p.do("rename "+from+" to "+to, func() error { return p.o.Rename(p.t.Context(), from, to) })
	}
}

func (p *power) moveDir() {
	from, to := "/d", "/e"
	if p.rnd.IntN(2) == 0 {
		from, to = to, from
	}
	if !p.dirs[from] || p.dirs[to] {
		return
	}
	delete(p.dirs, from)
	p.dirs[to] = true
	for name, f := range maps.Clone(p.names) {
		if rest, ok := strings.CutPrefix(name, from+"/"); ok {
			delete(p.names, name)
			p.names[to+"/"+rest] = f
		}
	}
	p.do("rename "+from+" to "+to, func() error { return p.o.Rename(p.t.Context(), from, to) })
}

// settled notes that all is on disk but what is open for writing.
func (p *power) settled() {
	p.durable = len(p.shots) - 1
	for _, f := range p.names {
		if p.open[f] == nil {
			f.synced = len(f.versions) - 1
		}
	}
}

func (p *power) commit() {
	for f, h := range p.open { // an open file would wait
		delete(p.open, f)
		p.must(h.Close(true))
	}
	p.landing = true
	p.do("commit", func() error {
		_, err := p.o.Commit(p.t.Context(), "")
		return err
	})
	p.landing = false
	p.settled()
}

// changed is called after each change of the disk: now and then the power goes.
func (p *power) changed() {
	if p.rnd.IntN(p.every) != 0 {
		return
	}
	p.cut++
	if p.t.Failed() {
		return
	}
	p.goesOn(false)
}

// end is one more cut, after which the branch goes on where that left it.
func (p *power) end() {
	p.disk.After = nil
	if p.rnd.IntN(2) == 0 { // in the middle of a landing
		p.landing = true
		p.Fail(pick(p.rnd, []string{"Upload", "Land", "Commit", "Diff"}), clienttest.After, 1, errKilled)
		p.o.Commit(p.t.Context(), "")
		p.next()
	}
	p.goesOn(true)
}

// goesOn starts the machine again without the power that it had now, and holds
// what is there against what may be.
func (p *power) goesOn(last bool) {
	dir, err := os.MkdirTemp(p.tmp, "")
	p.must(err)
	b := p.cutOff(p.disk, staging.Diced(rand.New(rand.NewPCG(p.rnd.Uint64(), 2))), p.residue, dir)
	p.must(b.stage.Check())
	got := b.mounted()
	if why := p.allowed(got); why != "" {
		p.t.Fatalf("after cut %d the tree is none that may be: %s", p.cut, why)
	}
	if last {
		p.landsOnce(b, got)
	}
	p.must(b.stage.Close())
	p.must(os.RemoveAll(dir))
}

// landsOnce commits what the power left: the head is that then, and no commit
// of the branch repeats what another did.
func (p *power) landsOnce(b *bench, want tree) {
	for _, name := range b.o.Status().Writing { // nobody else will
		b.complete(name)
	}
	_, err := b.o.Commit(p.t.Context(), "")
	p.must(err)
	b.clean()
	b.holds(want.files())
	h, err := p.client.Head(p.t.Context(), p.branch)
	p.must(err)
	p.must(p.client.Log(p.t.Context(), h.Commit, func(c pachclient.CommitInfo) error {
		differs := false
		p.must(p.client.At(c.Commit).Diff(p.t.Context(), c.Parent, func(pachclient.Diff) error { differs = true; return nil }))
		if !differs && !c.Parent.Zero() {
			p.t.Errorf("commit %s changes nothing", c.Commit.ID)
		}
		return nil
	}))
}

// allowed says why a tree can't be what a power cut left; "" if it can.
func (p *power) allowed(got tree) string {
	why := ""
	for i := len(p.shots) - 1; i >= p.durable; i-- {
		one := p.shots[i].matches(got, p.landing)
		if one == "" {
			return ""
		}
		why += fmt.Sprintf("\nas of %d: %s", i, one)
	}
	return why
}

// matches says where a tree differs from the shot; "" if it may be what is
// left of it. A file that came to be here and was never synced is not taken by
// the landing that its bytes were lost in: what was at its path before, shows.
func (s shot) matches(got tree, landing bool) string {
	for name := range got {
		if _, ok := s[name]; !ok {
			return name + " is too much"
		}
	}
	for name, at := range s {
		content, ok := got[name]
		switch {
		case landing && at.f != nil && at.f.made && at.f.synced == 0:
		case !ok:
			return name + " is missing"
		case at.f != nil && !slices.Contains(at.f.versions[min(at.f.synced, at.v):], content):
			return fmt.Sprintf("%s was never %.60q since version %d", name, content, at.f.synced)
		}
	}
	return ""
}

func pick[T any](rnd *rand.Rand, s []T) (v T) {
	if len(s) > 0 {
		v = s[rnd.IntN(len(s))]
	}
	return v
}
