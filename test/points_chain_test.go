package test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pachfs/test/harness"
)

// A version gives bytes that say which they are: whoever has them knows whether
// they are whole.
func version(n, size int) string {
	head := fmt.Sprintf("%d %d\n", n, size)
	return head + noise(rand.New(rand.NewPCG(uint64(n), 2)), max(0, size-len(head)))
}

// whole says whether these are all the bytes of a version.
func whole(s string) bool {
	var n, size int
	_, err := fmt.Sscanf(s, "%d %d\n", &n, &size)
	return err == nil && size <= 1<<20 && s == version(n, size)
}

const absent = "\x00absent" // as the content of a path

// A flight is what a system call under way does to a path.
type flight struct {
	path, old, new string
	pieces         bool // it comes in several calls
	written        int  // bytes of new that were acknowledged
	truncated      bool // nothing of old is left
}

// allows says whether a path may read so after a kill.
func (f *flight) allows(got string) bool {
	switch {
	case !f.pieces || got == absent:
		return got == f.new || got == f.old && f.written == 0 && !f.truncated
	case len(got) < f.written || got[:f.written] != f.new[:f.written]:
		return false
	case strings.HasPrefix(f.new, got): // whole, or a part of it
		return true
	}
	old := f.old // of which the rest is left
	if f.truncated || old == absent {
		return false
	}
	for i := f.written; i < len(got); i++ {
		if (i >= len(old) || got[i] != old[i]) && (i >= len(f.new) || got[i] != f.new[i]) {
			return false
		}
	}
	return true
}

// A chain is one branch whose mount is killed over and over. It knows what was
// acknowledged: the manifest.
type chain struct {
	s     *harness.Server
	ref   string
	spec  harness.Spec
	relay *harness.Relay

	next     atomic.Int64 // version
	mu       sync.Mutex   // guards what follows
	paths    []string
	now      map[string]string         // what was acknowledged last, by path
	born     map[string]map[string]int // when a path got which content, by path
	clock    int                       // of born
	flights  map[string][]*flight      // by the writer
	half     map[string]bool           // was being written at a kill
	promised map[string]int            // by path: what a trigger that was acknowledged must have landed
	triggers int

	head   string               // up to which the history was read
	landed map[[2]string]string // path and content -> commit
	made   int                  // commits of ours
}

const chainWriters, chainNames = 3, 4

func newChain(t *testing.T, s *harness.Server, name string) *chain {
	c := &chain{s: s, ref: s.Ref(name + "@master"), relay: harness.NewRelay(t, s),
		now: map[string]string{}, born: map[string]map[string]int{}, flights: map[string][]*flight{},
		half: map[string]bool{}, promised: map[string]int{}, landed: map[[2]string]string{}}
	s.Peer.Create(t, strings.Split(c.ref, "@")[0])
	c.head = s.Peer.PutWait(t, c.ref, map[string]string{"/start": "start"})
	for w := range chainWriters {
		for i := range chainNames {
			for _, suffix := range []string{"", ".tmp"} {
				p := fmt.Sprintf("w%d/%d%s", w, i, suffix)
				c.paths = append(c.paths, p)
				c.now[p], c.born[p] = absent, map[string]int{absent: 0}
			}
		}
	}
	base := t.TempDir()
	c.spec = harness.Spec{URL: c.relay.URL, Binary: harness.FaultyBinary(t), Deadline: 3 * time.Minute, Flags: []string{"--sync-after", "100ms"},
		Dir: base + "/mnt", State: base + "/state", Cache: base + "/cache", Tmp: base + "/tmp"}
	for _, dir := range []string{c.spec.Dir, c.spec.State, c.spec.Cache, c.spec.Tmp} {
		ok(t, os.Mkdir(dir, 0o700))
	}
	return c
}

// begin notes what is about to be done; end that it was acknowledged.
func (c *chain) begin(who string, fs ...*flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock++
	for _, f := range fs {
		f.old = c.now[f.path]
		c.born[f.path][f.new] = c.clock
	}
	c.flights[who] = fs
}

