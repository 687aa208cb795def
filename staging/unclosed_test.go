package staging_test

import (
	"fmt"
	"slices"
	"testing"
)

// A file that is still being written for the first time waits for the commit
// after its close.
func TestUnclosedNewFileWaits(t *testing.T) {
	b := newBench(t)
	f := b.create("/open")
	b.put(f, "half", 0)
	b.landsNothingYet()
	b.write("/other", "x")
	c, err := b.o.Commit(t.Context(), "")
	b.must(err)
	b.same("head", b.committed(), tree{"/other": "x"})
	b.reads("/open", "half")
	b.put(f, " and half", 4)
	b.must(f.Close(true))
	if d := b.lands(); d.ID == c.ID {
		t.Fatal("no new commit")
	}
	b.holds(tree{"/other": "x", "/open": "half and half"})
}

// A renamed new file, still open, waits too, and so does one that replaces a
// committed file.
func TestUnclosedNewFileMoves(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/old": "old"}))
	f := b.create("/tmp")
	b.put(f, "half", 0)
	b.mv("/tmp", "/old")
	b.reads("/old", "half")
	_, err := b.o.Commit(t.Context(), "")
	b.must(err)
	b.reads("/old", "half")
	b.put(f, "!", 4)
	b.must(f.Close(true))
	_, err = b.o.Commit(t.Context(), "")
	b.must(err)
	b.clean()
	b.holds(tree{"/old": "half!"})
}

// A new file that is renamed before its close is in no commit either: neither
// empty at a new name, nor in place of a committed file. It survives a kill.
func TestRenamedBeforeItsClose(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/old": "old", "/old2": "old"}))
	f := b.create("/tmp")
	b.put(f, "half", 0)
	b.mv("/tmp", "/old")
	b.put(b.create("/a"), "half", 0)
	b.mv("/a", "/new")
	b.create("/empty")
	b.mv("/empty", "/old2")
	b.landsNothingYet()
	b.write("/x", "x")
	b.landsPart()
	b.same("head", b.committed(), tree{"/old": "old", "/old2": "old", "/x": "x"})
	b.kill()
	b.same("mount", b.mounted(), tree{"/old": "half", "/old2": "", "/new": "half", "/x": "x"})
	for _, p := range []string{"/old", "/old2", "/new"} {
		b.complete(p)
	}
	b.lands()
	b.holds(tree{"/old": "half", "/old2": "", "/new": "half", "/x": "x"})
}

// fsync counts as closed.
func TestFsyncCountsAsClosed(t *testing.T) {
	b := newBench(t)
	f := b.create("/f")
	b.put(f, "synced", 0)
	b.must(f.Sync())
	b.put(f, "-not", 6)
	_, err := b.o.Commit(t.Context(), "")
	b.must(err)
	b.same("head", b.committed(), tree{"/f": "synced"})
	b.reads("/f", "synced-not")
	b.must(f.Sync())
	_, err = b.o.Commit(t.Context(), "")
	b.must(err)
	b.holds(tree{"/f": "synced-not"})
	b.must(f.Close(true))
	b.landsNothing()
}

// A file that is being written in a directory that moved: the commit takes the
// move and not the file, which goes on where the directory is now.
func TestWriterInMovedDir(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/d/f": "0123456789"}))
	b.mv("/d", "/e")
	f := b.openFile("/e/f", true)
	b.put(f, "X", 3)
	b.landsPart()
	b.same("head", b.committed(), tree{"/e/f": "0123456789"})
	b.reads("/e/f", "012X456789")
	b.must(f.Close(true))
	b.reads("/e/f", "012X456789")
	b.lands()
	b.holds(tree{"/e/f": "012X456789"})
}

// A file that is being written for the first time where a directory was: the
// directory's files go with the commit, and stay gone after a kill.
func TestUnclosedFileForDir(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/d/1": "1", "/d/2": "2", "/k": "k"}))
	b.rmAll("/d")
	f := b.create("/d")
	b.put(f, "half", 0)
	b.landsPart()
	b.same("head", b.committed(), tree{"/k": "k"})
	b.reads("/d", "half")
	b.kill()
	b.mv("/d", "/e")
	b.same("mount", b.mounted(), tree{"/e": "half", "/k": "k"})
	b.complete("/e")
	b.lands()
	b.holds(tree{"/e": "half", "/k": "k"})
}

