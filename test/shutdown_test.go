package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

// A leaving is one mount that is going to end, and what must become of it.
type leaving struct {
	s      *harness.Server
	p      *harness.Proxy
	m      *harness.Mount
	ref    string
	first  string            // the head before anything was done here
	inside []*harness.Proc   // processes that use the mount
	want   map[string]string // what must have landed at last, beside what others put
	acked  func(t *testing.T) map[string]int
	exits  []int  // the exit statuses that are right
	rest   func() // ends what goes on beside
}

// stopTimeout is that of the mounts here. They must have ended by ended: ten
// times what unmounting, noticing and giving up take together.
const (
	stopTimeout = time.Second
	ended       = 10 * (stopTimeout + 2*time.Second)
)

// moments are what may go on when a mount ends.
var moments = []struct {
	name  string
	begin func(t *testing.T, l *leaving)
}{
	{"idle", func(t *testing.T, l *leaving) { _ = local(t, l.m.Path(l.ref)) }},
	{"staged files", stageSome},
	{"conflict", func(t *testing.T, l *leaving) {
		write(t, l.m.Path(l.ref, "x"), "ours")
		l.s.Peer.PutWait(t, l.ref, map[string]string{"/x": "theirs"})
		l.want, l.exits = nil, []int{4}
	}},
	{"commit under way, pachd hangs", func(t *testing.T, l *leaving) {
		stageSome(t, l)
		l.p.Hold()
		l.use(t, "touch", l.m.Path(l.ref, ".commit"))
		harness.Eventually(t, 20*time.Second, "the commit is under way", func() bool { return l.m.Status(t, l.ref).State == "committing" })
		l.exits = []int{3}
	}},
	{"readers wait, pachd hangs", func(t *testing.T, l *leaving) {
		_ = names(t, l.m.Path(l.ref))
		l.p.Hold()
		for i := range 3 {
			l.use(t, "cat", l.m.Path(l.ref, fmt.Sprintf("big%d", i)))
		}
		l.use(t, "ls", l.m.Path(l.ref, "d"))
		time.Sleep(200 * time.Millisecond)
	}},
	{"head moves fast", func(t *testing.T, l *leaving) {
		stageSome(t, l)
		l.rest = fastHead(t, l.s, l.ref)
		time.Sleep(300 * time.Millisecond)
	}},
	{"writers are busy", func(t *testing.T, l *leaving) {
		dir := l.m.Path(l.ref, "w")
		ok(t, os.Mkdir(dir, 0o777))
		var writers []*harness.Proc
		for i := range 2 {
			w := harness.Start(t, "writer", harness.Self("write", dir, string(rune('a'+i)), "0", "100000"))
			writers = append(writers, w)
		}
		l.inside = append(l.inside, writers...)
		l.acked = func(t *testing.T) map[string]int { return manifest(t, writers) }
		l.exits = []int{0, 3} // 3: of files that were open the half stays
		time.Sleep(300 * time.Millisecond)
	}},
}

// use starts a process that waits in the mount.
func (l *leaving) use(t *testing.T, args ...string) {
	t.Helper()
	l.inside = append(l.inside, harness.Start(t, args[0], exec.Command(args[0], args[1:]...)))
}

func stageSome(t *testing.T, l *leaving) {
	t.Helper()
	write(t, l.m.Path(l.ref, "a"), "a")
	ok(t, os.Mkdir(l.m.Path(l.ref, "new"), 0o777))
	write(t, l.m.Path(l.ref, "new/b"), strings.Repeat("b", 100_000))
	ok(t, os.Remove(l.m.Path(l.ref, "gone")))
	l.want = map[string]string{"/x": "x", "/a": "a", "/new/b": strings.Repeat("b", 100_000)}
}

// fastHead commits files of somebody else as fast as the server takes them.
func fastHead(t *testing.T, s *harness.Server, ref string) (stop func()) {
	var done atomic.Bool
	var n atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for w := range 2 {
		wg.Go(func() {
			for i := 0; !done.Load(); i++ {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				if err := s.Peer.Modify(ctx, ref, map[string]string{fmt.Sprintf("/foreign/%d-%d", w, i%20): fmt.Sprint(i)}); err != nil {
					t.Errorf("a put of somebody else: %v", err)
					done.Store(true)
				}
				cancel()
				n.Add(1)
			}
		})
	}
	return sync.OnceFunc(func() {
		done.Store(true)
		wg.Wait()
		t.Logf("the head moved %.0f times a second", float64(n.Load())/time.Since(start).Seconds())
		if n.Load() == 0 {
			t.Error("the head did not move")
		}
	})
}

