package fs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"pachfs/fs"
	"pachfs/pachclient"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/remote"
	"pachfs/staging"
)

// A rig is a tree over an embedded server, without a kernel.
type rig struct {
	*fs.Tree
	t      *testing.T
	client pachclient.Client
	stage  *staging.Stage
}

var labels = pachclient.Branch{Project: "default", Repo: "labels", Name: "master"}

func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c, err := remote.Dial(t.Context(), remote.Config{Dialer: s.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r := &rig{t: t, client: c}
	r.must(c.CreateBranch(t.Context(), labels))
	r.stage, err = staging.Open(t.TempDir(), staging.Options{Client: c,
		Changed: func(b pachclient.Branch, paths []string) { r.Changed(b, paths) }})
	r.must(err)
	t.Cleanup(func() { r.stage.Close() })
	r.Tree = fs.New(fs.Config{Client: c, Stage: r.stage, Umask: 0o022})
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) fails(err error, want syscall.Errno) {
	r.t.Helper()
	if got := fs.Errno(slog.New(slog.DiscardHandler), "test", err); got != want {
		r.t.Fatalf("%v is %v, want %v", err, got, want)
	}
}

// walk looks a path up, name by name; 0 when it does not exist.
func (r *rig) walk(path string) fs.Entry {
	r.t.Helper()
	e := fs.Entry{Ino: fs.Root}
	for _, name := range strings.Split(path, "/") {
		var err error
		if e, err = r.Lookup(r.t.Context(), e.Ino, name); err != nil {
			r.t.Fatalf("%s: %v", path, err)
		}
		if e.Ino == 0 {
			return e
		}
	}
	return e
}

func (r *rig) write(dir fs.Ino, name, content string) fs.Entry {
	r.t.Helper()
	e, h, err := r.Create(r.t.Context(), dir, name, staging.Attr{}, true)
	r.must(err)
	_, err = r.Write(r.t.Context(), h, []byte(content), 0)
	r.must(err)
	r.must(r.Flush(h))
	r.must(r.Release(h))
	return e
}

func (r *rig) read(ino fs.Ino) string {
	r.t.Helper()
	h, _, err := r.Open(r.t.Context(), ino, false)
	r.must(err)
	defer r.Release(h)
	p := make([]byte, 1<<16)
	n, err := r.Read(r.t.Context(), h, p, 0)
	r.must(err)
	return string(p[:n])
}

func (r *rig) list(ino fs.Ino) []string {
	r.t.Helper()
	h, _, err := r.OpenDir(r.t.Context(), ino)
	r.must(err)
	defer r.ReleaseDir(h)
	entries, err := r.ReadDir(h, 0)
	r.must(err)
	var names []string
	for _, e := range entries {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
	}
	sort.Strings(names)
	return names
}

// put is a commit by somebody else.
func (r *rig) put(files map[string]string, deletes ...string) {
	r.t.Helper()
	var changes iter.Seq2[pachclient.Change, error] = func(yield func(pachclient.Change, error) bool) {
		for p, content := range files {
			ch := pachclient.Change{Path: p, Size: int64(len(content)), Open: func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader([]byte(content))), nil
			}}
			if !yield(ch, nil) {
				return
			}
		}
	}
	set, err := r.client.Upload(r.t.Context(), changes)
	r.must(err)
	r.must(r.client.Land(r.t.Context(), labels, set, deletes))
	b, err := r.client.Branch(r.t.Context(), labels)
	r.must(err)
	_, err = r.client.Wait(r.t.Context(), b.Head)
	r.must(err)
}

func (r *rig) follow() {
	r.t.Helper()
	o, err := r.stage.Overlay(r.t.Context(), labels)
	r.must(err)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		h, err := r.client.Head(r.t.Context(), labels)
		r.must(err)
		if o.Base().Commit.ID == h.Commit.ID || len(o.Status().Conflicts) > 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Fatal("the base does not follow the head")
		}
	}
}

func (r *rig) touch(dir string) error {
	now := time.Now()
	_, err := r.Setattr(r.t.Context(), r.walk(dir+"/.commit").Ino, 0, -1, staging.Attr{ModTime: &now})
	return err
}

