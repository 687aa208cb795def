package test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pachfs/test/harness"
)

// maxFsx is how long the file gets: a few dozen pages, so that ranges meet.
const maxFsx = 200_000

// An fsx does random things to one file, through several descriptors and
// shared mappings, and knows what it must hold.
type fsx struct {
	t      *testing.T
	r      *rand.Rand
	path   string
	f, ro  *os.File // for both, and for reading
	ap     *os.File // O_APPEND
	want   []byte
	commit func(landed []byte) // nil: it may be anything between

	did []string // the last of what was done
}

// fsxOps are what it does, with how often.
var fsxOps = []struct {
	often int
	do    func(x *fsx) string
}{
	{25, (*fsx).write}, {25, (*fsx).read}, {8, (*fsx).appendSome}, {7, (*fsx).truncate}, {15, (*fsx).mapWrite}, {12, (*fsx).mapRead},
	{4, (*fsx).reopen}, {2, (*fsx).sync}, {2, (*fsx).whole}, {10, (*fsx).forget},
}

// run does n operations, and commits every so many.
func (x *fsx) run(n, every int) {
	x.open()
	var dice []func(*fsx) string
	for _, op := range fsxOps {
		for range op.often {
			dice = append(dice, op.do)
		}
	}
	for i := range n {
		said := dice[x.r.IntN(len(dice))](x)
		if i%every == every-1 {
			said = x.land()
		}
		if x.did = append(x.did, fmt.Sprintf("%d %s", i, said)); len(x.did) > 30 {
			x.did = x.did[1:]
		}
		if x.t.Failed() {
			x.t.Fatalf("after operation %d; the last of them: %q", i, x.did)
		}
	}
	x.whole()
	x.close()
}

func (x *fsx) open() {
	for at, flags := range map[**os.File]int{&x.f: os.O_RDWR | os.O_CREATE, &x.ro: os.O_RDONLY | os.O_CREATE, &x.ap: os.O_WRONLY | os.O_APPEND | os.O_CREATE} {
		f, err := os.OpenFile(x.path, flags, 0o666)
		ok(x.t, err)
		*at = f
	}
}

func (x *fsx) close() {
	for _, f := range []*os.File{x.f, x.ro, x.ap} {
		ok(x.t, f.Close())
	}
}

// reach gives a range that begins in the file, or a little after its end.
func (x *fsx) reach(most int) (off, n int) {
	off = x.r.IntN(min(len(x.want)+5000, maxFsx-1))
	return off, 1 + x.r.IntN(min(most, maxFsx-off))
}

func (x *fsx) bytes(n int) []byte {
	p := make([]byte, n+7)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(p[i:], x.r.Uint64())
	}
	return p[:n]
}

// grow makes the file as long as n at least; what is added is zeros.
func (x *fsx) grow(n int) {
	if n > len(x.want) {
		x.want = append(x.want, make([]byte, n-len(x.want))...)
	}
}

func (x *fsx) same(what string, got []byte, off int) {
	want := x.want[min(off, len(x.want)):min(off+len(got), len(x.want))]
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	x.t.Errorf("%s at %d: %d bytes, want %d; they differ from %d on", what, off, len(got), len(want), off+at)
}

func (x *fsx) write() string {
	off, n := x.reach(20_000)
	p := x.bytes(n)
	_, err := x.f.WriteAt(p, int64(off))
	ok(x.t, err)
	x.grow(off + n)
	copy(x.want[off:], p)
	return fmt.Sprintf("write [%d, %d)", off, off+n)
}

func (x *fsx) appendSome() string {
	n := min(1+x.r.IntN(3000), maxFsx-len(x.want))
	p := x.bytes(n)
	_, err := x.ap.Write(p)
	ok(x.t, err)
	x.want = append(x.want, p...)
	return fmt.Sprintf("append %d", n)
}

func (x *fsx) read() string {
	off, n := x.reach(30_000)
	f := []*os.File{x.f, x.ro}[x.r.IntN(2)]
	p := make([]byte, n)
	got, err := f.ReadAt(p, int64(off))
	if err != io.EOF {
		ok(x.t, err)
	}
	if got != min(n, max(0, len(x.want)-off)) {
		x.t.Errorf("read of [%d, %d) gives %d of %d bytes", off, off+n, got, len(x.want))
	}
	x.same("read", p[:got], off)
	return fmt.Sprintf("read [%d, %d)", off, off+n)
}