// ways are the ways in which a mount is ended. Each returns the processes that
// hold the mount, and must not get in the way of its end.
var ways = []struct {
	name string
	do   func(t *testing.T, l *leaving) []*harness.Proc
}{
	{"SIGTERM", func(t *testing.T, l *leaving) []*harness.Proc { l.m.Signal(t, syscall.SIGTERM); return nil }},
	{"SIGINT", func(t *testing.T, l *leaving) []*harness.Proc { l.m.Signal(t, syscall.SIGINT); return nil }},
	{"umount", func(t *testing.T, l *leaving) []*harness.Proc { return l.unmount(t, "umount", l.m.Dir) }},
	{"fusermount3 -u", func(t *testing.T, l *leaving) []*harness.Proc { return l.unmount(t, "fusermount3", "-u", l.m.Dir) }},
	{"umount -l with a cwd inside", func(t *testing.T, l *leaving) []*harness.Proc {
		cmd := exec.Command("sleep", "600")
		cmd.Dir = l.m.Path(l.ref)
		h := harness.Start(t, "holder", cmd)
		harness.Sh(t, "/", "umount -l "+l.m.Dir)
		return []*harness.Proc{h}
	}},
	{"pachfs umount", func(t *testing.T, l *leaving) []*harness.Proc {
		r := harness.Pachfs(t, "umount", l.m.Dir)
		if !l.m.Within(ended) {
			t.Fatal("pachfs umount returned, and the mount goes on")
		}
		if r.Code != l.m.Code() {
			t.Errorf("pachfs umount: %v; the mount ended with %d", r, l.m.Code())
		}
		return nil
	}},
	{"another mount namespace holds it", func(t *testing.T, l *leaving) []*harness.Proc {
		h := holdInNamespace(t, l.m)
		harness.Sh(t, "/", fmt.Sprintf("umount %[1]s 2>/dev/null || umount -l %[1]s", l.m.Dir))
		return []*harness.Proc{h}
	}},
}

// unmount runs a command that refuses a mount in use: then those who use it
// are killed, and it must work.
func (l *leaving) unmount(t *testing.T, cmd ...string) []*harness.Proc {
	t.Helper()
	r := harness.Try(t, cmd...)
	if r.Code == 0 {
		return nil
	}
	if len(l.inside) == 0 {
		t.Fatalf("%q of a mount that nobody uses: %v", cmd, r)
	}
	if _, err := os.Stat(l.m.Dir); err != nil {
		t.Errorf("after a refused %q: %v", cmd, err)
	}
	for _, p := range l.inside {
		p.Kill(t)
	}
	harness.Eventually(t, ended, "an unmount when nobody is left", func() bool { return harness.Try(t, cmd...).Code == 0 })
	return nil
}

// holdInNamespace starts a process in a mount namespace of its own that has the mount, too.
func holdInNamespace(t *testing.T, m *harness.Mount) *harness.Proc {
	t.Helper()
	h := harness.Start(t, "namespace", exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", "echo there; exec sleep 600"))
	h.FirstLine(t, 20*time.Second)
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/root%s", h.Pid(), m.Dir)); err != nil {
		t.Fatal(err)
	}
	return h
}

// However a mount ends and whatever goes on: it ends in time and with the right
// exit status, nothing is lost, and nothing is left behind (promise 7).
func TestShutdown(t *testing.T) {
	s := harness.Serve(t)
	n := 0
	for _, moment := range moments {
		for _, way := range ways {
			n++
			t.Run(moment.name+"/"+way.name, func(t *testing.T) {
				l := leave(t, s, fmt.Sprintf("m%d", n))
				moment.begin(t, l)
				noZombies(t, l.m.Pid())
				start := time.Now()
				holders := way.do(t, l)
				l.ended(t, start, holders)
				l.nothingLost(t)
			})
		}
	}
}

// leave mounts a repo with a few files.
func leave(t *testing.T, s *harness.Server, repo string) *leaving {
	l := &leaving{s: s, ref: s.Ref(repo + "@master"), exits: []int{0}, want: map[string]string{"/x": "x", "/gone": "g"}, rest: func() {}}
	s.Peer.Create(t, s.Ref(repo))
	files := map[string]string{"/x": "x", "/gone": "g", "/d/y": "y"}
	for i := range 3 {
		files[fmt.Sprintf("/big%d", i)] = strings.Repeat("z", 1<<20)
	}
	l.first = s.Peer.PutWait(t, l.ref, files)
	l.p = harness.NewProxy(t, s)
	l.m = harness.MountSpec(t, harness.Spec{URL: l.p.URL, Flags: []string{"--stop-timeout", stopTimeout.String(), "--commit-timeout", "10m", "--io-timeout", "10m"}})
	t.Cleanup(func() { l.rest() })
	return l
}

