//go:build bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"pachfs/test/harness"
)

// A place is a directory of a branch in a mount of its own, or of the disk
// where the state directory would be. land makes a commit of it, where it can.
type place struct {
	dir  string
	land func() time.Duration
}

// inMount runs fn in a fresh repo; what it gives is what is measured.
func (e *env) inMount(fn func(p place) time.Duration) measured {
	return measured{"pachfs", func() time.Duration {
		ref := e.repo(fmt.Sprintf("w%d", time.Now().UnixNano()), nil)
		m := e.mount()
		defer e.unmount(m)
		d := fn(place{m.Path(ref), func() time.Duration {
			return timed(func() { e.sh("/", "touch "+m.Path(ref, ".commit")) })
		}})
		if m.Status(e, ref).Staged.Files > 0 { // or the end would land it
			if r := harness.Pachfs(e, "discard", "--all", m.Path(ref)); r.Code != 0 {
				e.Fatal(r)
			}
		}
		return d
	}}
}

func (e *env) onDisk(fn func(p place) time.Duration) measured {
	return measured{"disk", func() time.Duration {
		dir := e.TempDir()
		defer os.RemoveAll(dir)
		return fn(place{dir: dir})
	}}
}

func (e *env) createMany() {
	const n, size = 10_000, 1200
	create := func(p place) time.Duration { return timed(func() { createFiles(e, p.dir, n, size) }) }
	each := func(fn func(path string)) func(place) time.Duration {
		return func(p place) time.Duration {
			createFiles(e, p.dir, n, size)
			return timed(func() {
				for i := range n {
					fn(fmt.Sprintf("%s/d%03d/%d", p.dir, i/1000, i))
				}
			})
		}
	}
	rename := each(func(path string) { e.must(os.Rename(path, path+".new")) })
	unlink := each(func(path string) { e.must(os.Remove(path)) })
	e.compare("create", e.inMount(create), e.onDisk(create))
	e.compare("rename", e.inMount(rename), e.onDisk(rename))
	e.compare("unlink", e.inMount(unlink), e.onDisk(unlink))
}

func (e *env) writes() {
	block := make([]byte, 1<<20)
	fill(4)(block, 0)
	write := func(p place) time.Duration {
		return timed(func() {
			f, err := os.Create(filepath.Join(p.dir, "large"))
			e.must(err)
			for range 1024 {
				_, err := f.Write(block)
				e.must(err)
			}
			e.must(f.Close())
		})
	}
	fsync := func(p place) time.Duration {
		f, err := os.Create(filepath.Join(p.dir, "small"))
		e.must(err)
		defer f.Close()
		_, err = f.Write(block[:4096])
		e.must(err)
		return timed(func() { e.must(f.Sync()) })
	}
	e.compare("write 1 GiB", e.inMount(write), e.onDisk(write))
	e.compare("fsync of 4 KiB", e.inMount(fsync), e.onDisk(fsync))
}

func (e *env) lands() {
	const n, size = 10_000, 1200
	raw := func(files ...source) measured {
		seed := uint64(100)
		return measured{"raw put", func() time.Duration {
			seed++
			ref := e.repo(fmt.Sprintf("raw%d", time.Now().UnixNano()), nil)
			return timed(func() { e.rawPut(ref, fill(seed), files...) })
		}}
	}
	e.compare("10,000 files", e.inMount(func(p place) time.Duration { createFiles(e, p.dir, n, size); return p.land() }), raw(tree(10, 1000, size)...))
	seed := uint64(0)
	e.compare("512 MiB", e.inMount(func(p place) time.Duration { seed++; e.large(p, seed); return p.land() }), raw(source{"/large", bigSize}))
	e.compare("a renamed directory of 10,000", e.inMount(func(p place) time.Duration {
		createFiles(e, filepath.Join(p.dir, "all"), n, size)
		p.land()
		e.must(os.Rename(filepath.Join(p.dir, "all"), filepath.Join(p.dir, "moved")))
		return p.land()
	}), raw(tree(10, 1000, size)...))
}

// large stages 512 MiB that are nowhere yet.
func (e *env) large(p place, seed uint64) {
	e.Helper()
	block, more := make([]byte, 1<<20), fill(1000+seed)
	f, err := os.Create(filepath.Join(p.dir, "large"))
	e.must(err)
	for range bigSize >> 20 {
		more(block, 0)
		_, err := f.Write(block)
		e.must(err)
	}
	e.must(f.Close())
}

// stall is what small files wait, made one a millisecond, alone and beside a commit.
func (e *env) stall() {
	var alone, beside sample
	seed := uint64(5000)
	for range *runsFlag {
		e.inMount(func(p place) time.Duration {
			seed++
			e.large(p, seed)
			stop, made := make(chan bool), 0
			var wg sync.WaitGroup
			write := func(into *sample) {
				for {
					var err error
					d := timed(func() { err = os.WriteFile(fmt.Sprintf("%s/s%d", p.dir, made), []byte("small"), 0o666) })
					if made++; err != nil {
						e.Error(err)
					}
					*into = append(*into, d)
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
				}
			}
			wg.Go(func() { write(&alone) })
			time.Sleep(time.Second)
			stop <- true
			wg.Wait()
			wg.Go(func() { write(&beside) })
			d := p.land()
			stop <- true
			wg.Wait()
			return d
		}).once()
	}
	p99 := func(s sample) string {
		t := s.sorted()
		return fmt.Sprintf("p99 %s, max %s of %d", short(t[len(t)*99/100]), short(t[len(t)-1]), len(t))
	}
	e.line("", p99(beside), "alone "+p99(alone), "")
}

func (e *env) touch() {
	ref := e.repo("touched", nil)
	m := e.mount()
	i := 0
	e.compare("", measured{"pachfs", func() time.Duration {
		i++
		e.must(os.WriteFile(m.Path(ref, fmt.Sprint(i)), []byte(fmt.Sprint(i)), 0o666))
		return timed(func() {
			now := time.Now()
			e.must(os.Chtimes(m.Path(ref, ".commit"), now, now))
		})
	}}, measured{"raw", func() time.Duration {
		i++
		return timed(func() { e.rawCommit(ref, fmt.Sprintf("/raw%d", i), fmt.Sprint(i)) })
	}})
	m.Stop(e, 0)
}
