package staging_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/clienttest"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/remote"
	"pachfs/staging"
)

// A world is one branch of an embedded server, and its overlay.
type world struct {
	*staging.Overlay
	t      *testing.T
	client pachclient.Client
	faulty *clienttest.Faulty // what the overlay speaks to
	branch pachclient.Branch
	stage  *staging.Stage
	dir    string // of stage
}

// newWorld starts a server whose branch holds these files.
func newWorld(t *testing.T, files map[string]string) *world {
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
	w := &world{t: t, client: c, faulty: clienttest.NewFaulty(c), dir: t.TempDir(),
		branch: pachclient.Branch{Project: "default", Repo: "data", Name: "master"}}
	w.must(c.CreateBranch(t.Context(), w.branch))
	if len(files) > 0 {
		w.put(files)
	}
	w.open(w.dir)
	return w
}

// open opens a state directory, and checks what it finds there.
func (w *world) open(dir string) {
	w.t.Helper()
	stage, err := staging.Open(dir, staging.Options{Client: w.faulty})
	w.must(err)
	w.t.Cleanup(func() { stage.Close() })
	w.stage, w.dir = stage, dir
	w.Overlay, err = stage.Overlay(w.t.Context(), w.branch)
	w.must(err)
	w.check()
	needed := w.NeededContents()
	for _, name := range w.contents() {
		if !needed[name] {
			w.t.Fatalf("nobody needs %s", name)
		}
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) fails(err, want error) {
	w.t.Helper()
	if !errors.Is(err, want) {
		w.t.Fatalf("%v, want %v", err, want)
	}
}

// put is a commit by somebody else.
func (w *world) put(files map[string]string, deletes ...string) {
	w.t.Helper()
	set, err := w.client.Upload(w.t.Context(), func(yield func(pachclient.Change, error) bool) {
		for p, content := range files {
			ch := pachclient.Change{Path: p, Size: int64(len(content)), Open: func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader(content)), nil
			}}
			if !yield(ch, nil) {
				return
			}
		}
	})
	w.must(err)
	w.must(w.client.Land(w.t.Context(), w.branch, set, deletes))
	b, err := w.client.Branch(w.t.Context(), w.branch)
	w.must(err)
	_, err = w.client.Wait(w.t.Context(), b.Head)
	w.must(err)
}

// follow returns when the base is the head of the branch.
func (w *world) follow() {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		w.must(w.Follow(w.t.Context()))
		h, err := w.client.Head(w.t.Context(), w.branch)
		w.must(err)
		if w.Base().Commit.ID == h.Commit.ID {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("the base does not follow the head: %+v", w.Status())
		}
	}
}

func (w *world) commit() pachclient.Commit {
	w.t.Helper()
	c, err := w.Commit(w.t.Context(), "")
	w.must(err)
	return c
}

func (w *world) check() {
	w.t.Helper()
	w.must(w.stage.Check())
}

// write gives a file these bytes, whether it exists or not, as a shell does.
func (w *world) write(p, content string) {
	w.t.Helper()
	f, err := w.Create(w.t.Context(), p, staging.Attr{})
	if errors.Is(err, fs.ErrExist) {
		if f, err = w.Open(w.t.Context(), p, true); err == nil {
			w.must(f.Truncate(0))
		}
	}
	w.must(err)
	n, err := f.WriteAt([]byte(content), 0)
	if err != nil || n != len(content) {
		w.t.Fatalf("write %s: %d, %v", p, n, err)
	}
	w.must(f.Close(true))
}

// change opens a file for writing and closes it after fn.
func (w *world) change(p string, fn func(f *staging.File)) {
	w.t.Helper()
	f, err := w.Open(w.t.Context(), p, true)
	w.must(err)
	fn(f)
	w.must(f.Close(true))
}

func (w *world) mkdir(p string)       { w.t.Helper(); w.must(w.Mkdir(w.t.Context(), p, staging.Attr{})) }
func (w *world) remove(p string)      { w.t.Helper(); w.must(w.Remove(w.t.Context(), p)) }
func (w *world) rmdir(p string)       { w.t.Helper(); w.must(w.Rmdir(w.t.Context(), p)) }
func (w *world) rename(a, b string)   { w.t.Helper(); w.must(w.Rename(w.t.Context(), a, b)) }
func (w *world) mtime(p string) int64 { w.t.Helper(); return w.stat(p).ModTime.UnixNano() }

