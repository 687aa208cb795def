package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pachfs/test/harness"
)

// A latency is how long each of many operations took.
type latency []time.Duration

func (l latency) at(percent float64) time.Duration {
	l = slices.Sorted(slices.Values(l))
	return l[min(len(l)-1, int(float64(len(l))*percent/100))]
}

func (l latency) String() string {
	if len(l) == 0 {
		return "none"
	}
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return fmt.Sprintf("p50 %v, p99 %v, max %v of %d", round(l.at(50)), round(l.at(99)), round(l.at(100)), len(l))
}

// A busy writer makes small files and writes 64 KiB pieces into a large one, at
// a pace that leaves the machine air, until it is stopped.
type busy struct {
	stop            chan bool
	done            sync.WaitGroup
	small, pieces   latency
	made            int
	dir             string
	piece, document []byte
}

func startBusy(t *testing.T, dir string) *busy {
	b := &busy{stop: make(chan bool), dir: dir, piece: bytes.Repeat([]byte("64k."), 16<<10), document: []byte(`{"label": "statue"}`)}
	ok(t, os.MkdirAll(dir, 0o777))
	b.done.Go(func() {
		f, err := os.Create(filepath.Join(dir, "large"))
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		for off := int64(0); ; off = (off + int64(len(b.piece))) % (64 << 20) {
			start := time.Now()
			_, err := f.WriteAt(b.piece, off)
			b.pieces = append(b.pieces, time.Since(start))
			if !b.next(t, err) {
				return
			}
		}
	})
	b.done.Go(func() {
		for ; ; b.made++ {
			start := time.Now()
			err := os.WriteFile(b.name(b.made), b.document, 0o666)
			b.small = append(b.small, time.Since(start))
			if !b.next(t, err) {
				return
			}
		}
	})
	return b
}

func (b *busy) name(i int) string { return filepath.Join(b.dir, fmt.Sprint(i)) }

func (b *busy) next(t *testing.T, err error) bool {
	if err != nil {
		t.Error(err)
		return false
	}
	select {
	case <-b.stop:
		return false
	case <-time.After(time.Millisecond):
		return true
	}
}

// end stops the writer. Every file is there as it was written.
func (b *busy) end(t *testing.T) {
	t.Helper()
	close(b.stop)
	b.done.Wait()
	for i := range b.made {
		if got := read(t, b.name(i)); got != string(b.document) {
			t.Errorf("%s reads %s", b.name(i), brief(got))
		}
	}
}

// Writers never wait for a commit (promise 5): beside a landing of 10,000 files,
// and of 512 MiB, their p99 stall is below 20 ms; the test's deadline is ten times that.
func TestStall(t *testing.T) {
	files, size := 10_000, 512<<20
	if testing.Short() {
		files, size = 500, 32<<20
	}
	for _, c := range []struct {
		name  string
		stage func(t *testing.T, dir string)
	}{
		{"10,000 files", func(t *testing.T, dir string) {
			harness.Sh(t, dir, fmt.Sprintf(`python3 -c '
import os
for i in range(%d):
    if i %% 1000 == 0: os.mkdir("d%%d" %% (i//1000))
    with open("d%%d/%%d" %% (i//1000, i), "w") as f: f.write("file %%d" %% i)'`, files))
		}},
		{"512 MiB", func(t *testing.T, dir string) {
			f, err := os.Create(filepath.Join(dir, "large"))
			ok(t, err)
			block, r := make([]byte, 1<<20), random(t)
			for i := range block {
				block[i] = byte(r.Uint32())
			}
			for i := range size >> 20 { // no two blocks are the same
				block[i], block[len(block)/2+i] = byte(r.Uint32()), byte(i)
				_, err := f.Write(block)
				ok(t, err)
			}
			ok(t, f.Close())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := harness.Serve(t)
			ref := s.Ref("labels@master")
			s.Peer.Create(t, s.Ref("labels"))
			m := harness.MountSpec(t, harness.Spec{URL: s.URL, Deadline: 3 * time.Minute})
			c.stage(t, m.Path(ref))
			alone := startBusy(t, m.Path(ref, "before"))
			time.Sleep(time.Second)
			alone.end(t)
			head := s.Peer.Head(t, ref)
			beside := startBusy(t, m.Path(ref, "beside"))
			start := time.Now()
			commit(t, m, ref)
			took := time.Since(start)
			beside.end(t)
			t.Logf("alone:  small files %v; 64 KiB writes %v", alone.small, alone.pieces)
			t.Logf("beside: small files %v; 64 KiB writes %v; the commit took %v", beside.small, beside.pieces, took.Round(time.Millisecond))
			for what, l := range map[string]latency{"small files": beside.small, "64 KiB writes": beside.pieces} {
				if l.at(99) > 200*time.Millisecond {
					t.Errorf("%s wait: %v", what, l)
				}
			}
			made := s.Peer.Commits(t, ref, head)
			if len(made) != 1 {
				t.Fatalf("%d commits", len(made))
			}
			later := 0
			for p := range s.Peer.Diff(t, ref, made[0].Commit.Id) {
				if strings.HasPrefix(p, "/beside/") {
					later++
				}
			}
			if later >= beside.made {
				t.Errorf("all %d files that were written beside the commit are in it: it was no test", later)
			}
		})
	}
}

// Closed files are synced within --sync-after, and nobody waits for it: the
// figures beside those of a mount that never syncs. That the sync happens is
// shown where the power can be cut: staging's TestSyncAfter.
func TestStallSync(t *testing.T) {
	s := harness.Serve(t)
	for _, after := range []string{"1h", "100ms"} {
		ref := s.Ref("after" + after + "@master")
		s.Peer.Create(t, s.Ref("after"+after))
		m := s.Mount(t, "--sync-after", after)
		b := startBusy(t, m.Path(ref, "d"))
		time.Sleep(3 * time.Second)
		b.end(t)
		t.Logf("--sync-after %s: small files %v; 64 KiB writes %v", after, b.small, b.pieces)
		if b.small.at(99) > 200*time.Millisecond || b.pieces.at(99) > 200*time.Millisecond {
			t.Errorf("--sync-after %s: writers wait", after)
		}
		if r := harness.Pachfs(t, "discard", "--all", m.Path(ref)); r.Code != 0 {
			t.Error(r)
		}
		m.Close(t)
	}
}
