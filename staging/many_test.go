package staging_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pachfs/pachclient"
)

func manyPath(i int) string { return fmt.Sprintf("/d%03d/%d.json", i/1000, i) }

// stageMany stages n small files in directories of a thousand.
func (b *bench) stageMany(n int) {
	b.t.Helper()
	for i := range n {
		if i%1000 == 0 {
			b.mkdir(fmt.Sprintf("/d%03d", i/1000))
		}
		f := b.create(manyPath(i))
		b.put(f, fmt.Sprintf("{\"label\": %d}", i), 0)
		b.must(f.Close(true))
	}
}

// took logs a time that is promised, and fails at ten times of it.
func took(t *testing.T, what string, d, promised time.Duration) {
	t.Helper()
	t.Logf("%s: %v (promised: %v)", what, d.Round(10*time.Microsecond), promised)
	if d > 10*promised {
		t.Errorf("%s took %v, ten times %v is over", what, d, promised)
	}
}

func timed(fn func()) time.Duration {
	start := time.Now()
	fn()
	return time.Since(start)
}

// With 100,000 files staged: after a start, a clean one and one after a kill,
// they are there within 2 s, and nobody is asked for that. Neither a look at the status
// nor the seal of a commit keeps a writer waiting for long.
func TestMany(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 2000
	}
	b := newBench(t)
	b.must(b.stage.Close())
	b.open(filepath.Join(memory(t), "state")) // a disk would be measured by how long it takes to remove all that
	t.Logf("staged %d files in %v", n, timed(func() { b.stageMany(n) }).Round(time.Millisecond))
	b.noCheck = true
	there := func() {
		t.Helper()
		if s := b.o.Status().Staged; s.Files != n || s.Deleted != 0 {
			t.Errorf("%+v", s)
		}
		b.reads(manyPath(n/2), fmt.Sprintf("{\"label\": %d}", n/2))
	}
	for _, how := range []string{"closed", "killed"} {
		if how == "closed" {
			b.must(b.stage.Close())
		} else {
			b.must(b.stage.Abandon())
		}
		dir := b.stage.Dir()
		took(t, "opened after it was "+how, timed(func() { b.open(dir) }), 2*time.Second)
		for _, op := range calls {
			if asked := b.Calls(op); asked > 0 && op != "Branches" { // the heads are followed
				t.Errorf("the server was asked for %s %d times", op, asked)
			}
		}
		there()
	}
	took(t, "status", timed(func() { b.o.Status() }), 50*time.Millisecond)

	var stalls []time.Duration
	done := make(chan bool)
	go func() {
		defer close(done)
		for i := range 1000 { // for about as long as a commit of so much takes at least
			time.Sleep(time.Millisecond)
			stalls = append(stalls, timed(func() {
				if err := b.tryWrite(fmt.Sprintf("/beside-%d", i), "x"); err != nil {
					t.Error(err)
				}
			}))
		}
	}()
	b.Fail("Upload", 0, 1, pachclient.ErrUnsupported)
	sealed := timed(func() {
		_, err := b.o.Commit(t.Context(), "")
		b.is(err, pachclient.ErrUnsupported)
	})
	<-done
	two := timed(func() { b.o.Status() })
	slices.Sort(stalls)
	t.Logf("sealed and synced in %v; the status of two layers took %v", sealed.Round(time.Millisecond), two.Round(10*time.Microsecond))
	t.Logf("%d files were written beside: p50 %v, max %v", len(stalls), stalls[len(stalls)/2], stalls[len(stalls)-1])
	took(t, "the p99 of what a writer waited beside the seal", stalls[len(stalls)*99/100], 20*time.Millisecond)
	b.must(b.stage.Check())
}
