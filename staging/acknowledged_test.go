package staging_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
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
		b.must(b.o.Sweep())
		dir := b.cp()
		x := &bench{t: b.t, server: b.server, client: b.client, branch: b.branch, opts: b.opts, noCheck: true}
		x.Faulty = clienttest.NewFaulty(x.dial())
		o := x.opts
		o.Client = x.Faulty
		s, err := staging.Open(dir, o)
		b.must(err)
		if _, err := s.Overlay(t.Context(), b.branch); err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
		s.Close()
	}
}

// A half-written file whose bytes were synced is half-written still when the power goes.
func TestHalfWrittenWithoutPower(t *testing.T) {
	b := newBench(t)
	b.write("/f", "whole")
	b.must(b.o.SyncClosed())
	f := b.openFile("/f", true)
	b.put(f, "HALF", 0)
	b.kill() // pachfs only
	if w := b.o.Status().Writing; len(w) != 1 {
		t.Fatalf("%v", w)
	}
	b.must(b.o.SyncClosed())
	dir := b.cp()
	b.must(b.stage.Close())
	b.Faulty = clienttest.NewFaulty(b.dial())
	o := b.opts
	o.Client = b.Faulty
	var err error
	b.stage, err = staging.OpenBooted("other", dir, o)
	b.must(err)
	s := b.stage
	t.Cleanup(func() { s.Close() })
	b.o, err = b.stage.Overlay(t.Context(), b.branch)
	b.must(err)
	t.Logf("writing %v, reads %q", b.o.Status().Writing, b.read("/f"))
	_, err = b.o.Commit(t.Context(), "")
	b.must(err)
	b.same("head", b.committed(), tree{"/f": "whole"})
}

// A write beside an fsync is synced later, though it goes over the same bytes.
func TestWriteBesideAnFsync(t *testing.T) {
	b := newBench(t)
	b.must(b.stage.Close())
	disk := staging.NewSimDisk(0)
	b.openOn(disk, filepath.Join(memory(t), "state"))
	f := b.create("/f")
	b.put(f, "aaaa", 0)
	once := false
	disk.After = func() {
		if !once {
			once = true
			b.put(f, "bbbb", 0)
		}
	}
	b.must(f.Sync())
	disk.After = nil
	b.must(f.Close(true))
	b.must(b.o.SyncClosed())
	x := b.cutOff(disk, staging.NothingKept, b.o.CopyResidue(), filepath.Join(memory(t), "left"))
	b.same("after the power", x.mounted(), tree{"/f": "bbbb"})
}

// A seal in the middle of an fsync: what it acknowledged is there without power.
func TestFsyncAcrossASeal(t *testing.T) {
	b := newBench(t)
	b.must(b.stage.Close())
	disk := staging.NewSimDisk(0)
	b.openOn(disk, filepath.Join(memory(t), "state"))
	b.write("/f", "whole")
	f := b.openFile("/f", true)
	me := make(chan bool, 1)
	hold, sealed, done := make(chan bool), make(chan bool), make(chan bool)
	first := true
	var mu sync.Mutex
	inCommit := 0
	disk.After = func() {
		mu.Lock()
		if first { // content of /f synced, by Sync
			first = false
			inCommit = 1
			mu.Unlock()
			go func() { b.o.Commit(context.Background(), ""); close(done) }()
			<-sealed
			mu.Lock()
			inCommit = 0
			mu.Unlock()
			return
		}
		if inCommit > 0 && b.o.TryLayers() == 2 {
			// pushOver is over; the next change is syncSealed's first
			inCommit = 0
			mu.Unlock()
			close(sealed)
			<-hold
			return
		}
		mu.Unlock()
	}
	_ = me
	go func() {
		time.Sleep(8 * time.Second)
		select {
		case <-sealed:
		default:
			panic("stuck")
		}
	}()
	b.must(f.Sync())
	t.Log("fsync has returned")
	x := b.cutOff(disk, staging.NothingKept, b.o.CopyResidue(), filepath.Join(memory(t), "left"))
	got := x.mounted()
	close(hold)
	<-done
	b.same("after the power", got, tree{"/f": "whole"})
}

type remembering struct {
	pachclient.Client
	add func()
}

