package clienttest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"pachfs/pachclient"
)

// Run checks that the clients which open gives keep the contracts of
// pachclient. Each test gets a client of its own and works in a repo of its
// own, so that the suite can run against a server that others use. open ends
// the client by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) pachclient.Client) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			f := &fixture{T: t, ctx: ctx, c: open(t), branch: pachclient.Branch{
				Project: pachclient.DefaultProject, Repo: "contract-" + word(), Name: "master"}}
			f.must(f.c.CreateBranch(ctx, f.branch))
			c.test(f)
		})
	}
}

// The suite, in the order of the contracts. Each file of this package adds its part.
var cases []struct {
	name string
	test func(*fixture)
}

func add(name string, test func(*fixture)) {
	cases = append(cases, struct {
		name string
		test func(*fixture)
	}{name, test})
}

// A fixture is what a test works with: a client, and a branch without files.
type fixture struct {
	*testing.T
	ctx    context.Context
	c      pachclient.Client
	branch pachclient.Branch
}

func word() string {
	b := make([]byte, 6)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// is fails unless err is what is wanted.
func (f *fixture) is(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Errorf("error is %v, want %v", err, want)
	}
}

// file is a change that writes content.
func file(path, content string) pachclient.Change {
	ch := pachclient.Change{Path: path, Size: int64(len(content))}
	if content != "" {
		ch.Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
	}
	return ch
}

func seq(cs ...pachclient.Change) iter.Seq2[pachclient.Change, error] {
	return func(yield func(pachclient.Change, error) bool) {
		for _, c := range cs {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func (f *fixture) upload(cs ...pachclient.Change) pachclient.FileSet {
	f.Helper()
	set, err := f.c.Upload(f.ctx, seq(cs...))
	f.must(err)
	return set
}

// head waits until the branch's head is finished.
func (f *fixture) head() pachclient.CommitInfo {
	f.Helper()
	b, err := f.c.Branch(f.ctx, f.branch)
	f.must(err)
	info, err := f.c.Wait(f.ctx, b.Head)
	f.must(err)
	return info
}

// commit lands changes and gives the commit they became.
func (f *fixture) commit(deletes []string, cs ...pachclient.Change) pachclient.CommitInfo {
	f.Helper()
	f.must(f.c.Land(f.ctx, f.branch, f.upload(cs...), deletes))
	return f.head()
}

// tree reads a whole commit.
func (f *fixture) tree(c pachclient.Commit) map[string]string {
	f.Helper()
	out := map[string]string{}
	r := f.c.At(c)
	f.must(r.Walk(f.ctx, "/", func(fi pachclient.FileInfo) error {
		if !fi.Dir {
			out[fi.Path] = f.read(r, fi)
		}
		return nil
	}))
	return out
}

func (f *fixture) read(r pachclient.Reader, fi pachclient.FileInfo) string {
	f.Helper()
	s, err := r.Open(f.ctx, fi, 0)
	f.must(err)
	defer s.Close()
	b, err := io.ReadAll(s)
	f.must(err)
	return string(b)
}

func (f *fixture) sameTree(c pachclient.Commit, want map[string]string) {
	f.Helper()
	got := f.tree(c)
	for p, content := range want {
		if g, ok := got[p]; !ok {
			f.Errorf("%s is missing", p)
		} else if g != content {
			f.Errorf("%s has %d bytes, want %d", p, len(g), len(content))
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			f.Errorf("%s should not be there", p)
		}
	}
}

func (f *fixture) list(r pachclient.Reader, dir string) []string {
	f.Helper()
	var out []string
	f.must(r.List(f.ctx, dir, func(fi pachclient.FileInfo) error {
		out = append(out, fi.Path)
		return nil
	}))
	return out
}
