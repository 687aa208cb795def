package test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/remote"
	"pachfs/staging"
	"pachfs/test/harness"
)

// A branchDir is a branch as somebody works in it: a mount, or what is below one.
type branchDir interface {
	Write(p, data string) error // anew
	Append(p, data string) error
	Remove(p string) error
	Rename(from, to string) error
	Commit() error
}

// overlay is a branch without the kernel. Paths have no slash at their start.
type overlay struct{ *staging.Overlay }

func (o overlay) Write(p, data string) error {
	ctx := context.Background()
	f, err := o.Open(ctx, "/"+p, true)
	if err != nil {
		f, err = o.Create(ctx, "/"+p, staging.Attr{})
	}
	if err != nil {
		return err
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(data), 0)
	}
	return errors.Join(err, f.Close(true))
}

func (o overlay) Append(p, data string) error {
	f, err := o.Open(context.Background(), "/"+p, true)
	if err != nil {
		return err
	}
	_, err = f.Append([]byte(data))
	return errors.Join(err, f.Close(true))
}

func (o overlay) Remove(p string) error { return o.Overlay.Remove(context.Background(), "/"+p) }

func (o overlay) Rename(from, to string) error {
	return o.Overlay.Rename(context.Background(), "/"+from, "/"+to)
}

func (o overlay) Commit() error {
	_, err := o.Overlay.Commit(context.Background(), "message")
	return err
}

// mounted is a branch directory of a mount.
type mounted string

func (m mounted) Write(p, data string) error {
	return os.WriteFile(string(m)+"/"+p, []byte(data), 0o666)
}

