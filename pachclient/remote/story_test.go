package remote_test

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"iter"
	"slices"
	"strings"
	"testing"

	"pachfs/pachclient"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/remote"
)

// open gives a client of an embedded server of its own.
func open(t *testing.T) *remote.Client {
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
	return c
}

func add(path, content string) pachclient.Change {
	return pachclient.Change{Path: path, Size: int64(len(content)), Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), nil
	}}
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

// From an empty server to a second commit.
func TestStory(t *testing.T) {
	c, ctx := open(t), t.Context()
	b := pachclient.Branch{Project: "default", Repo: "images", Name: "master"}
	if _, err := c.Head(ctx, b); !errors.Is(err, iofs.ErrNotExist) {
		t.Fatalf("head of nothing: %v", err)
	}
	if err := c.CreateBranch(ctx, b); err != nil {
		t.Fatal(err)
	}
	set, err := c.Upload(ctx, seq(add("/a.txt", "one"), add("/d/b", "two"), pachclient.Change{Path: "/empty"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Land(ctx, b, set, nil); err != nil {
		t.Fatal(err)
	}
	bi, err := c.Branch(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.Wait(ctx, bi.Head)
	if err != nil || !first.Good() {
		t.Fatal(first, err)
	}
	var got []string
	if err := c.At(first.Commit).Walk(ctx, "/", func(f pachclient.FileInfo) error { got = append(got, f.Path); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"/a.txt", "/d", "/d/b", "/empty"}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	fi, err := c.At(first.Commit).Stat(ctx, "/d/b")
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 3)
	if n, err := c.At(first.Commit).ReadAt(ctx, fi, p, 0); n != 3 || err != nil || string(p) != "two" {
		t.Fatal(n, err, string(p))
	}
	set, err = c.Upload(ctx, seq(add("/a.txt", "uno"), pachclient.Change{Path: "/e", From: &pachclient.Source{Commit: first.Commit, Path: "/d"}}))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Land(ctx, b, set, []string{"/d/"}); err != nil {
		t.Fatal(err)
	}
	bi, _ = c.Branch(ctx, b)
	second, err := c.Wait(ctx, bi.Head)
	if err != nil || second.Parent.ID != first.Commit.ID {
		t.Fatal(second, err)
	}
	got = nil
	err = c.At(second.Commit).Diff(ctx, first.Commit, func(d pachclient.Diff) error {
		if !d.Dir() {
			got = append(got, d.Path())
		}
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"/a.txt", "/d/b", "/e/b"}) {
		t.Fatal(got, err)
	}
	if err := c.Annotate(ctx, second.Commit, map[string]string{"pachfs.message": "hello"}); err != nil {
		t.Fatal(err)
	}
	info, err := c.Commit(ctx, pachclient.Commit{Branch: b})
	if err != nil || info.Metadata["pachfs.message"] != "hello" {
		t.Fatal(info, err)
	}
	up, err := c.Commit(ctx, pachclient.Commit{Branch: b, ID: "^"})
	if err != nil || up.Commit.ID != first.Commit.ID {
		t.Fatal(up, err)
	}
}