func (c *chain) end(who string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.flights[who] {
		c.now[f.path] = f.new
		delete(c.half, f.path)
	}
	delete(c.flights, who)
}

// read gives what a path of the mount reads as.
func read1(p string) (string, error) {
	b, err := os.ReadFile(p)
	if errors.Is(err, fs.ErrNotExist) {
		return absent, nil
	}
	return string(b), err
}

// verify reads every path after a start. What was under way at the kill may be
// done or not, and is known from here on.
func (c *chain) verify(t *testing.T, m *harness.Mount) error {
	t.Helper()
	under := map[string]*flight{}
	for _, list := range c.flights {
		for _, f := range list {
			under[f.path] = f
		}
	}
	got := map[string]string{}
	for _, p := range c.paths {
		var err error
		if got[p], err = read1(m.Path(c.ref, p)); err != nil {
			return err
		}
	}
	for _, p := range c.paths {
		f := under[p]
		if f == nil && got[p] != c.now[p] || f != nil && !f.allows(got[p]) {
			t.Errorf("%s reads %s after the kill; acknowledged is %s; under way was %+v", p, brief(got[p]), brief(c.now[p]), f)
		}
		c.now[p] = got[p]
		if f != nil && f.pieces && got[p] != absent {
			c.half[p] = true // perhaps: it may wait for somebody to complete it
		}
	}
	for _, list := range c.flights {
		if len(list) == 2 && !list[0].pieces && (got[list[0].path] == list[0].new) != (got[list[1].path] == list[1].new) {
			t.Errorf("half of a rename: %+v %+v", list[0], list[1])
		}
	}
	clear(c.flights)
	return nil
}

// write does random things to the files of one writer until it is told to stop,
// or a call fails. It begins with what a kill left half written.
func (c *chain) write(r *rand.Rand, m *harness.Mount, w int, stop *atomic.Bool) error {
	who := fmt.Sprint("w", w)
	if err := os.MkdirAll(m.Path(c.ref, who), 0o777); err != nil {
		return err
	}
	for _, p := range c.paths {
		c.mu.Lock()
		half := c.half[p]
		c.mu.Unlock()
		if half && strings.HasPrefix(p, who+"/") {
			if err := c.put(r, m, who, p, os.O_TRUNC); err != nil {
				return err
			}
		}
	}
	for !stop.Load() {
		if err := c.step(r, m, who, path.Join(who, fmt.Sprint(r.IntN(chainNames)))); err != nil {
			return err
		}
		time.Sleep(time.Duration(r.IntN(4)) * time.Millisecond)
	}
	return nil
}

func (c *chain) step(r *rand.Rand, m *harness.Mount, who, p string) error {
	c.mu.Lock()
	is, tmp := c.now[p], c.now[p+".tmp"]
	c.mu.Unlock()
	switch r.IntN(8) {
	case 0, 1, 2:
		return c.put(r, m, who, p, os.O_TRUNC)
	case 3:
		return c.put(r, m, who, p, 0)
	case 4, 5: // as editors save
		if tmp == absent {
			if err := c.put(r, m, who, p+".tmp", os.O_TRUNC); err != nil {
				return err
			}
		}
		return c.move(m, who, p+".tmp", p)
	case 6: // but never back to where it was
		to := path.Join(who, fmt.Sprint(r.IntN(chainNames)))
		c.mu.Lock()
		_, was := c.born[to][is]
		c.mu.Unlock()
		if is == absent || was {
			return nil
		}
		return c.move(m, who, p, to)
	}
	if is == absent {
		return nil
	}
	c.begin(who, &flight{path: p, new: absent})
	if err := os.Remove(m.Path(c.ref, p)); err != nil {
		return err
	}
	c.end(who)
	return nil
}

func (c *chain) move(m *harness.Mount, who, from, to string) error {
	c.mu.Lock()
	is := c.now[from]
	c.mu.Unlock()
	c.begin(who, &flight{path: from, new: absent}, &flight{path: to, new: is})
	if err := os.Rename(m.Path(c.ref, from), m.Path(c.ref, to)); err != nil {
		return err
	}
	c.end(who)
	return nil
}

