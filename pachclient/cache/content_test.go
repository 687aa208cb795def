package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"pachfs/pachclient"
)

// read reads and compares, and says how it went.
func read(t *testing.T, r pachclient.Reader, path string, data []byte, n int, off int64) {
	t.Helper()
	p := make([]byte, n)
	got, err := r.ReadAt(context.Background(), info(path, data), p, off)
	want := data[min(off, int64(len(data))):min(off+int64(n), int64(len(data)))]
	if !bytes.Equal(p[:got], want) {
		t.Errorf("%s: %d bytes at %d: got %d bytes, and they differ or are too few", path, n, off, got)
	}
	if short := len(want) < n; short != (err == io.EOF) || !short && err != nil {
		t.Errorf("%s: %d bytes at %d: %v", path, n, off, err)
	}
}

// closeAndCheck closes the cache and looks for what it left behind.
func closeAndCheck(t *testing.T, c *Client, f *fake) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	c.dirs.trim(1 << 40)
	index := int64(0)
	if c.disk != nil {
		index = int64(c.disk.index.len()) * nodeBytes
	}
	if used := c.Stats().MemoryUsed - index; used != 0 {
		t.Errorf("%d bytes are still counted", used)
	}
	if n := f.open.Load(); n != 0 || c.Stats().OpenStreams != 0 {
		t.Errorf("%d streams are still open", n)
	}
	if !f.closed.Load() {
		t.Error("the client below was not closed")
	}
}

func TestSequentialReadIsOneCall(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		f := newFake()
		data := random(9<<20+1234, 1)
		c := start(t, f, Options{Dir: dir})
		r := c.At(f.commit(1, map[string][]byte{"/big": data}))
		for off := 0; off < len(data); off += 128 << 10 {
			read(t, r, "/big", data, 128<<10, int64(off))
		}
		if calls := f.opens.Load() + f.reads.Load(); calls != 1 || f.bytes.Load() != int64(len(data)) {
			t.Errorf("dir %q: %d calls moved %d bytes of %d", dir, calls, f.bytes.Load(), len(data))
		}
		for off := 0; dir != "" && off < len(data); off += 100_000 {
			read(t, r, "/big", data, 100_000, int64(off))
		}
		if calls := f.opens.Load() + f.reads.Load(); calls != 1 {
			t.Errorf("dir %q: reading it again took %d calls", dir, calls-1)
		}
		closeAndCheck(t, c, f)
	}
}

func TestRandomReadMovesLittle(t *testing.T) {
	f := newFake()
	data := random(32<<20, 2)
	c := start(t, f, Options{Dir: t.TempDir()})
	r := c.At(f.commit(1, map[string][]byte{"/big": data}))
	read(t, r, "/big", data, 4096, 17<<20+5000)
	if n := f.bytes.Load(); n > 256<<10 {
		t.Errorf("%d bytes moved for 4 KiB", n)
	}
	read(t, r, "/big", data, 4096, 17<<20+400_000) // the same chunk again: worth keeping
	read(t, r, "/big", data, 4096, 17<<20+900_000)
	read(t, r, "/big", data, 4096, 17<<20+1)
	if n := f.opens.Load() + f.reads.Load(); n != 2 {
		t.Errorf("%d calls", n)
	}
	// Where a read goes on, a stream follows; a small skip does not end it.
	off := int64(3 << 20)
	for i := range 40 {
		read(t, r, "/big", data, 64<<10, off)
		off += 64 << 10
		if i%10 == 9 {
			off += 700 << 10
		}
	}
	if n := f.opens.Load() + f.reads.Load(); n != 4 {
		t.Errorf("%d calls, want 2 more", n)
	}
	closeAndCheck(t, c, f)
}

func TestSameHashIsSameContent(t *testing.T) {
	f := newFake()
	data := random(3<<20+7, 3)
	c := start(t, f, Options{Dir: t.TempDir()})
	read(t, c.At(f.commit(1, map[string][]byte{"/a": data})), "/a", data, len(data), 0)
	moved := f.bytes.Load()
	other := f.commit(2, map[string][]byte{"/d/b": data})
	other.Branch.Repo = "another"
	read(t, c.At(other), "/d/b", data, len(data), 0)
	if moved != int64(len(data)) || f.bytes.Load() != moved {
		t.Errorf("%d bytes moved, then %d more", moved, f.bytes.Load()-moved)
	}
}

func TestReadersShareWhatArrives(t *testing.T) {
	for name, size := range map[string]int{"small": 50_000, "chunk": chunkSize, "big": 6 << 20} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			data := random(size, 4)
			gate := make(chan struct{})
			f.readGate = func(ctx context.Context, _ int64) error {
				select {
				case <-gate:
				case <-ctx.Done():
				}
				return ctx.Err()
			}
			c := start(t, f, Options{Dir: t.TempDir()})
			r := c.At(f.commit(1, map[string][]byte{"/f": data}))
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					for off := 0; off < size; off += 128 << 10 {
						read(t, r, "/f", data, 128<<10, int64(off))
					}
				})
			}
			waitFor(t, func() bool { return c.Stats().ChunkHits >= 15 })
			close(gate)
			wg.Wait()
			if n := f.bytes.Load(); n != int64(size) {
				t.Errorf("%d bytes moved for %d", n, size)
			}
			closeAndCheck(t, c, f)
		})
	}
}

