package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

// The rules of what a kernel does to a mount, those that no other test here
// shows in passing. Each stood for a hang, a lost write or a wrong answer once.

// mountWith mounts a branch that has these files.
func mountWith(t *testing.T, files map[string]string) (s *harness.Server, m *harness.Mount, ref string) {
	t.Helper()
	s = harness.Serve(t)
	ref = s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	if len(files) > 0 {
		s.Peer.PutWait(t, ref, files)
	}
	return s, s.Mount(t), ref
}

// A listing that the kernel has cached, an empty one too, is dropped when
// others change it; what was missing is found a moment later.
func TestKernelListings(t *testing.T) {
	s, m, ref := mountWith(t, nil)
	for range 3 {
		if got := names(t, m.Path(ref)); len(got) != 0 {
			t.Fatalf("an empty branch lists %q", got)
		}
	}
	if _, err := os.Stat(m.Path(ref, "d")); !os.IsNotExist(err) {
		t.Fatal(err)
	}
	s.Peer.PutWait(t, ref, map[string]string{"/d/x": "x", "/f": "f"})
	harness.Eventually(t, 10*time.Second, "the new names are listed and found", func() bool {
		_, err := os.Stat(m.Path(ref, "d/x"))
		return err == nil && slices.Equal(names(t, m.Path(ref)), []string{"d", "f"})
	})
	s.Peer.PutWait(t, ref, map[string]string{"-/d/x": "", "-/f": "", "/g": "g"})
	harness.Eventually(t, 10*time.Second, "the old names are gone", func() bool {
		_, err := os.Stat(m.Path(ref, "f"))
		return os.IsNotExist(err) && slices.Equal(names(t, m.Path(ref)), []string{"g"})
	})
}

// A path that becomes a directory, and one that becomes a file, under the
// kernel's cached entries.
func TestKernelKindChanges(t *testing.T) {
	s, m, ref := mountWith(t, map[string]string{"/a": "file", "/b/x": "in a directory"})
	_ = local(t, m.Path(ref))
	s.Peer.PutWait(t, ref, map[string]string{"-/a": "", "-/b/x": ""})
	s.Peer.PutWait(t, ref, map[string]string{"/a/y": "in a directory now", "/b": "file now"})
	want := map[string]string{"/a/y": "in a directory now", "/b": "file now"}
	shows(t, m.Path(ref, "a/y"), want["/a/y"])
	shows(t, m.Path(ref, "b"), want["/b"])
	same(t, "the mount", local(t, m.Path(ref)), want)
}

// Truncating and appending by path go to the file that is there now, not to
// the one that the kernel remembers.
func TestKernelWritesAfterSupersession(t *testing.T) {
	s, m, ref := mountWith(t, map[string]string{"/cut": "old old old", "/more": "old"})
	_ = local(t, m.Path(ref))
	for _, name := range []string{"cut", "more"} { // cached attributes and pages of the old ones
		keep, err := os.Open(m.Path(ref, name))
		ok(t, err)
		defer keep.Close()
	}
	s.Peer.PutWait(t, ref, map[string]string{"/cut": "new bytes", "/more": "new"})
	shows(t, m.Path(ref, "more"), "new")
	harness.Sh(t, m.Path(ref), `truncate -s 3 cut; printf ' and appended' >> more`)
	if got := read(t, m.Path(ref, "cut")); got != "new" {
		t.Errorf("cut reads %q", got)
	}
	commit(t, m, ref)
	same(t, "landed", s.Peer.Tree(t, ref, ""), map[string]string{"/cut": "new", "/more": "new and appended"})
}

// A write through a handle that was opened before others changed the path is
// not laid over their bytes in silence.
func TestKernelOldHandleConflicts(t *testing.T) {
	s, m, ref := mountWith(t, map[string]string{"/x": "base"})
	f, err := os.OpenFile(m.Path(ref, "x"), os.O_RDWR, 0)
	ok(t, err)
	theirs := s.Peer.PutWait(t, ref, map[string]string{"/x": "theirs"})
	time.Sleep(time.Second)
	_, err = f.WriteAt([]byte("MINE"), 0)
	ok(t, err)
	ok(t, f.Close())
	if r := touch(t, m.Path(ref, ".commit")); r.Code == 0 {
		t.Errorf("the trigger succeeds; the branch has %q", s.Peer.Tree(t, ref, ""))
	}
	if h := s.Peer.Head(t, ref); h != theirs {
		t.Error("the head moved")
	}
	if got := read(t, m.Path(ref, "x")); got != "MINE" {
		t.Errorf("x reads %q", got)
	}
	m.Stop(t, 4)
}

