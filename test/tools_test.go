package test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"pachfs/test/harness"
)

// fio writes, and reads back what it wrote, through system calls and through
// mappings, several processes at once; and reads it once more after it landed.
func TestToolsFio(t *testing.T) {
	_, m, ref := mountWith(t, nil)
	size := "8m"
	if testing.Short() {
		size = "1m"
	}
	for _, job := range []string{
		"--rw=write --bs=64k --ioengine=psync --fsync=10",
		"--rw=randwrite --bs=4k --ioengine=psync",
		"--rw=randwrite --bsrange=512-64k --ioengine=psync --bs_unaligned",
		"--rw=randwrite --bs=4k --ioengine=mmap",
		"--rw=randrw --bs=8k --ioengine=psync --direct=1 --fallocate=none",
		"--rw=randrw --bs=4k --ioengine=libaio --iodepth=16",
	} {
		name := strings.NewReplacer("--", "", " ", "_", "=", "-").Replace(job)
		t.Run(name, func(t *testing.T) {
			fio := fmt.Sprintf("fio --name=v --directory=. --filename_format='%s.$jobnum' --size=%s --numjobs=2 --verify=crc32c --verify_fatal=1 --randrepeat=1 --thread --minimal %s", name, size, job)
			harness.Sh(t, m.Path(ref), fio+" --do_verify=1")
			commit(t, m, ref)
			if whole := strings.Contains(job, "write --bs="); whole { // the others don't write all of it, and fio lays the rest out anew
				harness.Sh(t, m.Path(ref), fio+" --verify_only=1")
			}
		})
	}
}

// stressors are those of stress-ng's class "filesystem" that stay within
// promise 11: no links, devices, extended attributes,
// preallocation; and that do not sync the whole machine.
var stressors = strings.Fields(`access chmod chown dentry dir dirdeep dirmany dup fcntl filename flock
	fstat getdent hdd locka lockf lockofd open rename sync-file touch utime`)

// stress-ng beats on a mount with everything at once and checks what it gets;
// it leaves nothing behind, and the branch can be committed.
func TestToolsStress(t *testing.T) {
	s, m, ref := mountWith(t, map[string]string{"/kept": "kept"})
	seconds := 5
	if testing.Short() {
		seconds = 1
	}
	ok(t, os.Mkdir(m.Path(ref, "stress"), 0o777))
	args := []string{"stress-ng", "--temp-path", m.Path(ref, "stress"), "--timeout", fmt.Sprint(seconds), "--verify", "--oomable", "--hdd-bytes", "4m"}
	for _, name := range stressors {
		args = append(args, "--"+name, "1")
	}
	if r := harness.Try(t, args...); r.Code != 0 || strings.Contains(r.Err+r.Out, "fail:") {
		t.Errorf("%v", r)
	} else {
		t.Logf("%d stressors, %v", len(stressors), r.Took)
	}
	ok(t, os.Remove(m.Path(ref, "stress")))
	commit(t, m, ref)
	same(t, "what is left", s.Peer.Tree(t, ref, ""), map[string]string{"/kept": "kept"})
}

// rsync -a twice: the second run copies nothing, also after the files landed
// and were fetched by a mount that starts anew (promise 13).
func TestToolsRsyncTwice(t *testing.T) {
	_, m, ref := mountWith(t, nil)
	src := t.TempDir()
	harness.Sh(t, src, `mkdir -p a/b c; for i in $(seq 50); do echo $i > a/$i; head -c $((i * 997)) /dev/urandom > a/b/$i; done; touch -d 2001-02-03 a/7; echo x > c/x; touch -d 2001-02-04 c/x`)
	run := func(what, want string) {
		t.Helper()
		out := harness.Sh(t, src, "rsync -a --stats ./ "+m.Path(ref)+"/")
		if !strings.Contains(out, "Number of regular files transferred: "+want+"\n") {
			t.Errorf("%s: want %s files copied:\n%s", what, want, out)
		}
	}
	run("first", "101")
	run("again", "0")
	commit(t, m, ref)
	run("after the commit", "0")
	m.Stop(t, 0)
	m = m.Again(t)
	run("after a restart", "0")
	harness.Sh(t, src, "echo y > c/x")
	run("one changed", "1")
	same(t, "the copy", local(t, m.Path(ref)), local(t, src))
}