// ended wants the daemon to end, and nobody to keep it or be kept by it.
func (l *leaving) ended(t *testing.T, start time.Time, holders []*harness.Proc) {
	t.Helper()
	if !l.m.Within(ended) {
		t.Fatalf("it has not ended after %v", time.Since(start))
	}
	t.Logf("ended after %v with %d", time.Since(start).Round(time.Millisecond), l.m.Code())
	if !slices.Contains(l.exits, l.m.Code()) {
		t.Errorf("exit %d, want one of %v:\n%s", l.m.Code(), l.exits, l.m.Log())
	}
	for _, h := range holders { // they hold a mount that is dead
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/cwd/%s", h.Pid(), l.ref)); h.Cmd.Dir != "" && !isErrno(err, syscall.ENOTCONN) {
			t.Errorf("in the directory of a process inside: %v, want ENOTCONN", err)
		}
		h.Kill(t)
	}
	for _, p := range l.inside { // whoever waited for the mount does so no more
		if !p.Within(ended) {
			t.Errorf("%s (pid %d) waits for a mount that has ended", p.Name, p.Pid())
			p.Kill(t)
		}
	}
	l.rest()
	l.m.Close(t)
	noZombies(t, l.m.Pid())
}

// nothingLost looks at the server, and mounts again what stayed.
func (l *leaving) nothingLost(t *testing.T) {
	t.Helper()
	l.p.Release()
	if l.m.Code() != 0 {
		l.goOn(t, l.m.Again(t))
		return
	}
	lock, err := os.Open(filepath.Join(l.m.State, "lock"))
	ok(t, err)
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Errorf("the state directory is still locked: %v", err)
	}
	l.landed(t)
}

// goOn is the next mount, which has what stayed, and lands it.
func (l *leaving) goOn(t *testing.T, again *harness.Mount) {
	t.Helper()
	if slices.Contains(l.exits, 4) {
		shows(t, again.Path(l.ref, "x"), "ours")
		harness.Eventually(t, 10*time.Second, "the next mount tells of the conflict", func() bool {
			st := again.Status(t, l.ref)
			return st.State == "conflict" && slices.Equal(st.Conflicts, []string{"/x"})
		})
		again.Stop(t, 4)
		return
	}
	if l.acked != nil {
		l.hasAcked(t, "the next mount", func(p string) (string, error) {
			b, err := os.ReadFile(again.Path(l.ref, "w", p))
			return string(b), err
		})
		write(t, again.Path(l.ref, "a"), "a")
	}
	commit(t, again, l.ref)
	again.Signal(t, syscall.SIGTERM)
	if !again.Within(ended) || again.Code() != 0 && (l.acked == nil || again.Code() != 3) { // 3: a write to it failed, so the file waits
		t.Errorf("the next mount ends with %d:\n%s", again.Code(), again.Log())
	}
	again.Close(t)
	if again.Code() == 0 {
		l.landed(t)
	}
}

// landed wants what was staged to be on the branch, in one commit.
func (l *leaving) landed(t *testing.T) {
	t.Helper()
	tree := l.s.Peer.Tree(t, l.ref, "")
	if l.acked != nil {
		l.hasAcked(t, "landed", func(p string) (string, error) {
			data, ok := tree["/w/"+p]
			if !ok {
				return "", syscall.ENOENT
			}
			return data, nil
		})
		return
	}
	ours := 0
	for _, c := range l.s.Peer.Commits(t, l.ref, l.first) {
		if l.s.Peer.Diff(t, l.ref, c.Commit.Id)["/a"] != "" {
			ours++
		}
	}
	if _, staged := l.want["/a"]; staged && ours != 1 || !staged && ours != 0 {
		t.Errorf("%d commits of ours", ours)
	}
	for p := range tree {
		if strings.HasPrefix(p, "/foreign/") || strings.HasPrefix(p, "/big") || p == "/d/y" {
			delete(tree, p)
		}
	}
	same(t, "landed", tree, l.want)
}

func (l *leaving) hasAcked(t *testing.T, where string, get func(path string) (string, error)) {
	t.Helper()
	acked := l.acked(t)
	if len(acked) == 0 {
		t.Error("the writers wrote nothing")
	}
	checkAcked(t, where, acked, get)
}

// noZombies wants no child of a process to be dead and not waited for.
func noZombies(t *testing.T, parent int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	ok(t, err)
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		front, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[0] == "Z" && (f[1] == fmt.Sprint(parent) || strings.HasPrefix(front, fmt.Sprint(parent)+" ")) {
			t.Errorf("a zombie: %s", b)
		}
	}
}
