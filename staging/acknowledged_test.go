package staging_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/clienttest"
	"pachfs/staging"
)

// Contents that were merged after many syncs: a copy of the directory opens, as after a kill.
func TestContentsOfOldSyncsOpen(t *testing.T) {
	b := newBench(t)
	f := b.create("/f")
	for i := range 40 {
		b.put(f, strings.Repeat(string(rune('a'+i%26)), 300), int64(i%3*100))
		b.must(f.Sync())
		want := b.slurp(f)
		b.must(b.o.Sweep())
		x := b.sibling()
		x.noCheck = true // it would sweep
		x.open(b.cp())
		x.reads("/f", want)
		b.must(x.stage.Close())
	}
}

// booted opens a state directory as after the machine was started anew.
func booted(dir string, o staging.Options) (*staging.Stage, error) {
	return staging.OpenBooted("other", dir, o)
}

// A half-written file whose bytes were synced is half-written still when the power goes.
func TestHalfWrittenWithoutPower(t *testing.T) {
	b := newBench(t)
	b.write("/f", "whole")
	b.must(b.o.SyncClosed())
	f := b.openFile("/f", true)
	b.put(f, "HALF", 0)
	b.kill() // pachfs only
	b.writing("/f")
	b.must(b.o.SyncClosed())
	dir := b.cp()
	b.must(b.stage.Close())
	b.openBy(booted, dir)
	b.writing("/f")
	b.reads("/f", "HALFe")
	b.landsPart()
	b.same("head", b.committed(), tree{"/f": "whole"})
}

// writing fails unless exactly these files are half-written.
func (b *bench) writing(want ...string) {
	b.t.Helper()
	if got := b.o.Status().Writing; !slices.Equal(got, want) {
		b.t.Fatalf("the status names %v as half-written, want %v", got, want)
	}
}

// heldAfterASeal triggers a commit and holds it before the first thing it does
// to the disk once it has sealed. What it gives lets the commit go on to its end.
func (b *bench) heldAfterASeal() (release func()) {
	b.t.Helper()
	hold, sealed, done := make(chan bool), make(chan bool), make(chan error, 1)
	var once atomic.Bool
	b.disk.Before = func() {
		if b.o.TryLayers() == 2 && once.CompareAndSwap(false, true) {
			close(sealed)
			<-hold
		}
	}
	go func() {
		_, err := b.o.Commit(context.Background(), "")
		done <- err
	}()
	end := sync.OnceValue(func() error { close(hold); return <-done })
	release = func() { b.t.Helper(); b.must(end()) }
	b.t.Cleanup(release)
	select {
	case <-sealed:
	case <-time.After(10 * time.Second):
		b.t.Fatal("the commit does not seal")
	}
	return release
}

// A write beside an fsync is synced later, though it goes over the same bytes.
func TestWriteBesideAnFsync(t *testing.T) {
	b := newBench(t)
	disk := b.onSimDisk(0)
	f := b.create("/f")
	b.put(f, "aaaa", 0)
	beside := false
	disk.After = func() {
		if !beside {
			beside = true
			b.put(f, "bbbb", 0)
		}
	}
	b.must(f.Sync())
	disk.After = nil
	if !beside {
		t.Fatal("the fsync did nothing to the disk")
	}
	b.must(f.Close(true))
	b.must(b.o.SyncClosed())
	b.same("after the power", b.cut(staging.NothingKept).mounted(), tree{"/f": "bbbb"})
}

// A seal in the middle of an fsync: what it acknowledged is there without power.
func TestFsyncAcrossASeal(t *testing.T) {
	b := newBench(t)
	disk := b.onSimDisk(0)
	b.write("/f", "whole")
	f := b.openFile("/f", true)
	var release func()
	var once atomic.Bool
	disk.After = func() {
		if once.CompareAndSwap(false, true) { // the content is synced
			release = b.heldAfterASeal()
		}
	}
	b.must(f.Sync())
	if release == nil {
		t.Fatal("the fsync did nothing to the disk")
	}
	got := b.cut(staging.NothingKept).mounted()
	release()
	b.same("after the power", got, tree{"/f": "whole"})
}

// An fsync of a file of a layer that is being sealed.
func TestFsyncBelowASeal(t *testing.T) {
	b := newBench(t)
	b.onSimDisk(0)
	b.write("/f", "whole")
	release := b.heldAfterASeal()
	b.must(b.openFile("/f", true).Sync())
	got := b.cut(staging.NothingKept).mounted()
	release()
	b.same("after the power", got, tree{"/f": "whole"})
}

// An fsync of a new file above a layer that is being sealed.
func TestFsyncAboveASeal(t *testing.T) {
	b := newBench(t)
	b.onSimDisk(0)
	b.write("/f", "whole")
	release := b.heldAfterASeal()
	f := b.create("/g")
	b.put(f, "synced", 0)
	b.must(f.Sync())
	got := b.cut(staging.NothingKept).mounted()
	release()
	if got["/g"] != "synced" {
		t.Fatalf("what fsync acknowledged is lost: %v", got)
	}
}

// A remembering client says when the contents that landed are handed on to the
// cache, which is right after the journal has "landed".
type remembering struct {
	pachclient.Client
	add func()
}

