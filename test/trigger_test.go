package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pachfs/pachclient/pfspb/pfs"
	"pachfs/test/harness"
)

// forms are the ways in which people and programs touch or write a file, and
// what each does to a trigger ("Triggers, to the letter" in docs/SEMANTICS.md).
// They run in the branch directory; $SRC is a file outside with "from a file".
var forms = []struct {
	name    string
	script  string
	fires   bool
	message string
	fails   bool // the command may say what it likes, but not 0
}{
	{name: "touch", script: `touch .commit`, fires: true},
	{name: "touch -m", script: `touch -m .commit`, fires: true},
	{name: "touch -a", script: `touch -a .commit`},
	{name: "touch -c", script: `touch -c .commit`, fires: true},
	{name: "touch -d", script: `touch -d 2020-01-01 .commit`, fires: true},
	{name: "touch -r", script: `touch -r "$SRC" .commit`, fires: true},
	{name: "busybox touch", script: `busybox touch .commit`, fires: true},
	{name: "bash echo >", script: `echo hello bash > .commit`, fires: true, message: "hello bash"},
	{name: "dash echo >", script: `sh -c 'echo hello dash > .commit'`, fires: true, message: "hello dash"},
	{name: "echo >>", script: `echo appended >> .commit`, fires: true, message: "appended"},
	{name: ": >", script: `: > .commit`},
	{name: "dash : >", script: `sh -c ': > .commit'`},
	{name: "truncate", script: `truncate -s 0 .commit`},
	{name: "chmod", script: `chmod 600 .commit`},
	{name: "cat", script: `cat .commit > /dev/null`},
	{name: "several writes", script: `{ echo first; echo second; echo third; } > .commit`, fires: true, message: "first"},
	{name: "tee", script: `echo by tee | tee .commit`, fires: true, message: "by tee"},
	{name: "tee -a", script: `echo by tee -a | tee -a .commit`, fires: true, message: "by tee -a"},
	{name: "dd", script: `dd if="$SRC" of=.commit`, fires: true, message: "from a file"},
	{name: "dd notrunc", script: `dd if="$SRC" of=.commit bs=4 conv=notrunc`, fires: true, message: "from"},
	{name: "cp", script: `cp "$SRC" .commit`, fires: true, message: "from a file"},
	{name: "cp -p", script: `cp -p "$SRC" .commit`, fires: true, message: "from a file"},
	{name: "cat >", script: `cat "$SRC" > .commit`, fires: true, message: "from a file"},
	{name: "python touch", script: `python3 -c 'import pathlib; pathlib.Path(".commit").touch()'`, fires: true},
	{name: "python utime", script: `python3 -c 'import os; os.utime(".commit")'`, fires: true},
	{name: "python futime", script: `python3 -c 'import os; fd=os.open(".commit",os.O_WRONLY); os.utime(fd); os.close(fd)'`, fires: true},
	{name: "python write", script: `python3 -c 'open(".commit","w").write("by python")'`, fires: true, message: "by python"},
	{name: "python open and close", script: `python3 -c 'open(".commit","w").close()'`},
	{name: "python append", script: `python3 -c 'open(".commit","a").write("by python")'`, fires: true, message: "by python"},
	{name: "python copy2", script: `python3 -c 'import shutil,os; shutil.copy2(os.environ["SRC"],".commit")'`, fires: true, message: "from a file"},
	{name: "perl utime", script: `perl -e 'utime(undef,undef,".commit") or die $!'`, fires: true},
	{name: "perl print", script: `perl -e 'open(F,">",".commit") or die; print F "by perl"; close(F) or die'`, fires: true, message: "by perl"},
	{name: "node utimes", script: `node -e 'fs.utimesSync(".commit",new Date(),new Date())'`, fires: true},
	{name: "node writeFile", script: `node -e 'fs.writeFileSync(".commit","by node")'`, fires: true, message: "by node"},
	{name: "node appendFile", script: `node -e 'fs.appendFileSync(".commit","by node")'`, fires: true, message: "by node"},
	{name: "mv onto", script: `cp "$SRC" x; mv -f x .commit`, fails: true},
	{name: "rm", script: `rm -f .commit`, fails: true},
	{name: "rename away", script: `mv .commit other`, fails: true},
	{name: "mkdir", script: `mkdir .commit`, fails: true},
	{name: "rm .status", script: `rm -f .status`, fails: true},
	{name: "echo > .status", script: `echo x > .status`, fails: true},
	{name: "touch .diff", script: `touch .diff`, fails: true},
	{name: "cp --remove-destination", script: `cp --remove-destination "$SRC" .commit`, fails: true},
}

