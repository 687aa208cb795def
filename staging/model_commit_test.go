package staging_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"pachfs/pachclient"
	"pachfs/pachclient/clienttest"
)

// A trigger is a commit that was asked for, and what must come of it.
type trigger struct {
	m    *model
	ours tree // what it takes of everything
	on   tree // what that is to be told apart from
	made int  // the commit that came of it, in the reference; 0: none yet
}

// topLayer is the number of the layer that takes changes.
func (m *model) topLayer() (n uint64) {
	m.t.Helper()
	names, err := filepath.Glob(filepath.Join(m.stage.Dir(), m.o.BranchDir(), "layer-*"))
	m.must(err)
	for _, name := range names {
		var seq uint64
		if _, err := fmt.Sscanf(filepath.Base(name), "layer-%d", &seq); err != nil {
			m.t.Fatal(err)
		}
		n = max(n, seq)
	}
	return n
}

// trigger is to be called before anything is asked for.
func (m *model) trigger() *trigger { return &trigger{m: m, ours: m.ref.takes(), on: m.ref.landsOn()} }

// sealed notes that a line was drawn, if it was.
func (g *trigger) sealed() {
	m := g.m
	if top := m.topLayer(); top > m.top {
		m.top = top
		for p, f := range m.ref.files {
			if !f.complete && m.ref.below.files[p] != "" {
				m.rare("waits over a commit")
			} else if f.complete && f.half() {
				m.rare("committed as it was")
			}
		}
		m.ref.seal()
	}
}

// look holds the branch's history against the list, with the commit of the
// trigger as its only new one: it must make a difference, and be as predicted.
func (g *trigger) look() {
	m, r := g.m, g.m.ref
	m.t.Helper()
	ids := m.ids()
	slices.Reverse(ids)
	n := len(r.commits)
	ids = ids[slices.Index(ids, r.commits[0].id):]
	if len(ids) < n || len(ids) > n+1 || len(ids) == n+1 && g.made > 0 {
		m.t.Fatalf("%d commits on the branch, want %d", len(ids), n)
	}
	for i, c := range r.commits {
		if c.id != ids[i] {
			m.t.Fatalf("commit %d is %s, want %s", i, ids[i], c.id)
		}
	}
	if len(ids) == n {
		return
	}
	want, differs := g.lands()
	if !differs {
		m.t.Fatal("a commit that changes nothing")
	}
	m.same("the commit", m.treeOf(pachclient.Commit{Branch: m.branch, ID: ids[n]}), want)
	t := refTree{want, dirsOf(want, r.below.dirs...)}
	r.commits = append(r.commits, refCommit{id: ids[n], refTree: t, layer: r.layer - 1})
	g.made, r.pending = n, n
}

// lands gives the tree of the commit that the trigger makes now, and whether
// it makes a difference: otherwise there is none.
func (g *trigger) lands() (tree, bool) {
	r := g.m.ref
	head := r.head().files
	want := overlay(head, g.ours, g.on)
	return want, len(differing(want, head)) > 0
}

// done is the end of a trigger that succeeded.
func (g *trigger) done() {
	g.m.t.Helper()
	g.look()
	if _, differs := g.lands(); differs && g.made == 0 {
		g.m.t.Fatal("no commit")
	}
	g.m.ref.landed = max(g.m.ref.landed, g.m.ref.layer-1)
	g.settle(true)
	if g.made == 0 { // no commit is needed for directories, which the mount remembers
		r := g.m.ref
		r.commits[r.base].dirs = dirsOf(r.commits[r.base].files, r.below.dirs...)
	}
	if !slices.ContainsFunc(values(g.m.ref.files), func(f *refFile) bool { return !f.clean || !f.complete }) {
		if !g.m.busy && g.m.ref.layer-1 == g.m.ref.landed && g.m.handles == nil && len(g.m.ref.named) == 0 {
			g.m.clean()
		}
	}
}

func values[K comparable, V any](in map[K]V) (out []V) {
	for _, v := range in {
		out = append(out, v)
	}
	return out
}

