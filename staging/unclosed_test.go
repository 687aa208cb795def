package staging_test

import "testing"

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
	b.lands()
	b.holds(tree{"/g": "half"})
}
