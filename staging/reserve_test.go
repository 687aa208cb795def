package staging_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
)

// A full disk refuses new bytes and loses none: what was acknowledged reads as
// before, can be closed, removed and landed, and the landing makes room. The
// status says what is wrong.
func TestFullDisk(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/old": "old", "/d/x": "x"}))
	disk := b.onSimDisk(8 << 20)
	rnd := rand.New(rand.NewPCG(1, 1))
	for round := range 3 {
		want := b.mounted().files()
		for i := 0; ; i++ {
			p, content := fmt.Sprintf("/%d/%d", round, i), strings.Repeat(fmt.Sprint(i), 1+rnd.IntN(100<<10))
			err := b.tryWrite(p, content)
			if errors.Is(err, syscall.ENOSPC) {
				break
			}
			b.must(err)
			want[p] = content
		}
		if e := b.o.Status().LastError; e == nil || !strings.Contains(e.Message, "no room") {
			t.Errorf("the status says %+v", e)
		}
		b.is(b.tryWrite("/more", strings.Repeat("m", 1<<20)), syscall.ENOSPC)
		for p := range b.mounted() { // files that were made and could not be filled
			if _, ok := want[p]; !ok && !strings.HasSuffix(p, "/") {
				b.rm(p)
			}
		}
		b.same("mount", b.mounted().files(), want)
		gone := fmt.Sprintf("/%d/0", round)
		b.rm(gone)
		delete(want, gone)
		if round == 1 { // it is full for the next process too
			b.must(b.stage.Close())
			b.openOn(disk, b.stage.Dir())
		}
		b.lands()
		b.holds(want)
		if e := b.o.Status().LastError; e != nil {
			t.Errorf("after the commit the status says %+v", e)
		}
	}
}