// tar in and out: the same bytes and the same times.
func TestToolsTar(t *testing.T) {
	s, m, ref := mountWith(t, nil)
	src := t.TempDir()
	harness.Sh(t, src, `mkdir -p a/b; echo 1 > a/1; touch -d 2001-02-03 a/1; head -c 300000 /dev/urandom > a/b/2; truncate -s 1M a/sparse; echo end >> a/sparse; chmod 600 a/1`)
	harness.Sh(t, src, "tar cS . | tar x --same-owner -p -C "+m.Path(ref))
	harness.Sh(t, src, "tar c a > /dev/null; tar cf "+m.Path(ref, "all.tar")+" a; tar df "+m.Path(ref, "all.tar")+" -C "+m.Path(ref))
	ok(t, os.Remove(m.Path(ref, "all.tar")))
	same(t, "staged", local(t, m.Path(ref)), local(t, src))
	commit(t, m, ref)
	same(t, "landed", s.Peer.Tree(t, ref, ""), local(t, src))
	back := t.TempDir()
	harness.Sh(t, m.Path(ref), "tar c a | tar x -C "+back)
	same(t, "and back", local(t, back), local(t, src))
	if got := harness.Sh(t, back, "date -u -r a/1 +%F"); got != harness.Sh(t, src, "date -u -r a/1 +%F") {
		t.Errorf("a/1 has the time %s", got)
	}
}

// git between a mount and elsewhere: clone out of it, push into it, commit in it.
func TestToolsGit(t *testing.T) {
	s, m, ref := mountWith(t, nil)
	harness.Sh(t, m.Path(ref), `export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
		git init -q --bare -b main bare; git clone -q bare w 2>/dev/null; cd w; git checkout -qb main; for i in $(seq 40); do echo $i > $i; done; git add .; git commit -qm one; git push -q origin main
		touch ../.commit
		git clone -q ../bare ../again; cd ../again; echo more >> 7; git mv 8 eight; git commit -qam two; git push -q origin main
		cd ../w; git pull -q --ff-only origin main; git checkout -q HEAD^; git checkout -q main; git stash list; git status --porcelain | wc -l | grep -qx 0; git fsck --strict 2>&1; git -C ../bare fsck --strict`)
	want := local(t, m.Path(ref))
	commit(t, m, ref)
	same(t, "landed", s.Peer.Tree(t, ref, ""), want)
}

// vim saves a file that landed, keeping a backup or not, by rename or in place.
func TestToolsVim(t *testing.T) {
	s, m, ref := mountWith(t, map[string]string{"/notes": "old\n"})
	want := "old\n"
	for i, set := range []string{"backupcopy=no nobackup", "backupcopy=yes backup backupdir=.", "backupcopy=auto writebackup", "nowritebackup"} {
		line := fmt.Sprintf("line %d", i)
		harness.Sh(t, m.Path(ref), fmt.Sprintf("HOME=/nonexistent vim -u NONE -N -es -c 'set %s swapfile' -c 'call append(line(\"$\"), \"%s\")' -c wq notes", set, line))
		want += line + "\n"
		if got := read(t, m.Path(ref, "notes")); got != want {
			t.Fatalf("with %s it reads %q", set, got)
		}
		commit(t, m, ref)
		if got := s.Peer.Tree(t, ref, "")["/notes"]; got != want {
			t.Errorf("with %s %q landed", set, got)
		}
	}
}

// What a mount has not, programs do without: unnamed files, preallocation,
// renaming without replacing, links for copies, extended attributes.
func TestToolsFallBack(t *testing.T) {
	s, m, ref := mountWith(t, map[string]string{"/f": "text"})
	harness.Sh(t, m.Path(ref), `fallocate -x -l 100000 room; test $(stat -c %s room) = 100000; rm room
		mv -n f g; echo other > f; mv -n f g; test "$(cat g)" = text; cp --preserve=all g h; cp -a g h
		python3 - <<'END'
import os, shutil, tempfile
with tempfile.TemporaryFile(dir=".") as t:
    t.write(b"x" * 10000); t.seek(0); assert len(t.read()) == 10000
with tempfile.NamedTemporaryFile(dir=".", delete=False) as t:
    t.write(b"atomic")
os.replace(t.name, "replaced")
shutil.copy2("g", "copied"); shutil.move("copied", "moved"); shutil.copytree(".", "../" + os.path.basename(os.getcwd()) + "/tree", ignore=lambda d, n: ["tree"])
fd = os.open("room", os.O_CREAT | os.O_RDWR); os.posix_fallocate(fd, 0, 5000); os.copy_file_range(os.open("g", os.O_RDONLY), fd, 4); os.close(fd)
END
		for c in "ln g hard" "ln -s g soft" "cp -l g hard" "mkfifo p"; do if $c 2>/dev/null; then echo "$c works" >&2; exit 1; fi; done`)
	want := map[string]string{"/f": "other\n", "/g": "text", "/h": "text", "/moved": "text", "/replaced": "atomic", "/room": "text" + strings.Repeat("\x00", 4996)}
	for _, name := range []string{"/f", "/g", "/h", "/moved", "/replaced"} {
		want["/tree"+name] = want[name]
	}
	same(t, "staged", local(t, m.Path(ref)), want)
	commit(t, m, ref)
	same(t, "landed", s.Peer.Tree(t, ref, ""), want)
}
