package test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

// acts are things that programs do to a directory. Each is done to a mount and
// to a temporary directory; both must look alike, and after a commit Pachyderm
// must too (promise 11).
var acts = []struct {
	name string
	do   func(t *testing.T, dir string)
}{
	{"append", func(t *testing.T, dir string) {
		for i := range 5 {
			f, err := os.OpenFile(dir+"/committed", os.O_APPEND|os.O_WRONLY, 0)
			ok(t, err)
			fmt.Fprintf(f, "line %d\n", i)
			ok(t, f.Close())
		}
	}},
	{"write in the middle", func(t *testing.T, dir string) {
		f, err := os.OpenFile(dir+"/big", os.O_RDWR, 0)
		ok(t, err)
		_, err = f.WriteAt([]byte("HERE"), 1_500_000)
		ok(t, err)
		_, err = f.WriteAt([]byte("AT THE START"), 0)
		ok(t, err)
		ok(t, f.Close())
	}},
	{"truncate shorter, longer", func(t *testing.T, dir string) {
		ok(t, os.Truncate(dir+"/big", 1_000_001))
		ok(t, os.Truncate(dir+"/big", 1_200_000))
		ok(t, os.Truncate(dir+"/committed", 0))
		f, err := os.OpenFile(dir+"/new", os.O_CREATE|os.O_RDWR, 0o666)
		ok(t, err)
		ok(t, f.Truncate(777))
		_, err = f.WriteAt([]byte("x"), 10)
		ok(t, err)
		ok(t, f.Close())
	}},
	{"sparse", func(t *testing.T, dir string) {
		f, err := os.Create(dir + "/sparse")
		ok(t, err)
		_, err = f.WriteAt([]byte("far"), 3<<20)
		ok(t, err)
		_, err = f.WriteAt([]byte("near"), 5)
		ok(t, err)
		ok(t, f.Close())
	}},
	{"save by rename", func(t *testing.T, dir string) {
		write(t, dir+"/committed.tmp", "saved")
		ok(t, os.Rename(dir+"/committed.tmp", dir+"/committed"))
	}},
	{"rename directories", func(t *testing.T, dir string) {
		ok(t, os.Rename(dir+"/d", dir+"/e"))
		write(t, dir+"/e/sub/new", "in a moved directory")
		ok(t, os.Mkdir(dir+"/d", 0o777))
		write(t, dir+"/d/one", "a new d")
		ok(t, os.Mkdir(dir+"/empty", 0o777))
		ok(t, syscall.Rename(dir+"/d", dir+"/empty")) // os.Rename refuses it by itself
	}},
	{"rename chain", func(t *testing.T, dir string) {
		ok(t, os.Rename(dir+"/committed", dir+"/t"))
		ok(t, os.Rename(dir+"/d/one", dir+"/committed"))
		ok(t, os.Rename(dir+"/t", dir+"/d/one"))
	}},
	{"delete and make again", func(t *testing.T, dir string) {
		ok(t, os.RemoveAll(dir+"/d"))
		write(t, dir+"/d", "a file where a directory was")
		ok(t, os.Remove(dir+"/committed"))
		ok(t, os.Mkdir(dir+"/committed", 0o777))
		write(t, dir+"/committed/x", "a directory where a file was")
	}},
	{"unlink while open", func(t *testing.T, dir string) {
		f, err := os.OpenFile(dir+"/committed", os.O_RDWR, 0)
		ok(t, err)
		ok(t, os.Remove(dir+"/committed"))
		if _, err := f.WriteAt([]byte("gone"), 0); err != nil {
			t.Error(err)
		}
		b := make([]byte, 9)
		if _, err := f.ReadAt(b, 0); err != nil || string(b) != "goneitted" {
			t.Errorf("an unlinked open file reads %q, %v", b, err)
		}
		st, err := f.Stat()
		if err != nil || st.Size() != 10 {
			t.Errorf("fstat of an unlinked open file: %v, %v", st, err)
		}
		ok(t, f.Close())
	}},
	{"mmap shared", func(t *testing.T, dir string) {
		f, err := os.OpenFile(dir+"/big", os.O_RDWR, 0)
		ok(t, err)
		p, err := syscall.Mmap(int(f.Fd()), 0, 2_000_000, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		ok(t, err)
		copy(p[4090:], "across a page")
		copy(p[1_999_990:], "at the end")
		ok(t, syscall.Munmap(p))
		ok(t, f.Close())
	}},
	{"exclusive create", func(t *testing.T, dir string) {
		var won int
		var wg sync.WaitGroup
		var mu sync.Mutex
		for range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				f, err := os.OpenFile(dir+"/lock", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
				if err != nil {
					fails(t, "the others", err, syscall.EEXIST)
					return
				}
				f.Close()
				mu.Lock()
				won++
				mu.Unlock()
			}()
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d won O_EXCL", won)
		}
		_, err := os.OpenFile(dir+"/committed", os.O_CREATE|os.O_EXCL, 0o666)
		fails(t, "O_EXCL on a committed file", err, syscall.EEXIST)
	}},
	{"append from four processes", func(t *testing.T, dir string) {
		harness.Sh(t, dir, `for p in 1 2 3 4; do (for i in $(seq 50); do echo line >> shared; done) & done; wait`)
	}},
	{"cp -a", func(t *testing.T, dir string) {
		harness.Sh(t, dir, `cp -a d copy; cp -a --sparse=always big big2; cp --reflink=auto committed c2`)
	}},
	{"tar", func(t *testing.T, dir string) {
		harness.Sh(t, dir, `mkdir x; tar c d big committed | tar x -C x; rm -r d`)
	}},
	{"rsync", func(t *testing.T, dir string) {
		harness.Sh(t, dir, `rsync -a d/ synced/; echo more >> d/one; rsync -a --delete d/ synced/; rsync -a --inplace d/ inplace/`)
	}},
	{"sed -i, truncate, dd", func(t *testing.T, dir string) {
		harness.Sh(t, dir, `sed -i s/committed/changed/ committed; truncate -s +5 committed; dd if=/dev/zero of=big bs=1000 seek=7 count=3 conv=notrunc status=none`)
	}},
	{"mkdir, rmdir", func(t *testing.T, dir string) {
		ok(t, os.MkdirAll(dir+"/p/q/r", 0o777))
		fails(t, "rmdir of a full directory", syscall.Rmdir(dir+"/p"), syscall.ENOTEMPTY)
		fails(t, "rmdir of a committed full directory", syscall.Rmdir(dir+"/d"), syscall.ENOTEMPTY)
		fails(t, "unlink of a directory", syscall.Unlink(dir+"/p"), syscall.EISDIR)
		fails(t, "rmdir of a file", syscall.Rmdir(dir+"/committed"), syscall.ENOTDIR)
		fails(t, "rename over a full directory", syscall.Rename(dir+"/p", dir+"/d"), syscall.ENOTEMPTY)
		fails(t, "rename of a file over a directory", syscall.Rename(dir+"/committed", dir+"/d"), syscall.EISDIR)
		fails(t, "rename of a directory over a file", syscall.Rename(dir+"/p", dir+"/committed"), syscall.ENOTDIR)
		fails(t, "rename into itself", syscall.Rename(dir+"/p", dir+"/p/q/x"), syscall.EINVAL)
		ok(t, syscall.Rmdir(dir+"/p/q/r"))
		write(t, dir+"/p/q/f", "x")
	}},
}

