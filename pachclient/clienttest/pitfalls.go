package clienttest

import (
	"errors"
	"io"
	iofs "io/fs"
	"time"

	"pachfs/pachclient"
)

// What a naive client of Pachyderm gets wrong, as far as it is seen through a
// Client. What needs other calls is tested beside remote and embedded.
func init() {
	add("reading what is not there", func(f *fixture) {
		c := f.commit(nil, file("/a", "1"))
		none := pachclient.Commit{Branch: f.branch, ID: "0123456789ab4def0123456789abcdef"}
		elsewhere := c.Commit
		elsewhere.Branch.Repo += "-none"
		for what, r := range map[string]pachclient.Reader{
			"set": f.c.At(pachclient.FileSet("0123456789abcdef0123456789abcdef").Commit()), "commit": f.c.At(none), "repo": f.c.At(elsewhere),
		} {
			never := func(fi pachclient.FileInfo) error { return errors.New(what + " has " + fi.Path) }
			f.is(r.Walk(f.ctx, "/", never), iofs.ErrNotExist)
			f.is(r.Walk(f.ctx, "/commit not found", never), iofs.ErrNotExist)
			f.is(r.List(f.ctx, "/", never), iofs.ErrNotExist)
			for _, p := range []string{"/", "/a"} {
				_, err := r.Stat(f.ctx, p)
				f.is(err, iofs.ErrNotExist)
			}
		}
		f.must(f.c.At(c.Commit).Walk(f.ctx, "/commit not found", func(fi pachclient.FileInfo) error { return errors.New(fi.Path) }))
	})
	add("a project that is not there", func(f *fixture) { // servers before 2.5 don't even read its name
		c := f.commit(nil, file("/a", "1"))
		b := f.branch
		b.Project = "no-" + word()
		_, err := f.c.Branch(f.ctx, b)
		f.is(err, iofs.ErrNotExist)
		_, err = f.c.Branches(f.ctx, b.In())
		f.is(err, iofs.ErrNotExist)
		_, err = f.c.Head(f.ctx, b)
		f.is(err, iofs.ErrNotExist)
		_, err = f.c.Commit(f.ctx, pachclient.Commit{Branch: b, ID: c.Commit.ID})
		f.is(err, iofs.ErrNotExist)
		f.is(f.c.CreateBranch(f.ctx, b), iofs.ErrNotExist)
		f.is(f.c.Land(f.ctx, b, f.upload(file("/a", "2")), nil), iofs.ErrNotExist)
		f.sameTree(f.head().Commit, map[string]string{"/a": "1"})
	})
	add("an overwrite does not append", func(f *fixture) {
		f.commit(nil, file("/a", "one"))
		f.commit(nil, file("/a", "two"))
		f.sameTree(f.commit(nil, file("/a", "")).Commit, map[string]string{"/a": ""})
		f.sameTree(f.commit(nil, file("/a", "three")).Commit, map[string]string{"/a": "three"})
	})
	add("a directory goes with its slash only", func(f *fixture) {
		all := map[string]string{"/d/a": "1", "/d/e/b": "2", "/d-": "3", "/f": "4"}
		f.commit(nil, file("/d/a", "1"), file("/d/e/b", "2"), file("/d-", "3"), file("/f", "4"))
		f.sameTree(f.commit([]string{"/d"}).Commit, all)
		f.sameTree(f.commit([]string{"/d/"}).Commit, map[string]string{"/d-": "3", "/f": "4"})
	})
	add("file and directory change places", func(f *fixture) {
		f.commit(nil, file("/a", "a file"), file("/d/x", "in a directory"))
		c := f.commit([]string{"/a", "/d/"}, file("/a/x", "in a directory"), file("/d", "a file"))
		if !c.Good() {
			f.Fatalf("%+v", c)
		}
		f.sameTree(c.Commit, map[string]string{"/a/x": "in a directory", "/d": "a file"})
	})
	add("a collision is an errored commit", func(f *fixture) {
		good := f.commit(nil, file("/a", "a file"), file("/b", "1"))
		bad := f.commit(nil, file("/a/x", "collides"), file("/lost", "x"))
		if bad.Good() || bad.Error == "" || bad.Finished.IsZero() || bad.Parent.ID != good.Commit.ID {
			f.Errorf("%+v", bad)
		}
		head, err := f.c.Head(f.ctx, f.branch)
		if f.must(err); head.Commit.ID != good.Commit.ID {
			f.Errorf("the head is %+v, want %s", head, good.Commit.ID)
		}
		next := f.commit(nil, file("/b", "2"))
		if !next.Good() || next.Parent.ID != bad.Commit.ID {
			f.Errorf("%+v", next)
		}
		f.sameTree(next.Commit, map[string]string{"/a": "a file", "/b": "2"})
	})
	add("an errored commit can be dropped", func(f *fixture) {
		good := f.commit(nil, file("/a", "a file"))
		bad := f.commit(nil, file("/a/x", "collides"))
		f.must(f.c.Drop(f.ctx, bad.Commit))
		if got := f.head(); got.Commit.ID != good.Commit.ID {
			f.Errorf("the head is %s, want %s", got.Commit.ID, good.Commit.ID)
		}
		next := f.commit([]string{"/a"}, file("/a/x", "does not collide"))
		f.sameTree(next.Commit, map[string]string{"/a/x": "does not collide"})
	})
	add("a commit is read while it is finishing", func(f *fixture) {
		for _, content := range []string{"one", "two"} {
			f.must(f.c.Land(f.ctx, f.branch, f.upload(file("/a", content)), nil))
			b, err := f.c.Branch(f.ctx, f.branch)
			f.must(err)
			f.sameTree(b.Head, map[string]string{"/a": content})
		}
	})
	add("a set lives on when it is renewed", func(f *fixture) {
		set := f.upload(file("/a", "1"))
		f.must(f.c.Renew(f.ctx, set, time.Second))
		f.must(f.c.Renew(f.ctx, set, 30*time.Minute))
		time.Sleep(1200 * time.Millisecond)
		f.must(f.c.Land(f.ctx, f.branch, set, nil))
		f.sameTree(f.head().Commit, map[string]string{"/a": "1"})
	})
	add("the log begins at any commit", func(f *fixture) {
		var want []string
		for _, content := range []string{"1", "2", "3"} {
			want = append([]string{f.commit(nil, file("/a", content)).Commit.ID}, want...)
		}
		var got []string
		f.must(f.c.Log(f.ctx, pachclient.Commit{Branch: f.branch, ID: want[1]}, func(i pachclient.CommitInfo) error {
			if len(got) == 2 { // what the branch began with
				return io.EOF
			}
			got = append(got, i.Commit.ID)
			return nil
		}))
		if len(got) != 2 || got[0] != want[1] || got[1] != want[2] {
			f.Errorf("log of %s: %q of %q", want[1], got, want)
		}
	})
}