func (r *rig) head() string {
	r.t.Helper()
	h, err := r.client.Head(r.t.Context(), labels)
	r.must(err)
	return h.Commit.ID
}

// The root lists branches only; other names of them are links.
func TestRoot(t *testing.T) {
	r := newRig(t)
	r.write(r.walk("labels@master").Ino, "a", "1")
	r.must(r.touch("labels@master"))
	if got := r.list(fs.Root); len(got) != 1 || got[0] != "labels@master" {
		t.Fatalf("the root lists %q", got)
	}
	target, err := r.Readlink(r.walk("labels").Ino)
	if r.must(err); target != "labels@master" {
		t.Fatalf("labels leads to %q", target)
	}
	target, err = r.Readlink(r.walk("labels@master^0").Ino)
	if r.must(err); target != "labels@"+r.head() {
		t.Fatalf("labels@master^0 leads to %q", target)
	}
	if got := r.read(r.walk(target + "/a").Ino); got != "1" {
		t.Fatalf("the commit has %q", got)
	}
	_, _, err = r.Create(t.Context(), r.walk(target).Ino, "x", staging.Attr{}, false)
	r.fails(err, syscall.EROFS)
	for _, name := range []string{"nope", "nope@master", "labels@nope", "labels@master^99", "labels@0123456789ab4def0123456789abcdef", "a b"} {
		if e := r.walk(name); e.Ino != 0 || e.Valid == 0 {
			t.Errorf("%s exists, or its absence is not kept", name)
		}
	}
}

// mkdir in the root makes repo and branch; nothing takes them away.
func TestBranchesByMkdir(t *testing.T) {
	r := newRig(t)
	e, err := r.Mkdir(t.Context(), fs.Root, "new@main", staging.Attr{})
	r.must(err)
	r.write(e.Ino, "x", "y")
	r.fails(r.Rmdir(t.Context(), fs.Root, "new@main"), syscall.EPERM)
	_, err = r.Mkdir(t.Context(), fs.Root, "new@main", staging.Attr{})
	r.fails(err, syscall.EEXIST)
	_, err = r.Mkdir(t.Context(), fs.Root, "no-branch", staging.Attr{})
	r.fails(err, syscall.EINVAL)
	r.fails(r.Rename(t.Context(), e.Ino, "x", r.walk("labels@master").Ino, "x"), syscall.EXDEV)
}

// Control files are found and never listed, and nobody makes or removes them.
func TestControlFilesAreNotListed(t *testing.T) {
	r := newRig(t)
	dir := r.walk("labels@master").Ino
	r.write(dir, "a", "1")
	if got := r.list(dir); len(got) != 1 {
		t.Fatalf("listed: %q", got)
	}
	for _, name := range []string{".commit", ".status", ".diff"} {
		one, two := r.walk("labels@master/"+name), r.walk("labels@master/"+name)
		if one.Ino == 0 || one.Ino == two.Ino || one.Valid != 0 || one.Attr.Valid != 0 {
			t.Errorf("%s: %+v, then %+v", name, one, two)
		}
		if r.walk(name).Ino == 0 {
			t.Errorf("the root has no %s", name)
		}
		_, _, err := r.Create(t.Context(), dir, name, staging.Attr{}, false)
		r.fails(err, syscall.EPERM)
		r.fails(r.Unlink(t.Context(), dir, name), syscall.EPERM)
		r.fails(r.Rename(t.Context(), dir, "a", dir, name), syscall.EPERM)
	}
	_, _, err := r.Open(t.Context(), r.walk("labels@master/.status").Ino, true)
	r.fails(err, syscall.EACCES)
	if got := r.read(r.walk("labels@master/.diff").Ino); got != "+ a\n" {
		t.Errorf(".diff says %q", got)
	}
}

