package cache_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path"
	"reflect"
	"slices"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/cache"
	"pachfs/pachclient/clienttest"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/remote"
)

// A Diff to a later commit takes along what is known of the earlier one: after
// random commits every directory lists as the server lists it, and while the
// server is away.
func TestDiffTakesListingsAlong(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd, ctx := rand.New(rand.NewPCG(seed, 0)), t.Context()
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	direct, err := remote.Dial(ctx, remote.Config{Dialer: s.Dial})
	must(t, err)
	server := clienttest.NewFaulty(direct)
	c, err := cache.New(server, cache.Options{})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	b := pachclient.Branch{Project: pachclient.DefaultProject, Repo: "r", Name: "master"}
	must(t, c.CreateBranch(ctx, b))
	old := commit(t, direct, b, randomChanges(rnd, 40), nil)
	for range 30 {
		listings(t, c.At(old))
		var deletes []string
		for _, p := range slices.Sorted(maps.Keys(listings(t, direct.At(old)))) {
			if p != "/" && rnd.IntN(6) == 0 {
				deletes = append(deletes, p+"/")
			}
		}
		now := commit(t, direct, b, randomChanges(rnd, rnd.IntN(6)), deletes)
		want := listings(t, direct.At(now))
		differs := false
		must(t, c.At(now).Diff(ctx, old, func(pachclient.Diff) error { differs = true; return nil }))
		if !differs {
			continue
		}
		for _, op := range []string{"Stat", "List"} {
			server.Fail(op, clienttest.Before, -1, pachclient.ErrUnavailable)
		}
		if got := listings(t, c.At(now)); !reflect.DeepEqual(got, want) {
			t.Fatalf("from %s to %s:\ngot  %v\nwant %v", old.ID, now.ID, got, want)
		}
		server.Heal()
		old = now
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// randomChanges writes files of a small tree, where no name is a file and a directory.
func randomChanges(rnd *rand.Rand, n int) map[string]string {
	out := map[string]string{}
	for range n {
		p := "/"
		for range rnd.IntN(3) {
			p = path.Join(p, fmt.Sprintf("d%d", rnd.IntN(3)))
		}
		out[path.Join(p, fmt.Sprintf("f%d", rnd.IntN(6)))] = fmt.Sprint(rnd.IntN(4))
	}
	return out
}

func commit(t *testing.T, c pachclient.Client, b pachclient.Branch, files map[string]string, deletes []string) pachclient.Commit {
	t.Helper()
	set, err := c.Upload(t.Context(), func(yield func(pachclient.Change, error) bool) {
		for p, content := range files {
			open := func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader([]byte(content))), nil
			}
			if !yield(pachclient.Change{Path: p, Size: int64(len(content)), Open: open}, nil) {
				return
			}
		}
	})
	must(t, err)
	must(t, c.Land(t.Context(), b, set, deletes))
	info, err := c.Branch(t.Context(), b)
	must(t, err)
	_, err = c.Wait(t.Context(), info.Head)
	must(t, err)
	return info.Head
}

// listings gives every directory of a commit with its entries.
func listings(t *testing.T, r pachclient.Reader) map[string][]pachclient.FileInfo {
	t.Helper()
	out := map[string][]pachclient.FileInfo{}
	for todo := []string{"/"}; len(todo) > 0; todo = todo[1:] {
		out[todo[0]] = nil
		must(t, r.List(t.Context(), todo[0], func(f pachclient.FileInfo) error {
			out[todo[0]] = append(out[todo[0]], f)
			if f.Dir {
				todo = append(todo, f.Path)
			}
			return nil
		}))
		if _, err := r.Stat(t.Context(), todo[0]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}
