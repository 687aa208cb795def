package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pachfs/test/harness"
)

// randomScript makes up steps on a few names, which therefore meet: a file
// where a directory was, a rename over what is open, all with commits in between.
func randomScript(r *rand.Rand, n int) string {
	name := func() string {
		p := string("abc"[r.IntN(3)])
		for r.IntN(3) == 0 {
			p += "/" + string("abc"[r.IntN(3)])
		}
		return p
	}
	fd := func() string { return "@" + string("xyz"[r.IntN(3)]) }
	steps := []func() string{
		func() string { return "create " + name() + " 0644" },
		func() string { return fmt.Sprintf("write %s text%d", name(), r.IntN(1000)) },
		func() string { return "mkdir " + name() + " 0755" },
		func() string { return "mkdir " + name() + " 0755" },
		func() string { return "rmdir " + name() },
		func() string { return "unlink " + name() },
		func() string { return "rename " + name() + " " + name() },
		func() string { return "rename " + name() + " " + name() },
		func() string { return "rename " + name() + " " + name() },
		func() string { return fmt.Sprintf("truncate %s %d", name(), r.IntN(20)) },
		func() string { return "stat " + name() },
		func() string { return "read " + name() },
		func() string { return "list " + name() },
		func() string { return "list ." },
		func() string {
			return fmt.Sprintf("open %s %s %s 0644", fd(), name(), []string{"r", "rw", "rw|creat", "rw|creat|trunc", "rw|append", "r|dir", "r|dir"}[r.IntN(7)])
		},
		func() string { return fmt.Sprintf("pwrite %s more%d %d", fd(), r.IntN(1000), r.IntN(10)) },
		func() string { return fmt.Sprintf("truncate %s %d", fd(), r.IntN(20)) },
		func() string { return "read " + fd() },
		func() string { return "stat " + fd() },
		func() string { return "fsync " + fd() },
		func() string { return "createat " + fd() + " " + name() },
		func() string { return "mkdirat " + fd() + " " + name() },
		func() string { return "close " + fd() },
	}
	var out strings.Builder
	for range n {
		if r.IntN(15) == 0 {
			out.WriteString("--\n")
		}
		out.WriteString(steps[r.IntN(len(steps))]() + "\n")
	}
	return out.String()
}

// Random scripts do the same on a mount as in a plain directory, and the same
// lands (promises 2, 3 and 11).
func TestPosixRandom(t *testing.T) {
	r := random(t)
	s := harness.Serve(t)
	ref := s.Ref("random@master")
	s.Peer.Create(t, s.Ref("random"))
	m := harness.MountSpec(t, harness.Spec{URL: s.URL, Flags: []string{"--umask", "022"}, Deadline: 5 * time.Minute})
	scripts := *scriptCount
	if testing.Short() {
		scripts = min(scripts, 15)
	}
	plain := t.TempDir()
	for i := range scripts {
		script := randomScript(r, 80)
		name := fmt.Sprintf("s%d", i)
		x, y := filepath.Join(plain, name), m.Path(ref, name)
		ok(t, os.Mkdir(x, 0o755))
		ok(t, os.Mkdir(y, 0o755))
		want := calls(x, script, func() {})
		got := calls(y, script, func() {
			if err := fire(m.Path(ref, ".commit")); err != nil {
				t.Errorf("commit: %v", err)
			}
		})
		alike(t, want, got, make([]int, len(departures)))
		same(t, "in the end", tree(t, y), tree(t, x))
		if t.Failed() {
			t.Fatalf("script %d:\n%s", i, strings.Join(got, "\n"))
		}
	}
	want := local(t, m.Path(ref))
	commit(t, m, ref)
	same(t, "what landed", s.Peer.Tree(t, ref, ""), want)
}
