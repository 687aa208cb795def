package test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pachfs/test/harness"
)

var modelSteps = flag.Int("steps", 1500, "of TestModel, at least; -short does 100")

// A model is a mount beside a plain directory: what is done to one is done to
// the other, and both must answer and look alike.
type model struct {
	t       *testing.T
	rt      *rapid.T
	s       *harness.Server
	m       *harness.Mount
	ref     string
	dir     string // the plain one
	handles []*modelHandle
	// By inode in the plain directory: files that a commit does not take as they
	// are, and what it takes. A nil string: it waits.
	half   map[uint64]*string
	landed map[string]string // the head's tree
	head   string
	others int
	steps  int
	tried  map[string]int
}

// A modelHandle is one file, open in both directories.
type modelHandle struct {
	ours, plain *os.File
	write       bool
}

// Random operations on a mount, beside a temporary directory: the same results
// and the same trees, and each commit holds what it must, once (promises 2 to 4,
// 6 to 8 and 11). One server and one mount serve all tries, each with its own repo.
func TestModel(t *testing.T) {
	r, steps := random(t), *modelSteps
	if testing.Short() {
		steps = min(steps, 100)
	}
	set := func(name, value string) { ok(t, flag.Set("rapid."+name, value)) }
	set("steps", "80")
	set("checks", "4")
	set("nofailfile", "true")
	s := harness.Serve(t)
	mount := harness.MountSpec(t, harness.Spec{URL: s.URL, Deadline: 10 * time.Minute})
	total, tries, tried := 0, 0, map[string]int{}
	for total < steps {
		set("seed", strconv.FormatUint(r.Uint64()|1, 10))
		rapid.Check(t, func(rt *rapid.T) {
			tries++
			m := newModel(t, rt, s, mount, tries)
			m.tried = tried
			defer func() { total, mount = total+m.steps, m.m; m.closeAll() }()
			rt.Repeat(map[string]func(*rapid.T){"": func(*rapid.T) { m.compare() }, "step": func(*rapid.T) { m.step() }})
			m.closeAll()
			m.settle(true)
			m.commit()
			m.compare()
		})
	}
	t.Logf("%d steps in %d repos; %v", total, tries, tried)
	for _, what := range []string{"commit", "half-written in a commit", "foreign", "conflict ours", "conflict theirs", "kill", "remount"} {
		if tried[what] == 0 && total >= 1000 {
			t.Errorf("never tried: %s", what)
		}
	}
}

func newModel(t *testing.T, rt *rapid.T, s *harness.Server, mount *harness.Mount, n int) *model {
	dir, err := os.MkdirTemp(t.TempDir(), "plain")
	ok(t, err)
	repo := s.Ref(fmt.Sprintf("model%04d", n))
	m := &model{t: t, rt: rt, s: s, m: mount, ref: s.Ref(fmt.Sprintf("model%04d@master", n)), dir: dir, half: map[uint64]*string{}}
	s.Peer.Create(t, repo)
	m.landed = map[string]string{"/a/x0": "0", "/a/x1": strings.Repeat("1", 5000), "/b/c/y0": "deep", "/x0": "root"}
	m.head = s.Peer.PutWait(t, m.ref, m.landed)
	for p, content := range m.landed {
		ok(t, os.MkdirAll(filepath.Dir(dir+p), 0o777))
		write(t, dir+p, content)
	}
	harness.Eventually(t, 10*time.Second, "the new repo shows", func() bool {
		_, err := os.Stat(mount.Path(m.ref, "x0"))
		return err == nil
	})
	return m
}

func (m *model) did(format string, args ...any) {
	m.steps++
	m.rt.Logf(format, args...)
}

// both does a thing to both directories, and wants the same result.
func (m *model) both(do func(dir string) (string, error)) (err error) {
	m.rt.Helper()
	got, err := do(m.m.Path(m.ref))
	want, wantErr := do(m.dir)
	if got != want || errnoOf(err) != errnoOf(wantErr) {
		m.rt.Fatalf("the mount gives %q, %v; the plain directory %q, %v", brief(got), err, brief(want), wantErr)
	}
	return wantErr
}

func errnoOf(err error) (n syscall.Errno) {
	if err != nil && !errors.As(err, &n) {
		return syscall.ENOSYS // no number at all
	}
	return n
}

// whole reads a directory with all its directories and files.
func (m *model) whole(dir string) map[string]string {
	m.rt.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		rel := strings.TrimPrefix(p, dir)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			out[rel+"/"] = ""
			return nil
		}
		b, err := os.ReadFile(p)
		out[rel] = string(b)
		return err
	})
	if err != nil {
		m.rt.Fatal(err)
	}
	return out
}

// compare holds the mount and every open handle against the plain ones.
func (m *model) compare() {
	m.rt.Helper()
	m.same("mount", m.whole(m.m.Path(m.ref)), m.whole(m.dir))
	for i, h := range m.handles {
		if got, want := m.slurp(h.ours), m.slurp(h.plain); got != want {
			m.rt.Fatalf("handle %d reads %q, want %q", i, brief(got), brief(want))
		}
	}
}

func (m *model) slurp(f *os.File) string {
	m.rt.Helper()
	st, err := f.Stat()
	if err == nil {
		b := make([]byte, st.Size()+1)
		n := 0
		if n, err = f.ReadAt(b, 0); int64(n) == st.Size() {
			return string(b[:n])
		}
	}
	m.rt.Fatalf("read of an open file: %v", err)
	return ""
}

func (m *model) same(what string, got, want map[string]string) {
	m.rt.Helper()
	for _, p := range slices.Sorted(maps.Keys(want)) {
		if g, ok := got[p]; !ok || g != want[p] {
			m.rt.Fatalf("%s: %s is %q (%v), want %q", what, p, brief(g), ok, brief(want[p]))
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			m.rt.Fatalf("%s: %s is too much", what, p)
		}
	}
}

func drawn[V any](m *model, label string, from []V) V {
	return rapid.SampledFrom(from).Draw(m.rt, label)
}

func (m *model) number(label string, below int) int {
	return rapid.IntRange(0, below-1).Draw(m.rt, label)
}

// anyPath is a path that is there, or one that mostly isn't.
func (m *model) anyPath() string {
	all := slices.Sorted(maps.Keys(m.whole(m.dir)))
	p := strings.TrimSuffix(drawn(m, "path", all), "/")
	if m.number("new", 2) == 1 || p == "" {
		if dir := m.dir + p; p != "" && !isDir(dir) {
			p = path.Dir(p)
		}
		if strings.Count(p, "/") > 3 {
			p = "/"
		}
		return path.Join("/", p, drawn(m, "name", []string{"a", "b", "c", "x0", "x1", "y0", "y1"}))
	}
	return p
}

func (m *model) anyFile() string {
	files := slices.DeleteFunc(slices.Sorted(maps.Keys(m.whole(m.dir))), func(p string) bool { return strings.HasSuffix(p, "/") })
	if len(files) == 0 {
		return ""
	}
	return drawn(m, "file", files)
}

func isDir(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.IsDir()
}
