package staging_test

import (
	"testing"

	"pachfs/staging"
)

// A branch that was in use before shows the head as it is now, not as it was
// when it was last open, without waiting for a tick.
func TestOpenedItFollowsAtOnce(t *testing.T) {
	b := newBench(t, staging.NoPolling)
	b.follows(b.foreign(tree{"/x": "old"}))
	b.write("/mine", "staged")
	b.must(b.stage.Close())
	now := b.foreign(tree{"/x": "new"})
	b.open(b.stage.Dir())
	b.until("the base follows", func() bool { return b.o.Base().Commit.Same(now) })
	b.reads("/x", "new")
	b.reads("/mine", "staged")
}

// So does one whose conflict was discarded.
func TestDiscardedItFollowsAtOnce(t *testing.T) {
	b := newBench(t, staging.NoPolling)
	b.follows(b.foreign(tree{"/x": "old"}))
	b.write("/x", "mine")
	theirs := b.foreign(tree{"/x": "theirs"})
	b.until("conflict", func() bool {
		b.must(b.o.Follow(t.Context()))
		return b.o.Status().State == staging.Conflict
	})
	b.must(b.o.Discard("/x"))
	b.until("the base follows", func() bool { return b.o.Base().Commit.Same(theirs) })
	b.reads("/x", "theirs")
}
