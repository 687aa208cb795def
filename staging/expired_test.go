package staging_test

import (
	"io/fs"
	"os"
	"regexp"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/clienttest"
	"pachfs/staging"
)

// After the set of a landing has expired, a commit of somebody else that deletes
// the same is not taken for it: what was to be added stays staged.
func TestKilledUntilTheSetExpired(t *testing.T) {
	for name, landed := range map[string]bool{"before Land": false, "landed, answer lost": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, short)
			base := b.foreign(tree{"/gone": "x", "/keep": "keep"})
			b.follows(base)
			b.write("/new", "mine")
			b.rm("/gone")
			if !landed {
				b.Fail("Land", clienttest.Before, 1, errKilled)
			}
			left := b.dieAt("Land", 1, landed)
			if left == "" {
				t.Fatal("there was no Land")
			}
			b.expireSets(left)
			if !landed {
				b.foreign(tree{"/theirs": "y"}, "/gone")
			}
			b.must(b.stage.Close())
			b.open(left)
			_, err := b.o.Commit(t.Context(), "")
			if !landed {
				b.is(err, staging.ErrConflict)
				b.reads("/new", "mine")
				b.same("head", b.committed(), tree{"/theirs": "y", "/keep": "keep"})
				return
			}
			b.must(err)
			b.clean()
			b.holds(tree{"/new": "mine", "/keep": "keep"})
		})
	}
}

// expireSets lets the file sets that a state directory knows expire.
func (b *bench) expireSets(dir string) {
	b.t.Helper()
	found := 0
	b.must(fs.WalkDir(os.DirFS(dir), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(os.DirFS(dir), p)
		for _, id := range regexp.MustCompile("[0-9a-f]{32}").FindAll(data, -1) {
			if b.client.Renew(b.t.Context(), pachclient.FileSet(id), time.Second) == nil {
				found++
			}
		}
		return err
	}))
	if found == 0 {
		b.t.Fatal("no set is known to the state")
	}
	time.Sleep(1100 * time.Millisecond)
}
