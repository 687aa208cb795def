package test

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

// What is in the root, and under which names a branch is found (design, "The tree").
func TestTreeNames(t *testing.T) {
	s := harness.Serve(t)
	repo, ref := s.Ref("images"), s.Ref("images@master")
	s.Peer.Create(t, repo, s.Ref("empty"))
	first := s.Peer.PutWait(t, ref, map[string]string{"/a": "one"})
	second := s.Peer.PutWait(t, ref, map[string]string{"/a": "two"})
	s.Peer.PutWait(t, ref, map[string]string{"/a": "three"})
	s.Peer.Create(t, repo+"@dev")
	m := s.Mount(t)

	var names []string
	entries, err := os.ReadDir(m.Dir)
	ok(t, err)
	for _, e := range entries {
		if r, _, _ := strings.Cut(e.Name(), "@"); r == repo || r == s.Ref("empty") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	if want := []string{s.Ref("empty@master"), repo + "@dev", ref}; !slices.Equal(names, want) {
		t.Errorf("the root lists %q, want %q", names, want)
	}
	for name, want := range map[string]string{
		repo: ref, ref + "^": repo + "@" + second, ref + "^2": repo + "@" + first, ref + "^1": repo + "@" + second,
	} {
		if got, err := os.Readlink(m.Path(name)); err != nil || got != want {
			t.Errorf("readlink %s: %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := os.Readlink(m.Path(ref + ".1")); err != nil {
		t.Errorf("readlink of %s.1: %v", ref, err)
	}
	for name, want := range map[string]string{
		repo: "three", ref: "three", ref + "^": "two", ref + "^2": "one",
		repo + "@" + first: "one", repo + "@" + second + "^": "one", ref + ".2": "two",
	} {
		if got, err := os.ReadFile(m.Path(name, "a")); err != nil || string(got) != want {
			t.Errorf("%s/a reads %q, %v; want %q", name, got, err, want)
		}
	}
	if got := local(t, m.Path(s.Ref("empty@master"))); len(got) != 0 {
		t.Errorf("a repo without branches shows %v", got)
	}
}

// What does not exist is ENOENT, and a lookup makes nothing.
func TestTreeMissing(t *testing.T) {
	s := harness.Serve(t)
	repo, ref := s.Ref("images"), s.Ref("images@master")
	s.Peer.Create(t, repo, s.Ref("bare"))
	s.Peer.PutWait(t, ref, map[string]string{"/a/b": "x"})
	m := s.Mount(t)
	none := "00000000000040008000000000000000"
	for _, name := range []string{
		"nosuch", "nosuch@master", repo + "@nosuch", repo + "@" + none, ref + "^99", repo + "@nosuch^", "@master", repo + "@",
		ref + "/nosuch", ref + "/a/nosuch", ref + "/nosuch/x", repo + "@" + s.Peer.Head(t, ref) + "/.commit", "x y", "ümlaut", ".hidden",
	} {
		_, err := os.Lstat(m.Path(name))
		fails(t, "stat "+name, err, syscall.ENOENT)
	}
	_, err := os.Lstat(m.Path(ref, "a", "b", "c"))
	fails(t, "stat below a file", err, syscall.ENOTDIR)
	if s.Peer.Head(t, s.Ref("bare@nosuch")) != "" || s.Peer.Head(t, s.Ref("nosuch@master")) != "" {
		t.Error("a lookup created something")
	}
	for _, length := range []int{256, 300} {
		_, err := os.Lstat(m.Path(ref, strings.Repeat("x", length)))
		fails(t, "stat of a long name", err, syscall.ENAMETOOLONG)
		err = os.WriteFile(m.Path(ref, strings.Repeat("x", length)), nil, 0o666)
		fails(t, "create of a long name", err, syscall.ENAMETOOLONG)
	}
	write(t, m.Path(ref, strings.Repeat("x", 255)), "fits")
}

// mkdir in the root makes a branch; nothing there is ever removed or renamed.
func TestTreeBranches(t *testing.T) {
	s := harness.Serve(t)
	repo, ref := s.Ref("images"), s.Ref("images@master")
	s.Peer.Create(t, repo)
	s.Peer.PutWait(t, ref, map[string]string{"/a": "x"})
	m := s.Mount(t)
	fresh := s.Ref("fresh@dev")
	ok(t, os.Mkdir(m.Path(fresh), 0o777))
	ok(t, os.Mkdir(m.Path(repo+"@second"), 0o777))
	write(t, m.Path(fresh, "f"), "in a new repo")
	commit(t, m, fresh)
	same(t, fresh, s.Peer.Tree(t, fresh, ""), map[string]string{"/f": "in a new repo"})

	fails(t, "mkdir again", os.Mkdir(m.Path(fresh), 0o777), syscall.EEXIST)
	for _, name := range []string{"nobranch", "b@d name", "a@b@c", "ü@master", "@x", "x@"} {
		fails(t, "mkdir "+name, os.Mkdir(m.Path(name), 0o777), syscall.EINVAL)
	}
	fails(t, "rmdir of a branch", syscall.Rmdir(m.Path(ref)), syscall.EPERM)
	fails(t, "rmdir of an empty branch", syscall.Rmdir(m.Path(repo+"@second")), syscall.EPERM)
	fails(t, "rename of a branch", os.Rename(m.Path(ref), m.Path(repo+"@other")), syscall.EPERM)
	fails(t, "unlink of a repo's link", syscall.Unlink(m.Path(repo)), syscall.EPERM)
	fails(t, "create in the root", os.WriteFile(m.Path("x"), nil, 0o666), syscall.EPERM)
	if got := read(t, m.Path(ref, "a")); got != "x" {
		t.Errorf("images@master/a reads %q", got)
	}
}

// A repo without branches: the first landing makes its master.
func TestTreeFirstCommit(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("labels@master")
	s.Peer.Create(t, s.Ref("labels"))
	m := s.Mount(t)
	if got := local(t, m.Path(ref)); len(got) != 0 {
		t.Errorf("it holds %v", got)
	}
	commit(t, m, ref)
	if h := s.Peer.Head(t, ref); h != "" && len(s.Peer.Tree(t, ref, "")) != 0 {
		t.Errorf("a trigger with nothing staged made %s", h)
	}
	write(t, m.Path(ref, "a"), "first")
	commit(t, m, ref)
	same(t, ref, s.Peer.Tree(t, ref, ""), map[string]string{"/a": "first"})
}

// Commits and output branches are read-only: EROFS to everything.
func TestTreeReadOnly(t *testing.T) {
	s := harness.Serve(t)
	repo, ref, out := s.Ref("images"), s.Ref("images@master"), s.Ref("edges@master")
	s.Peer.Create(t, repo)
	id := s.Peer.PutWait(t, ref, map[string]string{"/d/a": "x"})
	s.Peer.Output(t, out, ref)
	m := s.Mount(t)
	for _, dir := range []string{m.Path(repo + "@" + id), m.Path(out)} {
		fails(t, "create in "+dir, os.WriteFile(dir+"/new", nil, 0o666), syscall.EROFS)
		fails(t, "mkdir in "+dir, os.Mkdir(dir+"/new", 0o777), syscall.EROFS)
	}
	dir := m.Path(repo + "@" + id)
	for what, err := range map[string]error{
		"write":    os.WriteFile(dir+"/d/a", nil, 0o666),
		"truncate": os.Truncate(dir+"/d/a", 0),
		"unlink":   syscall.Unlink(dir + "/d/a"),
		"rmdir":    syscall.Rmdir(dir + "/d"),
		"rename":   os.Rename(dir+"/d/a", dir+"/d/b"),
		"chtimes":  os.Chtimes(dir+"/d/a", time.Now(), time.Now()),
	} {
		fails(t, what, err, syscall.EROFS)
	}
	if r := touch(t, m.Path(out, ".commit")); r.Code == 0 {
		t.Error("touch .commit in an output branch succeeds")
	} else if !strings.Contains(r.Err, "Read-only file system") {
		t.Errorf("touch .commit in an output branch: %v", r)
	}
	if st := m.Status(t, out); !st.ReadOnly {
		t.Errorf(".status of an output branch: %+v", st)
	}
}

// Between branches a rename is EXDEV, and mv copies.
func TestTreeRenameAcross(t *testing.T) {
	s := harness.Serve(t)
	a, b := s.Ref("a@master"), s.Ref("b@master")
	s.Peer.Create(t, s.Ref("a"), s.Ref("b"))
	s.Peer.PutWait(t, a, map[string]string{"/d/x": "x", "/d/e/y": "y"})
	m := s.Mount(t)
	_ = local(t, m.Path(b))
	fails(t, "rename of a file", os.Rename(m.Path(a, "d/x"), m.Path(b, "x")), syscall.EXDEV)
	fails(t, "rename of a directory", os.Rename(m.Path(a, "d"), m.Path(b, "d")), syscall.EXDEV)
	harness.Sh(t, m.Dir, "mv "+a+"/d "+b+"/")
	commit(t, m, a)
	commit(t, m, b)
	same(t, "a", s.Peer.Tree(t, a, ""), map[string]string{})
	same(t, "b", s.Peer.Tree(t, b, ""), map[string]string{"/d/x": "x", "/d/e/y": "y"})
}

// What Pachyderm would refuse is refused when it is made, at once (promises 11 and 12).
func TestTreeRefused(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("labels@master")
	s.Peer.Create(t, s.Ref("labels"))
	m := s.Mount(t)
	dir := m.Path(ref)
	write(t, dir+"/x", "x")
	for _, name := range []string{"a*b", "q?", "[x]", "{x}", "no!", "(1)", "a@b", "a+b", "x^", "ümlaut", "tab\t", "nl\n", "\xff"} {
		fails(t, "create "+name, os.WriteFile(dir+"/"+name, nil, 0o666), syscall.EINVAL)
		fails(t, "mkdir "+name, os.Mkdir(dir+"/"+name, 0o777), syscall.EINVAL)
		fails(t, "rename to "+name, os.Rename(dir+"/x", dir+"/"+name), syscall.EINVAL)
		if _, err := os.Lstat(dir + "/" + name); !isErrno(err, syscall.ENOENT) {
			t.Errorf("stat %q: %v", name, err)
		}
	}
	for what, err := range map[string]error{
		"symlink": os.Symlink("x", dir+"/l"),
		"link":    os.Link(dir+"/x", dir+"/l"),
		"mkfifo":  syscall.Mkfifo(dir+"/p", 0o666),
		"mknod":   syscall.Mknod(dir+"/n", syscall.S_IFCHR|0o666, 0x103),
	} {
		fails(t, what, err, syscall.EPERM)
	}
	for _, name := range []string{"with space", "a~b", "a#b", "a$b", "a%b", "a&b", "a'b", "a,b", "a;b", "a=b", "-dash", "a\"b", "a\\b", "a|b", "a<b>", "a:b", "a`b"} {
		write(t, dir+"/"+name, name)
	}
	want := local(t, dir)
	commit(t, m, ref)
	same(t, "all names that go", s.Peer.Tree(t, ref, ""), want)
	same(t, "and as they are seen", local(t, dir), want)
}
