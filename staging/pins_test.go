package staging_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/staging"
)

// above lands /first, while more is staged and others commit: the landing moves
// the base past that.
func (b *bench) above(stage func(), theirs tree, gone ...string) {
	b.t.Helper()
	b.write("/first", "mine")
	gate := b.stop("Land")
	l := b.begin("")
	<-gate.at
	stage()
	b.foreign(theirs, gone...)
	gate.release()
	l.end()
}

func (b *bench) inConflict(paths ...string) {
	b.t.Helper()
	if c := b.o.Status().Conflicts; !slices.Equal(c, append([]string{}, paths...)) {
		b.t.Fatalf("in conflict: %v, want %v", c, paths)
	}
}

// What was open for writing, and is closed without a change, was no conflict.
func TestPinOfNoChange(t *testing.T) {
	b := newBench(t, staging.NoLooks)
	b.follows(b.foreign(tree{"/a": "a"}))
	var f *staging.File
	b.above(func() { f = b.openFile("/a", true) }, tree{"/a": "theirs"})
	b.inConflict("/a")
	b.reads("/a", "a")
	b.must(f.Close(true))
	b.told()
	b.must(b.o.Follow(t.Context()))
	b.inConflict()
	b.reads("/a", "theirs")
	if told := b.told(); !slices.Equal(told, []string{"/a"}) {
		t.Errorf("told of %v", told)
	}
	b.kill()
	b.inConflict()
	b.reads("/a", "theirs")
}

// A file that is open while the layer that its conflict stands in lands has
// gone to the layer above, and the conflict with it: whether that layer landed
// over theirs, or made no difference.
func TestPinOfWhatGoesUp(t *testing.T) {
	for _, how := range []string{"ours", "made by others"} {
		t.Run(how, func(t *testing.T) {
			b := newBench(t, staging.NoLooks)
			b.follows(b.foreign(tree{"/a": "0123456789", "/x": "x"}))
			var f *staging.File
			b.above(func() { f = b.openFile("/a", true); b.put(f, "MM", 0) }, tree{"/a": "theirs-the"})
			b.reads("/a", "MM23456789")
			b.write("/x", "mine")
			policy := staging.Ours
			if how != "ours" {
				policy = staging.Fail
				b.foreign(tree{"/x": "mine"})
			}
			_, err := b.o.CommitBy(t.Context(), "", policy)
			b.must(err)
			if over := b.o.Status().Overwritten; len(over) > 0 {
				t.Errorf("overwritten: %v", over)
			}
			b.must(f.Close(true))
			b.reads("/a", "MM23456789")
			b.inConflict("/a")
			b.kill()
			b.reads("/a", "MM23456789")
			b.inConflict("/a")
			_, err = b.o.Commit(t.Context(), "")
			b.is(err, staging.ErrConflict)
			_, err = b.o.CommitBy(t.Context(), "", staging.Ours)
			b.must(err)
			b.holds(tree{"/a": "MM23456789", "/x": "mine", "/first": "mine"})
		})
	}
}

// What is staged in the moment in which a landing passes a change of others is
// in conflict, also when pachfs is killed in that moment.
func TestPinnedWhileALandingPasses(t *testing.T) {
	for name, c := range map[string]struct {
		stage func(b *bench)
		path  string
	}{
		"changed": {func(b *bench) { b.over("/a", "MM", 0) }, "/a"},
		"removed": {func(b *bench) { b.rm("/a") }, "/a"},
		"moved":   {func(b *bench) { b.mv("/a", "/b") }, "/a"},
		"made":    {func(b *bench) { b.write("/n", "mine") }, "/n"},
		"above":   {func(b *bench) { b.mv("/d", "/e") }, "/d/1"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, staging.NoLooks)
			b.follows(b.foreign(tree{"/a": "0123456789", "/d/1": "d"}))
			disk := b.onSimDisk(0)
			var left *staging.SimDisk
			var shown tree
			residue, dir := b.o.CopyResidue(), filepath.Join(memory(t), "left")
			sub := filepath.Join(dir, b.o.BranchDir())
			b.must(os.MkdirAll(sub, 0o700))
			disk.Before = func() {
				if left == nil && b.o.Passes() {
					left = disk // no second time
					c.stage(b)
					shown = b.mounted()
					left = disk.Cut(staging.Kept, b.stage.Dir(), dir)
					b.must(residue(filepath.Join(sub, "residue.db")))
				}
			}
			b.above(func() {}, tree{c.path: "theirs-the"})
			disk.Before = nil
			if left == nil {
				t.Fatal("no landing passed")
			}
			b.same("mount", b.mounted(), shown)
			b.inConflict(c.path)
			after := b.sibling()
			after.openOn(left, dir)
			after.same("mount after a kill", after.mounted(), shown)
			after.inConflict(c.path)
			_, err := after.o.Commit(t.Context(), "")
			after.is(err, staging.ErrConflict)
		})
	}
}

// A discard of the path that the status names gives up what is staged around it.
func TestDiscardOfAConflict(t *testing.T) {
	for name, c := range map[string]struct {
		stage func(b *bench)
		them  tree
		path  string
	}{
		"directory moved":   {func(b *bench) { b.mv("/d", "/e") }, tree{"/d/1": "theirs"}, "/d/1"},
		"directory removed": {func(b *bench) { b.rmAll("/d") }, tree{"/d/n": "theirs"}, "/d/n"},
		"below":             {func(b *bench) { b.rmAll("/d") }, tree{"/d/m/n": "theirs"}, "/d/m"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, staging.NoLooks)
			b.follows(b.foreign(conflictStart))
			b.above(func() { c.stage(b) }, c.them)
			b.must(b.o.Discard(c.path))
			b.inConflict()
			b.same("mount", b.mounted().files(), b.committed())
			b.landsNothing()
		})
	}
}

