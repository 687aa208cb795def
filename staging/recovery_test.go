package staging_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pachfs/pachclient/clienttest"
	"pachfs/staging"
)

// calls names all operations of a client.
var calls = []string{"Cluster", "Projects", "Repos", "Branches", "Branch", "CreateBranch", "Head", "Commit", "Wait", "Log",
	"Upload", "Renew", "Land", "Annotate", "Drop", "Stat", "List", "Walk", "ReadAt", "Open", "Diff"}

var errKilled = errors.New("the process is gone")

// dieAt commits with the process dying at the nth call of an operation: before
// it, or with lost, when it has happened and its answer is under way. It gives
// the state that is left; "" when the commit got to its end without such a call.
func (b *bench) dieAt(op string, nth int, lost bool) (dir string) {
	b.t.Helper()
	from := b.Calls(op)
	b.OnCall(op, func() {
		if dir != "" || b.Calls(op)-from != nth {
			return
		}
		dir = b.cp()
		if lost {
			b.Fail(op, clienttest.After, 1, errKilled)
		}
		for _, any := range calls {
			b.Fail(any, clienttest.Before, -1, errKilled)
		}
	})
	b.o.Commit(b.t.Context(), "message")
	b.OnCall(op, func() {})
	return dir
}

// A change of every kind that recovery must get right, and what it leads to.
var beforeAll = tree{"/edit": "old", "/part": "0123456789", "/gone": "gone", "/d/1": "d1", "/d/2": "d2",
	"/f": "f", "/x/1": "x", "/y/1": "y", "/keep": "keep"}

func (b *bench) changeAll() tree {
	b.t.Helper()
	b.write("/new", "new")
	b.write("/edit", "edited")
	f := b.openFile("/part", true)
	b.put(f, "FOUR", 4)
	b.must(f.Close(true))
	b.rm("/gone")
	b.mv("/d", "/e")
	b.mv("/f", "/g")
	b.mv("/x", "/t")
	b.mv("/y", "/x")
	b.mv("/t", "/y")
	b.mkdir("/empty")
	return tree{"/new": "new", "/edit": "edited", "/part": "0123FOUR89", "/e/1": "d1", "/e/2": "d2",
		"/g": "f", "/y/1": "x", "/x/1": "y", "/keep": "keep"}
}

// Killed, or without power, between any two system calls of a landing, on the
// disk that this leaves: what was acknowledged is shown, and exactly one commit
// comes of it. The file that is still being written survives a kill, and comes
// to nothing worse than not being there without power.
func TestKilledBetweenAnyTwoCalls(t *testing.T) {
	for name, fate := range map[string]staging.Fate{"killed": staging.Kept, "without power": staging.NothingKept} {
		most := math.MaxInt
		if testing.Short() {
			most = 10
		}
		cuts := 0
		for within := true; within && cuts < most; {
			within = false // unless killedAfter says so: a failure is the last
			t.Run(fmt.Sprintf("%s after change %d", name, cuts+1), func(t *testing.T) { within = killedAfter(t, cuts+1, fate) })
			if within {
				cuts++
			}
		}
		if cuts < min(most, 20) {
			t.Fatalf("a landing was cut off after %d changes to the disk and no more", cuts)
		}
	}
}

// killedAfter cuts a landing off after so many changes to the disk. It says
// whether it makes as many.
func killedAfter(t *testing.T, n int, fate staging.Fate) (within bool) {
	b := serialBench(t, func(o *staging.Options) { o.LandTimeout = time.Second })
	b.foreign(beforeAll)
	disk, tmp := b.onSimDisk(0), memory(t)
	residue, before := b.o.CopyResidue(), len(b.ids())
	want := b.changeAll()
	b.put(b.create("/half"), "half", 0)
	b.must(b.o.SyncClosed())
	shown := b.mounted()
	left, changes := (*staging.SimDisk)(nil), 0
	sub := filepath.Join(tmp, "left", b.o.BranchDir())
	b.must(os.MkdirAll(sub, 0o700))
	disk.After = func() {
		if changes++; changes != n {
			return
		}
		left = disk.Cut(fate, b.stage.Dir(), filepath.Join(tmp, "left"))
		if err := residue(filepath.Join(sub, "residue.db")); err != nil {
			t.Error(err)
		}
		for _, any := range calls {
			b.Fail(any, clienttest.Before, -1, errKilled)
		}
	}
	_, err := b.o.Commit(t.Context(), "message")
	if left == nil {
		b.must(err)
		return false
	}
	after := b.sibling()
	after.openOn(left, filepath.Join(tmp, "left"))
	if fate != staging.Kept {
		shown["/half"] = "" // never synced
	}
	after.same("mount", after.mounted(), shown)
	if w := after.o.Status().Writing; !slices.Equal(w, []string{"/half"}) {
		t.Errorf("the status names %v", w)
	}
	_, err = after.o.Commit(t.Context(), "message")
	after.must(err)
	if made := len(b.ids()) - before; made != 1 {
		t.Errorf("%d commits", made)
	}
	after.same("head", after.committed(), want)
	after.complete("/half")
	want["/half"] = shown["/half"]
	after.lands()
	after.holds(want)
	return true
}

