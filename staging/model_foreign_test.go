package staging_test

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"pachfs/staging"
)

// putForeign is a commit by somebody else.
func (m *model) putForeign(files tree, deletes ...string) {
	m.t.Helper()
	c := m.foreign(files, deletes...)
	r := m.ref
	now := maps.Clone(r.head().files)
	maps.Copy(now, files)
	for _, p := range deletes {
		delete(now, p)
	}
	theirs := append(slices.Sorted(maps.Keys(files)), deletes...)
	r.commits = append(r.commits, refCommit{id: c.ID, refTree: refTree{now, dirsOf(now, r.head().dirs...)}, theirs: theirs})
}

// foreignPath is a new path in a directory, that nobody else takes.
func (m *model) foreignPath(dir string) string {
	m.others++
	return path.Join(dir, fmt.Sprintf("foreign%d", m.others))
}

// foreignAny is a commit by somebody else where nothing is staged: a new file,
// or a change or an end of one that is there. The base follows it.
func (m *model) foreignAny() {
	m.rare("foreign commit")
	p, r := m.anyFile(), m.ref
	if base, ok := r.commits[r.base].files[p]; p == "" || r.pending > 0 || !ok || base != string(r.files[p].b) ||
		!r.untouched(p) || m.writing(p) || !r.files[p].clean {
		p = m.foreignPath("/")
		m.did("foreign commit of %s", p)
		m.putForeign(tree{p: "new"})
		return
	}
	switch m.number("kind of foreign commit", 3) {
	case 1:
		if m.hasNeighbour(p) {
			m.did("foreign commit without %s", p)
			m.putForeign(nil, p)
			return
		}
	case 2:
		if q := m.foreignPath(path.Dir(p)); r.untouched(q) {
			m.did("foreign commit of %s", q)
			m.putForeign(tree{q: "new"})
			return
		}
	}
	m.others++
	m.did("foreign commit of %s", p)
	m.putForeign(tree{p: fmt.Sprintf("the %dth foreign commit", m.others)})
}

// hasNeighbour says whether the head has another file in the same directory,
// which would be gone from it otherwise.
func (m *model) hasNeighbour(p string) bool {
	for q := range m.ref.head().files {
		if q != p && path.Dir(q) == path.Dir(p) {
			return true
		}
	}
	return false
}

// collides says whether somebody else can't put the path: a file of the head
// is above it, or below.
func (m *model) collides(p string) bool {
	for q := range m.ref.head().files {
		if strings.HasPrefix(q, p+"/") || strings.HasPrefix(p, q+"/") {
			return true
		}
	}
	return false
}

