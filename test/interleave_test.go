package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pachfs/test/harness"
)

// A crowd is two mounts and raw clients that commit to one branch. Every
// version of a file is one of its kind, and says whose it is and what its
// writer saw before: "who number saw\n".
type crowd struct {
	s   *harness.Server
	ref string

	raw sync.RWMutex // a raw client that holds a commit open keeps the others away: their puts would go into it

	mu       sync.Mutex
	n        int
	theirs   map[string]string  // what raw clients put, and into which path
	opened   map[string]bool    // commits that raw clients opened
	landed   map[string]string  // what mounts were told has landed, and into which path
	all      map[string]string  // every version, by its number
	reported map[[3]string]bool // who was told that his commit lies on which path of which commit
	done     map[string]int     // what happened, to be logged
}

func (c *crowd) version(who, saw string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	data := fmt.Sprintf("%s %d %s\n", who, c.n, nameOf(saw))
	c.all[nameOf(data)] = data
	return data
}

func (c *crowd) count(what string) {
	c.mu.Lock()
	c.done[what]++
	c.mu.Unlock()
}

// nameOf gives the number of a version, "-" of none.
func nameOf(data string) string { return field(data, 1) }

func field(data string, i int) string {
	if f := strings.Fields(data); len(f) == 3 {
		return f[i]
	}
	return "-"
}

const crowdPaths = 40

func (c *crowd) path(r *rand.Rand) string { return fmt.Sprintf("/f%d", r.IntN(crowdPaths)) }

// putter is a raw client: one-off puts, and commits that it opens and finishes.
func (c *crowd) putter(t *testing.T, r *rand.Rand, who string, rounds int) {
	for range rounds {
		time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond)
		files := map[string]string{}
		for range 1 + r.IntN(2) {
			files[c.path(r)] = c.version(who, "")
		}
		if r.IntN(4) > 0 {
			c.raw.RLock()
			c.put(t, "", files)
			c.raw.RUnlock()
		} else {
			c.open(t, files, time.Duration(r.IntN(200))*time.Millisecond)
		}
	}
}

// put commits files, or puts them into a commit that is open.
func (c *crowd) put(t *testing.T, id string, files map[string]string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.s.Peer.ModifyCommit(ctx, c.ref, id, files); err != nil {
		t.Errorf("a put of somebody else's failed: %v", err)
		return
	}
	c.count("puts")
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, data := range files {
		c.theirs[data] = p
	}
}

// open opens a commit, puts into it and finishes it after a while.
func (c *crowd) open(t *testing.T, files map[string]string, after time.Duration) {
	c.raw.Lock()
	defer c.raw.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	id, err := c.s.Peer.Begin(ctx, c.ref)
	if err != nil {
		t.Errorf("somebody else opens a commit: %v", err)
		return
	}
	c.count("commits opened by others")
	c.mu.Lock()
	c.opened[id] = true
	c.mu.Unlock()
	c.put(t, id, files)
	time.Sleep(after)
	if err := c.s.Peer.End(ctx, c.ref, id); err != nil {
		t.Errorf("somebody else finishes a commit: %v", err)
	}
}

// A member is a mount of the crowd and who works in it.
type member struct {
	c      *crowd
	who    string
	bin    string // pachfs
	m      *harness.Mount
	staged map[string]string // by path, since the last commit
}

// work edits files as people do, who read what they change, and commits now and
// then. What is in conflict is given up.
func (a *member) work(t *testing.T, r *rand.Rand, rounds int) {
	for range rounds {
		for range 1 + r.IntN(3) {
			p := a.c.path(r)
			if err := a.edit(p); err != nil {
				t.Errorf("%s edits %s: %v", a.who, p, err)
			}
			time.Sleep(time.Duration(r.IntN(30)) * time.Millisecond)
		}
		a.commit(t)
	}
	for range 50 { // until all has landed
		if a.commit(t) {
			return
		}
	}
	t.Errorf("%s: what is staged does not land: %+v", a.who, a.m.Status(t, a.c.ref))
}

func (a *member) edit(p string) error {
	f, err := os.OpenFile(a.m.Path(a.c.ref, p), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	saw, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	data := a.c.version(a.who, string(saw))
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(data), 0); err != nil {
		return err
	}
	a.staged[p] = data
	return f.Close()
}

// commit says whether all that was staged has landed. A failed trigger that
// names conflicts has them discarded.
func (a *member) commit(t *testing.T) bool {
	r, err := harness.Run("", "touch", a.m.Path(a.c.ref, ".commit"))
	st, unread := a.m.ReadStatus(a.c.ref)
	if err := errors.Join(err, unread); err != nil {
		t.Errorf("%s: %v", a.who, err)
		return false
	}
	a.c.mu.Lock()
	for _, o := range st.Overwritten {
		a.c.reported[[3]string{a.who, o.Path, o.Commit}] = true
	}
	if r.Code == 0 {
		for p, data := range a.staged {
			a.c.landed[data] = p
		}
		clear(a.staged)
	}
	a.c.mu.Unlock()
	if r.Code == 0 {
		a.c.count("triggers that landed")
		return true
	}
	if !strings.Contains(r.Err, "busy") {
		t.Errorf("%s: %v; %+v", a.who, r, st)
	}
	a.c.count("triggers that named a conflict, or an open commit")
	for _, p := range st.Conflicts {
		a.discard(t, p)
	}
	return false
}

