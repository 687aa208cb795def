package staging_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pachfs/staging"
)

// Closed files, and all names, are on disk within SyncAfter of their last
// change, with nobody asking for it: the power that goes then takes nothing
// that was written. Few files are synced one by one, many all at once.
func TestSyncAfter(t *testing.T) {
	for _, n := range []int{3, 200} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			const after = 200 * time.Millisecond
			b := newBench(t, func(o *staging.Options) { o.SyncAfter = after })
			b.foreign(tree{"/old": "0123456789", "/gone": "gone", "/moved": "moved"})
			b.onSimDisk(0)
			start := time.Now()
			for i := range n {
				b.write(fmt.Sprintf("/d/%d", i), fmt.Sprint("file ", i))
			}
			b.over("/old", "X", 3)
			b.add("/old", "more")
			b.rm("/gone")
			b.mv("/moved", "/there")
			want := b.mounted()
			tries, left := 0, func() tree {
				x := b.cut(staging.NothingKept)
				defer x.stage.Close()
				return x.mounted()
			}
			for ; !maps.Equal(left(), want); tries++ {
				if d := time.Since(start); d > 10*after {
					b.same("without power "+d.String()+" after", left(), want)
				}
				time.Sleep(after / 20)
			}
			t.Logf("on disk after %v (promised: %v, looked %d times)", time.Since(start).Round(time.Millisecond), after, tries+1)
		})
	}
}

// Without it they are not: what TestSyncAfter looks at can be lost.
func TestSyncNever(t *testing.T) {
	b := newBench(t)
	b.onSimDisk(0)
	b.write("/a", "1")
	if got := b.cut(staging.NothingKept).mounted(); len(got) > 0 {
		t.Fatalf("%v is on disk", got)
	}
}

// What fsync acknowledged is not written over by what comes later, as long as a
// power cut may fall back to it: not when the file was cut and closed in
// between, not when many contents are merged into one, not over a restart.
func TestSyncedBytesStay(t *testing.T) {
	for name, do := range map[string]func(b *bench, p string, did func(string)){
		"cut and written again": func(b *bench, p string, did func(string)) {
			b.cutTo(p, 149)
			did(strings.Repeat("x", 149))
			f := b.openFile(p, true)
			b.put(f, strings.Repeat("z", 735), 200)
			b.must(f.Close(true))
			did(strings.Repeat("x", 149) + strings.Repeat("\x00", 51) + strings.Repeat("z", 735))
		},
		"merged": func(b *bench, p string, did func(string)) {
			want := strings.Repeat("x", 1000)
			for i := range 30 {
				part := strings.Repeat(string(rune('a'+i%26)), 300)
				off := 300 + i%3*100
				b.over(p, part, int64(off))
				want = want[:off] + part + want[off+300:]
				did(want)
			}
		},
		"written anew, killed": func(b *bench, p string, did func(string)) {
			b.write(p, "short")
			did("")
			did("short")
			x := b.cut(staging.Kept)
			b.must(b.stage.Close())
			b.disk, b.stage, b.o = x.disk, x.stage, x.o
			b.write("/other", "another")
		},
	} {
		t.Run(name, func(t *testing.T) {
			seed := *modelSeed
			if seed == 0 {
				seed = uint64(time.Now().UnixNano())
			}
			b := newBench(t)
			b.foreign(tree{"/f": strings.Repeat("b", 2000)})
			b.onSimDisk(0)
			f := b.openFile("/f", true)
			b.must(f.Truncate(0))
			b.put(f, strings.Repeat("x", 1000), 0)
			b.must(f.Sync())
			b.must(f.Close(true))
			versions := []string{strings.Repeat("x", 1000)}
			do(b, "/f", func(v string) { versions = append(versions, v) })
			for i := range uint64(40) {
				x := b.cut(staging.Diced(rand.New(rand.NewPCG(seed+i, 3))))
				b.must(x.stage.Check())
				if got := x.read("/f"); !slices.Contains(versions, got) {
					t.Fatalf("-seed %d: it was never %.2000q", seed, got)
				}
				b.must(x.stage.Close())
			}
		})
	}
}

// Two processes call fsync on one file at the same time; contents were merged
// meanwhile, and both let go of what came before.
func TestSyncedTwiceAtOnce(t *testing.T) {
	b := newBench(t, staging.NoLooks)
	disk := b.onSimDisk(0)
	f := b.create("/f")
	inner, want := 0, ""
	for i := range 40 {
		want = fmt.Sprintf("%04d", i)
		b.put(f, want, 0)
		once := true
		disk.Before = func() {
			if once {
				once = false
				inner++
				b.must(f.Sync())
			}
		}
		b.must(f.Sync())
	}
	disk.Before = nil
	if inner == 0 {
		t.Error("no sync was inside another")
	}
	if got := b.cut(staging.NothingKept).mounted()["/f"]; got != want {
		t.Errorf("without power the file reads %q, want %q", got, want)
	}
	b.must(f.Close(true))
	if n := len(b.contents()); n > 10 {
		t.Errorf("%d contents are kept", n)
	}
}
