package names_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"pachfs/pachclient"
	"pachfs/pachclient/clienttest"
	"pachfs/pachclient/names"
)

// A rig is a branch that is seen through names, and as it is stored.
type rig struct {
	*testing.T
	shown  *names.Client
	stored pachclient.Client
	branch pachclient.Branch
}

func newRig(t *testing.T) *rig {
	n, r := open(t)
	k := &rig{t, n, r, pachclient.Branch{Project: "default", Repo: "r", Name: "master"}}
	k.must(r.CreateBranch(t.Context(), k.branch))
	return k
}

func (k *rig) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func file(path string) pachclient.Change {
	return pachclient.Change{Path: path, Size: int64(len(path)), Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(path)), nil
	}}
}

// commit lands changes through a client, and gives the commit.
func (k *rig) commit(c pachclient.Client, deletes []string, cs ...pachclient.Change) pachclient.Commit {
	k.Helper()
	set, err := c.Upload(k.Context(), func(yield func(pachclient.Change, error) bool) {
		for _, ch := range cs {
			if !yield(ch, nil) {
				return
			}
		}
	})
	k.must(err)
	k.must(c.Land(k.Context(), k.branch, set, deletes))
	b, err := c.Branch(k.Context(), k.branch)
	k.must(err)
	info, err := c.Wait(k.Context(), b.Head)
	if k.must(err); !info.Good() {
		k.Fatalf("%+v", info)
	}
	return info.Commit
}

// walk lists the files of a commit, in the order that they come in.
func (k *rig) walk(c pachclient.Client, at pachclient.Commit) (out []string) {
	k.Helper()
	k.must(c.At(at).Walk(k.Context(), "/", func(fi pachclient.FileInfo) error {
		if !fi.Dir {
			out = append(out, fi.Path)
		}
		return nil
	}))
	return out
}

func (k *rig) list(c pachclient.Client, at pachclient.Commit, dir string) (out []string) {
	k.Helper()
	k.must(c.At(at).List(k.Context(), dir, func(fi pachclient.FileInfo) error { out = append(out, fi.Path); return nil }))
	return out
}

func (k *rig) same(what string, got, want []string) {
	k.Helper()
	if !slices.Equal(got, want) {
		k.Errorf("%s:\n%q, want\n%q", what, got, want)
	}
}

func (k *rig) read(c pachclient.Client, at pachclient.Commit, path string) string {
	k.Helper()
	r := c.At(at)
	fi, err := r.Stat(k.Context(), path)
	k.must(err)
	s, err := r.Open(k.Context(), fi, 0)
	k.must(err)
	defer s.Close()
	streamed, err := io.ReadAll(s)
	k.must(err)
	p := make([]byte, fi.Size)
	if _, err := r.ReadAt(k.Context(), fi, p, 0); err != nil && err != io.EOF {
		k.Fatal(err)
	}
	if !bytes.Equal(p, streamed) {
		k.Errorf("%s: %q at once, %q streamed", path, p, streamed)
	}
	return string(p)
}

// Every name of the table, in both directions: what is written is stored
// encoded; what somebody else stored is shown, and changes places with nothing.
func TestEveryNameBothWays(t *testing.T) {
	k := newRig(t)
	var written, put []pachclient.Change
	encoded, shown := map[string]string{}, map[string]string{}
	for _, c := range table {
		if c.shown == "" || strings.Contains(c.shown, "/") {
			continue
		}
		written = append(written, file("/w/"+c.shown))
		encoded["/w/"+c.stored] = "/w/" + c.shown
		put = append(put, file("/p/"+c.stored))
		shown["/p/"+c.shown] = "/p/" + c.stored
	}
	one := k.commit(k.shown, nil, written...)
	k.same("stored", k.walk(k.stored, one), slices.Sorted(maps.Keys(encoded)))
	for p, content := range encoded {
		if got := k.read(k.stored, one, p); got != content {
			t.Errorf("%s holds %q, want %q", p, got, content)
		}
	}
	two := k.commit(k.stored, nil, put...)
	k.same("shown", k.list(k.shown, two, "/p"), slices.Sorted(maps.Keys(shown)))
	for p, content := range shown {
		if got := k.read(k.shown, two, p); got != content {
			t.Errorf("%s holds %q, want %q", p, got, content)
		}
	}
	var diff []string
	k.must(k.shown.At(two).Diff(t.Context(), one, func(d pachclient.Diff) error { diff = append(diff, d.Path()); return nil }))
	k.same("diff", diff, append([]string{"/", "/p"}, slices.Sorted(maps.Keys(shown))...))
}

// Decoded, "%21" stands before a quotation mark and "%7F" behind everything;
// a directory counts with its slash.
func TestOrderIsThatOfWhatIsShown(t *testing.T) {
	k := newRig(t)
	at := k.commit(k.shown, nil, file("/!"), file("/\""), file("/%"), file("/&"), file("/d\x7f"), file("/d/x"), file("/d!"), file("/d-"), file("/ö"), file("/~"), file("/\x01"))
	want := []string{"/\x01", "/!", "/\"", "/%", "/&", "/d!", "/d-", "/d/x", "/d\x7f", "/~", "/ö"}
	k.same("walk", k.walk(k.shown, at), want)
	want[7] = "/d"
	k.same("list", k.list(k.shown, at, "/"), want)
}

