//go:build bench

package bench

import (
	"fmt"
	"math/rand/v2"
)

// The data of the rows that read. Each repo is filled when a row first asks for it.
const (
	bigSize   = 512 << 20
	smallSize = 50_000
	tinySize  = 600
)

// fill writes bytes that no compression and no chunk that is there already helps with.
func fill(seed uint64) func(b []byte, i int) {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	return func(b []byte, _ int) { r.Read(b) }
}

func (e *env) repo(name string, make func(ref string)) (ref string) {
	e.Helper()
	ref = e.s.Ref(name + "@master")
	if !e.data[name] {
		e.s.Peer.Create(e, ref)
		if make != nil {
			make(ref)
		}
		e.data[name] = true
	}
	return ref
}

// big has one file of 512 MiB.
func (e *env) big() string {
	return e.repo("big", func(ref string) { e.rawPut(ref, fill(1), source{"/big.bin", bigSize}) })
}

// small has 5000 files of 50 kB in 10 directories.
func (e *env) small() string {
	return e.repo("small", func(ref string) { e.rawPut(ref, fill(2), tree(10, 500, smallSize)...) })
}

// tiny has 50,000 files of 600 B in 50 directories.
func (e *env) tiny() string {
	return e.repo("tiny", func(ref string) { e.rawPut(ref, fill(3), tree(50, 1000, tinySize)...) })
}

func tree(dirs, files, size int) (out []source) {
	for d := range dirs {
		for f := range files {
			out = append(out, source{fmt.Sprintf("/d%03d/f%05d", d, f), size})
		}
	}
	return out
}
