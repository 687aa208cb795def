package test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"pachfs/test/harness"
)

// Point 2: what is read is what moves.
func TestLazy(t *testing.T) {
	t.Run("chunks of ours", func(t *testing.T) { lazy(t, harness.Serve(t), 8<<20) })
	t.Run("messages of pachd", func(t *testing.T) { lazy(t, harness.Serve(t, "--like-pachd"), 20<<20) })
}

func lazy(t *testing.T, s *harness.Server, limit int64) {
	if os.Getenv("PACHFS_TEST_PACHD") != "" {
		limit = 20 << 20 // one message of a real pachd
	}
	const size = 1 << 30
	ref := s.Ref("big@master")
	s.Peer.Create(t, s.Ref("big"))
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	// Distinct blocks: a store that shares equal ones must not help.
	var b strings.Builder
	b.Grow(size)
	r := random(t)
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(r.Uint32())
	}
	for i := range size >> 20 {
		block[0], block[1], block[2] = byte(i), byte(i>>8), 'x'
		block[len(block)/2], block[len(block)/2+1] = byte(i), byte(i>>8)
		b.Write(block)
	}
	data := b.String()
	ok(t, s.Peer.Modify(ctx, ref, map[string]string{"/1g": data, "/small": "small"}))
	s.Peer.Finished(t, ref)

	p := harness.NewProxy(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: p.URL, Deadline: 3 * time.Minute})
	before := p.Down()
	harness.Sh(t, m.Path(ref), "ls -la . >/dev/null; stat 1g small >/dev/null; find . -size +1 >/dev/null")
	if moved := p.Down() - before; moved > 64<<10 {
		t.Errorf("ls, stat and find moved %d bytes from the server", moved)
	}
	st, err := os.Stat(m.Path(ref, "1g"))
	ok(t, err)
	if st.Size() != size {
		t.Fatalf("1g has %d bytes", st.Size())
	}

	before = p.Down()
	f, err := os.Open(m.Path(ref, "1g"))
	ok(t, err)
	defer f.Close()
	const off = size/2 + 12345
	got := make([]byte, 4096)
	if _, err := f.ReadAt(got, off); err != nil {
		t.Fatal(err)
	}
	if string(got) != data[off:off+4096] {
		t.Error("other bytes in the middle")
	}
	settle(p)
	moved := p.Down() - before
	t.Logf("4 KiB in the middle of 1 GiB moved %.2f MiB", float64(moved)/(1<<20))
	if moved > limit {
		t.Errorf("4 KiB in the middle moved %d bytes, want less than %d", moved, limit)
	}
}

// settle waits until next to nothing comes any more: the heads are asked for
// all the time.
func settle(p *harness.Proxy) {
	for last := int64(-1 << 20); p.Down()-last > 64<<10; time.Sleep(300 * time.Millisecond) {
		last = p.Down()
	}
}