// A directory keeps its number while others change what is in it: a process
// stays where it is, and a bind mount of a branch (docker -v) keeps working.
func TestKernelDirectoriesStay(t *testing.T) {
	s, m, ref := mountWith(t, map[string]string{"/d/x": "1"})
	bind := t.TempDir()
	if err := syscall.Mount(m.Path(ref), bind, "", syscall.MS_BIND, ""); err != nil {
		t.Fatalf("bind mount (root is needed): %v", err)
	}
	defer syscall.Unmount(bind, syscall.MNT_DETACH)
	script := `for i in $(seq 200); do [ "$(cat x)" = 3 ] && break; sleep 0.05; done; cat x; [ "$(/bin/pwd)" = "$PWD" ] && echo same`
	cmd := shell(m.Path(ref, "d"), script)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	ok(t, cmd.Start())
	for _, v := range []string{"2", "3"} {
		s.Peer.PutWait(t, ref, map[string]string{"/d/x": v, "/d/new" + v: v})
	}
	ok(t, cmd.Wait())
	if out.String() != "3same\n" {
		t.Errorf("the process in the directory says %q", out.String())
	}
	shows(t, filepath.Join(bind, "d/x"), "3")
	if b, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(b), "//deleted") {
		t.Errorf("a mount was detached: %v", err)
	}
	ok(t, syscall.Unmount(bind, 0))
}

// Readers that wait for the server leave others alone: eight cold reads hang,
// and a stat, a listing, a write and an interrupted touch go on.
func TestKernelWaitingReadersAlone(t *testing.T) {
	s, m, ref := waitingReaders(t)
	for i := range 8 {
		cmd := exec.Command("cat", m.Path(ref, fmt.Sprintf("big%d", i)))
		ok(t, cmd.Start())
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
	}
	time.Sleep(500 * time.Millisecond)
	harness.Sh(t, m.Path(ref), `stat small; ls -l; echo staged > new; cat new .status; mv new renamed; rm renamed`)
	s.Release()
}

// waitingReaders gives a mount whose server can be held behind a proxy.
func waitingReaders(t *testing.T) (p *harness.Proxy, m *harness.Mount, ref string) {
	s := harness.Serve(t)
	ref = s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	files := map[string]string{"/small": "s"}
	for i := range 8 {
		files[fmt.Sprintf("/big%d", i)] = strings.Repeat("x", 1<<20)
	}
	s.Peer.PutWait(t, ref, files)
	p = harness.NewProxy(t, s)
	m = harness.MountSpec(t, harness.Spec{URL: p.URL})
	_ = names(t, m.Path(ref))
	if got := read(t, m.Path(ref, "small")); got != "s" {
		t.Fatal(got)
	}
	p.Hold()
	return p, m, ref
}

// Closed means released: half a file does not land because its writer forked,
// or because a shell closed a copy of its descriptor; it lands as it was last closed.
func TestKernelHalfWrittenFilesWait(t *testing.T) {
	s, m, ref := mountWith(t, map[string]string{"/old": "as last closed"})
	py := harness.Start(t, "writer", exec.Command("python3", "-c", `
import os, subprocess, sys
os.chdir(sys.argv[1])
new = open("new", "w"); new.write("half of a new file"); new.flush()
old = open("old", "w"); old.write("half of a rewrite"); old.flush()
subprocess.run(["true"])                      # fork and exec: the copies are closed
d = os.dup(new.fileno()); os.close(d)
print("half", flush=True)
import time; time.sleep(600)
`, m.Path(ref)))
	defer py.Kill(t)
	py.FirstLine(t, 20*time.Second)
	write(t, m.Path(ref, "done"), "whole")
	commit(t, m, ref)
	same(t, "while they are being written", s.Peer.Tree(t, ref, ""), map[string]string{"/old": "as last closed", "/done": "whole"})
	py.Kill(t) // a killed writer's file counts as closed
	commit(t, m, ref)
	same(t, "after the writer was killed", s.Peer.Tree(t, ref, ""),
		map[string]string{"/old": "half of a rewrite", "/new": "half of a new file", "/done": "whole"})
}

