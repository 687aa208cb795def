package test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

const (
	killWriters = 4
	killFiles   = 1000 // of all writers of a round
)

// content gives the bytes that a writer puts into a path: whoever knows the
// path and a length knows what must be there.
func content(path string) string {
	var h uint64 = 14695981039346656037
	for _, c := range []byte(path) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	r := rand.New(rand.NewPCG(h, 1))
	n := 1 + r.IntN(3000)
	if r.IntN(50) == 0 {
		n = 200_000
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// writerMain writes files below a directory and says on stdout what was
// acknowledged: "path length" when a write returned, and when a rename did.
// Kinds: one write; two writes; written under another name and renamed; in a
// directory of its own; in a directory that is renamed.
func writerMain(args []string) error {
	dir, name := args[0], args[1]
	var from, to int
	if _, err := fmt.Sscan(args[2], &from); err != nil {
		return err
	}
	if _, err := fmt.Sscan(args[3], &to); err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	ack := func(path string, n int) {
		fmt.Fprintln(out, path, n)
		out.Flush()
	}
	for i := from; i < to; i++ {
		if err := writeOne(dir, fmt.Sprintf("%s-%04d", name, i), i%5, ack); err != nil {
			return err
		}
	}
	return nil
}

func writeOne(dir, name string, kind int, ack func(path string, n int)) error {
	path, at := name, name
	switch kind {
	case 2:
		at = name + ".tmp"
	case 3, 4:
		if err := os.Mkdir(dir+"/"+name, 0o777); err != nil {
			return err
		}
		path, at = name+"/f", name+"/f"
		if kind == 4 {
			path = name + ".moved/f"
		}
	}
	data := content(path)
	f, err := os.Create(dir + "/" + at)
	if err != nil {
		return err
	}
	first := len(data)
	if kind == 1 {
		first = len(data) / 2
	}
	for _, part := range []string{data[:first], data[first:]} {
		if part == "" {
			continue
		}
		if _, err := f.WriteString(part); err != nil {
			return err
		}
		if at == path && kind == 1 && len(part) == first {
			ack(path, first)
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	switch kind {
	case 2:
		err = os.Rename(dir+"/"+at, dir+"/"+path)
	case 4:
		err = os.Rename(dir+"/"+name, dir+"/"+name+".moved")
	}
	if err == nil {
		ack(path, len(data))
	}
	return err
}

// kill -9 while files are written, the head moves and find runs: what was
// acknowledged is there, byte for byte, and lands once (promises 4 and 8).
func TestKill(t *testing.T) {
	rounds := max(3, *kills/10)
	if testing.Short() {
		rounds = 3
	}
	r := random(t)
	s := harness.Serve(t)
	ref := s.Ref("kill@master")
	s.Peer.Create(t, s.Ref("kill"))
	s.Peer.PutWait(t, ref, map[string]string{"/foreign/0": "0"})
	stop := moveHead(t, s, ref)
	defer stop()
	base := t.TempDir() // the rounds go on with each other's state
	spec := harness.Spec{Dir: base + "/mnt", State: base + "/state", Cache: base + "/cache", Tmp: base + "/tmp"}
	for _, dir := range []string{spec.Dir, spec.State, spec.Cache, spec.Tmp} {
		ok(t, os.Mkdir(dir, 0o700))
	}
	acked := 0
	for i := range rounds {
		t.Run(fmt.Sprintf("round%02d", i), func(t *testing.T) { acked += killRound(t, s, ref, i, r, spec) })
	}
	if acked == 0 {
		t.Error("no kill came after something was acknowledged")
	}
}

// moveHead puts files of somebody else, several times a second.
func moveHead(t *testing.T, s *harness.Server, ref string) (stop func()) {
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := 0; !done.Load(); i++ {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			if err := s.Peer.Modify(ctx, ref, map[string]string{fmt.Sprintf("/foreign/%d", i%20): fmt.Sprint(i)}); err != nil {
				t.Errorf("a put of somebody else: %v", err)
				done.Store(true)
			}
			cancel()
			time.Sleep(150 * time.Millisecond)
		}
	}()
	return func() { done.Store(true); wg.Wait() }
}

// killRound gives how many operations were acknowledged before the kill.
func killRound(t *testing.T, s *harness.Server, ref string, round int, r *rand.Rand, spec harness.Spec) int {
	spec.URL, spec.Deadline = s.URL, 2*time.Minute
	m := harness.MountSpec(t, spec)
	sub := fmt.Sprintf("w%03d", round)
	dir := m.Path(ref, sub)
	ok(t, os.Mkdir(dir, 0o777))
	before := s.Peer.Head(t, ref)

	var writers []*harness.Proc
	per := killFiles / killWriters
	for w := range killWriters {
		writers = append(writers, harness.Start(t, "writer",
			harness.Self("write", dir, fmt.Sprintf("%c", 'a'+w), fmt.Sprint(0), fmt.Sprint(per))))
	}
	find := harness.Start(t, "find", shell(m.Dir, `while find `+ref+` -type f -size +100000 >/dev/null 2>&1; do :; done`))
	triggers := 1
	var toucher *harness.Proc
	wait := time.Duration(r.IntN(900)) * time.Millisecond
	if r.IntN(3) > 0 { // a commit is under way when it dies, or was just made
		part := time.Duration(r.Float64() * float64(wait))
		time.Sleep(part)
		wait -= part
		toucher = harness.Start(t, "touch", shell("/", "touch "+m.Path(ref, ".commit")))
		triggers++
	}
	time.Sleep(wait)
	start := time.Now()
	m.Kill(t)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("pachfs took %v to die", took)
	}
	for _, p := range append(writers, find, toucher) {
		if p != nil && !p.Within(20*time.Second) {
			t.Errorf("%s (pid %d) hangs after the kill", p.Name, p.Pid())
		}
	}
	acked := manifest(t, writers)
	m.Close(t)

	again := m.Again(t)
	checkAcked(t, "after the kill", acked, func(p string) (string, error) {
		b, err := os.ReadFile(again.Path(ref, sub, p))
		return string(b), err
	})
	complete(t, again, ref)
	commit(t, again, ref)
	tree := s.Peer.Tree(t, ref, "")
	checkAcked(t, "landed", acked, func(p string) (string, error) {
		data, ok := tree["/"+sub+"/"+p]
		if !ok {
			return "", syscall.ENOENT
		}
		return data, nil
	})
	ours := landedOnce(t, s, ref, before, "/"+sub+"/")
	if ours > triggers {
		t.Errorf("%d commits of ours for %d triggers", ours, triggers)
	}
	t.Logf("killed with %d operations acknowledged; %d commits", len(acked), ours)
	commit(t, again, ref)
	if n := landedOnce(t, s, ref, before, "/"+sub+"/"); n != ours {
		t.Errorf("a second trigger made another commit of the same")
	}
	again.Stop(t, 0)
	if left := again.Staged(t); len(left) > 0 {
		t.Errorf("%d content files are left in the state directory", len(left))
	}
	return len(acked)
}

// complete tells of files that were half written at a kill that they are whole,
// as somebody who looked at them would.
func complete(t *testing.T, m *harness.Mount, ref string) {
	t.Helper()
	for _, p := range m.Status(t, ref).Writing {
		f, err := os.OpenFile(m.Path(ref, p), os.O_WRONLY, 0)
		ok(t, err)
		ok(t, f.Close())
	}
}

// manifest gives, by path, how many bytes of it were acknowledged.
func manifest(t *testing.T, writers []*harness.Proc) map[string]int {
	acked := map[string]int{}
	for _, w := range writers {
		for line := range strings.Lines(w.Out()) {
			var path string
			var n int
			if _, err := fmt.Sscan(line, &path, &n); err != nil {
				t.Fatalf("manifest: %q: %v", line, err)
			}
			acked[path] = n
		}
	}
	return acked
}

func checkAcked(t *testing.T, when string, acked map[string]int, get func(path string) (string, error)) {
	t.Helper()
	bad := 0
	for path, n := range acked {
		got, err := get(path)
		want := content(path)
		if err == nil && len(got) >= n && len(got) <= len(want) && got == want[:len(got)] {
			continue
		}
		if bad++; bad <= 5 {
			t.Errorf("%s: %s: %v, %d bytes of %d acknowledged (%d in all), right: %v",
				when, path, err, len(got), n, len(want), strings.HasPrefix(want, got))
		}
	}
	if bad > 0 {
		t.Errorf("%s: %d of %d acknowledged operations are lost", when, bad, len(acked))
	}
}

// landedOnce counts the commits that hold something of ours, and wants no path
// to be made twice and none of them to hold anything else.
func landedOnce(t *testing.T, s *harness.Server, ref, since, prefix string) (ours int) {
	t.Helper()
	made := map[string]string{}
	for _, c := range s.Peer.Commits(t, ref, since) {
		mine, theirs := false, false
		for p, op := range s.Peer.Diff(t, ref, c.Commit.Id) {
			if !strings.HasPrefix(p, prefix) {
				theirs = theirs || strings.HasPrefix(p, "/foreign/")
				continue
			}
			mine = true
			if other := made[p]; op == "+" && other != "" {
				t.Errorf("%s was made by %s and again by %s", p, other, c.Commit.Id)
			}
			made[p] = c.Commit.Id
		}
		if mine && theirs {
			t.Errorf("commit %s holds ours and theirs", c.Commit.Id)
		}
		if mine {
			ours++
		}
	}
	return ours
}
