package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pachfs/pachclient/pfspb/pfs"
)

// BenchmarkLand is a landing as pachfs does it: 10,000 files of 1.2 kB in one
// file set, then one ModifyFile that names what is deleted and copies the set.
func BenchmarkLand(b *testing.B) {
	for _, base := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("on=%d", base), func(b *testing.B) {
			p := start(b, b.TempDir(), Options{})
			p.repo("images")
			if base > 0 {
				p.modify(head("images", "master"), manyFiles("/base", base, "x")...)
			}
			for i := 0; b.Loop(); i++ {
				set := p.fileSet(manyFiles("/in", 10_000, strings.Repeat(fmt.Sprint(i), 1200)[:1200])...)
				p.modify(head("images", "master"), cp("/", setRef(set), "/"))
				p.inspect(head("images", "master"), pfs.CommitState_FINISHED)
			}
		})
	}
}

func manyFiles(dir string, n int, data string) []op {
	ops := make([]op, n)
	for i := range ops {
		ops[i] = add(fmt.Sprintf("%s/%07d.jpg", dir, i), data)
	}
	return ops
}

// BenchmarkList lists a directory of 100,000 files.
func BenchmarkList(b *testing.B) {
	p := start(b, b.TempDir(), Options{})
	p.repo("images")
	p.modify(head("images", "master"), manyFiles("/d", 100_000, "some bytes")...)
	for b.Loop() {
		stream, err := p.ListFile(p.ctx, &pfs.ListFileRequest{File: &pfs.File{Commit: head("images", "master"), Path: "/d"}})
		infos, err := all(stream, err)
		p.ok(err)
		if len(infos) != 100_000 {
			b.Fatalf("%d files", len(infos))
		}
	}
}

// BenchmarkCommit makes one-file commits on a directory of 100,000 files.
func BenchmarkCommit(b *testing.B) {
	p := start(b, b.TempDir(), Options{})
	p.repo("images")
	p.modify(head("images", "master"), manyFiles("/d", 100_000, "some bytes")...)
	for i := 0; b.Loop(); i++ {
		name := fmt.Sprintf("/d/%07d.jpg", i%100_000)
		p.modify(head("images", "master"), del(name), add(name, fmt.Sprint("new ", i)))
	}
}

// BenchmarkGet reads a file of 100 MB.
func BenchmarkGet(b *testing.B) {
	p := start(b, b.TempDir(), Options{})
	p.repo("images")
	part := strings.Repeat("0123456789abcdef", 1<<16)
	var ops []op
	for range 100 {
		ops = append(ops, add("/big", part))
	}
	p.modify(head("images", "master"), ops...)
	b.SetBytes(100 << 20)
	for b.Loop() {
		stream, err := p.GetFile(p.ctx, &pfs.GetFileRequest{File: &pfs.File{Commit: head("images", "master"), Path: "/big"}})
		_, err = all(stream, err)
		p.ok(err)
	}
}

// BenchmarkPut writes a file of 200 MB in messages of 2 MiB, as pachctl does.
func BenchmarkPut(b *testing.B) {
	p := start(b, b.TempDir(), Options{})
	p.repo("images")
	part := make([]byte, 2<<20)
	random := rand.NewChaCha8([32]byte{})
	ops := []op{del("/big")}
	for range 100 {
		random.Read(part)
		ops = append(ops, add("/big", string(part)))
	}
	b.SetBytes(200 << 20)
	for b.Loop() {
		ops[1].GetAddFile().Source.(*pfs.AddFile_Raw).Raw.Value[0]++ // a new first chunk
		p.modify(head("images", "master"), ops...)
	}
}

// BenchmarkMillion works in a repo of a million files, a thousand a directory:
// one-file commits, and listings of one directory. What it took to put them there
// is a metric.
func BenchmarkMillion(b *testing.B) {
	p := start(b, b.TempDir(), Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	p.ctx = ctx
	p.repo("images")
	began := time.Now()
	for d := range 1000 {
		p.modify(head("images", "master"), manyFiles(fmt.Sprintf("/d%04d", d), 1000, "some bytes")...)
	}
	took := time.Since(began).Seconds()
	b.Run("commit", func(b *testing.B) {
		b.ReportMetric(took, "s/million")
		for i := 0; b.Loop(); i++ {
			p.modify(head("images", "master"), add(fmt.Sprintf("/d%04d/new%d", i%1000, i), "x"))
		}
	})
	b.Run("list", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			stream, err := p.ListFile(p.ctx, &pfs.ListFileRequest{File: &pfs.File{Commit: head("images", "master"), Path: fmt.Sprintf("/d%04d", i%1000)}})
			infos, err := all(stream, err)
			p.ok(err)
			if len(infos) < 1000 {
				b.Fatalf("%d files", len(infos))
			}
		}
	})
}
