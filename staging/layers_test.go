package staging_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pachfs/pachclient"
)

// Writers go on while a commit lands: it holds what was sealed, the next one
// what came after.
func TestWritersGoOn(t *testing.T) {
	start := tree{"/a": "A", "/b": "B", "/d/1": "d1", "/d/2": "d2"}
	sealed := tree{"/a": "a2", "/b": "B", "/d/1": "d1", "/d/2": "d2", "/n": "new", "/m/x": "mx", "/m/y": "my"}
	for _, c := range []struct {
		name string
		do   func(b *bench)
		want func(w tree)
	}{
		{"nothing", func(b *bench) {}, func(tree) {}},
		{"write", func(b *bench) { b.write("/a", "a3"); b.write("/n", "n2"); b.write("/d/3", "d3") },
			func(w tree) { w["/a"], w["/n"], w["/d/3"] = "a3", "n2", "d3" }},
		{"write inside", func(b *bench) {
			f := b.openFile("/n", true)
			b.put(f, "EW!", 1)
			b.must(f.Close(true))
		}, func(w tree) { w["/n"] = "nEW!" }},
		{"remove", func(b *bench) { b.rm("/a"); b.rm("/n"); b.rmAll("/m") },
			func(w tree) { delete(w, "/a"); delete(w, "/n"); w.cut("/m") }},
		{"rename", func(b *bench) { b.mv("/a", "/a9"); b.mv("/n", "/d/n") }, func(w tree) { w.mv("/a", "/a9"); w.mv("/n", "/d/n") }},
		{"rename dirs", func(b *bench) { b.mv("/m", "/m9"); b.mv("/d", "/m9/d") }, func(w tree) { w.mv("/m", "/m9"); w.mv("/d", "/m9/d") }},
		{"rename and write", func(b *bench) { b.mv("/m", "/m9"); b.write("/m9/x", "again"); b.write("/m/x", "other") },
			func(w tree) { w.mv("/m", "/m9"); w["/m9/x"], w["/m/x"] = "again", "other" }},
		{"swap", func(b *bench) { b.mv("/m", "/t"); b.mv("/d", "/m"); b.mv("/t", "/d") },
			func(w tree) { w.mv("/m", "/t"); w.mv("/d", "/m"); w.mv("/t", "/d") }},
		{"remove and make again", func(b *bench) { b.rm("/n"); b.write("/n/in", "dir"); b.rmAll("/m"); b.write("/m", "file") },
			func(w tree) { delete(w, "/n"); w["/n/in"] = "dir"; w.cut("/m"); w["/m"] = "file" }},
		{"undo", func(b *bench) { b.write("/a", "A"); b.rm("/n"); b.rmAll("/m") },
			func(w tree) { w["/a"] = "A"; delete(w, "/n"); w.cut("/m") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.follows(b.foreign(start))
			b.write("/a", "a2")
			b.write("/n", "new")
			b.write("/m/x", "mx")
			b.write("/m/y", "my")
			g := b.stop("Land")
			l := b.begin("")
			<-g.at
			want := tree{}
			for p, s := range sealed {
				want[p] = s
			}
			b.same("sealed", b.mounted().files(), want)
			c.do(b)
			c.want(want)
			b.same("above", b.mounted().files(), want)
			close(g.open)
			l.end()
			b.same("first commit", b.committed(), sealed)
			b.same("mount after it", b.mounted().files(), want)
			b.must(b.stage.Check())
			if c.name == "nothing" {
				b.landsNothing()
			} else {
				b.lands()
			}
			b.holds(want)
			b.reopen()
			b.holds(want)
		})
	}
}

// The same, killed with both layers on the disk and nothing sent.
func TestTwoLayersReplayed(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/a": "A", "/d/1": "d1"}))
	b.write("/a", "a2")
	b.write("/m/x", "mx")
	b.mv("/d", "/e")
	b.Fail("Upload", 0, -1, pachclient.ErrUnsupported)
	_, err := b.o.Commit(t.Context(), "")
	b.is(err, pachclient.ErrUnsupported)
	b.mv("/m", "/m9")
	b.mv("/e", "/m9/e")
	b.write("/m9/e/1", "again")
	f := b.openFile("/a", true)
	b.put(f, "Z", 1)
	b.must(f.Close(true))
	want := tree{"/a": "aZ", "/m9/x": "mx", "/m9/e/1": "again"}
	b.same("before", b.mounted().files(), want)
	b.reopen()
	b.same("opened again", b.mounted().files(), want)
	b.must(b.stage.Check())
	b.lands()
	b.holds(want)
}

// landsNothingYet commits and expects nothing to come of it, with something staged.
func (b *bench) landsNothingYet() {
	b.t.Helper()
	n := len(b.ids())
	c, err := b.o.Commit(b.t.Context(), "")
	b.must(err)
	if !c.Zero() || len(b.ids()) != n {
		b.t.Fatalf("commit gave %v", c)
	}
}