// base is what the branch holds before an act.
func base() map[string]string {
	big := make([]byte, 2_000_000)
	for i := range big {
		big[i] = byte(i>>8) ^ byte(i)
	}
	return map[string]string{"/committed": "committed\n", "/d/one": "1", "/d/two": "2", "/d/sub/three": "3", "/big": string(big)}
}

func TestPosix(t *testing.T) {
	s := harness.Serve(t)
	m := s.Mount(t)
	for i, a := range acts {
		t.Run(a.name, func(t *testing.T) {
			ref := s.Ref(fmt.Sprintf("posix%02d@master", i))
			s.Peer.Create(t, s.Ref(fmt.Sprintf("posix%02d", i)))
			s.Peer.PutWait(t, ref, base())
			dir := t.TempDir()
			for p, data := range base() {
				ok(t, os.MkdirAll(filepath.Dir(dir+p), 0o777))
				write(t, dir+p, data)
			}
			harness.Eventually(t, 10*time.Second, "the new repo shows", func() bool {
				_, err := os.Stat(m.Path(ref, "committed"))
				return err == nil
			})
			a.do(t, dir)
			a.do(t, m.Path(ref))
			want := local(t, dir)
			same(t, "staged", local(t, m.Path(ref)), want)
			commit(t, m, ref)
			same(t, "committed", s.Peer.Tree(t, ref, ""), want)
			same(t, "after the commit", local(t, m.Path(ref)), want)
		})
	}
}