// The same in place of a file: the commit keeps what was there at the last close.
func TestUnclosedFileForFile(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/f": "old"}))
	b.rm("/f")
	f := b.create("/f")
	b.put(f, "half", 0)
	_, err := b.o.Commit(t.Context(), "")
	b.must(err)
	b.same("head", b.committed(), tree{"/f": "old"})
	b.kill()
	b.reads("/f", "half")
	b.mv("/f", "/g")
	b.complete("/g")
	b.lands()
	b.holds(tree{"/g": "half"})
}

// complete opens and closes a file that nobody closed.
func (b *bench) complete(p string) {
	b.t.Helper()
	b.must(b.openFile(p, true).Close(true))
}

// What was being written when pachfs was killed is shown, named, and in no
// commit until somebody completes it: however many kills and commits come
// between. A committed file is committed as it was.
func TestHalfWrittenAfterAKillWaits(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/old": "old content"}))
	b.put(b.create("/new"), "ha", 0)
	b.put(b.openFile("/old", true), "HALF", 0)
	for i := range 3 {
		b.kill()
		b.same("mount", b.mounted().files(), b.withOthers(i, tree{"/new": "ha", "/old": "HALFcontent"}))
		if w := b.o.Status().Writing; !slices.Equal(w, []string{"/new", "/old"}) {
			t.Fatalf("the status names %v", w)
		}
		b.write(fmt.Sprintf("/other%d", i), "x")
		b.landsPart()
		b.same("head", b.committed(), b.withOthers(i+1, tree{"/old": "old content"}))
	}
	b.complete("/new")
	b.write("/old", "whole")
	b.lands()
	b.holds(b.withOthers(3, tree{"/new": "ha", "/old": "whole"}))
}

func (b *bench) withOthers(n int, t tree) tree {
	for i := range n {
		t[fmt.Sprintf("/other%d", i)] = "x"
	}
	return t
}

// A descriptor that was closed completes the file also when the kill comes
// before the release; but not when something was written after it.
func TestClosedInTheInstantOfAKill(t *testing.T) {
	b := newBench(t)
	f := b.create("/closed")
	b.put(f, "whole", 0)
	b.must(f.Flushed())
	g := b.create("/forked")
	b.put(g, "ha", 0)
	b.must(g.Flushed())
	b.put(g, "HA", 0) // over the same bytes
	b.kill()
	if w := b.o.Status().Writing; !slices.Equal(w, []string{"/forked"}) {
		t.Fatalf("the status names %v", w)
	}
	b.landsPart()
	b.same("head", b.committed(), tree{"/closed": "whole"})
	b.reads("/forked", "HA")
}

// The same with a commit between the close and its release: it goes on with the
// file, and the close counts.
func TestClosedBeforeACommitAndAKill(t *testing.T) {
	b := newBench(t)
	f := b.create("/closed")
	b.put(f, "whole", 0)
	b.must(f.Flushed())
	g := b.create("/again")
	b.put(g, "whole", 0)
	b.must(g.Flushed())
	b.write("/other", "x")
	b.landsPart()
	b.must(g.Flushed())
	b.kill()
	if w := b.o.Status().Writing; len(w) > 0 {
		t.Fatalf("the status names %v", w)
	}
	b.lands()
	b.holds(tree{"/closed": "whole", "/again": "whole", "/other": "x"})
}

// A file that was closed and is opened anew before the kernel has released it:
// the next commit takes it as it was closed, not what the next writer has of it.
func TestClosedAndOpenedAnew(t *testing.T) {
	b := newBench(t)
	f := b.create("/a")
	b.put(f, "first", 0)
	b.must(f.Flushed())
	g := b.openFile("/a", true)
	b.must(g.Truncate(0))
	b.put(g, "sec", 0)
	_, err := b.o.Commit(t.Context(), "")
	b.must(err)
	b.same("before the release", b.committed(), tree{"/a": "first"})
	b.must(f.Close(true))
	_, err = b.o.Commit(t.Context(), "")
	b.must(err)
	b.same("after it", b.committed(), tree{"/a": "first"})
	b.put(g, "ond", 3)
	b.must(g.Flushed())
	b.must(g.Close(true))
	b.lands()
	b.holds(tree{"/a": "second"})
}

// A sync finds no fault with what lands in the middle of it.
func TestSyncAcrossACommit(t *testing.T) {
	b := newBench(t)
	disk := b.onSimDisk(0)
	b.write("/a", "1")
	b.write("/b", "2")
	synced := false
	disk.After = func() { // the first of the two contents is on disk
		if !synced {
			synced = true
			b.lands()
		}
	}
	b.must(b.o.SyncClosed())
	if !synced {
		t.Fatal("nothing was synced")
	}
	b.holds(tree{"/a": "1", "/b": "2"})
}