// A kill right after `landed` does not forget what others changed above.
func (r remembering) Add(pachclient.Hash, int64, io.ReaderAt) error { r.add(); return nil }

// R5: killed between landed and the record of a conflict
func TestKilledBeforeAConflictIsNoted(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/x": "old", "/a": "old"}))
	dir := ""
	b.must(b.stage.Close())
	b.Faulty = clienttest.NewFaulty(b.dial())
	o := b.opts
	o.Client = remembering{b.Faulty, func() {
		if dir == "" {
			dir = b.cp()
		}
	}}
	var err error
	b.stage, err = staging.Open(b.stage.Dir(), o)
	b.must(err)
	s := b.stage
	t.Cleanup(func() { s.Close() })
	b.o, err = b.stage.Overlay(t.Context(), b.branch)
	b.must(err)
	b.write("/a", "mine")
	once := false
	b.OnCall("Upload", func() {
		if !once {
			once = true
			b.write("/x", "mine too") // goes into the layer above
			b.foreign(tree{"/x": "theirs"})
		}
	})
	_, err = b.o.Commit(t.Context(), "")
	t.Log("first commit:", err, b.o.Status().State, b.o.Status().Conflicts)
	_, err = b.o.Commit(t.Context(), "")
	t.Log("without a kill, the second:", err)
	b.must(b.stage.Close())
	b.open(dir)
	t.Log("after the kill", b.o.Status().State, b.o.Status().Conflicts, b.o.Diff())
	_, err = b.o.Commit(t.Context(), "")
	if !errors.Is(err, staging.ErrConflict) {
		t.Fatalf("after a kill at landed: %v, head %v, overwritten %v", err, b.committed(), b.o.Status().Overwritten)
	}
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

// A disk that fails in the middle of a seal: nothing lands from then on, and a restart has all that was acknowledged.
func TestCarriedFails(t *testing.T) {
	b := newBench(t)
	b.must(b.stage.Close())
	var arm atomic.Bool
	b.Faulty = clienttest.NewFaulty(b.dial())
	o := b.opts
	o.Client = b.Faulty
	var err error
	b.stage, err = staging.OpenBad(&arm, b.stage.Dir(), o)
	b.must(err)
	s := b.stage
	t.Cleanup(func() { s.Close() })
	b.o, err = b.stage.Overlay(t.Context(), b.branch)
	b.must(err)
	b.write("/a", "a")
	f := b.create("/log")
	b.put(f, "acknowledged", 0)
	arm.Store(true)
	_, err = b.o.Commit(t.Context(), "")
	t.Log("1:", err)
	_, err = b.o.Commit(t.Context(), "")
	t.Log("2:", err, b.committed(), b.o.Layers())
	dir := b.cp()
	b.stage.Close()
	b.open(dir)
	b.same("after the kill", b.mounted(), tree{"/a": "a", "/log": "acknowledged"})
}

// The same, with one more trigger.
func TestCarriedFailsTwice(t *testing.T) {
	b := newBench(t)
	b.must(b.stage.Close())
	var arm atomic.Bool
	b.Faulty = clienttest.NewFaulty(b.dial())
	o := b.opts
	o.Client = b.Faulty
	var err error
	b.stage, err = staging.OpenBad(&arm, b.stage.Dir(), o)
	b.must(err)
	s := b.stage
	t.Cleanup(func() { s.Close() })
	b.o, err = b.stage.Overlay(t.Context(), b.branch)
	b.must(err)
	b.write("/a", "a")
	b.put(b.create("/log"), "acknowledged", 0)
	arm.Store(true)
	b.o.Commit(t.Context(), "")
	_, err = b.o.Commit(t.Context(), "")
	t.Log(err)
	dir := b.cp() // killed here
	b.foreign(tree{"/a": "theirs"})
	b.stage.Close()
	b.open(dir)
	t.Log(b.o.Status().State, b.o.Layers(), b.o.Diff())
	_, err = b.o.Commit(t.Context(), "")
	t.Log("after the kill:", err, b.committed(), len(b.ids()))
	// Nothing had landed: somebody else's change is in the way, and all is kept.
	if !errors.Is(err, staging.ErrConflict) || len(b.o.Diff()) != 2 {
		t.Fatal(err, b.o.Diff())
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
	j, err := os.ReadFile(filepath.Join(b.stage.Dir(), b.o.BranchDir(), "layer-00000001")) // this is on disk
	b.must(err)
	b.rm("/f")       // this is not
	b.noCheck = true // it would sweep
	b.kill()         // and the next one removes the content,
	left := b.cp()
	b.must(os.WriteFile(filepath.Join(left, b.o.BranchDir(), "layer-00000001"), j, 0o600)) // and the power goes
	x := &bench{t: b.t, server: b.server, client: b.client, branch: b.branch, opts: b.opts}
	x.Faulty = clienttest.NewFaulty(x.dial())
	o := x.opts
	o.Client = x.Faulty
	s, err := staging.OpenBooted("other", left, o)
	b.must(err)
	defer s.Close()
	_, err = s.Overlay(t.Context(), b.branch)
	b.must(err)
}

// A file whose write failed, carried over a seal before its release, is not complete after a kill.
func TestFailedWriteIsCarried(t *testing.T) {
	b := newBench(t)
	b.must(b.stage.Close())
	disk := staging.NewSimDisk(8 << 20)
	b.openOn(disk, filepath.Join(memory(t), "state"))
	f := b.create("/f")
	b.put(f, "head", 0)
	if _, err := f.WriteAt(make([]byte, 9<<20), 4); err == nil {
		t.Fatal("it fits")
	}
	b.put(f, "tail", 4+(1<<20))
	b.must(f.Flushed()) // close(2); the release is late
	b.write("/other", "x")
	_, err := b.o.Commit(t.Context(), "")
	b.must(err)
	x := b.cutOff(disk, staging.Kept, b.o.CopyResidue(), filepath.Join(memory(t), "left"))
	t.Log("writing:", x.o.Status().Writing)
	_, err = x.o.Commit(t.Context(), "")
	b.must(err)
	if c := b.committed(); len(c) != 1 {
		t.Fatalf("committed a file with a hole: %d files", len(c))
	}
}

// An fsync of a file of a layer that is being sealed.
func TestFsyncBelowASeal(t *testing.T) {
	b := newBench(t)
	b.must(b.stage.Close())
	disk := staging.NewSimDisk(0)
	b.openOn(disk, filepath.Join(memory(t), "state"))
	b.write("/f", "whole")
	hold, sealed, done := make(chan bool), make(chan bool), make(chan bool)
	var once atomic.Bool
	disk.Before = func() {
		if b.o.TryLayers() == 2 && once.CompareAndSwap(false, true) { // syncSealed's first
			close(sealed)
			<-hold
		}
	}
	go func() { b.o.Commit(context.Background(), ""); close(done) }()
	<-sealed
	f := b.openFile("/f", true)
	b.must(f.Sync())
	t.Log("fsync has returned")
	x := b.cutOff(disk, staging.NothingKept, b.o.CopyResidue(), filepath.Join(memory(t), "left"))
	got := x.mounted()
	close(hold)
	<-done
	b.same("after the power", got, tree{"/f": "whole"})
}

// An fsync of a new file above a layer that is being sealed.
func TestFsyncAboveASeal(t *testing.T) {
	b := newBench(t)
	b.must(b.stage.Close())
	disk := staging.NewSimDisk(0)
	b.openOn(disk, filepath.Join(memory(t), "state"))
	b.write("/f", "whole")
	hold, sealed, done := make(chan bool), make(chan bool), make(chan bool)
	var once atomic.Bool
	disk.Before = func() {
		if b.o.TryLayers() == 2 && once.CompareAndSwap(false, true) { // syncSealed's first
			close(sealed)
			<-hold
		}
	}
	go func() { b.o.Commit(context.Background(), ""); close(done) }()
	<-sealed
	f := b.create("/g")
	b.put(f, "synced", 0)
	b.must(f.Sync())
	t.Log("fsync has returned")
	x := b.cutOff(disk, staging.NothingKept, b.o.CopyResidue(), filepath.Join(memory(t), "left"))
	got := x.mounted()
	close(hold)
	<-done
	t.Log(got)
	if got["/g"] != "synced" {
		t.Fatal("what fsync acknowledged is lost")
	}
}
