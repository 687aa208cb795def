package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// helperEnv makes the test binary play another part: see Main.
const helperEnv = "PACHFS_TEST_HELPER"

// A Helper is a process that a test needs, in the test's own binary.
type Helper func(args []string) error

// Main is TestMain: it runs the tests, or, in a child that Self started, a helper.
func Main(m *testing.M, helpers map[string]Helper) {
	if name := os.Getenv(helperEnv); name != "" {
		if err := helpers[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	for _, b := range []*binary{&plain, &faulty} {
		if b.dir != "" {
			os.RemoveAll(b.dir)
		}
	}
	os.Exit(code)
}

// Self gives the command that runs a helper.
func Self(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), helperEnv+"="+name)
	return cmd
}

// A binary is a pachfs that is built once a run.
type binary struct {
	tags string
	once sync.Once
	dir  string
	err  error
}

var plain, faulty = binary{}, binary{tags: "faults"}

// Binary gives the pachfs under test. It is readable by everybody, for the
// tests that are not root.
func Binary(t testing.TB) string { t.Helper(); return plain.path(t) }

// FaultyBinary gives the one that kills itself where PACHFS_KILL_AT says:
// staging.Points.
func FaultyBinary(t testing.TB) string { t.Helper(); return faulty.path(t) }

func (b *binary) path(t testing.TB) string {
	t.Helper()
	b.once.Do(func() { b.err = b.build() })
	if b.err != nil {
		t.Fatal(b.err)
	}
	return filepath.Join(b.dir, "pachfs")
}

func (b *binary) build() (err error) {
	if b.dir, err = os.MkdirTemp("", "pachfs-test-bin-"); err != nil {
		return err
	}
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	args := []string{"build", "-tags", b.tags, "-o", filepath.Join(b.dir, "pachfs")}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "pachfs/cmd/pachfs")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return nil
}
