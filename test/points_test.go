package test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pachfs/staging"
	"pachfs/test/harness"
)

// A target is a moment at which a daemon is to die: it kills itself at a point
// of staging, or is killed at a point of a call.
type target struct {
	name  string
	point bool
	trap  harness.Trap
}

// targets are all of them.
func targets() []target {
	var out []target
	for _, p := range staging.Points {
		out = append(out, target{name: p, point: true})
	}
	for _, c := range []struct {
		method string
		points []harness.Point
	}{
		{"CreateFileSet", []harness.Point{harness.Asking, harness.Asked}},
		{"ModifyFile", []harness.Point{harness.Arriving, harness.Asking, harness.Asked, harness.Answered}},
		{"InspectCommit", []harness.Point{harness.Asked}},
		{"EditMetadata", []harness.Point{harness.Arriving, harness.Asked}},
	} {
		for _, at := range c.points {
			out = append(out, target{name: fmt.Sprint(c.method, "/", at), trap: harness.Trap{Method: c.method, Point: at, After: 1}})
		}
	}
	return out
}

// A plan hands out targets, the one that was hit least first.
type plan struct {
	mu    sync.Mutex
	r     *rand.Rand
	all   []target
	given map[string]int
	hits  map[string]int
	most  map[string]int // how often a point is passed in a round, as far as is known
	want  int            // hits in all
}

func (p *plan) next() (tg target, nth int, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum, least := 0, 1
	for _, tg := range p.all {
		sum += p.hits[tg.name]
		least = min(least, p.hits[tg.name])
	}
	if sum >= p.want && (least > 0 || sum >= 2*p.want) {
		return tg, 0, false
	}
	p.r.Shuffle(len(p.all), func(i, j int) { p.all[i], p.all[j] = p.all[j], p.all[i] })
	tg = slices.MinFunc(p.all, func(a, b target) int { return p.given[a.name] - p.given[b.name] })
	p.given[tg.name]++
	return tg, 1 + p.r.IntN(max(2, p.most[tg.name])), true
}

// told learns how it went: the next time it may be later, or must be sooner.
func (p *plan) told(tg target, nth int, hit bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if hit {
		p.hits[tg.name]++
		p.most[tg.name] = min(200, max(p.most[tg.name], 2*nth))
	} else {
		p.given[tg.name]--
		p.most[tg.name] = nth / 2
	}
}

func (p *plan) seed() *rand.Rand {
	p.mu.Lock()
	defer p.mu.Unlock()
	return rand.New(rand.NewPCG(p.r.Uint64(), 0))
}

// chains are mounts that are killed beside each other: some wait, after a kill,
// for the deadline of a call that was never made.
const chains = 10

// kill -9 at every named point, over and over: what was acknowledged is there
// after the next start, and in the branch's history exactly once (promises 4 and 8).
func TestKillPoints(t *testing.T) {
	p := &plan{r: random(t), all: targets(), given: map[string]int{}, hits: map[string]int{}, most: map[string]int{}, want: *kills}
	if testing.Short() {
		p.want = len(p.all)
	}
	s := harness.Serve(t)
	var wg sync.WaitGroup
	for i := range chains {
		wg.Go(func() {
			t.Run(fmt.Sprint("chain", i), func(t *testing.T) { p.run(t, newChain(t, s, fmt.Sprint("chain", i))) })
		})
	}
	wg.Wait()
	sum := 0
	for _, tg := range p.all {
		sum += p.hits[tg.name]
		if p.hits[tg.name] == 0 {
			t.Errorf("nobody was killed at %s", tg.name)
		}
	}
	t.Logf("%d kills:", sum)
	for _, name := range slices.Sorted(maps.Keys(p.hits)) {
		t.Logf("  %-18s %d", name, p.hits[name])
	}
}

func (p *plan) run(t *testing.T, c *chain) {
	for !t.Failed() {
		tg, nth, more := p.next()
		if !more {
			break
		}
		t.Run(fmt.Sprintf("%s:%d", tg.name, nth), func(t *testing.T) { p.told(tg, nth, c.round(t, p.seed(), tg, nth)) })
	}
	t.Run("end", func(t *testing.T) { c.finish(t, p.seed()) })
	t.Logf("%d triggers, %d commits, %d versions landed of %d", c.triggers, c.made, len(c.landed), c.next.Load())
}

// round mounts, verifies, and works until the daemon dies at the target. It
// says whether it did; if not, the mount has ended in good order.
func (c *chain) round(t *testing.T, r *rand.Rand, tg target, nth int) (hit bool) {
	spec := c.spec
	if tg.point {
		spec.Env = []string{fmt.Sprintf("PACHFS_KILL_AT=%s:%d", tg.name, nth)}
	}
	m := harness.StartMount(t, spec)
	if !tg.point {
		trap := tg.trap
		trap.Do = func() { m.Cmd.Process.Kill(); m.Within(20 * time.Second) }
		c.relay.Set(&trap)
		defer c.relay.Set(nil)
	}
	harness.Eventually(t, 30*time.Second, "the mount is there", func() bool { return m.Out() != "" || m.Exited() })
	if m.Connect(t) && !m.Exited() {
		c.work(t, r, m, 300*time.Millisecond)
	}
	if m.Exited() {
		hit = m.Code() == 128+int(syscall.SIGKILL)
		if said := strings.Contains(m.Log(), "killed at "+tg.name); tg.point && hit != said || !hit && m.Code() != 0 {
			t.Errorf("exit %d, killed at %s: %v; its log:\n%s", m.Code(), tg.name, said, m.Log())
		}
	}
	m.Close(t)
	c.history(t)
	return hit
}

// work lets writers and triggers go for a while, then unmounts. Each of them
// may find that the daemon is gone.
func (c *chain) work(t *testing.T, r *rand.Rand, m *harness.Mount, long time.Duration) {
	fails := func(what string, err error) {
		if err != nil && !m.Within(10*time.Second) {
			t.Errorf("%s, and pachfs lives: %v", what, err)
		}
	}
	if err := c.verify(t, m); err != nil {
		fails("read", err)
		return
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range chainWriters {
		r := rand.New(rand.NewPCG(r.Uint64(), 0))
		wg.Go(func() { fails("write", c.write(r, m, w, &stop)) })
	}
	pause := rand.New(rand.NewPCG(r.Uint64(), 1))
	wg.Go(func() {
		for !stop.Load() && !m.Exited() {
			time.Sleep(time.Duration(20+pause.IntN(100)) * time.Millisecond)
			fails("trigger", c.trigger(m))
		}
	})
	m.Within(long)
	stop.Store(true)
	wg.Wait()
	if !m.Exited() {
		c.triggers++ // the unmount
		m.Signal(t, syscall.SIGTERM)
		m.Within(60 * time.Second)
		if m.Code() == 0 {
			clear(c.flights)
		}
	}
}

// finish mounts once more: all is there, and lands, and nothing stays behind.
func (c *chain) finish(t *testing.T, r *rand.Rand) {
	m := harness.MountSpec(t, c.spec)
	c.work(t, r, m, 0)
	m.Exit(t, time.Minute, 0)
	m.Close(t)
	c.history(t)
	want := map[string]string{"/start": "start"}
	for p, is := range c.now {
		if is != absent {
			want["/"+p] = is
		}
	}
	same(t, "in the end", c.s.Peer.Tree(t, c.ref, ""), want)
	if left := m.Staged(t); len(left) > 0 {
		t.Errorf("%d content files are left in the state directory", len(left))
	}
}