// discard gives up a path that is in conflict.
func (a *member) discard(t *testing.T, p string) {
	a.c.count("conflicts named")
	r, err := harness.Run("", a.bin, "discard", a.m.Path(a.c.ref, p))
	for end := time.Now().Add(20 * time.Second); strings.Contains(r.Err, "under way") && time.Now().Before(end); { // it looks for a new head
		time.Sleep(20 * time.Millisecond)
		r, err = harness.Run("", a.bin, "discard", a.m.Path(a.c.ref, p))
	}
	if err != nil || r.Code != 0 {
		t.Errorf("%s: discard %s: %v, %v", a.who, p, r, err)
	}
	delete(a.staged, p)
}

// collides is a conflict that is no matter of chance: somebody else puts what
// is staged here. The trigger names it, and it alone.
func (a *member) collides(t *testing.T) {
	t.Helper()
	const p = "/f0"
	ok(t, a.edit(p))
	a.c.put(t, "", map[string]string{p: a.c.version("putter", "")})
	a.c.s.Peer.Finished(t, a.c.ref)
	before := a.c.done["conflicts named"]
	if a.commit(t) {
		t.Errorf("%s: what is staged landed over what somebody else had put before", a.who)
	}
	if n := a.c.done["conflicts named"] - before; n != 1 {
		t.Errorf("%s: %d conflicts were named, want %s", a.who, n, p)
	}
}

// Two mounts and raw clients commit to one branch at random: nobody is
// overwritten in silence, every staged change lands or is reported, no put of
// theirs fails, is lost or moves into a commit of ours (promise 6).
func TestInterleaved(t *testing.T) {
	rounds := *interleavings
	if testing.Short() {
		rounds = 5
	}
	r := random(t)
	s := harness.Serve(t)
	c := &crowd{s: s, ref: s.Ref("crowd@master"), theirs: map[string]string{}, opened: map[string]bool{}, landed: map[string]string{},
		all: map[string]string{}, reported: map[[3]string]bool{}, done: map[string]int{}}
	s.Peer.Create(t, s.Ref("crowd"))
	first := s.Peer.PutWait(t, c.ref, map[string]string{"/start": "start"})
	var members []*member
	var wg sync.WaitGroup
	for _, who := range []string{"one", "two"} {
		a := &member{c: c, who: who, bin: harness.Binary(t), staged: map[string]string{},
			m: harness.MountSpec(t, harness.Spec{URL: s.URL, Deadline: 10 * time.Minute})}
		members = append(members, a)
		r := rand.New(rand.NewPCG(r.Uint64(), 0))
		wg.Go(func() { a.work(t, r, rounds) })
	}
	for _, who := range []string{"putter", "other"} {
		r := rand.New(rand.NewPCG(r.Uint64(), 0))
		wg.Go(func() { c.putter(t, r, who, 2*rounds) })
	}
	wg.Wait()
	for _, a := range members {
		a.collides(t)
	}
	s.Peer.Finished(t, c.ref)
	c.history(t, first)
	want := s.Peer.Tree(t, c.ref, "")
	for _, a := range members {
		harness.Eventually(t, 20*time.Second, a.who+" shows the head", func() bool {
			for p, data := range want {
				if b, err := os.ReadFile(a.m.Path(c.ref, p)); err != nil && !errors.Is(err, fs.ErrNotExist) || string(b) != data {
					return false
				}
			}
			return true
		})
		a.m.Stop(t, 0)
	}
	t.Log(c.done)
	if c.done["triggers that landed"] < rounds {
		t.Error("hardly anything landed")
	}
}

// history walks the branch and holds each commit against what everybody was told.
func (c *crowd) history(t *testing.T, first string) {
	seen := map[string]string{} // a version -> the commit
	parent, tree := first, c.s.Peer.Tree(t, c.ref, first)
	for _, info := range c.s.Peer.Commits(t, c.ref, first) {
		id := info.Commit.Id
		next := c.s.Peer.Tree(t, c.ref, id)
		var whose []string
		for p := range c.s.Peer.Diff(t, c.ref, id) {
			data := next[p]
			if other := seen[data]; other != "" {
				t.Errorf("%q of %s landed in %s and in %s", data, p, other, id)
			}
			seen[data] = id
			who := field(data, 0)
			whose = append(whose, who)
			if who == "one" || who == "two" {
				c.overwrites(t, id, parent, who, p, tree[p], data)
			}
		}
		slices.Sort(whose)
		if whose = slices.Compact(whose); len(whose) > 1 && !c.opened[id] {
			t.Errorf("commit %s holds changes of %v", id, whose)
		}
		parent, tree = id, next
	}
	for _, told := range []map[string]string{c.theirs, c.landed} {
		for data, p := range told {
			if seen[data] == "" {
				t.Errorf("%q was acknowledged for %s and is in no commit", data, p)
			}
		}
	}
}

// overwrites looks at a version that a mount laid over another: its writer saw
// that one, or one of his own on top of it, or was told.
func (c *crowd) overwrites(t *testing.T, id, parent, who, p, old, data string) {
	saw := field(data, 2)
	for saw != nameOf(old) && field(c.all[saw], 0) == who {
		saw = field(c.all[saw], 2)
	}
	if saw == nameOf(old) {
		return
	}
	if c.count("overwritten in the same instant, and told"); c.reported[[3]string{who, p, parent}] {
		return
	}
	t.Errorf("commit %s of %s: %s was %q in %s, which the writer of %q had not seen, and nobody was told: %v", id, who, p, old, parent, data, c.reported)
}