// However far a landing had come when the process was killed: the next one
// shows what it showed, and exactly one commit comes of the change.
func TestKilled(t *testing.T) {
	for _, c := range []struct {
		name string
		op   string
		call int
		lost bool
	}{
		{"before Upload", "Upload", 1, false},
		{"uploaded, answer lost", "Upload", 1, true},
		{"uploaded, before its hashes", "Walk", 1, false},
		{"uploaded, before the check", "Branch", 1, false},
		{"before Land", "Land", 1, false},
		{"landed, answer lost", "Land", 1, true},
		{"landed, before it is found", "Branch", 2, false},
		{"landed, before Wait", "Wait", 1, false},
		{"landed, before the base moves", "Diff", 1, false},
		{"landed, before Annotate", "Annotate", 1, false},
		{"landed, Annotate's answer lost", "Annotate", 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, func(o *staging.Options) { o.LandTimeout = time.Second })
			b.follows(b.foreign(beforeAll))
			before := len(b.ids())
			want := b.changeAll()
			shown := b.mounted()
			b.open(b.dieAt(c.op, c.call, c.lost))
			b.same("mount", b.mounted(), shown)
			_, err := b.o.Commit(t.Context(), "message")
			b.must(err)
			if n := len(b.ids()) - before; n != 1 {
				t.Fatalf("%d commits", n)
			}
			b.clean()
			b.holds(want)
			b.same("mount", b.mounted(), shown)
			b.landsNothing()
			b.reopen()
			b.holds(want)
		})
	}
}

// The same with changes made after the trigger: they are there, and land with the next.
func TestKilledWithMore(t *testing.T) {
	for _, op := range []string{"Upload", "Land", "Wait", "Annotate"} {
		t.Run(op, func(t *testing.T) {
			b := newBench(t, func(o *staging.Options) { o.LandTimeout = time.Second })
			b.follows(b.foreign(beforeAll))
			before := len(b.ids())
			want := b.changeAll()
			var dir string
			b.first(op, func() {
				b.write("/new", "newer")
				f := b.openFile("/part", true)
				b.put(f, "seven", 7)
				b.must(f.Close(true))
				b.mv("/e", "/d")
				dir = b.cp()
				for _, any := range calls {
					b.Fail(any, clienttest.Before, -1, errKilled)
				}
			})
			b.o.Commit(t.Context(), "message")
			want["/new"], want["/part"] = "newer", "0123FOUseven"
			want.mv("/e", "/d")
			b.open(dir)
			b.same("mount", b.mounted().files(), want)
			_, err := b.o.Commit(t.Context(), "message")
			b.must(err)
			b.clean()
			b.holds(want)
			if n := len(b.ids()) - before; n > 2 {
				t.Fatalf("%d commits", n)
			}
		})
	}
}

// A file of which only a part is local, after a kill: the other part is read
// from the commit, also by the next commit.
func TestKilledWithSparseFile(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/a": "0123456789"}))
	f := b.openFile("/a", true)
	b.put(f, "X", 3)
	b.must(f.Close(true))
	b.kill()
	b.lands()
	b.holds(tree{"/a": "012X456789"})
}

// What a kill left between two steps and nobody needs goes.
func TestLeftoversGo(t *testing.T) {
	b := newBench(t)
	b.write("/a", "1")
	stray := filepath.Join(b.stage.Dir(), b.o.BranchDir(), "content", "ff", "ff")
	b.must(os.MkdirAll(filepath.Dir(stray), 0o700))
	b.must(os.WriteFile(stray, []byte("nobody's"), 0o600))
	b.reopen()
	if _, err := os.Stat(stray); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the stray content is still there: %v", err)
	}
	b.reads("/a", "1")
}

// No content stays on the disk once it has landed and nobody has it open,
// whatever the landing met on its way.
func TestContentsGo(t *testing.T) {
	b := newBench(t, func(o *staging.Options) { o.LandTimeout = time.Second })
	b.follows(b.foreign(beforeAll))
	want := b.changeAll()
	b.open(b.dieAt("Wait", 1, false)) // it has landed, and does not know yet
	f := b.openFile("/new", false)    // reads the sealed layer
	_, err := b.o.Commit(t.Context(), "")
	b.must(err)
	if s := b.slurp(f); s != "new" {
		t.Fatalf("the open file reads as %q", s)
	}
	b.must(f.Close(false))
	b.holds(want)
	if left := b.contents(); len(left) > 0 {
		t.Fatalf("left behind: %v", left)
	}
}

// A file that was closed, and not released yet, when the process was killed is
// complete after that, and stays so when the process is killed again, in a commit.
func TestKilledTwice(t *testing.T) {
	b := newBench(t)
	f := b.create("/a")
	b.must(f.Truncate(9))
	b.put(f, "x", 4)
	b.must(f.Flushed())
	b.kill()
	want := tree{"/a": "\x00\x00\x00\x00x\x00\x00\x00\x00"}
	b.same("mount", b.mounted(), want)
	b.open(b.dieAt("Wait", 1, false))
	b.same("mount", b.mounted(), want)
	_, err := b.o.Commit(t.Context(), "")
	b.must(err)
	b.holds(want)
}

// A commit of what came to nothing makes none, and what it came to is on disk:
// a file that was made and removed again is not there without power.
func TestCommitOfNothingIsOnDisk(t *testing.T) {
	b := newBench(t)
	b.onSimDisk(0)
	b.must(b.create("/c").Close(true))
	b.must(b.o.SyncClosed())
	b.rm("/c")
	b.landsNothing()
	b.cut(staging.NothingKept).missing("/c")
}