func (r remembering) Add(pachclient.Hash, int64, io.ReaderAt) error { r.add(); return nil }

// A kill right after "landed" does not forget what others changed above it.
func TestKilledBeforeAConflictIsNoted(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/x": "old", "/a": "old"}))
	b.must(b.stage.Close())
	dir := ""
	b.openBy(func(dir0 string, o staging.Options) (*staging.Stage, error) {
		o.Client = remembering{o.Client, func() {
			if dir == "" {
				dir = b.cp()
			}
		}}
		return staging.Open(dir0, o)
	}, b.stage.Dir())
	b.write("/a", "mine")
	once := false
	b.OnCall("Upload", func() {
		if !once {
			once = true
			b.write("/x", "mine too") // goes into the layer above
			b.foreign(tree{"/x": "theirs"})
		}
	})
	_, err := b.o.Commit(t.Context(), "")
	b.must(err)
	if dir == "" || !once {
		t.Fatal("it did not get to where it is killed")
	}
	b.must(b.stage.Close())
	b.open(dir)
	_, err = b.o.Commit(t.Context(), "")
	b.is(err, staging.ErrConflict)
	b.same("head", b.committed(), tree{"/a": "mine", "/x": "theirs"})
	b.reads("/x", "mine too")
}

// A discard does not fail because somebody looks at the head.
func TestDiscardWhileFollowing(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/x": "old"}))
	b.write("/x", "mine")
	b.foreign(tree{"/x": "theirs"})
	b.until("conflict", func() bool { return b.o.Status().State == staging.Conflict })
	b.Fail("Diff", clienttest.Hang, -1, nil)
	n := b.Calls("Diff")
	b.until("somebody looks", func() bool { return b.Calls("Diff") > n })
	b.must(b.o.Discard("/x"))
	b.Heal()
}

// A disk that fails in the middle of a seal: nothing lands from then on, and a
// restart has all that was acknowledged.
func TestDiskFailsInASeal(t *testing.T) {
	for _, theirs := range []bool{false, true} {
		b := serialBench(t)
		b.must(b.stage.Close())
		var arm atomic.Bool
		b.openBy(func(dir string, o staging.Options) (*staging.Stage, error) {
			return staging.OpenBad(&arm, dir, o)
		}, b.stage.Dir())
		b.write("/a", "a")
		b.put(b.create("/log"), "acknowledged", 0)
		arm.Store(true)
		for range 2 {
			if _, err := b.o.Commit(t.Context(), ""); err == nil {
				t.Fatal("a commit on a disk that failed")
			}
		}
		if arm.Load() {
			t.Fatal("the disk did not fail")
		}
		b.same("head", b.committed(), tree{})
		dir := b.cp()
		b.must(b.stage.Close())
		if theirs {
			b.foreign(tree{"/a": "theirs"})
		}
		b.open(dir)
		b.same("after the kill", b.mounted(), tree{"/a": "a", "/log": "acknowledged"})
		if theirs { // nothing had landed: their change is in the way
			_, err := b.o.Commit(t.Context(), "")
			b.is(err, staging.ErrConflict)
			continue
		}
		b.landsPart()
		b.same("head", b.committed(), tree{"/a": "a"})
	}
}

// Ten fsyncs of two pages, as a database does them, a close: it opens.
func TestManySyncsOpen(t *testing.T) {
	b := newBench(t)
	f := b.create("/f")
	for i := range 10 { // as sqlite does: the first page and another, then fsync
		b.put(f, "page", 0)
		b.put(f, "page", int64(4*i+4))
		b.must(f.Sync())
	}
	b.must(f.Close(true))
	b.reopen()
	b.reads("/f", strings.Repeat("page", 11))
}

// Contents that a start finds to be nobody's go after a sync of the journals that let them go.
func TestSweptAtOpen(t *testing.T) {
	b := newBench(t)
	f := b.create("/f")
	b.put(f, "synced", 0)
	b.must(f.Sync())
	b.must(f.Close(true))
	layer := filepath.Join(b.o.BranchDir(), "layer-00000001")
	j, err := os.ReadFile(filepath.Join(b.stage.Dir(), layer)) // this is on disk
	b.must(err)
	b.rm("/f")       // this is not
	b.noCheck = true // it would sweep
	b.kill()         // and the next one removes the content,
	left := b.cp()
	b.must(os.WriteFile(filepath.Join(left, layer), j, 0o600)) // and the power goes
	x := b.sibling()
	x.openBy(booted, left)
	x.reads("/f", "synced")
}

// A file whose write failed, carried over a seal before its release, is not complete after a kill.
func TestFailedWriteIsCarried(t *testing.T) {
	b := newBench(t)
	b.onSimDisk(8 << 20)
	f := b.create("/f")
	b.put(f, "head", 0)
	if _, err := f.WriteAt(make([]byte, 9<<20), 4); err == nil {
		t.Fatal("it fits")
	}
	b.put(f, "tail", 4+(1<<20))
	b.must(f.Flushed()) // close(2); the release is late
	b.write("/other", "x")
	b.landsPart()
	x := b.cut(staging.Kept)
	x.writing("/f")
	_, err := x.o.Commit(t.Context(), "")
	b.must(err)
	b.same("head", b.committed(), tree{"/other": "x"})
}