func (w *world) stat(p string) staging.Info {
	w.t.Helper()
	i, err := w.Stat(w.t.Context(), p)
	w.must(err)
	return i
}

// content reads an open file.
func (w *world) content(f *staging.File) string {
	w.t.Helper()
	b := make([]byte, f.Size()+3)
	n, err := f.ReadAt(w.t.Context(), b, 0)
	if err != io.EOF || int64(n) != f.Size() {
		w.t.Fatalf("read %d of %d bytes: %v", n, f.Size(), err)
	}
	return string(b[:n])
}

func (w *world) read(p string) string {
	w.t.Helper()
	f, err := w.Open(w.t.Context(), p, false)
	w.must(err)
	defer f.Close(false)
	return w.content(f)
}

// tree gives every file with its bytes, and every directory with a slash at
// its end. It holds List against Stat on the way.
func (w *world) tree() map[string]string {
	w.t.Helper()
	return w.treeOf(w.Overlay)
}

func (w *world) treeOf(o *staging.Overlay) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	var visit func(dir string)
	visit = func(dir string) {
		entries, err := o.List(w.t.Context(), dir)
		w.must(err)
		for _, e := range entries {
			p := path.Join(dir, e.Name)
			i, err := o.Stat(w.t.Context(), p)
			if err != nil || i != e {
				w.t.Fatalf("%s is listed as %+v\nand is %+v, %v", p, e, i, err)
			}
			if _, ok := out[p]; ok {
				w.t.Fatalf("%s is listed twice", p)
			}
			if e.Dir {
				out[p+"/"] = ""
				visit(p)
				continue
			}
			f, err := o.Open(w.t.Context(), p, false)
			w.must(err)
			if e.Size != f.Size() {
				w.t.Fatalf("%s is %d bytes and open %d", p, e.Size, f.Size())
			}
			out[p] = w.content(f)
			w.must(f.Close(false))
		}
	}
	visit("/")
	return out
}

// is compares the whole tree. Directories above the paths need not be named.
func (w *world) is(want map[string]string) {
	w.t.Helper()
	want = withParents(want)
	if d := treeDiff(w.tree(), want); d != "" {
		w.t.Fatal(d)
	}
	w.check()
}

func withParents(tree map[string]string) map[string]string {
	out := maps.Clone(tree)
	for p := range tree {
		for dir := path.Dir(strings.TrimSuffix(p, "/")); dir != "/"; dir = path.Dir(dir) {
			out[dir+"/"] = ""
		}
	}
	return out
}

func treeDiff(got, want map[string]string) string {
	var b bytes.Buffer
	short := func(s string) string { return s[:min(len(s), 60)] }
	for _, p := range slices.Sorted(maps.Keys(want)) {
		if g, ok := got[p]; !ok {
			b.WriteString("missing: " + p + "\n")
		} else if g != want[p] {
			b.WriteString(p + " is " + short(g) + "\n  want " + short(want[p]) + "\n")
		}
	}
	for _, p := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[p]; !ok {
			b.WriteString("too much: " + p + " = " + short(got[p]) + "\n")
		}
	}
	return b.String()
}

// committed compares what Pachyderm has, at the head of the branch.
func (w *world) committed(want map[string]string) {
	w.t.Helper()
	h, err := w.client.Head(w.t.Context(), w.branch)
	w.must(err)
	got := w.treeOf(w.stage.At(h))
	for p := range got {
		if strings.HasSuffix(p, "/") {
			delete(got, p)
		}
	}
	if d := treeDiff(got, want); d != "" {
		w.t.Fatalf("in the commit: %s", d)
	}
}

// snapshot copies the state directory as it is, as a kill leaves it.
func (w *world) snapshot() string {
	w.t.Helper()
	dir := w.t.TempDir()
	w.must(os.CopyFS(dir, os.DirFS(w.dir)))
	return dir
}

// kill goes on with a copy of the state directory; handles are gone.
func (w *world) kill() {
	w.t.Helper()
	old, dir := w.stage, w.snapshot()
	w.open(dir)
	w.must(old.Close())
}

// contents lists the content files, relative to the state directory.
func (w *world) contents() []string {
	w.t.Helper()
	names, err := fs.Glob(os.DirFS(w.dir), filepath.Join(w.BranchDir(), "content/*/*"))
	w.must(err)
	return names
}
