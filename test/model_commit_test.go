package test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"pachfs/test/harness"
)

// settle completes what was never complete, or everything that no handle is
// open on: where the first waits is for the model of staging to tell.
func (m *model) settle(all bool) {
	for _, p := range slices.Sorted(maps.Keys(local(m.t, m.dir))) {
		if was, half := m.half[m.inode(p)]; half && (all || was == nil) {
			m.rt.Logf("  open and close %s", p)
			if _, ok := m.openBoth(p, os.O_RDWR, true); ok {
				m.closeHandle(len(m.handles) - 1)
			}
		}
	}
}

// takes is what a commit of now holds: every file as it was at its last close
// or sync (promise 3).
func (m *model) takes() map[string]string {
	out := local(m.t, m.dir)
	for p := range out {
		if was := m.half[m.inode(p)]; was != nil {
			out[p] = *was
			m.tried["half-written in a commit"]++
		}
	}
	return out
}

func (m *model) commit() {
	m.did("commit")
	m.settle(false)
	want := m.takes()
	if r := touch(m.t, m.m.Path(m.ref, ".commit")); r.Code != 0 {
		m.rt.Fatalf("touch .commit: %v\n%s", r, read(m.t, m.m.Path(m.ref, ".status")))
	}
	m.landedAs(want)
	m.tried["commit"]++
}

// landedAs wants one new commit, which holds a tree; none when the head holds
// that already.
func (m *model) landedAs(want map[string]string) {
	m.rt.Helper()
	made := 1
	if maps.Equal(want, m.landed) {
		made = 0
	}
	commits := m.s.Peer.Commits(m.t, m.ref, m.head)
	if len(commits) != made {
		m.rt.Fatalf("%d new commits, want %d", len(commits), made)
	}
	if made == 1 {
		m.head = commits[0].Commit.Id
	}
	m.same("the commit", m.s.Peer.Tree(m.t, m.ref, m.head), want)
	m.landed = want
}

// put is a commit by somebody else.
func (m *model) put(p, content string) {
	m.head = m.s.Peer.PutWait(m.t, m.ref, map[string]string{p: content})
	m.landed = maps.Clone(m.landed)
	m.landed[p] = content
}

// foreign is a commit by somebody else of a new file: the mount follows it.
func (m *model) foreign() {
	m.others++
	p := fmt.Sprintf("/foreign%d", m.others)
	m.did("foreign commit of %s", p)
	m.tried["foreign"]++
	m.put(p, "foreign")
	write(m.t, m.dir+p, "foreign")
	m.shows(p, "foreign")
}

func (m *model) shows(p, content string) {
	m.rt.Helper()
	harness.Eventually(m.t, 20*time.Second, p+" of somebody else shows", func() bool {
		b, err := os.ReadFile(m.m.Path(m.ref, p))
		return err == nil && string(b) == content
	})
}

// conflict is a commit by somebody else on a file that was changed here: the
// trigger says EBUSY and names it; then it is resolved.
func (m *model) conflict() {
	m.commit()
	files := slices.Sorted(maps.Keys(m.landed))
	files = slices.DeleteFunc(files, func(p string) bool { // changed again since, by a handle that is still open
		return m.half[m.inode(p)] != nil || m.elsewhere(p)
	})
	if len(files) == 0 {
		return
	}
	p, by := drawn(m, "file", files), drawn(m, "by", []string{"theirs", "ours"})
	m.did("conflict at %s, resolved by %s", p, by)
	m.others++
	ours, theirs := fmt.Sprintf("ours %d", m.others), fmt.Sprintf("theirs %d", m.others)
	m.both(func(dir string) (string, error) { return "", os.WriteFile(dir+p, []byte(ours), 0) })
	want := m.takes()
	m.put(p, theirs)
	if r := touch(m.t, m.m.Path(m.ref, ".commit")); r.Code == 0 || !strings.Contains(r.Err, "busy") {
		m.rt.Fatalf("touch .commit in a conflict: %v", r)
	}
	if st := m.m.Status(m.t, m.ref); !slices.Equal(st.Conflicts, []string{p}) {
		m.rt.Fatalf("in conflict: %v, want %s", st.Conflicts, p)
	}
	m.compare()
	if r := harness.Pachfs(m.t, "commit", "--on-conflict", by, m.m.Path(m.ref)); r.Code != 0 {
		m.rt.Fatalf("pachfs commit --on-conflict %s: %v", by, r)
	}
	if by == "theirs" {
		want[p] = theirs
		ok(m.t, os.Remove(m.dir+p)) // handles keep what they had
		write(m.t, m.dir+p, theirs)
	}
	m.landedAs(want)
	m.tried["conflict "+by]++
}

// kill is kill -9, and a mount of the same state: handles are gone. What was
// half-written is completed, for some of it counts as closed (elsewhere says why).
func (m *model) kill() {
	m.did("kill -9")
	m.m.Kill(m.t)
	for _, h := range m.handles {
		h.ours.Close() // fails, whatever it was
		h.plain.Close()
	}
	m.handles = nil
	m.m.Close(m.t)
	m.m = m.m.Again(m.t)
	m.settle(true)
	m.tried["kill"]++
}

// remount ends the mount properly: everything lands (promise 7).
func (m *model) remount() {
	m.did("remount")
	m.closeAll()
	m.settle(true)
	want := m.takes()
	m.m.Stop(m.t, 0)
	m.landedAs(want)
	m.m = m.m.Again(m.t)
	m.tried["remount"]++
}
