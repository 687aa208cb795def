package test

import (
	"os"
	"slices"
	"testing"
	"time"

	"pachfs/test/harness"
)

// The server goes away right after a commit, of ours or of somebody else: what
// was listed before is still listed, what was landed here is still read, and
// new names are staged beside it (promise 10).
func TestAwayAfterACommit(t *testing.T) {
	s := harness.ServeOwn(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/d/old": "old", "/x": "x"})
	m := s.Mount(t)
	want := local(t, m.Path(ref)) // listed and read
	write(t, m.Path(ref, "d/mine"), "mine")
	commit(t, m, ref)
	want["/d/mine"] = "mine"
	theirs := s.Peer.PutWait(t, ref, map[string]string{"/d/theirs": "theirs"})
	harness.Eventually(t, 10*time.Second, "the mount follows", func() bool { return m.Status(t, ref).Base == theirs })
	s.Kill(t)
	for p, content := range want {
		if got := read(t, m.Path(ref, p)); got != content {
			t.Errorf("%s reads %q, want %q", p, got, content)
		}
	}
	if got, want := names(t, m.Path(ref, "d")), []string{"mine", "old", "theirs"}; !slices.Equal(got, want) {
		t.Errorf("d has %v, want %v", got, want)
	}
	write(t, m.Path(ref, "d/more"), "more")
	f, err := os.OpenFile(m.Path(ref, "d/mine"), os.O_APPEND|os.O_WRONLY, 0)
	ok(t, err)
	_, err = f.WriteString(" and more")
	ok(t, err)
	ok(t, f.Close())
	s.Restart(t)
	commit(t, m, ref)
	want["/d/mine"], want["/d/more"], want["/d/theirs"] = "mine and more", "more", "theirs"
	same(t, "in the end", s.Peer.Tree(t, ref, ""), want)
}