// The trigger rule, for every order of calls that touching and writing comes as.
func TestTriggerRule(t *testing.T) {
	now := time.Now()
	mtime := staging.Attr{ModTime: &now}
	open := func(r *rig, ino fs.Ino) fs.Handle {
		h, _, err := r.Open(r.t.Context(), ino, true)
		r.must(err)
		return h
	}
	forms := map[string]struct {
		commits int
		do      func(r *rig, ino fs.Ino)
	}{
		"touch": {1, func(r *rig, ino fs.Ino) { _, err := r.Setattr(t.Context(), ino, 0, -1, mtime); r.must(err) }},
		"touch -a": {0, func(r *rig, ino fs.Ino) {
			_, err := r.Setattr(t.Context(), ino, 0, -1, staging.Attr{})
			r.must(err)
		}},
		": >": {0, func(r *rig, ino fs.Ino) {
			h := open(r, ino)
			_, err := r.Setattr(t.Context(), ino, h, 0, mtime)
			r.must(err)
			r.must(r.Flush(h))
			r.must(r.Release(h))
		}},
		"echo msg >": {1, func(r *rig, ino fs.Ino) {
			h := open(r, ino)
			_, err := r.Setattr(t.Context(), ino, 0, 0, mtime)
			r.must(err)
			r.must(r.Flush(h))
			_, err = r.Write(t.Context(), h, []byte("msg\n"), 0)
			r.must(err)
			r.must(r.Release(h))
		}},
		"cp -p": {1, func(r *rig, ino fs.Ino) {
			h := open(r, ino)
			_, err := r.Write(t.Context(), h, []byte("msg"), 0)
			r.must(err)
			_, err = r.Write(t.Context(), h, []byte("more"), 3)
			r.must(err)
			_, err = r.Setattr(t.Context(), ino, h, -1, mtime)
			r.must(err)
			r.must(r.Release(h))
		}},
	}
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.write(r.walk("labels@master").Ino, "a", name)
			before := r.head()
			form.do(r, r.walk("labels@master/.commit").Ino)
			made := 0
			for c := (pachclient.Commit{Branch: labels, ID: r.head()}); c.ID != before; made++ {
				info, err := r.client.Commit(t.Context(), c)
				r.must(err)
				c = info.Parent
			}
			if made != form.commits {
				t.Errorf("%d commits, want %d", made, form.commits)
			}
		})
	}
}

// A path that others changed gets another number; an open handle keeps the old
// one with the old bytes; what did not change keeps its number.
func TestSupersession(t *testing.T) {
	r := newRig(t)
	r.put(map[string]string{"/a": "old", "/b": "same"})
	r.follow()
	dir := r.walk("labels@master")
	a, b := r.walk("labels@master/a"), r.walk("labels@master/b")
	h, flags, err := r.Open(t.Context(), a.Ino, false)
	r.must(err)
	if !flags.KeepCache {
		t.Error("pages of committed files are not kept")
	}
	r.Take()
	r.put(map[string]string{"/a": "new"})
	r.follow()
	told := map[fs.Ino]bool{}
	for _, n := range r.Take() {
		told[n.Ino] = true
	}
	if !told[a.Ino] || told[b.Ino] || !told[dir.Ino] {
		t.Errorf("told of %v; a is %d, b %d, the directory %d", told, a.Ino, b.Ino, dir.Ino)
	}
	_, _, err = r.Open(t.Context(), a.Ino, false)
	r.fails(err, syscall.ESTALE)
	_, err = r.Setattr(t.Context(), a.Ino, 0, 0, staging.Attr{})
	r.fails(err, syscall.ESTALE)
	attr, err := r.Getattr(t.Context(), a.Ino)
	if r.must(err); attr.Nlink != 0 {
		t.Errorf("fstat of the old file: %+v", attr)
	}
	p := make([]byte, 10)
	n, err := r.Read(t.Context(), h, p, 0)
	if r.must(err); string(p[:n]) != "old" {
		t.Errorf("the open handle reads %q", p[:n])
	}
	r.must(r.Release(h))
	_, err = r.Getattr(t.Context(), a.Ino)
	r.fails(err, syscall.ESTALE)
	again := r.walk("labels@master/a")
	if again.Ino == a.Ino || r.read(again.Ino) != "new" {
		t.Errorf("a is still number %d", again.Ino)
	}
	if r.walk("labels@master/b").Ino != b.Ino || r.walk("labels@master").Ino != dir.Ino {
		t.Error("what did not change has another number")
	}
}