func TestDeletesAndCopies(t *testing.T) {
	k := newRig(t)
	one := k.commit(k.shown, nil, file("/d (1)/x"), file("/d (1)/ö/y"), file("/a(b"), file("/a%28b"), file("/keep"))
	from := func(p string) *pachclient.Source { return &pachclient.Source{Commit: one, Path: p} }
	two := k.commit(k.shown, []string{"/d (1)/", "/a(b", "/never (there)"},
		pachclient.Change{Path: "/moved [2]", From: from("/d (1)")}, pachclient.Change{Path: "/c(d", From: from("/a(b")},
		pachclient.Change{Path: "/none", From: from("/never (there)")})
	k.same("shown", k.walk(k.shown, two), []string{"/a%28b", "/c(d", "/keep", "/moved [2]/x", "/moved [2]/ö/y"})
	if got := k.read(k.shown, two, "/c(d"); got != "/a(b" {
		t.Errorf("/c(d holds %q", got)
	}
	k.same("stored", k.walk(k.stored, two), []string{"/a%2528b", "/c%28d", "/keep", "/moved %5B2%5D/%C3%B6/y", "/moved %5B2%5D/x"})
}

// Pachyderm does not check the target of a copy, so a stored name may be one
// that it refuses everywhere else.
func TestRawNames(t *testing.T) {
	k := newRig(t)
	one := k.commit(k.stored, nil, file("/f"), file("/d/x"), file("/twin%28"))
	from := func(p string) *pachclient.Source { return &pachclient.Source{Commit: one, Path: p} }
	two := k.commit(k.stored, nil, pachclient.Change{Path: "/raw(1)", From: from("/f")}, pachclient.Change{Path: "/ö*", From: from("/d")},
		pachclient.Change{Path: "/twin(", From: from("/f")})
	k.same("walk", k.walk(k.shown, two), []string{"/d/x", "/f", "/raw(1)", "/twin(", "/ö*/x"})
	k.same("list", k.list(k.shown, two, "/ö*"), []string{"/ö*/x"})
	for p, want := range map[string]string{"/raw(1)": "/f", "/ö*/x": "/d/x", "/twin(": "/twin%28"} {
		if got := k.read(k.shown, two, p); got != want {
			t.Errorf("%s holds %q, want %q", p, got, want)
		}
	}
	for _, none := range []string{"/raw(2)", "/ö*/y", "/ö*/(", "/\xff(", "/d/x/("} {
		if fi, err := k.shown.At(two).Stat(t.Context(), none); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%q: %+v, %v", none, fi, err)
		}
	}
	three := k.commit(k.shown, nil, pachclient.Change{Path: "/copy", From: &pachclient.Source{Commit: two, Path: "/raw(1)"}})
	if got := k.read(k.shown, three, "/copy"); got != "/f" {
		t.Errorf("the copy holds %q", got)
	}
	set, err := k.shown.Upload(t.Context(), func(func(pachclient.Change, error) bool) {})
	k.must(err)
	if err := k.shown.Land(t.Context(), k.branch, set, []string{"/raw(1)"}); !errors.Is(err, pachclient.ErrBadName) {
		t.Errorf("deleting a raw name: %v, want %v", err, pachclient.ErrBadName)
	}
}

// A read that fails is tried under the raw name only where nothing is under the
// encoded one: a server that is away has not said so.
func TestRawNameAfterAFault(t *testing.T) {
	k := newRig(t)
	at := k.commit(k.shown, nil, file("/a(1)"))
	faulty := clienttest.NewFaulty(k.stored)
	r := names.New(faulty).At(at)
	fi, err := r.Stat(t.Context(), "/a(1)")
	k.must(err)
	asked := faulty.Calls("Stat")
	faulty.Fail("ReadAt", clienttest.Before, 1, pachclient.ErrUnavailable)
	if _, err := r.ReadAt(t.Context(), fi, make([]byte, 1), 0); !errors.Is(err, pachclient.ErrUnavailable) || faulty.Calls("Stat") != asked || faulty.Calls("ReadAt") != 1 {
		t.Errorf("%v, after %d lookups and %d reads", err, faulty.Calls("Stat")-asked, faulty.Calls("ReadAt"))
	}
	fi.Path = "/b(1)"
	faulty.Fail("Stat", clienttest.Before, 1, pachclient.ErrUnavailable)
	if _, err := r.ReadAt(t.Context(), fi, make([]byte, 1), 0); !errors.Is(err, pachclient.ErrUnavailable) {
		t.Errorf("the lookup of the raw name failed, and the read says %v", err)
	}
}

// What landed is handed to the cache below.
func TestAddReachesTheCache(t *testing.T) {
	k := newRig(t)
	at := k.commit(k.stored, nil, file("/f"))
	fi, err := k.shown.At(at).Stat(t.Context(), "/f")
	k.must(err)
	k.must(k.shown.Add(fi.Hash, fi.Size, bytes.NewReader([]byte("XX"))))
	if got := k.read(k.shown, at, "/f"); got != "XX" {
		t.Errorf("read %q, want what the cache was told", got)
	}
	k.must(names.New(k.stored).Add(fi.Hash, fi.Size, bytes.NewReader(nil)))
}
