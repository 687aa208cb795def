package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

// fds counts the descriptors of a process.
func fds(t *testing.T, pid int) int {
	t.Helper()
	l, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	ok(t, err)
	return len(l)
}

// rss gives the resident memory of a process in bytes.
func rss(t *testing.T, pid int) int {
	t.Helper()
	b := read(t, fmt.Sprintf("/proc/%d/status", pid))
	kb := regexp.MustCompile(`VmRSS:\s*(\d+)`).FindStringSubmatch(b)
	n, err := strconv.Atoi(kb[1])
	ok(t, err)
	return n << 10
}

// Many cycles of everything leave no descriptor behind, no memory, and at the
// end no file.
func TestLeaks(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	files := map[string]string{}
	for i := range 100 {
		files[fmt.Sprintf("/d%d/f%d", i%7, i)] = fmt.Sprint(i)
	}
	s.Peer.PutWait(t, ref, files)
	m := s.Mount(t)
	dir := m.Path(ref)
	cycle := func(n int) {
		for i := range n {
			_ = local(t, dir+"/d1")
			f, err := os.OpenFile(dir+"/d1/f1", os.O_RDWR, 0)
			ok(t, err)
			fmt.Fprintf(f, "%d", i)
			ok(t, f.Close())
			write(t, fmt.Sprintf("%s/new%d", dir, i%5), fmt.Sprint(i))
			ok(t, os.Rename(fmt.Sprintf("%s/new%d", dir, i%5), dir+"/renamed"))
			_, err = os.ReadFile(dir + "/.status")
			ok(t, err)
			_, err = os.Stat(dir + "/nosuch")
			fails(t, "stat", err, syscall.ENOENT)
			ok(t, os.Remove(dir+"/renamed"))
			if i%20 == 0 {
				commit(t, m, ref)
			}
		}
		commit(t, m, ref)
	}
	cycle(40)
	before, mem := fds(t, m.Pid()), rss(t, m.Pid())
	cycle(300)
	harness.Eventually(t, 20*time.Second, "descriptors are closed", func() bool { return fds(t, m.Pid()) <= before+5 })
	t.Logf("descriptors %d before, %d after; memory %d MiB before, %d MiB after", before, fds(t, m.Pid()), mem>>20, rss(t, m.Pid())>>20)
	if now := rss(t, m.Pid()); now > mem+(200<<20) {
		t.Errorf("memory grew from %d to %d", mem, now)
	}
	if left := m.Staged(t); len(left) > 0 {
		t.Errorf("content files of what landed: %q", left)
	}
	m.Stop(t, 0)
}