// put writes a new version in some pieces, over the old one or in its place.
func (c *chain) put(r *rand.Rand, m *harness.Mount, who, p string, flag int) error {
	size := 20 + r.IntN(3000)
	if r.IntN(20) == 0 {
		size = 200_000
	}
	f := &flight{path: p, new: version(int(c.next.Add(1)), size), pieces: true}
	c.begin(who, f)
	file, err := os.OpenFile(m.Path(c.ref, p), os.O_CREATE|os.O_WRONLY|flag, 0o666)
	if err != nil {
		return err
	}
	defer file.Close()
	f.truncated = flag == os.O_TRUNC || f.old == absent
	for f.written < len(f.new) {
		n, err := file.Write([]byte(f.new[f.written:min(len(f.new), f.written+1+size/(1+r.IntN(3)))]))
		f.written += n
		if err != nil {
			return err
		}
	}
	if flag == 0 {
		if err := file.Truncate(int64(size)); err != nil {
			return err
		}
	}
	if r.IntN(4) == 0 {
		if err := file.Sync(); err != nil {
			return err
		}
	}
	if err := file.Close(); err != nil {
		return err
	}
	c.end(who)
	return nil
}

// trigger touches .commit in a process of its own. What was acknowledged
// before has landed when it is done.
func (c *chain) trigger(m *harness.Mount) error {
	c.mu.Lock()
	c.triggers++
	must, gone := map[string]int{}, map[string]bool{}
	for _, p := range c.paths {
		if !c.half[p] && c.born[p][c.now[p]] > 0 {
			must[p], gone[p] = c.born[p][c.now[p]], c.now[p] == absent
		}
	}
	c.mu.Unlock()
	if out, err := exec.Command("touch", m.Path(c.ref, ".commit")).CombinedOutput(); err != nil {
		return fmt.Errorf("touch: %w: %s", err, out)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, when := range must {
		newest := slices.Max(slices.Collect(maps.Values(c.born[p])))
		if gone[p] && newest > when || c.born[p][absent] > when {
			continue // removed, and perhaps made anew: while that is half written the commit keeps what stood there (promise 3)
		}
		c.promised[p] = max(c.promised[p], when)
	}
	return nil
}

// ages tells of the versions of a path, for a failure.
func (c *chain) ages(p string) map[string]int {
	out := map[string]int{}
	for data, when := range c.born[p] {
		first, _, _ := strings.Cut(data, "\n")
		out[first] = when
	}
	return out
}

// history reads the commits that came, and holds them against the manifest:
// whole versions, each path and version once, all that was promised.
func (c *chain) history(t *testing.T) {
	t.Helper()
	c.s.Peer.Finished(t, c.ref)
	for _, info := range c.s.Peer.Commits(t, c.ref, c.head) {
		id := info.Commit.Id
		tree := c.s.Peer.Tree(t, c.ref, id)
		for p, op := range c.s.Peer.Diff(t, c.ref, id) {
			if op == "-" {
				continue
			}
			key := [2]string{p, tree[p]}
			if _, mine := c.born[strings.TrimPrefix(p, "/")][tree[p]]; !mine || !whole(tree[p]) {
				t.Errorf("commit %s: %s is %s, which nobody wrote, or not to its end", id, p, brief(tree[p]))
			}
			if first := c.landed[key]; first != "" {
				t.Errorf("%s landed as %s in %s, and again in %s", p, brief(tree[p]), first, id)
			}
			c.landed[key] = id
		}
		c.made++
		c.head = id
	}
	if c.made > c.triggers {
		t.Errorf("%d commits for %d triggers", c.made, c.triggers)
	}
	tree := c.s.Peer.Tree(t, c.ref, "")
	for p, when := range c.promised {
		is, ok := tree["/"+p]
		if !ok {
			is = absent
		}
		if c.born[p][is] < when {
			t.Errorf("a trigger said that it has landed what %s was at %d; there is %s of %d; versions: %v", p, when, brief(is), c.born[p][is], c.ages(p))
		}
	}
}
