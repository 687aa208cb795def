package clienttest

import (
	"io"
	iofs "io/fs"
	"slices"

	"pachfs/pachclient"
)

func init() {
	add("cluster", func(f *fixture) {
		one, err := f.c.Cluster(f.ctx)
		f.must(err)
		two, err := f.c.Cluster(f.ctx)
		if f.must(err); one != two || one.Deployment == "" || one.Version == "" {
			f.Errorf("%+v, then %+v", one, two)
		}
	})
	add("projects and repos", func(f *fixture) {
		projects, err := f.c.Projects(f.ctx)
		if f.must(err); !slices.Contains(projects, pachclient.DefaultProject) || !slices.IsSorted(projects) {
			f.Errorf("projects %q", projects)
		}
		other := f.branch
		other.Name = "also"
		f.must(f.c.CreateBranch(f.ctx, other))
		repos, err := f.c.Repos(f.ctx, "")
		f.must(err)
		i := slices.IndexFunc(repos, func(r pachclient.RepoInfo) bool { return r.Repo == f.branch.In() })
		if i < 0 || !slices.Equal(repos[i].Branches, []string{"also", "master"}) {
			f.Errorf("repos %+v", repos)
		}
		branches, err := f.c.Branches(f.ctx, f.branch.In())
		if f.must(err); len(branches) != 2 || branches[0].Branch != other || branches[1].Branch != f.branch || branches[0].Output {
			f.Errorf("branches %+v", branches)
		}
		_, err = f.c.Branches(f.ctx, pachclient.Repo{Project: "default", Name: "no-" + word()})
		f.is(err, iofs.ErrNotExist)
	})
	add("create is gentle", func(f *fixture) {
		c := f.commit(nil, file("/a", "1"))
		f.must(f.c.CreateBranch(f.ctx, f.branch))
		if got := f.head(); got.Commit.ID != c.Commit.ID {
			f.Errorf("creating an existing branch moved its head")
		}
	})
	add("branch and head", func(f *fixture) {
		c := f.commit(nil, file("/a", "1"))
		b, err := f.c.Branch(f.ctx, f.branch)
		if f.must(err); !b.Head.Same(c.Commit) || b.Branch != f.branch {
			f.Errorf("%+v", b)
		}
		h, err := f.c.Head(f.ctx, f.branch)
		if f.must(err); h.Commit.ID != c.Commit.ID || !h.Good() {
			f.Errorf("head %+v", h)
		}
		none := f.branch
		none.Name = "nope"
		_, err = f.c.Head(f.ctx, none)
		f.is(err, iofs.ErrNotExist)
		_, err = f.c.Branch(f.ctx, none)
		f.is(err, iofs.ErrNotExist)
		none.Repo += "-none"
		_, err = f.c.Head(f.ctx, none)
		f.is(err, iofs.ErrNotExist)
	})
	add("commits and ancestors", func(f *fixture) {
		one := f.commit(nil, file("/a", "1"))
		two := f.commit(nil, file("/a", "2"))
		three := f.commit(nil, file("/a", "3"))
		for id, want := range map[string]string{"": three.Commit.ID, "^": two.Commit.ID, "^2": one.Commit.ID, "^0": three.Commit.ID, two.Commit.ID: two.Commit.ID, two.Commit.ID + "^": one.Commit.ID} {
			info, err := f.c.Commit(f.ctx, pachclient.Commit{Branch: f.branch, ID: id})
			if f.must(err); info.Commit.ID != want {
				f.Errorf("%q is %s, want %s", id, info.Commit.ID, want)
			}
		}
		info, err := f.c.Commit(f.ctx, two.Commit)
		if f.must(err); info.Parent.ID != one.Commit.ID || info.Open() || !info.Good() || info.Started.IsZero() {
			f.Errorf("%+v", info)
		}
		for _, id := range []string{"^99", "0123456789ab4def0123456789abcdef"} {
			_, err := f.c.Commit(f.ctx, pachclient.Commit{Branch: f.branch, ID: id})
			f.is(err, iofs.ErrNotExist)
		}
	})
	add("log", func(f *fixture) {
		one := f.commit(nil, file("/a", "1"))
		two := f.commit(nil, file("/a", "2"))
		three := f.commit(nil, file("/a", "3"))
		var got []string
		err := f.c.Log(f.ctx, three.Commit, func(i pachclient.CommitInfo) error {
			if got = append(got, i.Commit.ID); i.Commit.ID == one.Commit.ID {
				return io.EOF
			}
			_, err := f.c.Branch(f.ctx, f.branch) // a callback may use the client
			return err
		})
		if f.must(err); !slices.Equal(got, []string{three.Commit.ID, two.Commit.ID, one.Commit.ID}) {
			f.Errorf("log %q", got)
		}
	})
}
