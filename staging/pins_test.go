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
		for _, when := range []string{"idle", "during a landing"} {
			t.Run(name+", "+when, func(t *testing.T) {
				b := newBench(t, staging.NoLooks)
				b.follows(b.foreign(conflictStart))
				if when == "idle" {
					c.stage(b)
					b.foreign(c.them)
					b.must(b.o.Follow(t.Context()))
				} else {
					b.above(func() { c.stage(b) }, c.them)
				}
				b.must(b.o.Discard(c.path))
				b.must(b.o.Follow(t.Context()))
				b.inConflict()
				b.same("mount", b.mounted().files(), b.committed())
				b.landsNothing()
			})
		}
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

// A file that others put where a directory was made is a conflict: neither is
// lost, and whatever is done with the directory next, theirs is not overwritten
// in silence.
func TestFileOfOthersOverAMadeDirectory(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(b *bench)
		left bool // the conflict
	}{
		"removed":   {func(b *bench) { b.rmdir("/m") }, false},
		"discarded": {func(b *bench) { b.must(b.o.Discard("/m")) }, false},
		"filled":    {func(b *bench) { b.write("/m/x", "mine") }, true},
		"replaced":  {func(b *bench) { b.mv("/d", "/m") }, true},
	} {
		for _, when := range []string{"idle", "during a landing", "made while it passes"} {
			t.Run(name+", "+when, func(t *testing.T) {
				b := newBench(t, staging.NoLooks)
				b.follows(b.foreign(tree{"/k": "k", "/d/1": "d"}))
				want := tree{"/k": "k", "/d/1": "d", "/m": "theirs"}
				switch theirs := (tree{"/m": "theirs"}); when {
				case "idle":
					b.mkdir("/m")
					b.foreign(theirs)
				case "during a landing":
					b.above(func() { b.mkdir("/m") }, theirs)
					want["/first"] = "mine"
				default:
					disk := b.onSimDisk(0)
					disk.Before = func() {
						if b.o.Passes() {
							disk.Before = nil
							b.mkdir("/m")
						}
					}
					b.above(func() {}, theirs)
					want["/first"] = "mine"
				}
				b.must(b.o.Follow(t.Context()))
				b.inConflict("/m")
				if list, err := b.o.List(t.Context(), "/m"); err != nil || len(list) > 0 {
					t.Errorf("%v %v", list, err)
				}
				c.do(b)
				if c.left {
					_, err := b.o.Commit(t.Context(), "")
					b.is(err, staging.ErrConflict)
					_, err = b.o.CommitBy(t.Context(), "", staging.Theirs)
					b.must(err)
				} else {
					b.must(b.o.Follow(t.Context()))
					b.landsNothing()
				}
				b.inConflict()
				b.holds(want)
			})
		}
	}
}

// Whoever reads a path on which a conflict ends keeps what he opened; who opens
// it anew has what is there now.
func TestReaderWhereAConflictEnds(t *testing.T) {
	for _, how := range []string{"landing", "discard"} {
		t.Run(how, func(t *testing.T) {
			b := newBench(t, staging.NoLooks)
			b.follows(b.foreign(tree{"/a": "0123456789", "/k": "k"}))
			b.above(func() { b.mv("/a", "/b"); b.mv("/b", "/a") }, tree{"/a": "theirs-the"})
			f := b.openFile("/a", false)
			if how == "landing" {
				b.write("/k", "mine")
				_, err := b.o.CommitBy(t.Context(), "", staging.Ours)
				b.must(err)
			} else {
				b.must(b.o.Discard("/a"))
			}
			if got := b.slurp(f); got != "0123456789" {
				t.Errorf("the reader has %q", got)
			}
			b.reads("/a", "theirs-the")
			b.add("/a", "+tail")
			b.lands()
			b.reads("/a", "theirs-the+tail")
			if got := b.committed()["/a"]; got != "theirs-the+tail" {
				t.Errorf("the commit has %q", got)
			}
			b.must(f.Close(false))
		})
	}
}

