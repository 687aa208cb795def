package staging_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/clienttest"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/names"
	"pachfs/pachclient/remote"
	"pachfs/staging"
)

// A tester is what the rig needs of a testing.T, or of what stands for one.
type tester interface {
	Helper()
	Cleanup(func())
	Context() context.Context
	TempDir() string
	Error(...any)
	Errorf(string, ...any)
	Failed() bool
	Fatal(...any)
	Fatalf(string, ...any)
}

// A bench is one branch of an embedded server: a stage on it whose client can
// be made to fail, and a client of somebody else.
type bench struct {
	*clienttest.Faulty // the client of the stage
	t                  tester
	server             *embedded.Server
	client             pachclient.Client // somebody else's
	branch             pachclient.Branch
	opts               staging.Options
	stage              *staging.Stage
	o                  *staging.Overlay
	disk               *staging.SimDisk // what openOn was given last
	noCheck            bool
	wrap               func(pachclient.Client) pachclient.Client // puts something before the stage's server; nil: nothing

	mu      sync.Mutex
	changed []string // what Changed was called with
}

// newBench starts a server with one empty branch, and a stage on it.
func newBench(t *testing.T, tune ...func(*staging.Options)) *bench {
	t.Helper()
	return newBenchOn(t, embedded.Options{}, tune...)
}

func newBenchOn(t *testing.T, so embedded.Options, tune ...func(*staging.Options)) *bench {
	t.Helper()
	t.Parallel()
	return benchOn(t, so, tune...)
}

// serialBench is newBench for a test that goes on when this one is over.
func serialBench(t *testing.T, tune ...func(*staging.Options)) *bench {
	t.Helper()
	return benchOn(t, embedded.Options{}, tune...)
}

func benchOn(t tester, so embedded.Options, tune ...func(*staging.Options)) *bench {
	t.Helper()
	s, err := embedded.Open(t.TempDir(), so)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := &bench{t: t, server: s, branch: pachclient.Branch{Project: "default", Repo: "labels", Name: "master"}}
	b.opts = staging.Options{Host: "bench", LandTimeout: 10 * time.Second, CommitTimeout: 20 * time.Second}
	for _, fn := range tune {
		fn(&b.opts)
	}
	b.client = b.named(b.dial())
	b.must(b.client.CreateBranch(t.Context(), b.branch))
	b.open(t.TempDir())
	return b
}

// short makes timeouts that a test can wait for.
func short(o *staging.Options) {
	o.LandTimeout, o.CommitTimeout = 100*time.Millisecond, 4*time.Second
}

// encoded has the names that Pachyderm refuses stored encoded, by everybody here.
func encoded(o *staging.Options) { o.ValidName, o.Naming = names.ValidName, "encoded" }

func (b *bench) named(c pachclient.Client) pachclient.Client {
	if b.opts.Naming == "" {
		return c
	}
	return names.New(c)
}

func (b *bench) dial() pachclient.Client {
	b.t.Helper()
	c, err := remote.Dial(b.t.Context(), remote.Config{Dialer: b.server.Dial})
	b.must(err)
	b.t.Cleanup(func() { c.Close() })
	return c
}

// open takes a state directory, with a client of its own.
func (b *bench) open(dir string) {
	b.t.Helper()
	b.openBy(staging.Open, dir)
	if b.noCheck {
		return
	}
	b.must(b.stage.Check())
	b.noLeftovers()
}

// openBy is open in another way than by staging.Open, and without a Check.
func (b *bench) openBy(open func(dir string, o staging.Options) (*staging.Stage, error), dir string) {
	b.t.Helper()
	if dir == "" {
		b.t.Fatal("there is no state to open: the process did not die where it should")
	}
	server := b.dial()
	if b.wrap != nil {
		server = b.wrap(server)
	}
	b.Faulty = clienttest.NewFaulty(server)
	o := b.opts
	o.Client = b.named(b.Faulty)
	o.Changed = func(_ pachclient.Branch, paths []string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changed = append(b.changed, paths...)
	}
	var err error
	b.stage, err = open(dir, o)
	b.must(err)
	stage := b.stage
	b.t.Cleanup(func() { stage.Close() })
	b.o, err = b.stage.Overlay(b.t.Context(), b.branch)
	b.must(err)
}