// What landed from here keeps its number and its time.
func TestLandedFilesKeepNumberAndTime(t *testing.T) {
	r := newRig(t)
	dir := r.walk("labels@master").Ino
	e := r.write(dir, "a", "1")
	before, err := r.Getattr(t.Context(), e.Ino)
	r.must(err)
	r.must(r.touch("labels@master"))
	after := r.walk("labels@master/a")
	if after.Ino != e.Ino || !after.Attr.Mtime.Equal(before.Mtime) || after.Attr.Size != 1 {
		t.Errorf("before %+v, after %+v", before, after.Attr)
	}
	r.put(map[string]string{"/other": "x"})
	r.follow()
	if now := r.walk("labels@master/a"); now.Ino != e.Ino || !now.Attr.Mtime.Equal(before.Mtime) {
		t.Errorf("after a foreign commit: %+v", now.Attr)
	}
}

// A renamed directory takes the numbers below it along.
func TestRenameKeepsNumbers(t *testing.T) {
	r := newRig(t)
	r.put(map[string]string{"/d/e/f": "x"})
	r.follow()
	dir := r.walk("labels@master").Ino
	f := r.walk("labels@master/d/e/f")
	h, _, err := r.Open(t.Context(), f.Ino, true)
	r.must(err)
	r.must(r.Rename(t.Context(), dir, "d", dir, "g"))
	if got := r.walk("labels@master/g/e/f"); got.Ino != f.Ino {
		t.Errorf("number %d became %d", f.Ino, got.Ino)
	}
	_, err = r.Write(t.Context(), h, []byte("y"), 1)
	r.must(err)
	r.must(r.Release(h))
	if got := r.read(f.Ino); got != "xy" {
		t.Errorf("reads %q", got)
	}
	if r.walk("labels@master/d").Ino != 0 {
		t.Error("the old name is still there")
	}
}

// A directory that was removed, or replaced, is to those who have it open what it was.
func TestRemovedDirectoryLivesOn(t *testing.T) {
	r := newRig(t)
	dir := r.walk("labels@master").Ino
	mode := uint32(0o700)
	for _, remove := range []func(name string) error{
		func(name string) error { return r.Rmdir(t.Context(), dir, name) },
		func(name string) error {
			if _, err := r.Mkdir(t.Context(), dir, "other", staging.Attr{}); err != nil {
				return err
			}
			return r.Rename(t.Context(), dir, "other", dir, name)
		},
	} {
		d, err := r.Mkdir(t.Context(), dir, "d", staging.Attr{Mode: &mode})
		r.must(err)
		r.must(remove("d"))
		a, err := r.Getattr(t.Context(), d.Ino)
		r.must(err)
		if a.Type != fs.Dir || a.Perm != mode || a.Nlink != 0 {
			t.Errorf("a removed directory is %+v", a)
		}
		if got := r.list(d.Ino); len(got) != 0 {
			t.Errorf("it lists %q", got)
		}
		_, err = r.Lookup(t.Context(), d.Ino, "x")
		r.fails(err, syscall.ENOENT)
	}
}

// What is made in a directory with the set-group-id bit has its group.
func TestSetGroupIDInherits(t *testing.T) {
	r := newRig(t)
	mode, plain, group, mine := uint32(0o2775), uint32(0o755), uint32(7), uint32(8)
	d, err := r.Mkdir(t.Context(), r.walk("labels@master").Ino, "d", staging.Attr{Mode: &mode, UID: &mine, GID: &group})
	r.must(err)
	made := staging.Attr{Mode: &plain, UID: &mine, GID: &mine}
	sub, err := r.Mkdir(t.Context(), d.Ino, "sub", made)
	r.must(err)
	f, _, err := r.Create(t.Context(), sub.Ino, "f", made, true)
	r.must(err)
	if sub.Attr.GID != group || sub.Attr.Perm != 0o2755 || f.Attr.GID != group || f.Attr.Perm != plain || f.Attr.UID != mine {
		t.Errorf("a directory %+v, a file in it %+v", sub.Attr, f.Attr)
	}
}