// A file that is being rewritten goes in as it was closed last.
func TestRewritten(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/c": "committed"}))
	b.write("/s", "staged")
	f, g := b.openFile("/s", true), b.openFile("/c", true)
	b.must(f.Truncate(0))
	b.put(f, "par", 0)
	b.must(g.Truncate(0))
	b.put(g, "tial", 0)
	_, err := b.o.Commit(t.Context(), "")
	b.must(err)
	b.same("head", b.committed(), tree{"/s": "staged", "/c": "committed"})
	b.same("mount", b.mounted(), tree{"/s": "par", "/c": "tial"})
	b.must(b.stage.Check())
	b.put(f, "ts", 3)
	b.must(f.Close(true))
	b.must(g.Close(true))
	b.lands()
	b.holds(tree{"/s": "parts", "/c": "tial"})
}

// What is written over bytes that were closed goes elsewhere: the commit has
// the closed ones, also when the writing goes on during the upload.
func TestOverwrittenWhileUploading(t *testing.T) {
	b := newBench(t)
	old := strings.Repeat("o", 100000)
	b.write("/f", old)
	f := b.openFile("/f", true)
	b.put(f, "X", 5)
	g := b.stop("Upload")
	l := b.begin("")
	<-g.at
	b.put(f, "YY", 50000)
	b.must(f.Truncate(60000))
	close(g.open)
	l.end()
	b.same("head", b.committed(), tree{"/f": old})
	want := []byte(old[:60000])
	want[5] = 'X'
	copy(want[50000:], "YY")
	b.reads("/f", string(want))
	b.must(f.Close(true))
	b.lands()
	b.holds(tree{"/f": string(want)})
}

// Handles keep reading the right bytes across seal, landing and the drop of the layer.
func TestHandlesAcrossCommit(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/base": "base", "/edit": "0123456789", "/mv": "moved"}))
	b.write("/new", "new")
	w := b.openFile("/edit", true)
	b.put(w, "XX", 3)
	b.must(w.Close(true))
	b.mv("/mv", "/mv2")
	files := map[string]string{"/base": "base", "/edit": "012XX56789", "/mv2": "moved", "/new": "new"}
	type handle struct {
		read func() string
		want string
	}
	var handles []handle
	for p, want := range files {
		f := b.openFile(p, false)
		defer f.Close(false)
		handles = append(handles, handle{func() string { return b.slurp(f) }, want})
	}
	look := func(when string) {
		t.Helper()
		for _, h := range handles {
			if got := h.read(); got != h.want {
				t.Errorf("%s: %q, want %q", when, got, h.want)
			}
		}
	}
	look("before")
	for _, op := range []string{"Upload", "Land", "Annotate"} {
		b.first(op, func() { look(op) })
	}
	b.lands()
	look("landed")
	b.write("/x", "1")
	b.lands()
	look("landed again")
	for p := range files {
		b.rm(p)
	}
	look("removed")
	b.lands()
	look("removed and landed")
	b.holds(tree{"/x": "1"})
}

// A file without a name lives as long as its handle, and leaves nothing behind.
func TestUnlinkedOpen(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/c": "committed"}))
	b.write("/s", "staged")
	f, g, h := b.openFile("/s", true), b.openFile("/c", true), b.create("/n")
	b.put(h, "n", 0)
	b.rm("/s")
	b.rm("/n")
	b.put(f, "S", 0)
	b.put(h, "m", 1)
	b.landsNothing()
	b.rm("/c")
	b.put(g, "C", 0)
	b.lands()
	for f, want := range map[interface{ Size() int64 }]int64{f: 6, g: 9, h: 2} {
		if f.Size() != want {
			t.Fatalf("size %d, want %d", f.Size(), want)
		}
	}
	if s := b.slurp(f) + b.slurp(g) + b.slurp(h); s != "StagedCommittednm" {
		t.Fatal(s)
	}
	b.must(f.Close(true))
	b.must(g.Close(true))
	b.must(h.Close(true))
	b.landsNothing()
	b.holds(tree{})
}

// A file of a sealed layer that is unlinked while it lands.
func TestUnlinkedWhileLanding(t *testing.T) {
	b := newBench(t)
	b.write("/s", "staged")
	f := b.openFile("/s", true)
	g := b.stop("Land")
	l := b.begin("")
	<-g.at
	b.rm("/s")
	b.put(f, "S", 0)
	close(g.open)
	l.end()
	b.same("head", b.committed(), tree{"/s": "staged"})
	if s := b.slurp(f); s != "Staged" {
		t.Fatal(s)
	}
	b.lands()
	if s := b.slurp(f); s != "Staged" {
		t.Fatal(s)
	}
	b.must(f.Close(true))
	b.holds(tree{})
}

