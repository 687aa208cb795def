package staging_test

import (
	"slices"
	"testing"

	"pachfs/staging"
)

// What the status and its like say of a file that is being written comes of one
// moment of it: the race detector looks on.
func TestStatusBesideAWriter(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/a": "aaaa"}))
	f := b.openFile("/a", true)
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 20000 && err == nil; i++ {
			_, err = f.WriteAt([]byte("x"), int64(i*3%50))
		}
		done <- err
	}()
	for len(done) == 0 {
		b.o.Status()
		b.o.Diff()
		b.o.Dirty()
	}
	b.must(<-done)
	b.must(f.Close(true))
	if s := b.o.Status(); s.Staged.Files != 1 {
		t.Errorf("%+v", s)
	}
}

// What others changed is compared with what is staged in a few steps a path,
// and finds what is at it, above it, and below it.
func TestInTheWay(t *testing.T) {
	b := newBench(t, staging.NoLooks)
	b.follows(b.foreign(tree{"/d/e/f": "1", "/x/y": "1", "/z": "1"}))
	b.write("/d/e/f", "2")
	b.rmAll("/x")
	b.mkdir("/new/dir")
	for path, hit := range map[string]bool{
		"/d/e/f": true, "/d/e": true, "/d": true, "/d/e/f/g": true, "/d/e/other": false, "/d/other": false,
		"/x/y": true, "/x": true, "/x/other": true, "/z": false, "/ne": false,
		"/new": true, "/new/dir": true, "/new/dir/file": false, // a file can't be where a directory is; in it, it can
	} {
		if got := b.o.Overlapping(path); got != hit {
			t.Errorf("%s: %v, want %v", path, got, hit)
		}
	}
	f := b.openFile("/z", true)
	if !b.o.Overlapping("/z") {
		t.Error("a file that is open for writing is not in the way")
	}
	b.must(f.Close(true))
	b.foreign(tree{"/d/e/f/g": "3", "/z": "3"}, "/d/e/f")
	_, err := b.o.Commit(t.Context(), "")
	b.is(err, staging.ErrConflict)
	if c := b.o.Status().Conflicts; !slices.Equal(c, []string{"/d/e/f", "/d/e/f/g"}) {
		t.Errorf("in conflict: %v", c)
	}
}
