package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"sync"
	"testing"
	"time"

	"pachfs/pachclient"
)

var tree = map[string][]byte{
	"/B": {1}, "/a-b": {2}, "/a.txt": {3}, "/a/x": {4}, "/a/y/z": {5}, "/a0": {6},
}

func listAll(t *testing.T, r pachclient.Reader, dir string) (all []pachclient.FileInfo) {
	t.Helper()
	err := r.List(context.Background(), dir, func(f pachclient.FileInfo) error {
		all = append(all, f)
		return nil
	})
	if err != nil {
		t.Errorf("list %s: %v", dir, err)
	}
	return all
}

func TestOneListAnswersAll(t *testing.T) {
	f := newFake()
	commit := f.commit(1, tree)
	r := start(t, f, Options{}).At(commit)
	ctx := context.Background()
	for path, data := range tree {
		got, err := r.Stat(ctx, path)
		if err != nil || got != info(path, data) {
			t.Errorf("stat %s: %v, %v", path, got, err)
		}
	}
	for _, dir := range []string{"/", "/a", "/a/y", "/nothing"} {
		if got, want := listAll(t, r, dir), children(tree, dir); !reflect.DeepEqual(got, want) {
			t.Errorf("list %s: %v, want %v", dir, got, want)
		}
	}
	for _, dir := range []string{"/a", "/a/y"} {
		if got, err := r.Stat(ctx, dir); err != nil || !got.Dir || got.Path != dir {
			t.Errorf("stat %s: %v, %v", dir, got, err)
		}
	}
	for _, path := range []string{"/0", "/a1", "/zz", "/a/q", "/nothing/x", "/B/x", "/a/y/z/q/r"} {
		if _, err := r.Stat(ctx, path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat %s: %v", path, err)
		}
	}
	if err := r.List(ctx, "/B", nil); !errors.Is(err, pachclient.ErrNotDir) {
		t.Errorf("list of a file: %v", err)
	}
	for range 3 {
		if got, err := r.Stat(ctx, "/"); err != nil || !got.Dir || got.Path != "/" {
			t.Errorf("stat /: %v, %v", got, err)
		}
	}
	// "/", "/a", "/a/y", "/nothing", "/a/y/z/q", and "/B" twice: failures are not kept.
	if n := f.lists.Load(); n != 7 {
		t.Errorf("%d listings", n)
	}
	if n := f.stats.Load(); n != 1 {
		t.Errorf("%d stats for the root", n)
	}
}

func TestFileAndDirectoryOfOneName(t *testing.T) {
	f := newFake()
	commit := f.commit(1, map[string][]byte{"/a": {1}, "/a.txt": {2}, "/a/b": {3}})
	got, err := start(t, f, Options{}).At(commit).Stat(context.Background(), "/a")
	if err != nil || !got.Dir {
		t.Errorf("%v, %v; Pachyderm tells of the directory", got, err)
	}
}

func TestZeroCommitAsksNothing(t *testing.T) {
	f := newFake()
	f.setFail(errAway)
	r := start(t, f, Options{}).At(pachclient.Commit{})
	ctx := context.Background()
	if got, err := r.Stat(ctx, "/"); err != nil || !got.Dir {
		t.Error(got, err)
	}
	if _, err := r.Stat(ctx, "/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if got := listAll(t, r, "/"); got != nil {
		t.Error(got)
	}
	if err := r.Diff(ctx, pachclient.Commit{}, nil); err != nil {
		t.Error(err)
	}
	if n := f.lists.Load() + f.stats.Load(); n != 0 {
		t.Error(n, "calls")
	}
}

func TestFileSetsAndOpenCommitsAreNotKept(t *testing.T) {
	f := newFake()
	f.commits["set"] = tree
	c := start(t, f, Options{})
	for range 2 {
		listAll(t, c.At(pachclient.FileSet("set").Commit()), "/")
	}
	if n := f.lists.Load(); n != 2 {
		t.Errorf("a file set was asked %d times in 2", n)
	}
	l := newListing(dirKey{}, c.memory)
	if err := l.add(pachclient.FileInfo{Path: "/x"}); err != errNotKept {
		t.Errorf("an entry without a time: %v", err)
	}
}

