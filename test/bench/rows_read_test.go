//go:build bench

package bench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"pachfs/test/harness"
)

func (e *env) readAt(path string, p []byte, off int64) {
	e.Helper()
	f, err := os.Open(path)
	e.must(err)
	defer f.Close()
	if _, err := f.ReadAt(p, off); err != nil && err != io.EOF {
		e.Fatal(err)
	}
}

func (e *env) firstByte() {
	ref := e.big()
	e.compare("",
		e.cold("pachfs", func(m *harness.Mount) { e.readAt(m.Path(ref, "big.bin"), make([]byte, 4096), 0) }),
		measured{"raw", func() time.Duration { return timed(func() { e.rawRead(ref, "/big.bin", 0, 4096) }) }})
}

func (e *env) sequential() {
	ref := e.big()
	e.compare("",
		e.cold("pachfs", func(m *harness.Mount) { e.sh("/", "dd status=none bs=1M of=/dev/null if="+m.Path(ref, "big.bin")) }),
		measured{"raw", func() time.Duration { return timed(func() { e.rawRead(ref, "/big.bin", 0, -1) }) }})
}

func (e *env) random() {
	ref := e.big()
	const n, size = 64, 256 << 10
	at := func(r *rand.Rand) int64 { return r.Int64N(bigSize - size) }
	e.compare("",
		e.cold("pachfs", func(m *harness.Mount) {
			r := rand.New(rand.NewPCG(1, 1))
			f, err := os.Open(m.Path(ref, "big.bin"))
			e.must(err)
			defer f.Close()
			for range n {
				_, err := f.ReadAt(make([]byte, size), at(r))
				e.must(err)
			}
		}),
		measured{"raw", func() time.Duration {
			r := rand.New(rand.NewPCG(1, 1))
			return timed(func() {
				for range n {
					e.rawRead(ref, "/big.bin", at(r), size)
				}
			})
		}})
}

func (e *env) listMany() {
	ref := e.tiny()
	e.compare("",
		e.cold("pachfs", func(m *harness.Mount) { e.sh(m.Path(ref), "ls -lR > /dev/null") }),
		measured{"raw", func() time.Duration { return timed(func() { e.rawListAll(ref, "/") }) }})
}

func (e *env) smallInOrder() {
	ref := e.small()
	e.compare("",
		e.cold("pachfs", func(m *harness.Mount) { e.sh(m.Path(ref, "d003"), "cat * > /dev/null") }),
		measured{"raw GetFileTAR", func() time.Duration { return timed(func() { e.rawTAR(ref, "/d003") }) }})
}

// mountToLs begins with the start of the program.
func (e *env) mountToLs() {
	e.repo("one", nil)
	e.compare("", measured{"pachfs", func() time.Duration {
		start := time.Now()
		m := e.mount()
		defer e.unmount(m)
		_, err := os.ReadDir(m.Dir)
		e.must(err)
		return time.Since(start)
	}})
}

// mountStaged is the same with much to replay.
func (e *env) mountStaged() {
	const n = 100_000
	ref := e.repo("staged", nil)
	m := e.mount()
	createFiles(e, m.Path(ref), n, 20)
	m.Kill(e)
	e.compare("", measured{"pachfs", func() time.Duration {
		start := time.Now()
		m = m.Again(e)
		list, err := os.ReadDir(m.Path(ref))
		e.must(err)
		d := time.Since(start)
		if len(list) < n/1000 {
			e.Fatalf("%d directories", len(list))
		}
		m.Kill(e)
		return d
	}})
}

// createFiles makes n files in directories of a thousand.
func createFiles(e *env, dir string, n, size int) {
	e.Helper()
	b := make([]byte, size)
	for i := range n {
		d := fmt.Sprintf("%s/d%03d", dir, i/1000)
		if i%1000 == 0 {
			e.must(os.MkdirAll(d, 0o777))
		}
		copy(b, fmt.Sprint(i))
		e.must(os.WriteFile(fmt.Sprintf("%s/%d", d, i), b, 0o666))
	}
}