// A discard of a rename gives up what hides the place that it came from: the
// file is at one of its ends.
func TestDiscardOfARenameFromAHiddenPlace(t *testing.T) {
	start := tree{"/d/1": "d1", "/d/2": "d2", "/d/s/1": "s1"}
	for name, stage := range map[string]func(b *bench){
		"removed": func(b *bench) { b.mv("/d/s", "/t"); b.rmAll("/d") },
		"moved":   func(b *bench) { b.mv("/d", "/e"); b.mv("/e/s", "/t") },
		"file":    func(b *bench) { b.mv("/d/1", "/t"); b.rmAll("/d") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, staging.NoLooks)
			b.follows(b.foreign(start))
			stage(b)
			b.must(b.o.Discard("/t"))
			b.same("mount", b.mounted().files(), start)
			b.landsNothing()
		})
	}
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

// A conflict that was resolved in favour of ours, with room made for it, does
// not come back where ours is staged anew meanwhile.
func TestOursThatMadeRoom(t *testing.T) {
	for name, c := range map[string]struct{ theirs, ours string }{"a directory in its place": {"/n/x", "/n"}, "a file above": {"/n", "/n/x"}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, staging.NoLooks)
			b.follows(b.foreign(tree{"/k": "k"}))
			b.above(func() { b.write(c.ours, "mine") }, tree{c.theirs: "theirs"})
			b.inConflict(c.theirs)
			gate, done := b.stop("Land"), make(chan error, 1)
			go func() {
				_, err := b.o.CommitBy(context.Background(), "", staging.Ours)
				done <- err
			}()
			<-gate.at
			b.write(c.ours, "more")
			gate.release()
			b.must(<-done)
			b.inConflict()
			b.lands()
			b.holds(tree{"/k": "k", "/first": "mine", c.ours: "more"})
		})
	}
}

// The same where a landing that made no difference ends the conflict.
func TestReaderWhereALandingEndsAConflict(t *testing.T) {
	b := newBench(t, staging.NoLooks)
	b.follows(b.foreign(tree{"/d/1": "0123456789", "/k": "k", "/x": "x"}))
	b.above(func() { b.mv("/d", "/e"); b.write("/x", "mine") }, tree{"/d/1": "theirs-the"})
	b.inConflict("/d/1")
	b.mv("/e", "/d")
	f := b.openFile("/d/1", false)
	b.foreign(tree{"/x": "mine"})
	b.landsNothing()
	b.inConflict()
	b.reads("/d/1", "theirs-the")
	b.add("/d/1", "+tail")
	b.lands()
	b.holds(tree{"/d/1": "theirs-the+tail", "/k": "k", "/x": "mine", "/first": "mine"})
	b.must(f.Close(false))
}

// A directory of which no more than a time is staged gives way to a file that
// others put there, and so does what is in it that only the mount remembers.
func TestFileOfOthersOverADirectory(t *testing.T) {
	for name, do := range map[string]func(b *bench){
		"made in it and removed":      func(b *bench) { b.mkdir("/n/y"); b.rmdir("/n/y") },
		"written in it and removed":   func(b *bench) { b.write("/n/y", "mine"); b.rm("/n/y") },
		"removed in it and discarded": func(b *bench) { b.rm("/n/x"); b.must(b.o.Discard("/n/x")) },
		"moved in and out":            func(b *bench) { b.mv("/a", "/n/a"); b.mv("/n/a", "/a") },
		"remembered":                  func(b *bench) { b.mkdir("/n/e"); b.write("/a", "b"); b.lands(); b.write("/a", "a"); b.lands() },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, staging.NoLooks)
			b.follows(b.foreign(tree{"/a": "a", "/n/x": "x"}))
			do(b)
			b.follows(b.foreign(tree{"/n": "theirs"}, "/n/"))
			for range 2 {
				b.inConflict()
				b.same("mount", b.mounted(), tree{"/a": "a", "/n": "theirs"})
				b.missing("/n/e", "/n/y")
				b.kill()
			}
		})
	}
}

// What goes with a file of others that ours makes room for is told.
func TestOursTellsWhatGoes(t *testing.T) {
	b := newBench(t, staging.NoLooks)
	b.follows(b.foreign(tree{"/d/1": "1", "/d/2": "2"}))
	b.write("/d/1", "mine")
	b.foreign(tree{"/d": "theirs"}, "/d/")
	b.must(b.o.Follow(t.Context()))
	b.told()
	_, err := b.o.CommitBy(t.Context(), "", staging.Ours)
	b.must(err)
	b.holds(tree{"/d/1": "mine"})
	if told := b.told(); !slices.Contains(told, "/d/2") {
		t.Errorf("told of %v", told)
	}
}