// A conflict that ends with a landing, as nothing was left at its path, is told:
// the path shows theirs from then on. It is no overwriting.
func TestPinThatEnds(t *testing.T) {
	b := newBench(t, staging.NoLooks)
	b.follows(b.foreign(conflictStart))
	b.above(func() { b.mv("/d", "/e"); b.write("/a", "mine") }, tree{"/d/1": "theirs"})
	_, err := b.o.Commit(t.Context(), "")
	b.is(err, staging.ErrConflict)
	b.mv("/e", "/d")
	b.reads("/d/1", "d1")
	b.told()
	_, err = b.o.CommitBy(t.Context(), "", staging.Ours)
	b.must(err)
	b.inConflict()
	if read, told := b.read("/d/1"), b.told(); read != "d1" && !slices.Contains(told, "/d/1") {
		t.Errorf("/d/1 reads %q, told of %v", read, told)
	}
}

// A directory of the base that comes back to its own path below one that was
// removed and made anew, or moved away, is in the commit.
func TestLandMovedBack(t *testing.T) {
	for name, stage := range map[string]func(b *bench){
		"removed": func(b *bench) {
			b.mv("/d/s", "/t")
			b.rm("/d/1")
			b.rmdir("/d")
			b.mkdir("/d")
			b.mv("/t", "/d/s")
			b.write("/e/1", "d1")
		},
		"moved": func(b *bench) { b.mv("/d", "/e"); b.mkdir("/d"); b.mv("/e/s", "/d/s") },
		"changed": func(b *bench) {
			b.mv("/d", "/e")
			b.mkdir("/d")
			b.mv("/e/s", "/d/s")
			b.over("/d/s/1", "s", 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, staging.NoLooks)
			b.follows(b.foreign(tree{"/d/1": "d1", "/d/s/1": "s1", "/d/s/2": "s2"}))
			stage(b)
			want := tree{"/e/1": "d1", "/d/s/1": "s1", "/d/s/2": "s2"}
			b.same("mount", b.mounted().files(), want)
			b.lands()
			b.holds(want)
		})
	}
}

// A directory that is made where others put a file can be listed, and removed.
func TestEmptyDirectoryOverAFile(t *testing.T) {
	b := newBench(t, staging.NoLooks)
	b.follows(b.foreign(tree{"/k": "k"}))
	b.mkdir("/m")
	b.foreign(tree{"/m": "theirs"})
	b.must(b.o.Follow(t.Context()))
	b.same("mount", b.mounted(), tree{"/k": "k", "/m/": ""})
	b.rmdir("/m")
	b.missing("/m")
	b.must(b.o.Discard("/m"))
	b.reads("/m", "theirs")
}

// Layers don't pile up either while the fate of a change is not known.
func TestKeptLayersWhileTheFateIsUnknown(t *testing.T) {
	b := newBench(t, staging.NoLooks, func(o *staging.Options) { o.LandTimeout, o.CommitTimeout = 100*time.Millisecond, 300*time.Millisecond })
	b.follows(b.foreign(tree{"/a": "a"}))
	before, want := len(b.ids()), tree{"/a": "mine"}
	b.write("/a", "mine")
	b.first("Land", func() {
		for _, op := range []string{"Cluster", "Branch", "Land", "Log"} {
			b.Fail(op, 0, -1, pachclient.ErrUnavailable)
		}
	})
	for i := range 13 {
		if _, err := b.o.Commit(t.Context(), ""); err == nil {
			t.Fatal("the commit succeeds")
		}
		p := fmt.Sprintf("/n%d", i)
		b.write(p, "x")
		want[p] = "x"
	}
	if n := b.o.Layers() - 1; n > 8 {
		t.Errorf("%d layers are kept", n)
	}
	b.Heal()
	time.Sleep(100 * time.Millisecond) // the last call's deadline
	_, err := b.o.Commit(t.Context(), "")
	b.must(err)
	b.clean()
	b.holds(want)
	if n := len(b.ids()) - before; n > 2 {
		t.Errorf("%d commits", n)
	}
}

// To give up what is staged is progress: what follows has its own time.
func TestTheirsOfManySlowly(t *testing.T) {
	b := newBench(t, staging.NoLooks, func(o *staging.Options) { o.CommitTimeout = time.Second })
	base, want := tree{"/x": "x"}, tree{"/x": "theirs"}
	b.follows(b.foreign(base))
	dir := b.stage.Dir()
	b.must(b.stage.Close())
	b.wrap = func(c pachclient.Client) pachclient.Client { return slowWalker{c} }
	b.open(dir)
	for i := range 100 {
		p := fmt.Sprintf("/d/%d", i)
		b.write(p, "mine")
		want[p] = "mine"
	}
	b.write("/x", "mine")
	b.foreign(tree{"/x": "theirs"})
	_, err := b.o.CommitBy(t.Context(), "", staging.Theirs)
	b.must(err)
	b.holds(want)
}

// A slowWalker takes 20 ms for each file of a set that it lists.
type slowWalker struct{ pachclient.Client }

func (c slowWalker) At(commit pachclient.Commit) pachclient.Reader {
	r := c.Client.At(commit)
	if commit.Branch.Repo == pachclient.FileSetRepo {
		return slowWalk{r}
	}
	return r
}

type slowWalk struct{ pachclient.Reader }

func (r slowWalk) Walk(ctx context.Context, dir string, fn func(pachclient.FileInfo) error) error {
	return r.Reader.Walk(ctx, dir, func(fi pachclient.FileInfo) error {
		time.Sleep(20 * time.Millisecond)
		return fn(fi)
	})
}
