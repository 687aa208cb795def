package staging_test

import (
	"slices"
)

// killInCommit is a kill at one of the points of a landing.
func (m *model) killInCommit() {
	op := draw(m, "call", []string{"Upload", "Walk", "Land", "Wait", "Diff", "Annotate"})
	m.did("kill in a commit, at %s", op)
	g, old := m.trigger(), m.stage
	if dir := m.dieAt(op, 1, op == "Land"); dir != "" {
		m.rare("kill in a commit")
		m.restart(dir, g)
		m.must(old.Close())
		g.look()
		g.settle(false)
		return
	}
	g.sealed()
	g.done()
	m.killPlainly()
}

func (m *model) killAny() {
	if m.number("reopen", 2) == 1 {
		m.did("reopen")
		dir := m.stage.Dir()
		m.must(m.stage.Close())
		m.restart(dir, nil)
		return
	}
	m.did("kill")
	m.killPlainly()
}

func (m *model) killPlainly() {
	dir, old := m.cp(), m.stage
	m.restart(dir, nil)
	m.must(old.Close())
}

// restart takes a state directory; handles are gone. The trigger, if any, may
// have drawn its line.
func (m *model) restart(dir string, g *trigger) {
	m.t.Helper()
	m.handles = nil
	m.open(dir)
	if g != nil {
		g.sealed()
	}
	m.ref.kill()
	if slices.ContainsFunc(values(m.ref.files), (*refFile).half) {
		m.rare("half-written after a kill")
	}
}

// unmount is what it is: everything closed, landed, and opened again.
func (m *model) unmount() {
	m.did("unmount")
	for len(m.handles) > 0 {
		m.closeHandle(0)
	}
	m.land(func() error { _, err := m.o.Commit(m.t.Context(), ""); return err })
	dir := m.stage.Dir()
	m.must(m.stage.Close())
	m.restart(dir, nil)
}
