package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pachfs/test/harness"
)

// A full disk under the state directory: the writer gets ENOSPC, what was
// acknowledged stays, statfs tells the truth, .status says why, and the commit
// that makes room works, also after a kill (promise 14).
func TestFullDisk(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/old": "old"})
	disk := t.TempDir()
	harness.Sh(t, "", "mount -t tmpfs -o size=24m none "+disk)
	t.Cleanup(func() { harness.Sh(t, "", "umount "+disk) })
	state := filepath.Join(disk, "state")
	ok(t, os.Mkdir(state, 0o700))
	m := harness.MountSpec(t, harness.Spec{URL: s.URL, State: state})
	want := map[string]string{"/old": "old"}
	fill := func(round int) {
		t.Helper()
		for i := 0; ; i++ {
			name := fmt.Sprintf("%d-%d", round, i)
			content := bytes.Repeat([]byte{'a' + byte(i%26)}, 300_000+i)
			err := os.WriteFile(m.Path(ref, name), content, 0o666)
			if errors.Is(err, syscall.ENOSPC) {
				os.Remove(m.Path(ref, name)) // it may have been made before the disk was full
				return
			}
			ok(t, err)
			want["/"+name] = string(content)
		}
	}
	fill(1)
	var st syscall.Statfs_t
	ok(t, syscall.Statfs(m.Path(ref), &st))
	if total, free := int64(st.Blocks)*st.Bsize, int64(st.Bavail)*st.Bsize; total != 24<<20 || free > 2<<20 {
		t.Errorf("statfs tells of %d bytes, %d of them free", total, free)
	}
	if e := m.Status(t, ref).LastError; e == nil || !strings.Contains(e.Message, "no room") || !strings.Contains(e.Message, state) {
		t.Errorf("last_error: %+v", e)
	}
	for name, content := range want {
		if got := read(t, m.Path(ref, name)); got != content {
			t.Fatalf("%s reads %.20q…, %d bytes of %d", name, got, len(got), len(content))
		}
	}
	m.Kill(t)
	m = m.Again(t)
	commit(t, m, ref)
	same(t, "the first commit", s.Peer.Tree(t, ref, ""), want)
	fill(2) // the commit made room
	commit(t, m, ref)
	same(t, "the second commit", s.Peer.Tree(t, ref, ""), want)
}