func TestSingleFlightOfListings(t *testing.T) {
	f := newFake()
	commit := f.commit(1, tree)
	gate := make(chan struct{})
	f.listGate = func(ctx context.Context, _ int) error {
		select {
		case <-gate:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	c := start(t, f, Options{})
	r := c.At(commit)

	// One waiter gives up: its own wait ends, the others' does not.
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := r.Stat(ctx, "/B"); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled waiter: %v", err)
		}
	})
	for range 20 {
		wg.Go(func() {
			if _, err := r.Stat(context.Background(), "/a.txt"); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(t, func() bool { return c.Stats().ListingHits == 20 })
	cancel()
	time.Sleep(10 * time.Millisecond)
	close(gate)
	wg.Wait()
	if n := f.lists.Load(); n != 1 {
		t.Errorf("%d listings", n)
	}
}

func TestFlightEndsWithItsLastWaiter(t *testing.T) {
	f := newFake()
	commit := f.commit(1, tree)
	ended := make(chan struct{})
	f.listGate = func(ctx context.Context, _ int) error {
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	}
	c := start(t, f, Options{})
	r := c.At(commit)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.Stat(ctx, "/B"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	<-ended
	f.listGate = nil
	if _, err := r.Stat(context.Background(), "/B"); err != nil {
		t.Errorf("after a flight that was given up: %v", err)
	}
}

func TestFailureIsNotKept(t *testing.T) {
	f := newFake()
	r := start(t, f, Options{}).At(f.commit(1, tree))
	f.setFail(errAway)
	if _, err := r.Stat(context.Background(), "/B"); !errors.Is(err, errAway) {
		t.Error(err)
	}
	f.setFail(nil)
	if _, err := r.Stat(context.Background(), "/B"); err != nil {
		t.Error(err)
	}
}

func TestCallbackErrorComesBack(t *testing.T) {
	f := newFake()
	r := start(t, f, Options{}).At(f.commit(1, tree))
	own := errors.New("enough")
	if err := r.List(context.Background(), "/", func(pachclient.FileInfo) error { return own }); err != own {
		t.Error(err)
	}
}

func huge(n int) map[string][]byte {
	files := make(map[string][]byte, n)
	for i := range n {
		files[fmt.Sprintf("/d/file-%07d", i)] = nil
	}
	return files
}

func TestStatOfAHugeDirectoryIsEarly(t *testing.T) {
	f := newFake()
	commit := f.commit(1, huge(30_000))
	gate := make(chan struct{})
	f.listGate = func(_ context.Context, i int) error {
		if i == 25_000 {
			<-gate
		}
		return nil
	}
	c := start(t, f, Options{})
	r := c.At(commit)
	ctx := context.Background()
	if _, err := r.Stat(ctx, "/d/file-0000010"); err != nil {
		t.Error(err)
	}
	if _, err := r.Stat(ctx, "/d/file-0020000x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := r.Stat(ctx, "/d/file-0029998"); err != nil || f.stats.Load() != 1 {
		t.Errorf("%v; want the one name to be asked for, and no wait", err)
	}
	close(gate) // the listing goes on by itself, and is kept
	waitFor(t, func() bool { c.dirs.mu.Lock(); defer c.dirs.mu.Unlock(); return len(c.dirs.known) == 1 })
	if _, err := r.Stat(ctx, "/d/file-0029999"); err != nil {
		t.Error(err)
	}
	if lists, stats := f.lists.Load(), f.stats.Load(); lists != 1 || stats != 1 {
		t.Errorf("%d listings, %d stats", lists, stats)
	}
	if used := c.Stats().MemoryUsed; used > 256*30_000 || used < 48*30_000 {
		t.Errorf("%d bytes for 30,000 entries", used)
	}
}

func TestListingTooBigToKeep(t *testing.T) {
	f := newFake()
	const n = 60_000 // some 4 MB, of 2 MiB that one listing may have
	commit := f.commit(1, huge(n))
	c := start(t, f, Options{MemoryBytes: leastMemory})
	r := c.At(commit)
	for range 2 {
		got := listAll(t, r, "/d")
		if len(got) != n || got[n-1].Path != fmt.Sprintf("/d/file-%07d", n-1) {
			t.Fatalf("%d entries", len(got))
		}
		for i := 1; i < n; i++ {
			if got[i-1].Path >= got[i].Path {
				t.Fatalf("%s before %s", got[i-1].Path, got[i].Path)
			}
		}
	}
	if _, err := r.Stat(context.Background(), "/d/file-0059999"); err != nil {
		t.Error(err)
	}
	if n := f.lists.Load(); n != 3 {
		t.Errorf("%d listings, want a vain one and one for each caller", n)
	}
	if used := c.Stats().MemoryUsed; used > 4096 {
		t.Errorf("%d bytes kept", used)
	}
}

func TestListingsAreEvicted(t *testing.T) {
	f := newFake()
	files := map[string][]byte{}
	for d := range 40 {
		for i := range 4500 {
			files[fmt.Sprintf("/%02d/%04d", d, i)] = nil
		}
	}
	c := start(t, f, Options{MemoryBytes: leastMemory})
	r := c.At(f.commit(1, files))
	for d := range 40 {
		listAll(t, r, fmt.Sprintf("/%02d", d))
		if used := c.Stats().MemoryUsed; used > leastMemory {
			t.Fatalf("%d bytes used", used)
		}
	}
	listAll(t, r, "/39")
	if n := f.lists.Load(); n != 40 {
		t.Errorf("%d listings: the last one should be known", n)
	}
	listAll(t, r, "/00")
	if n := f.lists.Load(); n != 41 {
		t.Errorf("%d listings: the first one should have gone", n)
	}
	c.dirs.trim(leastMemory)
	if used := c.Stats().MemoryUsed; used != 0 {
		t.Errorf("%d bytes used by nothing", used)
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("waited in vain")
}

// Servers before 2.6 know commits with one ID on several branches.
func TestOneIDOnTwoBranches(t *testing.T) {
	f := newFake()
	one := f.commit(1, tree)
	one.Branch.Name = "one"
	two := one
	two.Branch.Name = "two"
	c := start(t, f, Options{})
	if got := listAll(t, c.At(one), "/"); !reflect.DeepEqual(got, children(tree, "/")) {
		t.Errorf("one lists %v", got)
	}
	other := map[string][]byte{"/else": {1}}
	f.commit(1, other) // what is on the other branch
	if got := listAll(t, c.At(two), "/"); !reflect.DeepEqual(got, children(other, "/")) {
		t.Errorf("two lists %v", got)
	}
	if got := listAll(t, c.At(one), "/"); !reflect.DeepEqual(got, children(tree, "/")) {
		t.Errorf("one lists %v after that", got)
	}
}
