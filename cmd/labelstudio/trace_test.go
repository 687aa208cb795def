package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A call is a line of strace -ttt -T: when it began, what it was, how long it took.
var call = regexp.MustCompile(`^(\d+\.\d+) (.*) <(\d+\.\d+)>$`)

// A tracer has strace write what a program asks of the file system into a directory.
type tracer string

// prefix runs a program watched, and stays out of its way. Only these calls stop
// it: SQLite's million writes would make it slow, and the share of all others small.
func (dir tracer) prefix(t *testing.T) []string {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("%v (try: apt-get install strace)", err)
	}
	return []string{"strace", "-D", "-f", "-ff", "--seccomp-bpf", "-ttt", "-T", "-y", "-s", "4096",
		"-e", "trace=%file,getdents64,fstat,read,lseek,close", "-o", filepath.Join(string(dir), "thread")}
}

// below says how many calls since then named something below a directory, by path
// or by descriptor, and how long they took together. The watching itself is part of that.
func (dir tracer) below(t *testing.T, root string, since time.Time) (n int, sum time.Duration) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(string(dir), "*")) // one a thread: no call is torn in two
	must(t, err)
	for _, name := range files {
		f, err := os.Open(name)
		must(t, err)
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			m := call.FindStringSubmatch(lines.Text())
			if m == nil || !strings.Contains(m[2], `"`+root+"/") && !strings.Contains(m[2], "<"+root+"/") {
				continue
			}
			at, err := time.ParseDuration(m[1] + "s")
			must(t, err)
			took, err := time.ParseDuration(m[3] + "s")
			must(t, err)
			if at >= time.Duration(since.UnixNano()) {
				n, sum = n+1, sum+took
			}
		}
	}
	return n, sum
}
