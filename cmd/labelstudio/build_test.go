package main

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// binaries makes the commands once, for all tests and all users.
var binaries = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "pachfs-bin-"); err != nil {
		return "", err
	}
	if out, err := exec.Command("go", "build", "-o", dir, "pachfs/cmd/pachfs", "pachfs/cmd/labelstudio").CombinedOutput(); err != nil {
		return dir, fmt.Errorf("%w\n%s", err, out)
	}
	return dir, os.Chmod(dir, 0o755)
})

func TestMain(m *testing.M) {
	binaries() // whoever needs them is told of an error
	code := m.Run()
	if dir, _ := binaries(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// build gives a directory with the binaries.
func build(t *testing.T) string {
	t.Helper()
	dir, err := binaries()
	must(t, err)
	return dir
}
