package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pachfs/pachclient"
)

// A world is some files, a cache before them, and readers that compare every
// byte they get.
type world struct {
	t     *testing.T
	files map[string][]byte
	r     pachclient.Reader
	fails bool // the server does, now and then
}

func randomFiles(seed uint64) map[string][]byte {
	return map[string][]byte{
		"/a": random(5<<20+321, seed), "/b": random(chunkSize, seed+1), "/c": random(70_000, seed+2),
		"/d": random(2*chunkSize, seed+3), "/e": random(1, seed+4), "/f": random(12<<20-1, seed+5),
	}
}

// run does random operations in several goroutines.
func (w *world) run(seed uint64, readers, steps int) {
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for range steps {
				w.step(rnd)
			}
		})
	}
	wg.Wait()
}

func (w *world) step(rnd *rand.Rand) {
	name := "/" + string(rune('a'+rnd.IntN(len(w.files))))
	off := rnd.Int64N(int64(len(w.files[name])) + 10)
	size := 1 + rnd.IntN(1<<rnd.IntN(21))
	ctx := context.Background()
	switch rnd.IntN(4) {
	case 0: // from the start
		off = 0
		fallthrough
	case 1: // some reads that follow each other
		for range rnd.IntN(20) {
			w.read(ctx, name, size, off)
			off += int64(size)
		}
	case 2: // one that is given up
		ctx, cancel := context.WithTimeout(ctx, time.Duration(rnd.IntN(300))*time.Microsecond)
		defer cancel()
		w.read(ctx, name, size, off)
	default:
		w.read(ctx, name, size, off)
	}
}

// read may come short only with a reason, and never gives a wrong byte.
func (w *world) read(ctx context.Context, name string, size int, off int64) {
	p := make([]byte, size)
	n, err := w.r.ReadAt(ctx, info(name, w.files[name]), p, off)
	rest := w.files[name][min(off, int64(len(w.files[name]))):]
	want := rest[:min(size, len(rest))]
	if !bytes.HasPrefix(want, p[:n]) {
		w.t.Errorf("%s: wrong bytes in %d at %d", name, size, off)
	}
	switch {
	case err == nil && n == size, err == io.EOF && n == len(rest):
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
	case w.fails && errors.Is(err, errAway):
	default:
		w.t.Errorf("%s: %d of %d bytes at %d: %v", name, n, size, off, err)
	}
}

func TestRandomOperations(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, dir := range []string{"", t.TempDir()} {
		f := newFake()
		f.seed = seed
		files := randomFiles(seed)
		c := start(t, f, Options{Dir: dir, DiskBytes: 6 << 20, MemoryBytes: leastMemory})
		c.contents.idle = 20 * time.Millisecond
		w := world{t: t, files: files, r: c.At(f.commit(1, files))}
		w.run(seed, 6, 60)
		if n := f.mostOpen.Load(); n > 8 {
			t.Errorf("%d streams were open at once", n)
		}
		closeAndCheck(t, c, f)
		if dir != "" {
			checkFolder(t, c, dir, 6<<20)
		}
	}
}

// The same while the server fails, and somebody damages what is on disk.
func TestRandomFaults(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f := newFake()
	f.seed = seed
	var reads atomic.Uint64
	f.readGate = func(context.Context, int64) error {
		if rand.New(rand.NewPCG(seed, reads.Add(1))).IntN(40) == 0 {
			return errAway
		}
		return nil
	}
	files, dir := randomFiles(seed), t.TempDir()
	c := start(t, f, Options{Dir: dir, DiskBytes: 12 << 20, MemoryBytes: leastMemory})
	c.contents.idle = 20 * time.Millisecond
	w := world{t: t, files: files, r: c.At(f.commit(1, files)), fails: true}
	damage := rand.New(rand.NewPCG(seed, 0))
	for round := range uint64(8) {
		w.run(seed+round, 4, 20)
		paths, _ := chunkFiles(t, dir)
		for i, path := range paths {
			if i%3 == 0 {
				os.Truncate(path, damage.Int64N(chunkSize))
			}
		}
	}
	if c.Stats().Corrupt == 0 {
		t.Error("no damage was met")
	}
	closeAndCheck(t, c, f)
}

// Listings give way to streams, and come back. What is just changing hands may
// be counted twice for a moment: a chunk or two.
func TestMemoryIsKept(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f := newFake()
	f.seed = seed
	files := randomFiles(seed)
	c := start(t, f, Options{Dir: t.TempDir(), DiskBytes: 6 << 20, MemoryBytes: leastMemory})
	w := world{t: t, files: files, r: c.At(f.commit(1, files))}
	stop, peak := make(chan struct{}), int64(0)
	var wg sync.WaitGroup
	wg.Go(func() {
		for commit := 2; ; commit++ {
			select {
			case <-stop:
				return
			default:
				listAll(t, c.At(f.commit(commit, lots)), "/d")
			}
		}
	})
	wg.Go(func() {
		for range 500 {
			peak = max(peak, c.Stats().MemoryUsed)
			time.Sleep(time.Millisecond)
		}
	})
	w.run(seed, 6, 20)
	close(stop)
	wg.Wait()
	if peak > leastMemory+2*chunkSize || peak < leastMemory/2 {
		t.Errorf("%d bytes at most, of %d", peak, leastMemory)
	}
	closeAndCheck(t, c, f)
}

var lots = huge(5000)