// noLeftovers fails if a content file is there that no change needs, while
// nobody has a file open.
func (b *bench) noLeftovers() {
	b.t.Helper()
	needed := b.o.NeededContents()
	for _, name := range b.contents() {
		if !needed[name] {
			b.t.Fatalf("nobody needs %s", name)
		}
	}
}

// contents lists the content files, relative to the state directory.
func (b *bench) contents() []string {
	b.t.Helper()
	b.must(b.o.Sweep())
	found, err := fs.Glob(os.DirFS(b.stage.Dir()), filepath.Join(b.o.BranchDir(), "content/*/*"))
	b.must(err)
	return found
}

// reopen closes the stage and opens its state again.
func (b *bench) reopen() {
	b.t.Helper()
	b.must(b.stage.Close())
	b.open(b.stage.Dir())
}

// kill goes on with a copy of the state directory, as a kill leaves it; handles
// are gone.
func (b *bench) kill() {
	b.t.Helper()
	old, dir := b.stage, b.cp()
	looked := b.looks(dir)
	b.open(dir)
	if opened := staged(b.o.Status(), b.o.Diff()); opened != looked {
		b.t.Fatalf("looked at it is\n%s\nopened it is\n%s", looked, opened)
	}
	b.must(old.Close())
}

// other gives a second stage on the same branch.
func (b *bench) other() *bench {
	b.t.Helper()
	x := b.sibling()
	x.open(b.t.TempDir())
	return x
}

// sibling is a bench on the same branch that has no stage yet.
func (b *bench) sibling() *bench {
	return &bench{t: b.t, server: b.server, client: b.client, branch: b.branch, opts: b.opts}
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) is(err, want error) {
	b.t.Helper()
	if !errors.Is(err, want) {
		b.t.Fatalf("got %v, want %v", err, want)
	}
}

// create opens a new file; the caller closes it.
func (b *bench) create(p string) *staging.File {
	b.t.Helper()
	f, err := b.o.Create(b.t.Context(), p, staging.Attr{})
	b.must(err)
	return f
}

func (b *bench) openFile(p string, write bool) *staging.File {
	b.t.Helper()
	f, err := b.o.Open(b.t.Context(), p, write)
	b.must(err)
	return f
}

// put writes into an open file.
func (b *bench) put(f *staging.File, content string, off int64) {
	b.t.Helper()
	_, err := f.WriteAt([]byte(content), off)
	b.must(err)
}

// write makes the file read as content, and makes directories on the way.
func (b *bench) write(p, content string) {
	b.t.Helper()
	b.must(b.tryWrite(p, content))
}

func (b *bench) tryWrite(p, content string) error {
	f, err := b.o.Open(b.t.Context(), p, true)
	if errors.Is(err, fs.ErrNotExist) {
		if err := b.mkdirs(path.Dir(p)); err != nil {
			return err
		}
		f, err = b.o.Create(b.t.Context(), p, staging.Attr{})
	}
	if err != nil {
		return err
	}
	err = f.Truncate(0)
	if err == nil && content != "" {
		_, err = f.WriteAt([]byte(content), 0)
	}
	return errors.Join(err, f.Close(true))
}

