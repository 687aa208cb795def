package cache

import (
	"context"
	"testing"

	"pachfs/pachclient"
)

// benchRead reads a big file in the kernel's portions, and says how fast.
func benchRead(b *testing.B, r pachclient.Reader, f pachclient.FileInfo) {
	p := make([]byte, 128<<10)
	for off := int64(0); off < f.Size; off += int64(len(p)) {
		if _, err := r.ReadAt(context.Background(), f, p, off); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSequential(b *testing.B) {
	data := random(64<<20, 1)
	for name, dir := range map[string]string{"nodisk": "", "cold": b.TempDir(), "warm": b.TempDir()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			f := newFake()
			c, err := New(f, Options{Dir: dir})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			r := c.At(f.commit(1, map[string][]byte{"/f": data}))
			file := info("/f", data)
			for i := 0; b.Loop(); i++ {
				if name == "cold" {
					file.Hash[0], file.Hash[20] = byte(i), byte(i>>8) // another content each time
				}
				benchRead(b, r, file)
			}
		})
	}
}

func BenchmarkStat(b *testing.B) {
	f := newFake()
	c, err := New(f, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	r := c.At(f.commit(1, huge(10_000)))
	for b.Loop() {
		if _, err := r.Stat(context.Background(), "/d/file-0007777"); err != nil {
			b.Fatal(err)
		}
	}
}