// What these programs keep on a mount works, and lands.
func TestPosixPrograms(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("work@master")
	s.Peer.Create(t, s.Ref("work"))
	m := s.Mount(t)
	dir := m.Path(ref)
	t.Run("git", func(t *testing.T) {
		harness.Sh(t, dir, `export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
			git init -q g; cd g; for i in $(seq 30); do echo $i > f$i; done; git add .; git commit -qm one; git mv f1 g1; git commit -qam two; git gc -q; git fsck --strict
			cd ..; git clone -q g g2; test $(ls g2 | wc -l) = 30; git -C g2 status --porcelain | wc -l | grep -qx 0`)
	})
	t.Run("sqlite", func(t *testing.T) {
		for _, mode := range []string{"delete", "wal"} {
			harness.Sh(t, dir, fmt.Sprintf(`sqlite3 %[1]s.db "pragma journal_mode=%[1]s; create table t(x)" >/dev/null
				for p in 1 2 3; do (for i in $(seq 20); do sqlite3 -cmd ".timeout 20000" %[1]s.db "insert into t values($i)"; done) & done; wait
				test $(sqlite3 %[1]s.db "select count(*) from t") = 60; test $(sqlite3 %[1]s.db "pragma integrity_check") = ok`, mode))
		}
	})
	t.Run("flock", func(t *testing.T) {
		harness.Sh(t, dir, `echo 0 > n; for p in $(seq 8); do (for i in 1 2 3 4 5; do flock n.lock bash -c 'read x < n; echo $((x+1)) > n'; done) & done; wait; test $(cat n) = 40`)
	})
	want := local(t, dir)
	commit(t, m, ref)
	same(t, "what landed", s.Peer.Tree(t, ref, ""), want)
}

// The stores through a shared mapping that was synced count, also without a close.
func TestPosixMmapProcess(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("m@master")
	s.Peer.Create(t, s.Ref("m"))
	s.Peer.PutWait(t, ref, map[string]string{"/a": string(make([]byte, 10000))})
	m := s.Mount(t)
	p := harness.Start(t, "mmap", harness.Self("mmap", m.Path(ref, "a")))
	p.FirstLine(t, 20*time.Second)
	p.Kill(t)
	if got := read(t, m.Path(ref, "a")); got[5000:5006] != "mapped" {
		t.Errorf("a synced store is lost: %q", got[5000:5006])
	}
	commit(t, m, ref)
	if got := s.Peer.Tree(t, ref, "")["/a"]; got[5000:5006] != "mapped" {
		t.Errorf("a synced store did not land: %q", got[5000:5006])
	}
}

// mmapMain stores into a shared mapping, syncs it, and waits.
func mmapMain(args []string) error {
	f, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	p, err := syscall.Mmap(int(f.Fd()), 0, 10000, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	copy(p[5000:], "mapped")
	if err := f.Sync(); err != nil { // writes mapped pages too
		return err
	}
	fmt.Println("synced")
	select {}
}

// chmod, chown and times are kept while staged, and nothing fails (promise 11).
func TestPosixAttributes(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/old": "old"})
	m := s.Mount(t)
	when := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, name := range []string{"new", "old"} {
		path := m.Path(ref, name)
		if name == "new" {
			write(t, path, "new")
		}
		ok(t, os.Chmod(path, 0o640))
		ok(t, os.Chown(path, 1234, 4321))
		ok(t, os.Chtimes(path, when, when))
		st, err := os.Stat(path)
		ok(t, err)
		sys := st.Sys().(*syscall.Stat_t)
		if name == "new" && (st.Mode() != 0o640 || sys.Uid != 1234 || sys.Gid != 4321) {
			t.Errorf("%s: mode %v, owner %d:%d", name, st.Mode(), sys.Uid, sys.Gid)
		}
		if name == "new" && !st.ModTime().Equal(when) {
			t.Errorf("%s: time %v", name, st.ModTime())
		}
	}
	commit(t, m, ref)
	st, err := os.Stat(m.Path(ref, "new"))
	ok(t, err)
	if !st.ModTime().Equal(when) { // promise 13: a landed file keeps its staged time
		t.Errorf("after the commit the time is %v, want %v", st.ModTime(), when)
	}
}