func TestCancelledReaderLeavesOthersAlone(t *testing.T) {
	f := newFake()
	data := random(500_000, 5)
	gate := make(chan struct{})
	f.readGate = func(ctx context.Context, _ int64) error {
		select {
		case <-gate:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	c := start(t, f, Options{})
	r := c.At(f.commit(1, map[string][]byte{"/f": data}))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := r.ReadAt(ctx, info("/f", data), make([]byte, 100), 0); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled reader: %v", err)
		}
	})
	waitFor(t, func() bool { return f.opens.Load() == 1 })
	wg.Go(func() { read(t, r, "/f", data, 100, 300_000) })
	waitFor(t, func() bool { return c.Stats().ChunkHits == 1 })
	cancel()
	time.Sleep(10 * time.Millisecond)
	close(gate)
	wg.Wait()
	if n := f.opens.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestFetchEndsWithItsLastReader(t *testing.T) {
	f := newFake()
	data := random(500_000, 6)
	f.readGate = func(ctx context.Context, _ int64) error { <-ctx.Done(); return ctx.Err() }
	c := start(t, f, Options{})
	r := c.At(f.commit(1, map[string][]byte{"/f": data}))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := r.ReadAt(ctx, info("/f", data), make([]byte, 100), 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	waitFor(t, func() bool { return f.open.Load() == 0 })
	closeAndCheck(t, c, f)
}

func TestFirstBytesDoNotWait(t *testing.T) {
	for name, size := range map[string]int{"big": 8 << 20, "small": 900_000} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			data := random(size, 7)
			f.readGate = func(ctx context.Context, off int64) error {
				if off == 0 {
					return nil
				}
				<-ctx.Done() // the rest never comes
				return ctx.Err()
			}
			c := start(t, f, Options{Dir: t.TempDir()})
			read(t, c.At(f.commit(1, map[string][]byte{"/f": data})), "/f", data, 4096, 0)
			closeAndCheck(t, c, f)
		})
	}
}

func TestFailedReadIsNotKept(t *testing.T) {
	f := newFake()
	data := random(5<<20, 8)
	c := start(t, f, Options{Dir: t.TempDir()})
	r := c.At(f.commit(1, map[string][]byte{"/f": data}))
	var failing bool
	f.readGate = func(_ context.Context, off int64) error {
		if failing = !failing && off > 3<<20; failing {
			return errAway
		}
		return nil
	}
	p := make([]byte, len(data))
	n, err := r.ReadAt(context.Background(), info("/f", data), p, 0)
	if !errors.Is(err, errAway) || n < 3<<20 || !bytes.Equal(p[:n], data[:n]) {
		t.Errorf("%d bytes, %v", n, err)
	}
	f.readGate = nil
	read(t, r, "/f", data, len(data), 0)
	closeAndCheck(t, c, f)
}

func TestShortContentIsAnError(t *testing.T) {
	f := newFake()
	data := random(5000, 9)
	r := start(t, f, Options{}).At(f.commit(1, map[string][]byte{"/f": data}))
	said := info("/f", data)
	said.Size = 6000
	if _, err := r.ReadAt(context.Background(), said, make([]byte, 6000), 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

func TestOpenReadsToTheEnd(t *testing.T) {
	f := newFake()
	data := random(3<<20+99, 10)
	r := start(t, f, Options{}).At(f.commit(1, map[string][]byte{"/f": data, "/empty": nil}))
	rc, err := r.Open(context.Background(), info("/f", data), 77)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, data[77:]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	rc.Close()
	if _, err := rc.Read(make([]byte, 1)); err == nil {
		t.Error("a closed stream reads on")
	}
	read(t, r, "/empty", nil, 10, 0)
	read(t, r, "/f", data, 10, int64(len(data)))
	read(t, r, "/f", data, 10, int64(len(data))+5)
}

func TestStreamsAreBoundedAndIdleOnesClosed(t *testing.T) {
	f := newFake()
	data := random(3<<20, 11)
	named := map[string][]byte{}
	for i := range 40 {
		named["/"+string(rune('A'+i))] = append([]byte{byte(i)}, data...)
	}
	c := start(t, f, Options{MemoryBytes: 16 << 20}) // room for 2 streams
	c.contents.idle = 50 * time.Millisecond
	r := c.At(f.commit(1, named))
	for range 3 {
		for name, data := range named {
			read(t, r, name, data, 1000, 0)
		}
	}
	if n := f.mostOpen.Load(); n > 4 {
		t.Errorf("%d streams were open", n)
	}
	if used := c.Stats().MemoryUsed; used > 16<<20 {
		t.Errorf("%d bytes used", used)
	}
	waitFor(t, func() bool { return f.open.Load() == 0 && c.Stats().MemoryUsed == 0 })
	closeAndCheck(t, c, f)
}

func TestCloseEndsReads(t *testing.T) {
	f := newFake()
	data := random(5<<20, 12)
	f.readGate = func(ctx context.Context, _ int64) error { <-ctx.Done(); return ctx.Err() }
	c := start(t, f, Options{})
	r := c.At(f.commit(1, map[string][]byte{"/f": data}))
	done := make(chan error)
	go func() {
		_, err := r.ReadAt(context.Background(), info("/f", data), make([]byte, 100), 0)
		done <- err
	}()
	waitFor(t, func() bool { return f.opens.Load() == 1 })
	c.Close()
	if err := <-done; err == nil {
		t.Error("the read went well")
	}
	closeAndCheck(t, c, f)
}
