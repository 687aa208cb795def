package cache

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pachfs/pachclient"
)

// chunkFiles gives what lies in the folder of a disk cache.
func chunkFiles(t *testing.T, dir string) (paths []string, blocks int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		paths = append(paths, path)
		blocks += max(info.Sys().(*syscall.Stat_t).Blocks*512, info.Size())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths, blocks
}

// checkFolder compares the account with the disk. The cache is closed.
func checkFolder(t *testing.T, c *Client, dir string, limit int64) {
	t.Helper()
	paths, blocks := chunkFiles(t, dir)
	if used := c.Stats().DiskUsed; used != blocks || used > limit || len(paths) != c.disk.index.len() {
		t.Errorf("%d bytes are counted of %d, in %d files of %d; the cap is %d",
			used, blocks, c.disk.index.len(), len(paths), limit)
	}
	for _, p := range paths {
		if strings.HasPrefix(filepath.Base(p), tempPrefix) {
			t.Errorf("%s was left", p)
		}
	}
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	data := random(4<<20+5, 20)
	for i := range 3 {
		f := newFake()
		c := start(t, f, Options{Dir: dir})
		read(t, c.At(f.commit(1, map[string][]byte{"/f": data})), "/f", data, len(data), 0)
		if moved := f.bytes.Load() > 0; moved != (i == 0) {
			t.Errorf("start %d: %d bytes moved", i, f.bytes.Load())
		}
		closeAndCheck(t, c, f)
		checkFolder(t, c, dir, defaultDisk)
	}
}

func TestEvictionIsExactAndByUse(t *testing.T) {
	const limit = 20 * (diskBlock * 13) // 20 files of 50,000 bytes
	dir := t.TempDir()
	f := newFake()
	files := map[string][]byte{}
	name := func(i int) string { return "/" + string(rune('A'+i)) }
	for i := range 50 {
		files[name(i)] = random(50_000, uint64(100+i))
	}
	c := start(t, f, Options{Dir: dir, DiskBytes: limit})
	c.contents.idle = time.Millisecond // the disk is what we look at
	r := c.At(f.commit(1, files))
	for i := range 50 {
		read(t, r, name(i), files[name(i)], 50_000, 0)
		waitFor(t, func() bool { return c.Stats().MemoryUsed <= 20*nodeBytes })
		read(t, r, name(0), files[name(0)], 50_000, 0) // always in use
		if _, blocks := chunkFiles(t, dir); blocks > limit || blocks != c.Stats().DiskUsed {
			t.Fatalf("%d bytes on disk, %d counted, cap %d", blocks, c.Stats().DiskUsed, limit)
		}
	}
	if n := f.opens.Load(); n != 50 {
		t.Errorf("%d calls; the file in use was evicted", n)
	}
	s := c.Stats()
	if s.BytesFetched != 50*50_000 || s.BytesCached != 50*50_000 || s.BytesEvicted != 30*50_000 {
		t.Errorf("%+v", s)
	}
	closeAndCheck(t, c, f)
	checkFolder(t, c, dir, limit)

	// A smaller cap takes hold at the next start.
	c = start(t, f, Options{Dir: dir, DiskBytes: limit / 4})
	waitFor(t, func() bool { _, blocks := chunkFiles(t, dir); return blocks <= limit/4 })
	checkFolder(t, c, dir, limit/4)
}

func TestDamagedChunksAreFetchedAgain(t *testing.T) {
	data := random(200_000, 21)
	for name, damage := range map[string]func(t *testing.T, path string, b []byte){
		"bit":    func(_ *testing.T, path string, b []byte) { b[len(b)-5000] ^= 4; os.WriteFile(path, b, 0o600) },
		"header": func(_ *testing.T, path string, b []byte) { b[50] ^= 1; os.WriteFile(path, b, 0o600) },
		"short":  func(_ *testing.T, path string, b []byte) { os.WriteFile(path, b[:len(b)-1], 0o600) },
		"empty":  func(_ *testing.T, path string, b []byte) { os.WriteFile(path, nil, 0o600) },
		"zeros":  func(_ *testing.T, path string, b []byte) { os.WriteFile(path, make([]byte, len(b)), 0o600) },
		"gone":   func(_ *testing.T, path string, b []byte) { os.Remove(path) },
		"other":  func(_ *testing.T, path string, b []byte) { b[9] ^= 1; os.WriteFile(path, b, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := newFake()
			c := start(t, f, Options{Dir: dir})
			c.contents.idle = time.Millisecond
			r := c.At(f.commit(1, map[string][]byte{"/f": data}))
			for i := range 3 {
				read(t, r, "/f", data, len(data), 0)
				waitFor(t, func() bool { return c.Stats().MemoryUsed <= nodeBytes })
				paths, _ := chunkFiles(t, dir)
				if len(paths) != 1 {
					t.Fatal(paths)
				}
				if b, err := os.ReadFile(paths[0]); err != nil {
					t.Fatal(err)
				} else if i == 0 {
					damage(t, paths[0], b)
				}
			}
			if n := f.opens.Load(); n != 2 {
				t.Errorf("%d calls", n)
			}
			closeAndCheck(t, c, f)
			checkFolder(t, c, dir, defaultDisk)
		})
	}
}