// A layer that fails to land stays, and lands with what came later as one commit.
func TestFailedThenMore(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/a": "A", "/d/1": "1"}))
	for i := range 4 {
		b.write("/a", fmt.Sprint(i))
		b.write(fmt.Sprintf("/n%d", i), "x")
		b.mv(fmt.Sprintf("/%s", []string{"d", "d0", "d1", "d2"}[i]), fmt.Sprintf("/d%d", i))
		b.Fail([]string{"Upload", "Branch", "Land", "Walk"}[i], 0, 1, pachclient.ErrUnsupported)
		_, err := b.o.Commit(t.Context(), "")
		b.is(err, pachclient.ErrUnsupported)
		if s := b.o.Status(); s.LastError == nil || s.State != "staged" {
			t.Fatalf("%+v", s)
		}
		b.Heal()
	}
	b.write("/last", "y")
	want := tree{"/a": "3", "/n0": "x", "/n1": "x", "/n2": "x", "/n3": "x", "/d3/1": "1", "/last": "y"}
	b.same("mount", b.mounted().files(), want)
	b.lands()
	b.holds(want)
}

// Triggers that come together make at most one commit for each change.
func TestTriggersTogether(t *testing.T) {
	b := newBench(t)
	b.write("/a", "1")
	n := len(b.ids())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var got []string
	for range 5 {
		wg.Go(func() {
			c, err := b.o.Commit(t.Context(), "")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !c.Zero() {
				got = append(got, c.ID)
			}
		})
	}
	wg.Wait()
	if len(b.ids()) != n+1 || len(got) != 1 {
		t.Fatalf("%d commits, told of %v", len(b.ids())-n, got)
	}
	g := b.stop("Land")
	b.write("/b", "1")
	l1 := b.begin("one")
	<-g.at
	b.write("/c", "1")
	l2 := b.begin("two")
	close(g.open)
	c1, c2 := l1.end(), l2.end()
	if ids := b.ids(); len(ids) != n+3 || !slices.Equal(ids[:2], []string{c2.ID, c1.ID}) {
		t.Fatalf("%v, want %v %v", ids, c2, c1)
	}
	b.holds(tree{"/a": "1", "/b": "1", "/c": "1"})
}

// A Commit whose caller goes away lands nonetheless.
func TestCallerGoes(t *testing.T) {
	b := newBench(t)
	b.write("/a", "1")
	g := b.stop("Land")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := b.o.Commit(ctx, ""); done <- err }()
	<-g.at
	cancel()
	if err := <-done; err == nil {
		t.Fatal("no error")
	}
	close(g.open)
	b.until("it landed", func() bool { return !b.o.Dirty() })
	b.holds(tree{"/a": "1"})
}

// A file that is changed in part above a layer that lands: what it stands on
// is read from the commit then.
func TestChangedInPartWhileLanding(t *testing.T) {
	b := newBench(t)
	b.write("/a", "0123456789")
	g := b.stop("Land")
	l := b.begin("")
	<-g.at
	f := b.openFile("/a", true)
	b.put(f, "X", 3)
	b.must(f.Close(true))
	close(g.open)
	l.end()
	b.reads("/a", "012X456789")
	b.lands()
	b.holds(tree{"/a": "012X456789"})
}

// What was deleted below a directory is no change by somebody else, though a
// file stands in its place and is changed again meanwhile.
func TestFileForDirChangedWhileLanding(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/d/1": "1", "/d/2": "2"}))
	b.rmAll("/d")
	b.write("/d", "file")
	g := b.stop("Land")
	l := b.begin("")
	<-g.at
	b.write("/d", "again")
	close(g.open)
	l.end()
	b.lands()
	b.holds(tree{"/d": "again"})
}

// A file that is open for reading while it lands keeps nothing on the disk
// once it is closed.
func TestReaderAcrossCommitKeepsNothing(t *testing.T) {
	b := newBench(t)
	b.write("/a", "1")
	f := b.openFile("/a", false)
	b.lands()
	if s := b.slurp(f); s != "1" {
		t.Fatalf("it reads as %q", s)
	}
	b.must(f.Close(false))
	if left := b.contents(); len(left) > 0 {
		t.Fatalf("left behind: %v", left)
	}
}

// Writers that write and close all the while a layer is sealed: what each was
// told is in the state that a kill leaves, and nothing is counted twice.
func TestSealAmongWriters(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		t.Run("round", sealAmongWriters)
	}
}

func sealAmongWriters(t *testing.T) {
	b := newBench(t)
	stop := b.stop("Land")
	var wg sync.WaitGroup
	var mu sync.Mutex
	want, sealed := tree{}, make(chan struct{})
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-sealed:
					return
				default:
				}
				p, content := fmt.Sprintf("/%d-%d", w, i), strings.Repeat("x", i+1)
				if err := b.tryWrite(p, content); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				want[p] = content
				mu.Unlock()
			}
		})
	}
	b.until("something is there", b.o.Dirty)
	l := b.begin("")
	select {
	case <-stop.at:
	case <-l.done: // without a call of Land: it failed
	}
	close(sealed)
	wg.Wait()
	dir := b.cp()
	close(stop.open)
	l.end()
	b.same("mount", b.mounted().files(), want)
	b.must(b.stage.Close())
	b.open(dir)
	b.same("killed", b.mounted().files(), want)
	_, err := b.o.Commit(t.Context(), "")
	b.must(err)
	b.holds(want)
	if left := b.contents(); len(left) > 0 {
		t.Fatalf("left behind: %v", left)
	}
}
