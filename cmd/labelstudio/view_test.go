package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// view gives the arguments of unshare for a command that sees the machine as
// every user may: Label Studio's environment and its Python lie below the home of
// root, where nobody else can go, and without udev /dev/fuse is for root alone.
// In a mount namespace of its own such a directory holds nothing but those, for
// everybody. Nothing outside changes.
func view(t *testing.T, command string) []string {
	t.Helper()
	env := filepath.Dir(filepath.Dir(command))
	python, err := filepath.EvalSymlinks(filepath.Join(env, "bin", "python3"))
	must(t, err)
	made := t.TempDir()
	script := []string{"set -e", "mount -t tmpfs -o mode=755 none " + made,
		"mknod -m 666 " + made + "/fuse c 10 229", "mount --bind " + made + "/fuse /dev/fuse"}
	doors := map[string]bool{}
	for _, dir := range []string{env, filepath.Dir(filepath.Dir(python))} {
		if door := closed(t, dir); door != "" {
			script = append(script, fmt.Sprintf("mkdir -p %[1]s%[2]s; mount --bind %[2]s %[1]s%[2]s", made, dir))
			doors[door] = true
		}
	}
	for door := range doors {
		script = append(script, fmt.Sprintf("mount --rbind %[1]s%[2]s %[2]s", made, door))
	}
	return []string{"--mount", "--propagation", "slave", "sh", "-c", strings.Join(append(script, `exec "$@"`), "\n"), "sh"}
}

// closed gives the outermost directory on the way to dir that others may not enter.
func closed(t *testing.T, dir string) (outermost string) {
	t.Helper()
	for ; dir != "/"; dir = filepath.Dir(dir) {
		st, err := os.Stat(dir)
		must(t, err)
		if st.Mode()&0o001 == 0 {
			outermost = dir
		}
	}
	return outermost
}
