package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const connections = "/sys/fs/fuse/connections"

var fusectl sync.Once

// needFusectl makes the kernel's list of FUSE connections visible: it is what
// gets a hung mount off the machine.
func needFusectl(t testing.TB) {
	t.Helper()
	fusectl.Do(func() {
		if _, ok := mountedOn(t, connections); !ok {
			exec.Command("mount", "-t", "fusectl", "none", connections).Run()
		}
	})
}

// mountedOn gives the device's minor of the topmost mount on a directory: for
// FUSE the number of the connection. It asks the kernel's list and never touches the path.
func mountedOn(t testing.TB, dir string) (minor int, ok bool) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 4 && f[4] == strings.ReplaceAll(dir, " ", `\040`) {
			_, m, _ := strings.Cut(f[2], ":")
			minor, _ = strconv.Atoi(m)
			ok = true
		}
	}
	return minor, ok
}

// othersHave says whether a connection's number belongs to a mount on another
// directory: the kernel gives numbers anew, and tests run beside each other.
func othersHave(conn int, dir string) bool {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 4 && f[2] == fmt.Sprintf("0:%d", conn) && f[4] != dir {
			return true
		}
	}
	return false
}

// abort ends the FUSE connection of a mount: every request that waits fails.
func abort(conn int, dir string) {
	if !othersHave(conn, dir) {
		os.WriteFile(filepath.Join(connections, strconv.Itoa(conn), "abort"), []byte("1"), 0)
	}
}

// connected says whether the connection still exists.
func connected(conn int, dir string) bool {
	_, err := os.Stat(filepath.Join(connections, strconv.Itoa(conn)))
	return err == nil && !othersHave(conn, dir)
}

// detach takes a mount away at once, whoever uses it.
func detach(dir string) { syscall.Unmount(dir, syscall.MNT_DETACH) }

// Blocked lists the threads that sit in an uninterruptible wait inside FUSE,
// of processes that this test started.
func Blocked() []string {
	var out []string
	stats, _ := filepath.Glob("/proc/[0-9]*/task/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		f := strings.Fields(rest) // state, parent, process group
		if len(f) < 3 || f[0] != "D" || f[2] != strconv.Itoa(syscall.Getpgrp()) {
			continue
		}
		stack, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "stack"))
		if strings.Contains(string(stack), "fuse") && ours(path) {
			out = append(out, fmt.Sprintf("%s\n%s", strings.TrimSpace(string(b)), stack))
		}
	}
	return out
}

// ours says whether the thread of a stat file is of a child of this test, or
// runs the pachfs that it built and has lost its parent.
func ours(stat string) bool {
	tid := strings.Split(stat, "/")[4]
	cmdline, _ := os.ReadFile("/proc/" + tid + "/cmdline")
	for _, b := range []*binary{&plain, &faulty} {
		if b.dir != "" && strings.Contains(string(cmdline), b.dir) {
			return true
		}
	}
	for pid := strings.Split(stat, "/")[2]; pid != strconv.Itoa(os.Getpid()); {
		b, err := os.ReadFile("/proc/" + pid + "/stat")
		_, rest, ok := strings.Cut(string(b), ") ")
		f := strings.Fields(rest)
		if err != nil || !ok || len(f) < 2 {
			return false
		}
		pid = f[1]
	}
	return true
}
