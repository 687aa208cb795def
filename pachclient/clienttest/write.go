package clienttest

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"strings"
	"sync"
	"time"

	"pachfs/pachclient"
)

func init() {
	add("land", func(f *fixture) {
		before := f.head()
		c := f.commit(nil, file("/a", "1"), file("/d/b", "2"), file("/e", ""))
		if !c.Good() || c.Parent.ID != before.Commit.ID {
			f.Errorf("%+v on %s", c, before.Commit.ID)
		}
		f.sameTree(c.Commit, map[string]string{"/a": "1", "/d/b": "2", "/e": ""})
	})
	add("land replaces, deletes first", func(f *fixture) {
		f.commit(nil, file("/a", "1"), file("/d/b", "2"), file("/d/c", "3"), file("/x/y", "4"))
		c := f.commit([]string{"/d/", "/x/y", "/not/there"}, file("/a", "new"), file("/d/b", "again"), file("/x", "a file now"))
		f.sameTree(c.Commit, map[string]string{"/a": "new", "/d/b": "again", "/x": "a file now"})
	})
	add("land only deletes", func(f *fixture) {
		f.commit(nil, file("/a", "1"), file("/b", "2"))
		f.sameTree(f.commit([]string{"/a"}).Commit, map[string]string{"/b": "2"})
	})
	add("the same set twice", func(f *fixture) {
		set := f.upload(file("/a", "once"))
		f.must(f.c.Land(f.ctx, f.branch, set, nil))
		f.must(f.c.Land(f.ctx, f.branch, set, nil))
		f.sameTree(f.head().Commit, map[string]string{"/a": "once"})
	})
	add("a set is read before it lands", func(f *fixture) {
		set := f.upload(file("/d/a", "1"), file("/b", "22"))
		f.sameTree(set.Commit(), map[string]string{"/d/a": "1", "/b": "22"})
		fi, err := f.c.At(set.Commit()).Stat(f.ctx, "/b")
		f.must(err)
		c := f.commit(nil, file("/elsewhere", "22"))
		other, err := f.c.At(c.Commit).Stat(f.ctx, "/elsewhere")
		if f.must(err); fi.Hash != other.Hash {
			f.Error("the hash in a set is not the hash in a commit")
		}
		f.must(f.c.Renew(f.ctx, set, time.Minute))
		f.is(f.c.Renew(f.ctx, "0123456789abcdef0123456789abcdef", time.Minute), iofs.ErrNotExist)
	})
	add("copies", func(f *fixture) {
		one := f.commit(nil, file("/a", "A"), file("/b", "B"), file("/d/x", "X"), file("/d/e/y", "Y"))
		from := func(p string) *pachclient.Source { return &pachclient.Source{Commit: one.Commit, Path: p} }
		c := f.commit([]string{"/d/"},
			pachclient.Change{Path: "/a", From: from("/b")}, pachclient.Change{Path: "/b", From: from("/a")},
			pachclient.Change{Path: "/moved", From: from("/d")})
		f.sameTree(c.Commit, map[string]string{"/a": "B", "/b": "A", "/moved/x": "X", "/moved/e/y": "Y"})
	})
	add("a copy with an appended tail", func(f *fixture) {
		one := f.commit(nil, file("/a", "head"))
		ch := file("/a", "tail")
		ch.From = &pachclient.Source{Commit: one.Commit, Path: "/a"}
		other := file("/b", "+")
		other.From = ch.From
		f.sameTree(f.commit(nil, ch, other, file("/c", "plain")).Commit, map[string]string{"/a": "headtail", "/b": "head+", "/c": "plain"})
	})
	add("large and many", func(f *fixture) {
		want := map[string]string{"/large": strings.Repeat("x", 7<<20)}
		for i := range 300 {
			want["/many/"+string(rune('a'+i%26))+word()] = strings.Repeat("y", i)
		}
		var cs []pachclient.Change
		for p, content := range want {
			cs = append(cs, file(p, content))
		}
		f.sameTree(f.commit(nil, cs...).Commit, want)
	})
	add("a failed upload does nothing", func(f *fixture) {
		mine := errors.New("mine")
		_, err := f.c.Upload(f.ctx, func(yield func(pachclient.Change, error) bool) {
			if yield(file("/a", "x"), nil) {
				yield(pachclient.Change{}, mine)
			}
		})
		f.is(err, mine)
		bad := file("/b", "xx")
		bad.Open = func(context.Context) (io.ReadCloser, error) { return nil, mine }
		_, err = f.c.Upload(f.ctx, seq(bad))
		f.is(err, mine)
		_, err = f.c.Upload(f.ctx, seq(file("/bad/../name", "x")))
		f.is(err, pachclient.ErrBadName)
	})
	add("a name is refused, or kept as it is", func(f *fixture) {
		for _, p := range []string{"/bad*name", "/photo (1).jpg", "/k\xc3\xb6ln.png", "/lat\xefn", "/tab\there", "/d [x]/e"} {
			set, err := f.c.Upload(f.ctx, seq(file(p, p)))
			if err != nil {
				f.is(err, pachclient.ErrBadName)
				continue
			}
			f.must(f.c.Land(f.ctx, f.branch, set, nil))
			fi, err := f.c.At(f.head().Commit).Stat(f.ctx, p)
			if f.must(err); fi.Path != p || f.read(f.c.At(f.head().Commit), fi) != p {
				f.Errorf("%q came back as %+v", p, fi)
			}
		}
	})
	add("landings queue up", func(f *fixture) {
		before := f.head()
		sets := []pachclient.FileSet{f.upload(file("/a", "1")), f.upload(file("/b", "2")), f.upload(file("/c", "3"))}
		var wg sync.WaitGroup
		for _, s := range sets {
			wg.Go(func() {
				if err := f.c.Land(f.ctx, f.branch, s, nil); err != nil {
					f.Error(err)
				}
			})
		}
		wg.Wait()
		f.sameTree(f.head().Commit, map[string]string{"/a": "1", "/b": "2", "/c": "3"})
		made := 0
		f.must(f.c.Log(f.ctx, f.head().Commit, func(i pachclient.CommitInfo) error {
			if i.Commit.ID == before.Commit.ID {
				return io.EOF
			}
			made++
			return nil
		}))
		if made != len(sets) {
			f.Errorf("%d commits of %d landings", made, len(sets))
		}
	})
	add("land on what is not there", func(f *fixture) {
		set := f.upload(file("/a", "1"))
		b := f.branch
		b.Repo += "-none"
		f.is(f.c.Land(f.ctx, b, set, nil), iofs.ErrNotExist)
		b = f.branch
		b.Name = "fresh"
		f.must(f.c.Land(f.ctx, b, set, nil))
		info, err := f.c.Branch(f.ctx, b)
		f.must(err)
		_, err = f.c.Wait(f.ctx, info.Head)
		f.must(err)
		f.sameTree(info.Head, map[string]string{"/a": "1"})
		f.is(f.c.Land(f.ctx, f.branch, "0123456789abcdef0123456789abcdef", nil), iofs.ErrNotExist)
	})
	add("annotate", func(f *fixture) {
		c := f.commit(nil, file("/a", "1"))
		err := f.c.Annotate(f.ctx, c.Commit, map[string]string{"pachfs.message": "why", "pachfs.host": "here"})
		if errors.Is(err, pachclient.ErrUnsupported) {
			f.Logf("this server keeps no metadata: %v", err)
			return
		}
		f.must(err)
		info, err := f.c.Commit(f.ctx, c.Commit)
		if f.must(err); info.Metadata["pachfs.message"] != "why" || info.Metadata["pachfs.host"] != "here" {
			f.Errorf("metadata %v", info.Metadata)
		}
	})
	add("drop", func(f *fixture) {
		one := f.commit(nil, file("/a", "1"))
		two := f.commit(nil, file("/a", "2"))
		f.must(f.c.Drop(f.ctx, two.Commit))
		if got := f.head(); got.Commit.ID != one.Commit.ID {
			f.Errorf("the head is %s, want %s", got.Commit.ID, one.Commit.ID)
		}
		_, err := f.c.Commit(f.ctx, two.Commit)
		f.is(err, iofs.ErrNotExist)
	})
}
