package staging_test

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pachfs/pachclient/embedded"
	"pachfs/staging"
)

var (
	modelSeed  = flag.Uint64("seed", 0, "of the random tests; 0: another one each time")
	modelSteps = flag.Int("steps", modelDefault, "of the model test, at least; -short does 300")
)

// A model is a branch beside a reference that says what it must show and land.
// What happens is drawn by rapid, so that a failure shrinks.
type model struct {
	*bench
	rt      *rapid.T
	ref     *reference
	handles []*modelHandle
	top     uint64 // the number of the top layer
	others  int    // commits by somebody else
	busy    bool   // a landing is under way
	steps   int
	tried   map[string]int
}

// A modelT makes a testing.T of a rapid.T, as far as the rig needs one.
type modelT struct{ *rapid.T }

func (t modelT) TempDir() string { return memory(t) }

// What is rare enough to be missed, and must not be.
var modelRare = []string{"commit ends", "kill in this commit", "kill in a commit", "commit fails", "answer lost",
	"foreign commit", "foreign commit during ours", "conflict above a landing", "conflict, ours", "conflict, theirs", "conflict, discard", "conflict, discard all",
	"landing not heard of", "half-written after a kill", "waits over a commit", "committed as it was"}

// Random operations, commits of ours and of others, faults and kills: after each
// the mount shows what it must, and each commit is the one that was predicted
// (promises 1, 2, 3, 4, 6 and 8).
func TestModel(t *testing.T) {
	t.Parallel()
	seed, steps := *modelSeed, *modelSteps
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	if testing.Short() {
		steps = min(steps, 300)
	}
	t.Logf("go test ./staging -run 'TestModel$' -seed %d -steps %d", seed, steps)
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	set := func(name, value string) {
		if name = "rapid." + name; !given[name] {
			if err := flag.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	set("steps", "100")
	set("checks", "10")
	set("nofailfile", "true")
	total, tried := 0, map[string]int{}
	for round := uint64(0); total < steps; round++ {
		set("seed", strconv.FormatUint(seed+1000*round, 10))
		rapid.Check(t, func(rt *rapid.T) {
			m := newModel(rt, tried)
			defer func() { total += m.steps }()
			rt.Repeat(map[string]func(*rapid.T){"": func(*rapid.T) { m.compare() }, "step": func(*rapid.T) { m.step() }})
		})
	}
	t.Logf("%d steps", total)
	for _, what := range modelRare {
		t.Logf("%4d × %s", tried[what], what)
		if tried[what] == 0 && total >= 5000 {
			t.Errorf("never tried: %s", what)
		}
	}
}

func newModel(rt *rapid.T, tried map[string]int) *model {
	m := &model{rt: rt, tried: tried, bench: benchOn(modelT{rt}, embedded.Options{}, staging.NoLooks)} // when it looks at the head is drawn, too
	first := tree{}
	for i := range 8 {
		p := fmt.Sprintf("/%c/%c%d", "abc"[i%3], "xy"[i%2], i%2)
		first[p] = strings.Repeat(p, 1+i)
	}
	c := m.foreign(first)
	m.ref = newReference(c.ID, first)
	m.follows(c)
	m.top = m.topLayer()
	return m
}

// did notes a step. The note is printed when the failure is replayed.
func (m *model) did(format string, args ...any) {
	m.steps++
	m.rt.Logf(format, args...)
}

func (m *model) rare(what string) { m.tried[what]++ }

// compare holds the whole tree, every open handle, the base and what is being
// written against the reference.
func (m *model) compare() {
	m.t.Helper()
	m.follow()
	m.same("mount", m.mounted(), m.ref.shown())
	for i, h := range m.handles {
		if got := m.slurp(h.f); got != string(h.m.b) {
			m.t.Fatalf("handle %d reads %.60q, want %.60q", i, got, h.m.b)
		}
	}
	m.must(m.stage.Check())
	if len(m.handles) == 0 {
		m.noLeftovers()
	}
	st := m.o.Status()
	for p, f := range m.ref.files {
		switch named := slices.Contains(st.Writing, p); {
		case named && f.complete && f.clean:
			m.t.Fatalf("%s is complete, and the status says it is being written", p)
		case !named && f.half():
			m.t.Fatalf("%s is half-written, and the status names %v", p, st.Writing)
		}
	}
	if len(st.Conflicts) > 0 {
		m.t.Fatalf("in conflict: %v", st.Conflicts)
	}
}

// follow lets the base follow the head, as it must unless a commit's fate is
// not known.
func (m *model) follow() {
	m.t.Helper()
	if m.busy {
		return
	}
	m.must(m.o.Follow(m.t.Context()))
	if m.ref.pending == 0 {
		m.ref.rebase(len(m.ref.commits) - 1)
	}
	if got, want := m.o.Base().Commit.ID, m.ref.commits[m.ref.base].id; got != want {
		m.t.Fatalf("the base is %s, want %s", got, want)
	}
}

// draw gives one of the choices; the first is the simplest.
func draw[V any](m *model, label string, from []V) V {
	return rapid.SampledFrom(from).Draw(m.rt, label)
}

func (m *model) number(label string, below int) int {
	return rapid.IntRange(0, below-1).Draw(m.rt, label)
}
