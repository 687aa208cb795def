package cache

import (
	"os"
	"runtime"
	"testing"
)

func TestNothingIsLeftAfterClose(t *testing.T) {
	descriptors := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	goroutines, files := runtime.NumGoroutine(), descriptors()
	f := newFake()
	data := random(9<<20, 30)
	c, err := New(f, Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r := c.At(f.commit(1, map[string][]byte{"/f": data, "/g": data[:5000]}))
	listAll(t, r, "/")
	read(t, r, "/f", data, 1000, 0) // leaves a stream that waits to read on
	read(t, r, "/f", data, 1000, 5<<20)
	read(t, r, "/g", data[:5000], 5000, 0)
	closeAndCheck(t, c, f)
	waitFor(t, func() bool { return runtime.NumGoroutine() <= goroutines })
	if n := descriptors(); n > files {
		t.Errorf("%d descriptors, %d before", n, files)
	}
}