func TestBrokenFolderFailsNoRead(t *testing.T) {
	dir := t.TempDir()
	f := newFake()
	data := random(3<<20, 22)
	c := start(t, f, Options{Dir: dir})
	os.RemoveAll(filepath.Join(dir, diskFolder))
	os.WriteFile(filepath.Join(dir, diskFolder), nil, 0o600)
	r := c.At(f.commit(1, map[string][]byte{"/f": data}))
	read(t, r, "/f", data, len(data), 0)
	if s := c.Stats(); s.DiskUsed != 0 || s.BytesCached != 0 {
		t.Errorf("%+v", s)
	}
	closeAndCheck(t, c, f)
	if _, err := New(f, Options{Dir: filepath.Join(dir, diskFolder)}); err == nil {
		t.Error("a file was taken for a folder")
	}
}

func TestAddSavesTheFetch(t *testing.T) {
	f := newFake()
	data := random(2<<20+50, 23)
	c := start(t, f, Options{Dir: t.TempDir()})
	if err := c.Add(info("/f", data).Hash, int64(len(data)), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	read(t, c.At(f.commit(1, map[string][]byte{"/f": data})), "/f", data, len(data), 0)
	if n := f.bytes.Load(); n != 0 {
		t.Errorf("%d bytes moved", n)
	}
	if err := c.Add(pachclient.Hash{1}, 100, bytes.NewReader(data[:50])); err == nil {
		t.Error("half a content was taken")
	}
	closeAndCheck(t, c, f)
}

func TestTwoCachesShareAFolder(t *testing.T) {
	const limit = 3 << 20
	dir := t.TempDir()
	f := newFake()
	files := map[string][]byte{}
	var names []string
	for i := range 30 {
		names = append(names, "/"+string(rune('A'+i)))
		files[names[i]] = random(200_000, uint64(200+i))
	}
	commit := f.commit(1, files)
	var wg sync.WaitGroup
	var both []*Client
	for range 2 {
		c := start(t, f, Options{Dir: dir, DiskBytes: limit})
		both = append(both, c)
		c.contents.idle = time.Millisecond
		for w := range 2 {
			wg.Go(func() {
				for i := range 120 {
					name := names[(i*7+w*11)%len(names)]
					read(t, c.At(commit), name, files[name], 200_000, 0)
				}
			})
		}
	}
	wg.Wait()
	for _, c := range both { // they go on filling while they live
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	c := start(t, f, Options{Dir: dir, DiskBytes: limit}) // a third one counts them all
	if n := c.Stats().Corrupt; n != 0 {
		t.Errorf("%d damaged", n)
	}
	checkFolder(t, c, dir, limit)
}

func TestScanLeavesStrangersAlone(t *testing.T) {
	dir := t.TempDir()
	shard := filepath.Join(dir, diskFolder, "ab")
	if err := os.MkdirAll(shard, 0o700); err != nil {
		t.Fatal(err)
	}
	stay := []string{"notes", "tmp-young", strings.Repeat("0", 32) + ".1"}
	for _, name := range append([]string{"tmp-old"}, stay...) {
		if err := os.WriteFile(filepath.Join(shard, name), make([]byte, 500), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-2 * tempLifetime)
	os.Chtimes(filepath.Join(shard, "tmp-old"), old, old)
	c := start(t, newFake(), Options{Dir: dir})
	c.Close()
	for _, name := range stay {
		if _, err := os.Stat(filepath.Join(shard, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(shard, "tmp-old")); err == nil {
		t.Error("a dead writer's file is still there")
	}
	if used := c.Stats().DiskUsed; used != 0 {
		t.Error(used, "bytes counted")
	}
}