func (b *bench) mkdirs(dir string) error {
	if dir == "/" {
		return nil
	}
	if err := b.mkdirs(path.Dir(dir)); err != nil {
		return err
	}
	if err := b.o.Mkdir(b.t.Context(), dir, staging.Attr{}); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (b *bench) mkdir(p string) { b.t.Helper(); b.must(b.mkdirs(p)) }
func (b *bench) rm(p string)    { b.t.Helper(); b.must(b.o.Remove(b.t.Context(), p)) }
func (b *bench) rmdir(p string) { b.t.Helper(); b.must(b.o.Rmdir(b.t.Context(), p)) }
func (b *bench) mv(from, to string) {
	b.t.Helper()
	b.must(b.o.Rename(b.t.Context(), from, to))
}

// rmAll removes a directory as rm -r does.
func (b *bench) rmAll(p string) {
	b.t.Helper()
	list, err := b.o.List(b.t.Context(), p)
	b.must(err)
	for _, i := range list {
		if i.Dir {
			b.rmAll(path.Join(p, i.Name))
		} else {
			b.rm(path.Join(p, i.Name))
		}
	}
	b.rmdir(p)
}

func (b *bench) slurp(f *staging.File) string {
	b.t.Helper()
	p := make([]byte, f.Size()+1)
	n, err := f.ReadAt(b.t.Context(), p, 0)
	if err != nil && err != io.EOF {
		b.t.Fatal(err)
	}
	return string(p[:n])
}

func (b *bench) read(p string) string {
	b.t.Helper()
	f := b.openFile(p, false)
	defer f.Close(false)
	return b.slurp(f)
}

func (b *bench) reads(p, want string) {
	b.t.Helper()
	if got := b.read(p); got != want {
		b.t.Fatalf("%s reads as %.80q, want %.80q", p, got, want)
	}
}

func (b *bench) stat(p string) staging.Info {
	b.t.Helper()
	i, err := b.o.Stat(b.t.Context(), p)
	b.must(err)
	return i
}

func (b *bench) missing(paths ...string) {
	b.t.Helper()
	for _, p := range paths {
		if _, err := b.o.Stat(b.t.Context(), p); !errors.Is(err, fs.ErrNotExist) {
			b.t.Fatalf("%s is there: %v", p, err)
		}
	}
}

// A tree says what each file reads as; directories end in a slash.
type tree map[string]string

// files gives the tree without its directories.
func (t tree) files() tree {
	out := maps.Clone(t)
	maps.DeleteFunc(out, func(p, _ string) bool { return strings.HasSuffix(p, "/") })
	return out
}

// mounted is what the overlay shows. It holds List against Stat on the way.
func (b *bench) mounted() tree {
	b.t.Helper()
	out := tree{}
	b.mountedAt("/", out)
	return out
}

func (b *bench) mountedAt(dir string, out tree) {
	b.t.Helper()
	list, err := b.o.List(b.t.Context(), dir)
	b.must(err)
	for _, i := range list {
		p := path.Join(dir, i.Name)
		if st := b.stat(p); st != i {
			b.t.Fatalf("%s is listed as %+v\nand is %+v", p, i, st)
		}
		if _, ok := out[p]; ok {
			b.t.Fatalf("%s is listed twice", p)
		}
		if !i.Dir {
			if out[p] = b.read(p); int64(len(out[p])) != i.Size {
				b.t.Fatalf("%s has %d bytes, and %d by its stat", p, len(out[p]), i.Size)
			}
			continue
		}
		out[p+"/"] = ""
		b.mountedAt(p, out)
	}
}

// committed is what is in the head, as somebody else sees it.
func (b *bench) committed() tree {
	b.t.Helper()
	h, err := b.client.Head(b.t.Context(), b.branch)
	b.must(err)
	return b.treeOf(h.Commit)
}

func (b *bench) treeOf(c pachclient.Commit) tree {
	b.t.Helper()
	out, r := tree{}, b.client.At(c)
	var files []pachclient.FileInfo
	b.must(r.Walk(b.t.Context(), "/", func(fi pachclient.FileInfo) error {
		if !fi.Dir {
			files = append(files, fi)
		}
		return nil
	}))
	for _, fi := range files {
		p := make([]byte, fi.Size)
		if _, err := r.ReadAt(b.t.Context(), fi, p, 0); err != nil && err != io.EOF {
			b.t.Fatal(err)
		}
		out[fi.Path] = string(p)
	}
	return out
}

// same fails unless two trees are equal.
func (b *bench) same(what string, got, want tree) {
	b.t.Helper()
	var bad []string
	for p, w := range want {
		if g, ok := got[p]; !ok {
			bad = append(bad, p+" is missing")
		} else if g != w {
			bad = append(bad, fmt.Sprintf("%s is %.60q, not %.60q", p, g, w))
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			bad = append(bad, p+" is too much")
		}
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		b.t.Fatalf("%s: %s", what, strings.Join(bad[:min(len(bad), 10)], "; "))
	}
}

// holds fails unless the head and the mount have exactly these files, and the
// state is sound.
func (b *bench) holds(want tree) {
	b.t.Helper()
	b.same("head", b.committed(), want)
	b.same("mount", b.mounted().files(), want)
	b.must(b.stage.Check())
}

// ids lists the commits of the branch, newest first.
func (b *bench) ids() []string {
	b.t.Helper()
	br, err := b.client.Branch(b.t.Context(), b.branch)
	b.must(err)
	if br.Head.Zero() {
		return nil
	}
	var out []string
	b.must(b.client.Log(b.t.Context(), br.Head, func(i pachclient.CommitInfo) error {
		out = append(out, i.Commit.ID)
		return nil
	}))
	return out
}

// lands commits and fails unless exactly one commit comes of it, of everything.
func (b *bench) lands() pachclient.Commit {
	b.t.Helper()
	c := b.landsPart()
	b.clean()
	return c
}

// landsPart is lands where a file that is being written stays staged.
func (b *bench) landsPart() pachclient.Commit {
	b.t.Helper()
	before := len(b.ids())
	c, err := b.o.Commit(b.t.Context(), "")
	b.must(err)
	ids := b.ids()
	if c.Zero() || len(ids) != before+1 || ids[0] != c.ID {
		b.t.Fatalf("commit gave %q; there were %d commits, now there are %v", c.ID, before, ids)
	}
	return c
}

// landsNothing commits and fails if a commit comes of it.
func (b *bench) landsNothing() {
	b.t.Helper()
	before := len(b.ids())
	c, err := b.o.Commit(b.t.Context(), "")
	b.must(err)
	if n := len(b.ids()); !c.Zero() || n != before {
		b.t.Fatalf("commit gave %q, and %d new commits", c.ID, n-before)
	}
	b.clean()
}

// clean fails if anything is staged.
func (b *bench) clean() {
	b.t.Helper()
	if s := b.o.Status(); b.o.Dirty() || s.Staged.Files+s.Staged.Deleted > 0 {
		b.t.Fatalf("still staged: %+v %v", s.Staged, b.o.Diff())
	}
}

// foreign makes a commit by somebody else. A path with a nil content goes.
func (b *bench) foreign(files tree, deletes ...string) pachclient.Commit {
	b.t.Helper()
	c, err := b.tryForeign(files, deletes...)
	b.must(err)
	return c
}

func (b *bench) tryForeign(files tree, deletes ...string) (pachclient.Commit, error) {
	ctx := context.Background()
	set, err := b.client.Upload(ctx, changesOf(files))
	if err == nil {
		err = b.client.Land(ctx, b.branch, set, deletes)
	}
	if err != nil {
		return pachclient.Commit{}, err
	}
	br, err := b.client.Branch(ctx, b.branch)
	if err == nil {
		_, err = b.client.Wait(ctx, br.Head)
	}
	return br.Head, err
}

// changesOf gives files as what an upload takes.
func changesOf(files tree) iter.Seq2[pachclient.Change, error] {
	return func(yield func(pachclient.Change, error) bool) {
		for p, content := range files {
			ch := pachclient.Change{Path: p, Size: int64(len(content))}
			if content != "" {
				ch.Open = func(context.Context) (io.ReadCloser, error) {
					return io.NopCloser(bytes.NewReader([]byte(content))), nil
				}
			}
			if !yield(ch, nil) {
				return
			}
		}
	}
}

// follows waits until the base is that commit.
func (b *bench) follows(c pachclient.Commit) {
	b.t.Helper()
	b.until("the base follows the head", func() bool {
		b.must(b.o.Follow(b.t.Context()))
		return b.o.Base().Commit.ID == c.ID
	})
}

func (b *bench) until(what string, fn func() bool) {
	b.t.Helper()
	for end := time.Now().Add(10 * time.Second); !fn(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("never: %s; %+v", what, b.o.Status())
		}
	}
}

// told gives the paths that Changed was called with, and forgets them.
func (b *bench) told() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.changed
	b.changed = nil
	slices.Sort(out)
	return out
}

// cp copies the state directory as it is on the disk.
func (b *bench) cp() string {
	to := b.t.TempDir()
	src := b.stage.Dir()
	err := filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(src, p)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o600)
	})
	if err != nil {
		b.t.Error(err)
	}
	return to
}
