package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pachfs/test/harness"
)

// A script is system calls, one a line (posix_caller_test.go), in an empty
// directory. A script with lines "--" is done twice: with commits at them, and without.
type script struct{ name, steps string }

// areas are those of pjdfstest, and a few that it lacks.
var areas = []struct {
	name    string
	scripts []script
}{
	{"chmod", chmodScripts}, {"chown", chownScripts}, {"utimens", utimensScripts}, {"truncate", truncateScripts},
	{"mkdir", mkdirScripts}, {"rmdir", rmdirScripts}, {"unlink", unlinkScripts}, {"open", openScripts},
	{"rename", renameScripts}, {"refused", refusedScripts}, {"living", livingScripts},
}

// A departure is where a mount does something else than a plain directory, on
// purpose. This is the list that docs/SEMANTICS.md has in words. The step is
// matched by its first words.
type departure struct{ step, plain, mount, why string }

var departures = []departure{
	{"link", "ok", "EPERM", "Pachyderm has no hard links"},
	{"symlink", "ok", "EPERM", "nor symbolic ones"},
	{"mkfifo", "ok", "EPERM", "nor anything but files"},
	{"mknod", "ok", "EPERM", "the same"},
	{"mksock", "ok", "EPERM", "the same"},
	{"mkfile", "ok", "EPERM", "mknod is refused for regular files too: open makes them"},
	{"create a*b", "ok", "EINVAL", "a name that Pachyderm refuses, when it is made"},
	{"mkdir a?b", "ok", "EINVAL", "the same"},
	{"rename f a[b", "ok", "EINVAL", "the same"},
	{"open ünï", "ok", "EINVAL", "the same"},
	{"exchange", "ok", "EINVAL", "renameat2 with flags: mv and rename do without"},
	{"renamenew", "ok", "EINVAL", "the same"},
	{"open . w|tmpfile", "*", "ENOTSUP", "no unnamed files: programs make a named one"},
	{"seek @f hole", "*", "ok 12345678", "a hole reads as zeros, and is not told from them"},
	{"stat d", "dir 1777 0:0", "dir 0777 0:0", "the sticky bit is not kept: the FUSE library has no word for it"},
	{"stat landed", "file 0600 1:2 1 bytes, links 1", "file 0644 0:0 1 bytes, links 1", "Pachyderm stores no mode and no owner: on a file that landed, setting them does nothing"},
	{"mtime landed", "ok 1000000000.0", "*", "nor a time"},
	{"stat made", "dir 0700 1:2", "dir 0755 0:0", "the same for directories"},
	{"ctime f", "ok changed true", "ok changed false", "there is one time, mtime; ctime and atime show it too"},
}

// allowed gives the departure that a step's two results are.
func allowedDeparture(step, plain, mount string) int {
	for i, d := range departures {
		if strings.HasPrefix(step+" ", d.step+" ") && (plain == d.plain || d.plain == "*") && (mount == d.mount || d.mount == "*") {
			return i
		}
	}
	return -1
}

// Every script does the same on a mount as in a plain directory, but for the
// departures (promise 11); and afterwards the same is in Pachyderm.
func TestPosixSuite(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("suite@master")
	s.Peer.Create(t, s.Ref("suite"))
	plain, mnt := opened(t), opened(t)
	m := harness.MountSpec(t, harness.Spec{URL: s.URL, Dir: mnt, Flags: []string{"--allow-other", "--umask", "022"}})
	used := make([]int, len(departures))
	steps, done, all := 0, 0, 0
	for _, a := range areas {
		for _, sc := range a.scripts {
			all += 1 + min(1, strings.Count(sc.steps, "--\n"))
		}
		t.Run(a.name, func(t *testing.T) {
			for _, sc := range a.scripts {
				committing := []bool{false, true}[:1+min(1, strings.Count(sc.steps, "--\n"))]
				for _, committed := range committing {
					name := strings.ReplaceAll(a.name+" "+sc.name, " ", "_")
					if committed {
						name += "_committed"
					}
					t.Run(strings.ReplaceAll(sc.name, " ", "_")+map[bool]string{true: "_committed"}[committed], func(t *testing.T) {
						x, y := filepath.Join(plain, name), m.Path(ref, name)
						ok(t, os.Mkdir(x, 0o755))
						ok(t, os.Mkdir(y, 0o755))
						want := calls(x, sc.steps, func() {})
						got := calls(y, sc.steps, func() {
							if committed {
								if err := fire(m.Path(ref, ".commit")); err != nil {
									t.Errorf("commit: %v", err)
								}
							}
						})
						steps, done = steps+len(got), done+1
						alike(t, want, got, used)
						same(t, "in the end", tree(t, y), tree(t, x))
					})
				}
			}
		})
	}
	t.Logf("%d steps", steps)
	want := local(t, m.Path(ref))
	commit(t, m, ref)
	same(t, "what landed", s.Peer.Tree(t, ref, ""), want)
	for i, n := range used {
		if d := departures[i]; n == 0 && d.plain != "*" && done == all {
			t.Errorf("a departure that never was: %+v", d)
		}
	}
}

// alike compares what the lines of a script gave.
func alike(t *testing.T, want, got []string, used []int) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d lines against %d: %q, %q", len(got), len(want), got, want)
	}
	for i := range want {
		if strings.HasPrefix(want[i], "unshare: ") || strings.HasPrefix(want[i], "chdir: ") {
			t.Fatalf("the script did not begin: %s", want[i])
		}
		step, plain, _ := strings.Cut(want[i], ": ")
		_, mount, _ := strings.Cut(got[i], ": ")
		if strings.Contains(plain, "no such step") {
			t.Fatal(want[i])
		}
		if plain == mount {
			continue
		}
		if d := allowedDeparture(step, plain, mount); d >= 0 {
			used[d]++
		} else {
			t.Errorf("line %d, %s: %s; a plain directory: %s", i+1, step, mount, plain)
		}
	}
}

// tree is local, with its directories, and without looking at permissions.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := local(t, dir)
	ok(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			out[strings.TrimPrefix(path, dir)+"/"] = ""
		}
		return err
	}))
	return out
}

// opened gives a directory that other users can walk into; those of t.TempDir they can't.
func opened(t *testing.T) string {
	t.Helper()
	base, err := os.MkdirTemp("", "pachfs-posix-")
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(base) })
	ok(t, os.Chmod(base, 0o755))
	dir := filepath.Join(base, "d")
	ok(t, os.Mkdir(dir, 0o755))
	return dir
}
