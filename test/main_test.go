package test

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pachfs/test/harness"
)

var (
	kills         = flag.Int("kills", 200, "kills at named points; TestKill does a tenth of them; -short few")
	triggers      = flag.Int("triggers", 500, "triggers with a fault, of the TestFaults")
	interleavings = flag.Int("interleavings", 25, "commits of each mount in TestInterleaved; -short does 5")
	fsxCount      = flag.Int("fsx", 100_000, "operations of TestFsx; -short does 3000")
	scriptCount   = flag.Int("scripts", 50, "scripts of TestPosixRandom; -short does 15")
	seed          = flag.Uint64("seed", 0, "seed of the random tests; 0 takes a new one")
)

func TestMain(m *testing.M) {
	harness.Main(m, map[string]harness.Helper{
		"write":     writerMain,
		"hold":      holdMain,
		"mmap":      mmapMain,
		"posixtest": posixtestMain,
	})
}

// random gives a source whose seed is printed.
func random(t *testing.T) *rand.Rand {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("again with: -run '^%s$' -seed %d", t.Name(), s)
	return rand.New(rand.NewPCG(s, 0))
}

func write(t testing.TB, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o666); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails wants an error number, and says which call it was.
func fails(t testing.TB, what string, err, want error) {
	t.Helper()
	if !isErrno(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// touch is what utimensat(path, now) is, in a process of its own.
func touch(t testing.TB, path string) harness.Result {
	t.Helper()
	return harness.Try(t, "touch", path)
}

// commit touches a trigger and wants it to work.
func commit(t testing.TB, m *harness.Mount, ref string) {
	t.Helper()
	if r := touch(t, m.Path(ref, ".commit")); r.Code != 0 {
		t.Fatalf("touch %s/.commit: %v\n.status: %s", ref, r, read(t, m.Path(ref, ".status")))
	}
}

// same compares two trees, path by path.
func same(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for path, data := range want {
		g, ok := got[path]
		switch {
		case !ok:
			t.Errorf("%s: %s is missing", what, path)
		case g != data:
			t.Errorf("%s: %s has other bytes: %s, want %s", what, path, brief(g), brief(data))
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s: %s should not be there", what, path)
		}
	}
}

func brief(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "?") + "..."
	}
	return s
}

// local reads a whole directory: path from its root -> bytes.
func local(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[strings.TrimPrefix(path, dir)] = read(t, path)
		return nil
	})
	ok(t, err)
	return files
}
