package staging_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pachfs/pachclient"
)

// Three layers: one that a commit could not land, one that lands, and what the
// writers do meanwhile. A reader sees one tree; a kill changes nothing of it;
// the commit under way holds the lower two, and the trigger that comes during it makes
// one more of the third.
func TestThreeLayers(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %v", killed), func(t *testing.T) {
			b := newBench(t)
			b.follows(b.foreign(tree{"/a": "A", "/b": "B", "/d/1": "1", "/d/2": "2", "/gone": "x", "/log": "0"}))
			b.write("/a", "first") // the lowest
			b.write("/n", "new")
			b.mv("/d", "/e")
			b.add("/log", "1")
			b.Fail("Land", 0, 1, pachclient.ErrUnsupported)
			_, err := b.o.Commit(t.Context(), "")
			b.is(err, pachclient.ErrUnsupported)
			b.Heal()
			b.write("/b", "second") // the one above
			b.over("/n", "E", 1)
			b.mv("/e/1", "/e/one")
			b.rm("/gone")
			b.add("/log", "2")
			g := b.stop("Land")
			l := b.begin("")
			<-g.at
			middle := tree{"/a": "first", "/b": "second", "/n": "nEw", "/e/one": "1", "/e/2": "2", "/log": "012"}
			b.same("two layers", b.mounted().files(), middle)
			b.rm("/a") // the writers'
			b.mv("/e", "/f")
			b.write("/f/2", "third")
			b.mv("/n", "/gone")
			b.add("/log", "3")
			want := tree{"/b": "second", "/gone": "nEw", "/f/one": "1", "/f/2": "third", "/log": "0123"}
			b.same("three layers", b.mounted().files(), want)
			b.must(b.stage.Check())
			if n := b.o.Layers(); n != 3 {
				t.Fatalf("%d layers", n)
			}
			before := b.ids()
			if killed {
				dir := b.cp()
				b.Fail("Land", 0, -1, errKilled)
				close(g.open)
				<-l.done
				b.open(dir)
				b.same("three layers, killed", b.mounted().files(), want)
				_, err := b.o.Commit(t.Context(), "")
				b.must(err)
				b.clean()
				if made := len(b.ids()) - len(before); made > 2 {
					t.Errorf("%d commits", made)
				}
				b.holds(want)
				return
			}
			second := b.begin("second")
			close(g.open)
			first, c := l.end(), second.end()
			if got := b.ids(); !slices.Equal(got[:2], []string{c.ID, first.ID}) || len(got) != len(before)+2 {
				t.Errorf("commits %v, want %v and %v above %v", got, c, first, before)
			}
			b.same("the first commit", b.treeOf(first), middle)
			b.clean()
			b.holds(want)
		})
	}
}

// Many triggers during one commit queue one more, of what came after.
func TestTriggersDuringOne(t *testing.T) {
	b := newBench(t)
	before := len(b.ids())
	b.write("/a", "1")
	g := b.stop("Upload")
	first := b.begin("")
	<-g.at
	b.write("/b", "2")
	var queued []*landing
	for range 5 {
		queued = append(queued, b.begin(""))
	}
	time.Sleep(20 * time.Millisecond) // some of them wait by then; whoever comes later finds nothing to do
	close(g.open)
	first.end()
	made := 0
	for _, l := range queued {
		if c := l.end(); !c.Zero() {
			made++
			b.same("the second commit", b.treeOf(c), tree{"/a": "1", "/b": "2"})
		}
	}
	if n := len(b.ids()) - before; n != 2 || made != 1 {
		t.Errorf("%d commits, %d triggers were told of one of theirs", n, made)
	}
}