// The kernel tells of a close a little after it happened: a file that was
// closed before the trigger is in the commit all the same.
func TestKernelLateReleases(t *testing.T) {
	s, m, ref := mountWith(t, nil)
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	out := harness.Sh(t, m.Path(ref), fmt.Sprintf(`for i in $(seq %d); do echo $i > f; touch .commit; cat .commit; done`, rounds))
	ids := strings.Fields(out)
	if len(ids) != rounds {
		t.Fatalf("%d triggers, %d commits", rounds, len(ids))
	}
	for i, id := range ids {
		if got := s.Peer.Tree(t, ref, id)["/f"]; got != fmt.Sprintf("%d\n", i+1) {
			t.Errorf("commit %d has %q", i+1, got)
		}
	}
	if seen := len(slices.Compact(ids)); seen != rounds {
		t.Errorf("%d triggers made %d commits", rounds, seen)
	}
}

// Unmounted behind our back, where the kernel tells the daemon nothing: while
// a process stands inside, and while another mount namespace holds the mount.
func TestKernelUnmountedBehindOurBack(t *testing.T) {
	for way, do := range map[string]func(t *testing.T, m *harness.Mount, ref string) *exec.Cmd{
		"umount -l with a cwd inside": func(t *testing.T, m *harness.Mount, ref string) *exec.Cmd {
			cmd := exec.Command("sleep", "600")
			cmd.Dir = m.Path(ref)
			ok(t, cmd.Start())
			harness.Sh(t, "/", "umount -l "+m.Dir)
			return cmd
		},
		"another mount namespace": func(t *testing.T, m *harness.Mount, ref string) *exec.Cmd {
			cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sleep", "600")
			ok(t, cmd.Start())
			harness.Eventually(t, 10*time.Second, "the other namespace has it", func() bool {
				b, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", cmd.Process.Pid))
				ours, err2 := os.Readlink("/proc/self/ns/mnt")
				theirs, err3 := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", cmd.Process.Pid))
				return err == nil && err2 == nil && err3 == nil && ours != theirs && strings.Contains(string(b), m.Dir)
			})
			harness.Sh(t, "/", "umount "+m.Dir)
			return cmd
		},
	} {
		t.Run(way, func(t *testing.T) {
			s, m, ref := mountWith(t, nil)
			write(t, m.Path(ref, "f"), "landed at the end")
			holder := do(t, m, ref)
			defer func() { holder.Process.Kill(); holder.Wait() }()
			m.Exit(t, 60*time.Second, 0)
			same(t, "landed", s.Peer.Tree(t, ref, ""), map[string]string{"/f": "landed at the end"})
		})
	}
}

// A directory that takes many pages lists each entry once, also while entries go.
func TestKernelLargeDirectories(t *testing.T) {
	_, m, ref := mountWith(t, nil)
	out := harness.Sh(t, m.Path(ref), `
mkdir d && cd d
python3 - <<'EOF'
import os
for i in range(3000): open("%0200d" % i, "w").close()
seen = [e.name for e in os.scandir(".")]
assert len(seen) == 3000 == len(set(seen)), len(seen)
it = os.scandir(".")                    # removing while reading must not skip
for n, e in enumerate(it): os.unlink(e.name)
assert os.listdir(".") == [], len(os.listdir("."))
import os
for i in range(3000): open("%0200d" % i, "w").close()
seen = [e.name for e in os.scandir(".")]
assert len(seen) == 3000 == len(set(seen)), len(seen)
it = os.scandir(".")                    # removing while reading must not skip
for n, e in enumerate(it): os.unlink(e.name)
assert os.listdir(".") == [], len(os.listdir("."))
EOF
cd .. && rmdir d && echo fine`)
	if out != "fine\n" {
		t.Error(out)
	}
}