// Each form makes exactly one commit, or none (promise 4, and "Triggers, to the letter").
func TestTriggerForms(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("labels@master")
	s.Peer.Create(t, s.Ref("labels"))
	m := s.Mount(t)
	src := filepath.Join(t.TempDir(), "src")
	write(t, src, "from a file\n")
	for i, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			write(t, m.Path(ref, fmt.Sprintf("staged-%02d", i)), f.name)
			head := s.Peer.Head(t, ref)
			r := harness.TryIn(t, m.Path(ref), "bash", "-c", "export SRC="+src+"; "+f.script)
			if (r.Code != 0) != f.fails {
				t.Errorf("%s: %v", f.script, r)
			}
			made := s.Peer.Commits(t, ref, head)
			want := 0
			if f.fires {
				want = 1
			}
			if len(made) != want {
				t.Fatalf("%s: %d commits, want %d (exit %d, %s)", f.script, len(made), want, r.Code, r.Err)
			}
			if want == 0 {
				return
			}
			if got := message(made[0]); got != f.message {
				t.Errorf("%s: the commit's message is %q, want %q", f.script, got, f.message)
			}
			if st := m.Status(t, ref); st.State != "clean" || st.LastCommit != made[0].Commit.Id {
				t.Errorf("%s: afterwards %+v, want %s clean", f.script, st, made[0].Commit.Id)
			}
		})
	}
}

// message is the words that a commit was given.
func message(c *pfs.CommitInfo) string { return c.Metadata["pachfs.message"] }

// The words are on the commit, and pachfs log shows them.
func TestTriggerMessage(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("labels@master")
	s.Peer.Create(t, s.Ref("labels"))
	m := s.Mount(t)
	write(t, m.Path(ref, "a"), "a")
	harness.Sh(t, m.Path(ref), `echo "second review, done" > .commit`)
	made := s.Peer.Commits(t, ref, "")
	last := made[len(made)-1]
	if message(last) != "second review, done" || last.Metadata["pachfs.host"] == "" {
		t.Errorf("metadata of the commit: %v", last.Metadata)
	}
	r := harness.Pachfs(t, "log", m.Path(ref))
	if r.Code != 0 || !strings.Contains(r.Out, "second review, done") || !strings.Contains(r.Out, last.Commit.Id[:8]) {
		t.Errorf("pachfs log: %v", r)
	}
}

// The root's trigger lands every branch, each as one commit.
func TestTriggerRoot(t *testing.T) {
	s := harness.Serve(t)
	a, b, c := s.Ref("a@master"), s.Ref("b@master"), s.Ref("c@master")
	s.Peer.Create(t, s.Ref("a"), s.Ref("b"), s.Ref("c"))
	m := s.Mount(t)
	write(t, m.Path(a, "x"), "in a")
	write(t, m.Path(b, "y"), "in b")
	_ = local(t, m.Path(c))
	if r := touch(t, m.Path(".commit")); r.Code != 0 {
		t.Fatal(r)
	}
	same(t, "a", s.Peer.Tree(t, a, ""), map[string]string{"/x": "in a"})
	same(t, "b", s.Peer.Tree(t, b, ""), map[string]string{"/y": "in b"})
	if n := len(s.Peer.Commits(t, c, "")); n > 1 {
		t.Errorf("c, which has nothing staged, has %d commits", n)
	}
	lines := strings.Split(strings.TrimSpace(read(t, m.Path(".commit"))), "\n")
	if len(lines) != 2 {
		t.Errorf("the root's .commit reads %q", lines)
	}
	if st := read(t, m.Path(".status")); !strings.HasPrefix(st, "[") || !strings.Contains(st, `"`+a+`"`) {
		t.Errorf("the root's .status reads %s", st)
	}
}

