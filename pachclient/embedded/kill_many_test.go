package embedded

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pachfs/pachclient/pfspb/pfs"
)

// Several clients write to one branch when the server is killed. What each was
// answered is there, of what it was not there is at most the one call that was
// under way, and every commit lies on the one before it.
func TestKillUnderManyWriters(t *testing.T) {
	r := newSeed(t)
	dir := t.TempDir()
	p := start(t, dir, Options{})
	p.repo("r")
	p.modify(head("r", "master"), add("/big", noise(mib, 1)))
	p.closed()
	rounds := *killRounds / 2
	if testing.Short() {
		rounds = 1
	}
	const clients = 4
	before := 1
	for round := range rounds {
		p, child := serveChild(t, dir)
		p.inspect(head("r", "master"), 0)
		time.AfterFunc(time.Duration(50+r.IntN(200))*time.Millisecond, func() { child.Process.Kill() })
		answered := make([]int, clients)
		together(clients, func(i int, begun func()) {
			for begun(); ; answered[i]++ {
				path := func(n int) string { return fmt.Sprintf("/%d/%d/%d", round, i, n) }
				ops := []op{add(path(answered[i]), noise(10_000, byte(i)))}
				if i%2 == 1 { // a landing
					set, err := p.fileSetErr(ops...)
					if err != nil {
						return
					}
					ops = []op{cp("/", setRef(set), "/")}
				}
				if p.modifyErr(head("r", "master"), ops...) != nil {
					return
				}
			}
		})
		child.Wait()
		p.conn.Close()
		before = wantAnswered(t, dir, round, answered, before)
	}
	if before == 1 {
		t.Error("every server was killed before its first answer")
	}
}

// wantAnswered opens a store whose server was killed, compares it with what
// the clients were answered, and gives how many commits there are.
func wantAnswered(t *testing.T, dir string, round int, answered []int, before int) int {
	t.Helper()
	p := start(t, dir, Options{})
	sum := 0
	for i, n := range answered {
		files := p.list(&pfs.ListFileRequest{File: &pfs.File{Commit: head("r", "master"), Path: fmt.Sprintf("/%d/%d", round, i)}})
		if len(files) != n && len(files) != n+1 {
			t.Errorf("round %d, client %d: %d files, %d calls were answered", round, i, len(files), n)
		}
		for _, path := range files {
			if got := p.get(head("r", "master"), path); got != noise(10_000, byte(i)) {
				t.Errorf("%s has %d bytes, or others", path, len(got))
			}
		}
		sum += len(files)
	}
	log := p.log("r")
	slices.Reverse(log)
	for i, info := range log {
		if info.Finished == nil || i > 0 && info.ParentCommit.GetId() != log[i-1].Commit.Id {
			t.Errorf("commit %d of %d: %v", i, len(log), info)
		}
	}
	if len(log) != before+sum {
		t.Errorf("%d commits, want %d and the %d of this round", len(log), before, sum)
	}
	t.Logf("%s answered in round %d, %d calls happened", strings.Trim(fmt.Sprint(answered), "[]"), round, sum)
	p.collected()
	p.stop()
	return len(log)
}