// A length that no disk has is refused: its commit would never end.
func TestTooLong(t *testing.T) {
	r := newRig(t)
	f, h, err := r.Create(t.Context(), r.walk("labels@master").Ino, "f", staging.Attr{}, true)
	r.must(err)
	_, err = r.Setattr(t.Context(), f.Ino, 0, 1<<62, staging.Attr{})
	r.fails(err, syscall.EFBIG)
	_, err = r.Write(t.Context(), h, []byte("x"), 1<<62)
	r.fails(err, syscall.EFBIG)
	_, err = r.Write(t.Context(), h, []byte("fits"), 0)
	r.must(err)
	r.must(r.Release(h))
	r.must(r.touch("labels@master"))
	if got := r.read(f.Ino); got != "fits" {
		t.Errorf("it reads %q", got)
	}
}

// After Freeze nothing is acknowledged that could not land.
func TestFreeze(t *testing.T) {
	r := newRig(t)
	dir := r.walk("labels@master").Ino
	_, h, err := r.Create(t.Context(), dir, "a", staging.Attr{}, true)
	r.must(err)
	r.Freeze()
	if _, err := r.Write(t.Context(), h, []byte("x"), 0); !errors.Is(err, staging.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	_, _, err = r.Create(t.Context(), dir, "b", staging.Attr{}, true)
	r.fails(err, syscall.ESHUTDOWN)
}

// A conflict is EBUSY, names the path, and loses nothing.
func TestConflict(t *testing.T) {
	r := newRig(t)
	r.put(map[string]string{"/a": "base"})
	r.follow()
	dir := r.walk("labels@master").Ino
	r.must(r.Unlink(t.Context(), dir, "a"))
	r.write(dir, "a", "mine")
	r.put(map[string]string{"/a": "theirs"})
	r.follow()
	r.fails(r.touch("labels@master"), syscall.EBUSY)
	if s := r.read(r.walk("labels@master/.status").Ino); !strings.Contains(s, `"conflicts":["/a"]`) || !strings.Contains(s, `"state":"conflict"`) {
		t.Errorf("status %s", s)
	}
	if got := r.read(r.walk("labels@master/a").Ino); got != "mine" {
		t.Errorf("reads %q", got)
	}
	o, err := r.stage.Overlay(t.Context(), labels)
	r.must(err)
	r.must(o.Discard("/a"))
	r.follow()
	if got := r.read(r.walk("labels@master/a").Ino); got != "theirs" {
		t.Errorf("after the discard it reads %q", got)
	}
}

// Names that can't land are refused when they are made.
func TestNames(t *testing.T) {
	r := newRig(t)
	dir := r.walk("labels@master").Ino
	for _, name := range []string{"a*b", "photo (1).jpg", "köln", "a\tb", "x@y"} {
		_, _, err := r.Create(t.Context(), dir, name, staging.Attr{}, true)
		r.fails(err, syscall.EINVAL)
	}
	_, err := r.Mkdir(t.Context(), dir, strings.Repeat("n", 256), staging.Attr{})
	r.fails(err, syscall.ENAMETOOLONG)
	_, err = r.Lookup(t.Context(), dir, strings.Repeat("n", 256))
	r.fails(err, syscall.ENAMETOOLONG)
}

// What does not exist holds for a moment where a head is followed, for that
// can't be taken back, and for long in a commit.
func TestNothingHolds(t *testing.T) {
	r := newRig(t)
	r.put(map[string]string{"/x": "x"})
	dir := r.walk("labels@master")
	for where, parent := range map[string]fs.Ino{"root": fs.Root, "branch": dir.Ino} {
		e, err := r.Lookup(t.Context(), parent, "none")
		r.must(err)
		if e.Ino != 0 || e.Valid <= 0 || e.Valid > 250*time.Millisecond {
			t.Errorf("%s: %+v", where, e)
		}
	}
	e, err := r.Lookup(t.Context(), r.walk("labels@"+r.head()).Ino, "none")
	r.must(err)
	if e.Ino != 0 || e.Valid < time.Minute {
		t.Errorf("commit: %+v", e)
	}
}