// conflictAny is a commit by somebody else on what is staged here: the trigger
// fails and names the paths, whatever was killed since; then it is resolved.
func (m *model) conflictAny() {
	r := m.ref
	if r.pending > 0 {
		return
	}
	candidates := slices.DeleteFunc(r.staged(), m.collides)
	if len(candidates) == 0 {
		return
	}
	var paths []string
	for range 1 + m.number("second", 2) {
		if p := draw(m, "conflict", candidates); !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	m.collide(paths)
	g := m.trigger()
	_, err := m.o.Commit(m.t.Context(), "")
	m.is(err, staging.ErrConflict)
	for _, p := range paths {
		if !strings.Contains(err.Error(), p) {
			m.t.Fatalf("%s is not named: %v", p, err)
		}
	}
	g.sealed()
	g.look()
	if g.made > 0 {
		m.t.Fatal("a commit in spite of the conflict")
	}
	if m.number("kill", 3) == 2 {
		m.did("  kill")
		m.killPlainly()
	}
	m.inConflict(paths)
	m.resolve(paths)
}

// collide makes somebody else's commit on paths that are staged here, and
// maybe elsewhere.
func (m *model) collide(paths []string) {
	files, deletes := tree{}, []string(nil)
	ours := m.ref.takes()
	for i, p := range paths {
		_, there := m.ref.head().files[p]
		_, here := ours[p]
		if i == 0 && there && here && m.hasNeighbour(p) && m.number("delete", 3) == 2 { // its neighbour stays
			deletes = append(deletes, p)
			continue
		}
		m.others++
		files[p] = fmt.Sprintf("the %dth foreign commit", m.others)
	}
	if m.number("elsewhere", 2) == 1 {
		files[m.foreignPath("/")] = "elsewhere"
	}
	m.did("foreign commit, conflict at %v, they delete %v", paths, deletes)
	m.putForeign(files, deletes...)
	m.inConflict(paths)
}

// collideAbove makes somebody else's commit on a path that was staged since the
// line was drawn, below a landing that takes those other paths.
func (m *model) collideAbove(landing []string) []string {
	r := m.ref
	candidates := slices.DeleteFunc(differing(r.takes(), r.below.files), func(p string) bool {
		return m.collides(p) || slices.ContainsFunc(landing, func(q string) bool { return overlaps(p, q) })
	})
	if len(candidates) == 0 {
		return nil
	}
	p := draw(m, "conflict", candidates)
	m.did("foreign commit during ours, conflict at %s", p)
	m.others++
	m.putForeign(tree{p: fmt.Sprintf("the %dth foreign commit", m.others)})
	r.held = map[string]bool{p: true}
	return []string{p}
}

// resolveAbove holds the branch against what it must be after that landing,
// and ends the conflict.
func (m *model) resolveAbove(paths []string) {
	if len(paths) == 0 {
		return
	}
	m.rare("conflict above a landing")
	m.inConflict(paths)
	if m.number("kill", 3) == 2 {
		m.did("  kill")
		m.killPlainly()
		m.inConflict(paths)
	}
	m.resolve(paths)
	m.ref.held = nil
}

// inConflict says that the branch is in conflict at these paths, shows what it
// showed, and keeps its base.
func (m *model) inConflict(paths []string) {
	m.t.Helper()
	m.must(m.o.Follow(m.t.Context()))
	st := m.o.Status()
	if st.State != staging.Conflict || !slices.Equal(st.Conflicts, paths) {
		m.t.Fatalf("the branch is %s, in conflict at %v, want %v", st.State, st.Conflicts, paths)
	}
	if want := m.ref.commits[m.ref.base].id; st.Base != want {
		m.t.Fatalf("the base is %s, want %s", st.Base, want)
	}
	m.same("mount in conflict", m.mounted(), m.ref.shown())
}

func (m *model) resolve(paths []string) {
	how := []string{"ours", "discard all"}
	if !slices.ContainsFunc(paths, func(p string) bool { return !m.ref.alone(p) }) {
		how = []string{"theirs", "discard", "ours"}
	}
	by := draw(m, "by", how)
	m.did("resolved by %s", by)
	m.rare("conflict, " + by)
	switch by {
	case "ours":
		m.land(func() error { _, err := m.o.CommitBy(m.t.Context(), "", staging.Ours); return err })
		over := map[string]string{}
		for _, o := range m.o.Status().Overwritten {
			over[string(o.Path)] = o.Commit
		}
		theirs := m.ref.commits[len(m.ref.commits)-2]
		for _, p := range paths {
			if over[p] != theirs.id {
				m.t.Fatalf("%s is not named as overwritten: %v", p, over)
			}
		}
	case "theirs":
		m.giveUp(paths)
		m.land(func() error { _, err := m.o.CommitBy(m.t.Context(), "", staging.Theirs); return err })
	case "discard":
		for _, p := range paths {
			m.must(m.o.Discard(p))
		}
		m.giveUp(paths)
	case "discard all":
		m.must(m.o.Discard())
		m.ref.startFrom(m.ref.commits[m.ref.base].refTree)
	}
}

// giveUp takes out of the reference what is staged at paths.
func (m *model) giveUp(paths []string) {
	r := m.ref
	for _, p := range paths {
		delete(r.files, p) // handles keep it
		delete(r.named, p)
		r.show(p, r.commits[r.base].files)
	}
}
