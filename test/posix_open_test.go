package test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pachfs/test/harness"
)

// A file that is open for reading keeps its bytes, also those that were never
// fetched, whatever happens to its path here and elsewhere (promise 1).
func TestPosixReadersSurviveEverything(t *testing.T) {
	for _, e := range []struct {
		name   string
		happen func(t *testing.T, s *harness.Server, m *harness.Mount, ref string)
	}{
		{"somebody else replaces it", func(t *testing.T, s *harness.Server, m *harness.Mount, ref string) {
			s.Peer.PutWait(t, ref, map[string]string{"/d/f": "theirs"})
			shows(t, m.Path(ref, "d/f"), "theirs")
		}},
		{"somebody else deletes its directory", func(t *testing.T, s *harness.Server, m *harness.Mount, ref string) {
			s.Peer.PutWait(t, ref, map[string]string{"-/d/f": ""})
			harness.Eventually(t, 10*time.Second, "it is gone", func() bool {
				_, err := os.Stat(m.Path(ref, "d"))
				return os.IsNotExist(err)
			})
		}},
		{"it is renamed over, and that lands", func(t *testing.T, s *harness.Server, m *harness.Mount, ref string) {
			write(t, m.Path(ref, "new"), "new")
			ok(t, os.Rename(m.Path(ref, "new"), m.Path(ref, "d/f")))
			commit(t, m, ref)
		}},
		{"its directory is moved and removed, and that lands", func(t *testing.T, s *harness.Server, m *harness.Mount, ref string) {
			ok(t, os.Rename(m.Path(ref, "d"), m.Path(ref, "e")))
			commit(t, m, ref)
			ok(t, os.RemoveAll(m.Path(ref, "e")))
			commit(t, m, ref)
		}},
		{"a staged change of another path is discarded", func(t *testing.T, s *harness.Server, m *harness.Mount, ref string) {
			write(t, m.Path(ref, "d/g"), "staged")
			if r := harness.Pachfs(t, "discard", m.Path(ref, "d/g")); r.Code != 0 {
				t.Error(r)
			}
			ok(t, os.Remove(m.Path(ref, "d/f")))
		}},
	} {
		t.Run(strings.ReplaceAll(e.name, " ", "_"), func(t *testing.T) {
			big := base()["/big"]
			s, m, ref := mountWith(t, map[string]string{"/d/f": big})
			f, err := os.Open(m.Path(ref, "d/f"))
			ok(t, err)
			defer f.Close()
			first := make([]byte, 10)
			_, err = f.ReadAt(first, 0)
			ok(t, err)
			e.happen(t, s, m, ref)
			if st, err := f.Stat(); err != nil || st.Size() != int64(len(big)) {
				t.Errorf("fstat: %v, %v", st, err)
			}
			p, err := syscall.Mmap(int(f.Fd()), 0, len(big), syscall.PROT_READ, syscall.MAP_SHARED)
			ok(t, err)
			if string(p) != big {
				t.Error("the mapping shows other bytes")
			}
			ok(t, syscall.Munmap(p))
			if got, err := io.ReadAll(f); err != nil || string(got) != big {
				t.Errorf("it reads %d bytes, %s, %v", len(got), brief(string(got)), err)
			}
		})
	}
}

// df shows the room of the disk that staged bytes are on.
func TestPosixStatfs(t *testing.T) {
	_, m, ref := mountWith(t, nil)
	var disk, mount unix.Statfs_t
	for _, path := range []string{m.Dir, m.Path(ref)} {
		ok(t, unix.Statfs(m.State, &disk))
		ok(t, unix.Statfs(path, &mount))
		if mount.Bsize != disk.Bsize || mount.Frsize != disk.Bsize || mount.Blocks != disk.Blocks || mount.Files != disk.Files || mount.Namelen != 255 {
			t.Errorf("%s: %+v; the disk: %+v", path, mount, disk)
		}
		if off := int64(mount.Bavail) - int64(disk.Bavail); off*off > int64(disk.Blocks/10)*int64(disk.Blocks/10) { // others write there too
			t.Errorf("%s: %d blocks are free; on the disk %d", path, mount.Bavail, disk.Bavail)
		}
	}
}