func (m mounted) Append(p, data string) error {
	f, err := os.OpenFile(string(m)+"/"+p, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(data)
	return errors.Join(err, f.Close())
}

func (m mounted) Remove(p string) error { return os.Remove(string(m) + "/" + p) }

func (m mounted) Rename(from, to string) error {
	return os.Rename(string(m)+"/"+from, string(m)+"/"+to)
}

func (m mounted) Commit() error {
	if out, err := exec.Command("touch", string(m)+"/.commit").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// A faultBench is one branch on a server of its own, behind a relay.
type faultBench struct {
	t     *testing.T
	r     *rand.Rand
	s     *harness.Server
	relay *harness.Relay
	ref   string
	dir   branchDir
	files map[string]string // what the branch holds when all has landed
	n     int
}

func newFaultBench(t *testing.T, r *rand.Rand) *faultBench {
	s := harness.ServeOwn(t)
	b := &faultBench{t: t, r: r, s: s, relay: harness.NewRelay(t, s), ref: s.Ref("a@master"), files: map[string]string{"/start": "start"}}
	s.Peer.Create(t, "a")
	s.Peer.PutWait(t, b.ref, b.files)
	return b
}

// stage opens the branch without a mount.
func (b *faultBench) stage(commit, land time.Duration) {
	ctx := b.t.Context()
	c, err := remote.Dial(ctx, remote.Config{Address: b.relay.URL})
	ok(b.t, err)
	who, err := c.Cluster(ctx)
	ok(b.t, err)
	st, err := staging.Open(b.t.TempDir(), staging.Options{Client: c, Deployment: who.Deployment, Host: "bench", CommitTimeout: commit, LandTimeout: land})
	ok(b.t, err)
	b.t.Cleanup(func() {
		if err := errors.Join(st.Close(), c.Close()); err != nil {
			b.t.Error(err)
		}
	})
	o, err := st.Overlay(ctx, pachclient.Branch{Project: "default", Repo: "a", Name: "master"})
	ok(b.t, err)
	b.dir = overlay{o}
}

// change does a few things to the branch, at least one that makes a difference.
func (b *faultBench) change() {
	b.t.Helper()
	write := func(p string) {
		b.n++
		data := fmt.Sprintf("%d %s", b.n, noise(b.r, b.r.IntN(3000)))
		ok(b.t, b.dir.Write(p, data))
		b.files["/"+p] = data
	}
	write(fmt.Sprintf("f%d", b.r.IntN(10)))
	for range b.r.IntN(4) {
		some := slices.Sorted(maps.Keys(b.files))
		p := strings.TrimPrefix(some[b.r.IntN(len(some))], "/")
		switch b.r.IntN(4) {
		case 0:
			write(fmt.Sprintf("f%d", b.r.IntN(10)))
		case 1:
			ok(b.t, b.dir.Append(p, "more"))
			b.files["/"+p] += "more"
		case 2:
			if len(b.files) > 2 {
				ok(b.t, b.dir.Remove(p))
				delete(b.files, "/"+p)
			}
		case 3:
			b.n++
			to := fmt.Sprintf("moved%d", b.n)
			ok(b.t, b.dir.Rename(p, to))
			b.files["/"+to] = b.files["/"+p]
			delete(b.files, "/"+p)
		}
	}
}

// changed gives what DiffFile must say of the way from one tree to another.
func changed(from, to map[string]string) map[string]string {
	out := map[string]string{}
	for p, data := range to {
		if old, ok := from[p]; !ok {
			out[p] = "+"
		} else if old != data {
			out[p] = "M"
		}
	}
	for p := range from {
		if _, ok := to[p]; !ok {
			out[p] = "-"
		}
	}
	return out
}

// pull changes something and commits it, with a fault on the way. The fault
// is over after it struck, or else only when the trigger has given up: heal
// ends it then. It says how often the fault struck, and what the trigger said.
func (b *faultBench) pull(what string, trap harness.Trap, heal func()) (struck int, err error) {
	t := b.t
	t.Helper()
	before, head := maps.Clone(b.files), b.s.Peer.Finished(t, b.ref)
	b.change()
	for len(changed(before, b.files)) == 0 {
		b.change()
	}
	b.relay.Set(&trap)
	err = b.dir.Commit()
	struck = b.relay.Struck()
	b.relay.Set(nil)
	if heal != nil {
		heal()
	}
	if err != nil && heal == nil {
		t.Errorf("%s: it healed, and the trigger failed: %v", what, err)
	}
	for again := err; again != nil; {
		b.s.Peer.Finished(t, b.ref)
		if n := len(b.s.Peer.Commits(t, b.ref, head)); n > 1 {
			t.Errorf("%s: %d commits of a trigger that failed", what, n)
			return struck, err
		}
		if again = b.dir.Commit(); again != nil {
			t.Logf("%s: still: %v", what, again)
			time.Sleep(100 * time.Millisecond)
		}
	}
	b.s.Peer.Finished(t, b.ref)
	made := b.s.Peer.Commits(t, b.ref, head)
	if len(made) != 1 {
		t.Errorf("%s: %d commits, want 1 (the trigger: %v)", what, len(made), err)
		return struck, err
	}
	same(t, what+": DiffFile", b.s.Peer.Diff(t, b.ref, made[0].Commit.Id), changed(before, b.files))
	same(t, what+": the head", b.s.Peer.Tree(t, b.ref, ""), b.files)
	return struck, err
}

// landingCalls are the calls of a landing.
var landingCalls = []string{"CreateFileSet", "RenewFileSet", "WalkFile", "InspectCluster", "InspectBranch", "InspectCommit", "InspectFile",
	"DiffFile", "ListCommit", "ModifyFile", "EditMetadata"}

// A tally counts, for all benches, which faults struck.
type tally struct {
	calls  []string
	mu     sync.Mutex
	left   int            // triggers to come
	given  map[string]int // by call
	struck map[string]int
	failed int // triggers that said so
	all    int
}

func newTally(n int, calls []string) *tally {
	return &tally{calls: calls, left: n, given: map[string]int{}, struck: map[string]int{}}
}

// take gives the call that the next trigger is to fail at; none: it is enough.
func (c *tally) take() (method string, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left--
	method = slices.MinFunc(c.calls, func(a, b string) int { return c.given[a] - c.given[b] })
	c.given[method]++
	return method, c.left >= 0
}

func (c *tally) add(method string, struck int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if struck == 0 {
		c.left++ // it was none
		return
	}
	c.all++
	c.struck[method]++
	if err != nil {
		c.failed++
	}
}

func (c *tally) report(t *testing.T) {
	t.Logf("%d triggers with a fault, %d of them failed; struck %v", c.all, c.failed, c.struck)
	for _, method := range c.calls {
		if c.struck[method] == 0 {
			t.Errorf("no fault struck %s", method)
		}
	}
}

// restarts are kills of the server at a point of a call, with a new one at once.
var restarts = []harness.Trap{{Point: harness.Arriving}, {Point: harness.Asking, After: 1}, {Point: harness.Asked}, {Point: harness.Answered}}

// healing gives a fault that is over once it has struck.
func (b *faultBench) healing() (string, harness.Trap) {
	i := b.r.IntN(len(faults) + len(restarts))
	if i < len(faults) {
		return faults[i].name, faults[i].trap
	}
	trap := restarts[i-len(faults)]
	trap.Do = func() { b.s.Kill(b.t); b.s.Restart(b.t) }
	return fmt.Sprint("server restarted at ", trap.Point), trap
}

// beside runs benches beside each other: most of their time they wait.
func beside(t *testing.T, r *rand.Rand, n int, fn func(b *faultBench)) {
	var wg sync.WaitGroup
	for i := range n {
		r := rand.New(rand.NewPCG(r.Uint64(), 0))
		wg.Go(func() { t.Run(fmt.Sprint(i), func(t *testing.T) { fn(newFaultBench(t, r)) }) })
	}
	wg.Wait()
}

// Whatever happens to a call of a landing, and wherever in it: once it is over,
// the trigger succeeds with one commit, of what was staged (promise 4).
func TestFaultsHeal(t *testing.T) {
	harness.NeedOwn(t)
	c := newTally(*triggers*17/20, landingCalls)
	beside(t, random(t), 8, func(b *faultBench) {
		b.stage(time.Minute, time.Second)
		for !b.t.Failed() {
			method, more := c.take()
			if !more {
				break
			}
			name, trap := b.healing()
			trap.Method = method
			struck, err := b.pull(name+" of "+method, trap, nil)
			c.add(method, struck, err)
		}
	})
	c.report(t)
}

// A fault that stays until the trigger has given up: it says so, and the next
// one finds what became of the change; one commit in all (promise 4).
func TestFaultsStay(t *testing.T) {
	harness.NeedOwn(t)
	c := newTally(*triggers/10, landingCalls)
	beside(t, random(t), 8, func(b *faultBench) {
		b.stage(time.Second, 300*time.Millisecond)
		for !b.t.Failed() {
			method, more := c.take()
			if !more {
				break
			}
			trap := harness.Trap{Method: method, Point: []harness.Point{harness.Arriving, harness.Asked, harness.Answered}[b.r.IntN(3)], Times: 1 << 20}
			name, heal := "every call cut of ", func() {}
			if b.r.IntN(2) == 0 {
				dead := false
				trap.Times = 1
				trap.Do = func() { dead = true; b.s.Kill(b.t) }
				name, heal = "server killed at ", func() {
					if dead {
						b.s.Restart(b.t)
					}
				}
			}
			struck, err := b.pull(name+method, trap, heal)
			c.add(method, struck, err)
		}
	})
	c.report(t)
	if c.failed == 0 {
		t.Error("no trigger failed")
	}
}

// The same through mounts: the server is killed at a call of the landing and
// comes again.
func TestFaultsMounted(t *testing.T) {
	harness.NeedOwn(t)
	c := newTally(*triggers/20, []string{"CreateFileSet", "WalkFile", "InspectBranch", "InspectCommit", "ModifyFile", "EditMetadata"})
	beside(t, random(t), 3, func(b *faultBench) {
		m := harness.MountSpec(b.t, harness.Spec{URL: b.relay.URL, Deadline: 5 * time.Minute})
		b.dir = mounted(m.Path(b.ref))
		for !b.t.Failed() {
			method, more := c.take()
			if !more {
				break
			}
			name, trap := b.healing()
			if method == "ModifyFile" && trap.Point < harness.Asked && trap.Delay == 0 {
				trap.Point = harness.Asked // TestWireMountLandsLater waits for the deadline of a call that was not made
			}
			trap.Method = method
			struck, err := b.pull(name+" of "+method, trap, nil)
			c.add(method, struck, err)
		}
	})
	c.report(t)
}
