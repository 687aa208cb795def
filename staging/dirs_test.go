package staging_test

import (
	"testing"

	"pachfs/pachclient/clienttest"
)

// A directory that was empty in one commit, had a file and lost it, is there
// after the next commit too.
func TestEmptyDirStays(t *testing.T) {
	b := newBench(t)
	b.mkdir("/d")
	b.write("/f", "1")
	b.lands()
	b.write("/d/n", "n")
	b.mv("/d/n", "/n")
	b.lands()
	b.same("mount", b.mounted(), tree{"/d/": "", "/f": "1", "/n": "n"})
}

// An empty directory moves along with the one above it, though a file in there
// is being written.
func TestEmptyDirMovesAlong(t *testing.T) {
	b := newBench(t)
	b.mkdir("/d/empty")
	b.write("/d/f", "1")
	b.mkdir("/to")
	b.write("/to/f", "1")
	b.lands()
	f := b.openFile("/d/f", true)
	b.mv("/d", "/to/d")
	b.lands()
	b.must(f.Close(true))
	b.same("mount", b.mounted(), tree{"/to/": "", "/to/f": "1", "/to/d/": "", "/to/d/f": "1", "/to/d/empty/": ""})
}

// An empty directory that was made in one layer and moved in the next.
func TestEmptyDirMovesBetweenLayers(t *testing.T) {
	b := newBench(t)
	b.mkdir("/d/empty")
	b.write("/d/f", "1")
	b.Fail("Upload", clienttest.Before, 1, errOther)
	if _, err := b.o.Commit(t.Context(), ""); err == nil {
		t.Fatal("the commit succeeds")
	}
	b.mv("/d", "/e")
	b.lands()
	b.same("mount", b.mounted(), tree{"/e/": "", "/e/f": "1", "/e/empty/": ""})
}