// settle takes over where the base is: at one of the commits that it may be.
func (g *trigger) settle(done bool) {
	m, r := g.m, g.m.ref
	m.t.Helper()
	id := m.o.Base().Commit.ID
	at := slices.IndexFunc(r.commits, func(c refCommit) bool { return c.id == id })
	if at < r.base || done && at < max(g.made, r.pending) {
		m.t.Fatalf("the base is %s, number %d, after %d (made %d, not heard of %d)", id, at, r.base, g.made, r.pending)
	}
	if done {
		r.pending = 0
	}
	r.rebase(at)
	if r.pending > 0 {
		m.rare("landing not heard of")
	}
}

func (m *model) commit() {
	m.did("commit")
	m.land(func() error { _, err := m.o.Commit(m.t.Context(), ""); return err })
}

// land is a trigger that must succeed.
func (m *model) land(commit func() error) {
	m.t.Helper()
	g := m.trigger()
	m.must(commit())
	g.sealed()
	g.done()
}

// commitUnheard is a commit with one answer lost on the way.
func (m *model) commitUnheard() {
	op := draw(m, "call", []string{"Upload", "Walk", "Branch", "Land", "Wait", "Diff", "Annotate"})
	m.did("answer lost, of %s", op)
	m.Fail(op, clienttest.After, 1, pachclient.ErrUnavailable)
	before := m.Calls(op)
	m.land(func() error { _, err := m.o.Commit(m.t.Context(), ""); return err })
	if m.Calls(op) > before {
		m.rare("answer lost")
	}
	m.Heal()
}

func (m *model) commitFails() {
	op := draw(m, "call", []string{"Upload", "Walk", "Branch", "Land"})
	m.did("commit with a fault at %s", op)
	m.Fail(op, clienttest.Before, 1, errOther)
	g := m.trigger()
	_, err := m.o.Commit(m.t.Context(), "")
	m.Heal()
	g.sealed()
	if err == nil { // it did without the call
		g.done()
		return
	}
	m.is(err, errOther)
	m.rare("commit fails")
	g.look()
	if g.made > 0 {
		m.t.Fatalf("a commit, and the error %v", err)
	}
	g.settle(false)
}

// commitAndGoOn is a landing with changes meanwhile, which some call of it
// waits for; now and then it is killed there.
func (m *model) commitAndGoOn() {
	ops := []string{"Land", "Land", "Wait", "Annotate"}
	if m.ref.layer-1 == m.ref.landed { // else these may be called before the line is drawn
		ops = append(ops, "Upload", "Walk")
	}
	op := draw(m, "call", ops)
	g, gate := m.trigger(), m.stop(op)
	l := m.begin("")
	defer func() { gate.release(); <-l.done }()
	select {
	case <-gate.at:
	case <-l.done:
		m.did("commit without a call of %s", op)
		m.OnCall(op, func() {})
		m.must(l.err)
		g.sealed()
		g.done()
		return
	}
	m.did("commit, and at %s:", op)
	g.sealed()
	g.look()
	g.settle(false) // what was not heard of may be found by now
	m.busy = true
	landing := slices.Collect(maps.Keys(m.ref.named))
	if m.number("foreign commit", 3) == 2 {
		m.did("foreign commit during ours")
		m.rare("foreign commit during ours")
		m.putForeign(tree{m.foreignPath("/"): "meanwhile"})
	}
	for range 1 + m.number("steps", 8) {
		m.step()
		m.compare()
	}
	var conflict []string
	if op == "Land" && m.number("conflict", 4) > 0 {
		conflict = m.collideAbove(landing)
	}
	if op == "Land" || m.number("kill", 3) < 2 {
		m.did("commit ends")
		m.rare("commit ends")
		gate.release()
		l.end()
		m.busy = false
		g.done()
		m.resolveAbove(conflict)
		return
	}
	m.did("kill in this commit")
	m.rare("kill in this commit")
	dir, old := m.cp(), m.stage
	for _, any := range calls {
		m.Fail(any, clienttest.Before, -1, errKilled)
	}
	gate.release()
	<-l.done
	m.busy = false
	m.restart(dir, nil)
	m.must(old.Close())
	g.look()
	g.settle(false)
}