// A list shows no control file, whoever lists (Label Studio imports dotfiles).
func TestTriggerUnlisted(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("labels@master")
	s.Peer.Create(t, s.Ref("labels"))
	s.Peer.PutWait(t, ref, map[string]string{"/a": "a", "/d/b": "b", "/.hidden": "h"})
	m := s.Mount(t, "--only", s.Ref("labels@*")) // the root is read whole, and the server may be somebody's
	for _, script := range []string{
		`ls -a`, `ls -aR`, `find .`, `echo .* *`, `busybox ls -a`, `tar c . | tar t`,
		`python3 -c 'import os; print([e.name for e in os.scandir(".")])'`,
		`python3 -c 'import os; print(os.listdir(".")); print(list(os.walk(".")))'`,
		`node -e 'console.log(fs.readdirSync("."))'`,
	} {
		for _, dir := range []string{m.Path(ref), m.Dir} {
			for range 2 { // not looked up, and looked up
				out := harness.Sh(t, dir, script)
				for _, name := range []string{".commit", ".status", ".diff"} {
					if strings.Contains(out, name) {
						t.Errorf("%s shows %s:\n%s", script, name, out)
					}
				}
				if dir != m.Dir && !strings.Contains(out, ".hidden") {
					t.Errorf("%s does not show .hidden:\n%s", script, out)
				}
				harness.Sh(t, dir, `cat .commit .status .diff >/dev/null; stat .commit >/dev/null`)
			}
		}
	}
}

// The errno of what may not be done to a control file.
func TestTriggerRefuses(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("labels@master")
	s.Peer.Create(t, s.Ref("labels"))
	m := s.Mount(t)
	dir := m.Path(ref)
	write(t, dir+"/x", "x")
	for _, name := range []string{".commit", ".status", ".diff"} {
		fails(t, "rm "+name, os.Remove(filepath.Join(dir, name)), syscall.EPERM)
		fails(t, "mv onto "+name, os.Rename(dir+"/x", filepath.Join(dir, name)), syscall.EPERM)
		fails(t, "mv of "+name, os.Rename(filepath.Join(dir, name), dir+"/y"), syscall.EPERM)
		if err := os.Mkdir(filepath.Join(dir, name), 0o777); !isErrno(err, syscall.EPERM) && !isErrno(err, syscall.EEXIST) {
			t.Errorf("mkdir %s: %v", name, err)
		}
		fails(t, "rm in the root "+name, os.Remove(m.Path(name)), syscall.EPERM)
	}
	for _, name := range []string{".status", ".diff"} {
		_, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
		fails(t, "write "+name, err, syscall.EACCES)
	}
	st, err := os.Stat(dir + "/.commit")
	ok(t, err)
	if st.Mode() != 0o666 {
		t.Errorf(".commit has mode %v", st.Mode())
	}
	ok(t, os.Mkdir(dir+"/sub", 0o777)) // a name like any other further down
	write(t, dir+"/sub/.commit", "just a file")
	if got := read(t, dir+"/sub/.commit"); got != "just a file" {
		t.Errorf("sub/.commit reads %q", got)
	}
}

// Many triggers at once: each returns 0, and the writers' files land once each.
func TestTriggerTogether(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("labels@master")
	s.Peer.Create(t, s.Ref("labels"))
	m := s.Mount(t)
	head := s.Peer.Head(t, ref)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r, err := harness.Run("", "bash", "-c", fmt.Sprintf("cd %s; echo %d > f%d; touch .commit", m.Path(ref), i, i))
			if err != nil || r.Code != 0 {
				t.Error(r, err)
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	for _, c := range s.Peer.Commits(t, ref, head) {
		diff := s.Peer.Diff(t, ref, c.Commit.Id)
		if len(diff) == 0 && c.GetParentCommit().GetId() != "" {
			t.Errorf("an empty commit %s", c.Commit.Id)
		}
		for p := range diff {
			seen[p]++
		}
	}
	if len(seen) != 8 {
		t.Errorf("landed %v", seen)
	}
	for p, n := range seen {
		if n != 1 {
			t.Errorf("%s is in %d commits", p, n)
		}
	}
}