func (x *fsx) truncate() string {
	n := x.r.IntN(maxFsx)
	if x.r.IntN(2) == 0 {
		n = x.r.IntN(len(x.want) + 1)
	}
	if x.r.IntN(2) == 0 {
		ok(x.t, x.f.Truncate(int64(n)))
	} else {
		ok(x.t, os.Truncate(x.path, int64(n)))
	}
	x.grow(n)
	clear(x.want[n:])
	x.want = x.want[:n]
	return fmt.Sprintf("truncate %d", n)
}

// mapped gives a range of the file and a shared mapping of it; nil if there is none.
func (x *fsx) mapped(prot int) (off int, p []byte, unmap func()) {
	if len(x.want) == 0 {
		return 0, nil, nil
	}
	off = x.r.IntN(len(x.want))
	n := 1 + x.r.IntN(min(20_000, len(x.want)-off))
	start := off &^ (os.Getpagesize() - 1)
	m, err := unix.Mmap(int(x.f.Fd()), int64(start), off-start+n, prot, unix.MAP_SHARED)
	ok(x.t, err)
	return off, m[off-start:], func() { ok(x.t, unix.Munmap(m)) }
}

func (x *fsx) mapWrite() string {
	off, m, unmap := x.mapped(unix.PROT_READ | unix.PROT_WRITE)
	if m == nil {
		return "map nothing"
	}
	copy(m, x.bytes(len(m)))
	copy(x.want[off:], m)
	unmap()
	return fmt.Sprintf("map-write [%d, %d)", off, off+len(m))
}

func (x *fsx) mapRead() string {
	off, m, unmap := x.mapped(unix.PROT_READ)
	if m == nil {
		return "map nothing"
	}
	x.same("mapped", m, off)
	unmap()
	return fmt.Sprintf("map-read [%d, %d)", off, off+len(m))
}

func (x *fsx) reopen() string {
	x.close()
	x.open()
	return "reopen"
}

func (x *fsx) sync() string {
	ok(x.t, x.f.Sync())
	return "fsync"
}

// forget drops the kernel's pages: what is read next is what pachfs has.
func (x *fsx) forget() string {
	ok(x.t, unix.Fadvise(int(x.f.Fd()), 0, 0, unix.FADV_DONTNEED))
	return "forget"
}

// whole looks at all of it, by its path.
func (x *fsx) whole() string {
	st, err := os.Stat(x.path)
	ok(x.t, err)
	got, err := os.ReadFile(x.path)
	ok(x.t, err)
	x.same("the whole", got, 0)
	if st.Size() != int64(len(x.want)) || len(got) != len(x.want) {
		x.t.Errorf("stat: %d, read: %d, want %d bytes", st.Size(), len(got), len(x.want))
	}
	return "whole"
}

// land commits: with the file synced, with it closed, or as it happens to be.
func (x *fsx) land() string {
	switch how := x.r.IntN(3); how {
	case 0:
		x.sync()
		x.commit(x.want)
		return "fsync, commit"
	case 1:
		x.close()
		x.commit(x.want)
		x.open()
		return "close, commit, open"
	default:
		x.commit(nil)
		return "commit"
	}
}

// Random reads, writes, truncations and mappings of one file, with reopenings
// and commits in between (promises 2, 3 and 11). The same is done to a plain file first: that
// shows the test.
func TestFsx(t *testing.T) {
	ops := *fsxCount
	if testing.Short() {
		ops = min(ops, 3000)
	}
	r := random(t)
	plain := &fsx{t: t, r: r, path: filepath.Join(t.TempDir(), "f"), commit: func([]byte) {}}
	plain.run(ops/10, 1000)

	s := harness.Serve(t)
	ref := s.Ref("fsx@master")
	s.Peer.Create(t, s.Ref("fsx"))
	m := harness.MountSpec(t, harness.Spec{URL: s.URL, Deadline: 10*time.Minute + time.Duration(ops)*time.Millisecond})
	commits, start := 0, time.Now()
	x := &fsx{t: t, r: r, path: m.Path(ref, "f"), commit: func(landed []byte) {
		ok(t, fire(m.Path(ref, ".commit")))
		if commits++; landed != nil && s.Peer.Tree(t, ref, "")["/f"] != string(landed) {
			t.Errorf("commit %d holds other bytes than the file", commits)
		}
	}}
	x.run(ops, max(100, ops/100))
	commit(t, m, ref)
	same(t, "landed", s.Peer.Tree(t, ref, ""), map[string]string{"/f": string(x.want)})
	t.Logf("%d operations and %d commits in %v", ops, commits, time.Since(start).Round(time.Millisecond))
}
