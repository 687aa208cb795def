package test

import (
	"maps"
	"net"
	"os"
	"testing"
	"time"

	"pachfs/pachclient/embedded"
	"pachfs/pachclient/embedded/asversion"
	"pachfs/test/harness"
)

// serveVersion serves a Pachyderm twice: as it is, for somebody else, and as a
// release, for a mount.
func serveVersion(t *testing.T, release string) (now *harness.Server, then *asversion.Server, url string) {
	t.Helper()
	back, err := embedded.Open(t.TempDir(), embedded.Options{FinishDelay: 50 * time.Millisecond})
	ok(t, err)
	t.Cleanup(func() { ok(t, back.Close()) })
	s, err := asversion.New(back, release)
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	listen := func(serve func(net.Listener) error) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ok(t, err)
		go serve(l)
		return "grpc://" + l.Addr().String()
	}
	return harness.At(t, listen(back.Serve)), s, listen(s.Serve)
}

// One mount story on a Pachyderm of every age: read, write, commit, delete,
// rename, a file for a directory, commit, conflict, discard, commit.
func TestVersions(t *testing.T) {
	for _, release := range []string{"2.1.9", "2.3.9", "2.6.11", "2.11.6"} {
		t.Run(release, func(t *testing.T) {
			s, old, url := serveVersion(t, release)
			const ref = "labels@master"
			s.Peer.Create(t, ref)
			big := picture(t, 900, 900)
			s.Peer.PutWait(t, ref, map[string]string{"/big.png": big, "/d/one": "1", "/d/e/two": "2", "/gone": "x", "/moved": "m"})
			m := harness.MountSpec(t, harness.Spec{URL: url})
			want := map[string]string{"/big.png": big, "/d/one": "1", "/d/e/two": "2", "/gone": "x", "/moved": "m"}
			same(t, "the mount", local(t, m.Path(ref)), want)

			write(t, m.Path(ref, "new"), "new")
			write(t, m.Path(ref, "d/one"), "one")
			write(t, m.Path(ref, `back\slash, and space`), "odd")
			commit(t, m, ref)
			want["/new"], want["/d/one"], want[`/back\slash, and space`] = "new", "one", "odd"
			same(t, "the first commit", s.Peer.Tree(t, ref, ""), want)
			first := maps.Clone(want)

			ok(t, os.Remove(m.Path(ref, "gone")))
			ok(t, os.Rename(m.Path(ref, "moved"), m.Path(ref, "there")))
			ok(t, os.Rename(m.Path(ref, "d/e"), m.Path(ref, "e")))
			ok(t, os.RemoveAll(m.Path(ref, "d")))
			write(t, m.Path(ref, "d"), "a file")
			head := s.Peer.Head(t, ref)
			commit(t, m, ref)
			delete(want, "/gone")
			delete(want, "/moved")
			delete(want, "/d/one")
			delete(want, "/d/e/two")
			want["/there"], want["/e/two"], want["/d"] = "m", "2", "a file"
			same(t, "the second commit", s.Peer.Tree(t, ref, ""), want)
			if made := s.Peer.Commits(t, ref, head); len(made) != 1 || made[0].Error != "" {
				t.Errorf("the second trigger made %v", made)
			}
			same(t, "the first commit by its ID", local(t, m.Path("labels@"+head)), first)
			if got := read(t, m.Path("labels@master^", "gone")); got != "x" {
				t.Errorf("gone reads %q in the commit before", got)
			}

			write(t, m.Path(ref, "new"), "mine")
			s.Peer.PutWait(t, ref, map[string]string{"/new": "theirs", "/other": "o"})
			harness.Eventually(t, 10*time.Second, "state is conflict", func() bool { return m.Status(t, ref).State == "conflict" })
			if r := touch(t, m.Path(ref, ".commit")); r.Code == 0 {
				t.Error("a trigger in a conflict succeeds")
			}
			want["/new"], want["/other"] = "theirs", "o"
			same(t, "after the conflict", s.Peer.Tree(t, ref, ""), want)
			if got := read(t, m.Path(ref, "new")); got != "mine" {
				t.Errorf("new reads %q in the conflict", got)
			}
			if r := harness.Pachfs(t, "discard", m.Path(ref, "new")); r.Code != 0 {
				t.Fatalf("pachfs discard: %v", r)
			}
			shows(t, m.Path(ref, "new"), "theirs")
			write(t, m.Path(ref, "last"), "last")
			commit(t, m, ref)
			want["/last"] = "last"
			same(t, "the third commit", s.Peer.Tree(t, ref, ""), want)
			same(t, "the mount at the end", local(t, m.Path(ref)), want)
			m.Stop(t, 0)
			if crashes := old.Crashes(); crashes != nil {
				t.Errorf("the server went down: %q", crashes)
			}
		})
	}
}
