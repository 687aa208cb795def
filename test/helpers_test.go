package test

import (
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func ino(t testing.TB, path string) uint64 {
	t.Helper()
	var st syscall.Stat_t
	ok(t, syscall.Stat(path, &st))
	return st.Ino
}

// names lists a directory, sorted.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	ok(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	slices.Sort(out)
	return out
}

// shell gives a command that runs a script in a directory, with an open stdin.
func shell(dir, script string) *exec.Cmd {
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	cmd.StdinPipe()
	return cmd
}

// fire touches a trigger from this process. Go's own signals may end the
// waiting, not the commit: the next touch waits for that.
func fire(path string) error {
	for {
		if err := unix.Utimes(path, nil); err != unix.EINTR {
			return err
		}
	}
}