// What several processes append to one file comes whole and in each one's order.
func TestPosixAppenders(t *testing.T) {
	s, m, ref := mountWith(t, map[string]string{"/log": "begin\n"})
	const writers, lines = 6, 100
	harness.Sh(t, m.Path(ref), fmt.Sprintf(`long=$(printf 'x%%.0s' $(seq 3000))
		for p in $(seq %d); do (for i in $(seq %d); do echo "$p $i ${long:0:$((RANDOM %% 3000))}."; done >> log) & done; wait`, writers, lines))
	next := map[string]int{}
	all := strings.Split(strings.TrimSuffix(read(t, m.Path(ref, "log")), "\n"), "\n")
	for _, line := range all[1:] {
		var who string
		var n int
		if _, err := fmt.Sscan(line, &who, &n); err != nil || !strings.HasSuffix(line, ".") || n != next[who]+1 {
			t.Fatalf("after %d of %s comes %q", next[who], who, brief(line))
		}
		next[who] = n
	}
	if len(all) != 1+writers*lines || all[0] != "begin" {
		t.Errorf("%d lines, the first %q", len(all), all[0])
	}
	want := local(t, m.Path(ref))
	commit(t, m, ref)
	same(t, "landed", s.Peer.Tree(t, ref, ""), want)
}

// What one process stores into a shared mapping, others see at once, in theirs
// and by reading; and a commit takes what was there at the last sync.
func TestPosixMappingsShared(t *testing.T) {
	s, m, ref := mountWith(t, map[string]string{"/f": strings.Repeat("-", 9000)})
	mapping := func() ([]byte, *os.File) {
		f, err := os.OpenFile(m.Path(ref, "f"), os.O_RDWR, 0)
		ok(t, err)
		p, err := unix.Mmap(int(f.Fd()), 0, 9000, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		ok(t, err)
		return p, f
	}
	a, fa := mapping()
	b, fb := mapping()
	defer fa.Close()
	copy(a[4090:], "stored by a")
	copy(b[8000:], "stored by b")
	_, err := fb.WriteAt([]byte("written"), 100)
	ok(t, err)
	if string(b[4090:4101]) != "stored by a" || string(a[8000:8011]) != "stored by b" || string(a[100:107]) != "written" {
		t.Error("the mappings differ")
	}
	ok(t, unix.Msync(a, unix.MS_SYNC))
	out := harness.Sh(t, m.Path(ref), "cat f") // another process
	if out != string(a) {
		t.Errorf("another process reads %s", brief(out[4080:]))
	}
	commit(t, m, ref)
	same(t, "landed after msync", s.Peer.Tree(t, ref, ""), map[string]string{"/f": out})
	copy(b, "after the commit")
	ok(t, unix.Munmap(b))
	ok(t, fb.Close())
	if got := read(t, m.Path(ref, "f")); !strings.HasPrefix(got, "after the commit") || string(a) != got {
		t.Errorf("it reads %s, and is mapped as %s", brief(got), brief(string(a)))
	}
	want := string(a)
	ok(t, unix.Munmap(a))
	ok(t, fa.Close())
	commit(t, m, ref)
	same(t, "landed after the close", s.Peer.Tree(t, ref, ""), map[string]string{"/f": want})
}

// Between branches rename and link fail as between file systems, and cp, mv
// and install get there (promise 11).
func TestPosixAcrossBranches(t *testing.T) {
	s, m, a := mountWith(t, map[string]string{"/f": "f", "/d/e/g": "g", "/big": base()["/big"]})
	b := s.Ref("b@master")
	s.Peer.Create(t, s.Ref("b"))
	harness.Eventually(t, 10*time.Second, "b shows", func() bool {
		_, err := os.Stat(m.Path(b))
		return err == nil
	})
	fails(t, "rename", unix.Rename(m.Path(a, "f"), m.Path(b, "f")), unix.EXDEV)
	fails(t, "rename of a directory", unix.Rename(m.Path(a, "d"), m.Path(b, "d")), unix.EXDEV)
	fails(t, "link", unix.Link(m.Path(a, "f"), m.Path(b, "f")), unix.EPERM)
	harness.Sh(t, m.Dir, fmt.Sprintf("mv %[1]s/d %[2]s/moved; cp -a %[1]s/big %[2]s/; install -m 600 %[1]s/f %[2]s/installed; mv -n %[1]s/f %[2]s/installed; mv %[1]s/f %[2]s/", a, b))
	commit(t, m, a)
	commit(t, m, b)
	same(t, "a", s.Peer.Tree(t, a, ""), map[string]string{"/big": base()["/big"]})
	same(t, "b", s.Peer.Tree(t, b, ""), map[string]string{"/moved/e/g": "g", "/big": base()["/big"], "/installed": "f", "/f": "f"})
}
