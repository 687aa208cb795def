package test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

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
	t.Logf("and -fsx %d", ops)
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
