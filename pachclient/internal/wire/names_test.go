package wire

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"pachfs/pachclient"
	"pachfs/pachclient/pfspb/pfs"
)

// A reference to a commit is complete for servers of every age: the repo with
// type and project, and a branch with the same repo, also when it has no name.
func TestReferences(t *testing.T) {
	const id = "0123456789ab4def0123456789abcdef"
	b := pachclient.Branch{Repo: "r", Name: "m"}
	repo := &pfs.Repo{Name: "r", Type: "user", Project: &pfs.Project{Name: "default"}}
	for _, c := range []struct {
		of       pachclient.Commit
		name, id string
	}{
		{pachclient.Commit{Branch: b}, "m", ""},
		{pachclient.Commit{Branch: b, ID: id}, "m", id},
		{pachclient.Commit{Branch: pachclient.Branch{Repo: "r"}, ID: id}, "", id},
		{pachclient.Commit{Branch: b, ID: id + "^2"}, "m", id + "^2"},
		{pachclient.Commit{Branch: b, ID: "^2"}, "", "m^2"}, // a name and a suffix don't go together in every server
		{pachclient.Commit{Branch: b, ID: ".1"}, "", "m.1"},
	} {
		want := &pfs.Commit{Repo: repo, Branch: &pfs.Branch{Repo: repo, Name: c.name}, Id: c.id}
		if got := Commit(c.of); !proto.Equal(got, want) {
			t.Errorf("%+v is %v, want %v", c.of, got, want)
		}
	}
	sets := &pfs.Repo{Name: "__filesets__"}
	if got := Commit(pachclient.FileSet("7").Commit()); !proto.Equal(got, &pfs.Commit{Repo: sets, Branch: &pfs.Branch{Repo: sets}, Id: "7"}) {
		t.Errorf("a file set is %v", got)
	}
}

// An answer names its commit with or without repo and branch.
func TestAnswersOfAllAges(t *testing.T) {
	repo, old := &pfs.Repo{Name: "r", Type: "user", Project: &pfs.Project{Name: "p"}}, &pfs.Repo{Name: "r", Type: "user"}
	for _, c := range []struct {
		m    *pfs.Commit
		want pachclient.Branch
	}{
		{&pfs.Commit{Branch: &pfs.Branch{Repo: old, Name: "m"}, Id: "1"}, pachclient.Branch{Project: "default", Repo: "r", Name: "m"}},
		{&pfs.Commit{Repo: repo, Branch: &pfs.Branch{Repo: repo, Name: "m"}, Id: "1"}, pachclient.Branch{Project: "p", Repo: "r", Name: "m"}},
		{&pfs.Commit{Repo: repo, Id: "1"}, pachclient.Branch{Project: "p", Repo: "r"}},
	} {
		if got := FromCommit(c.m); got != (pachclient.Commit{Branch: c.want, ID: "1"}) {
			t.Errorf("%v is %+v, want %+v", c.m, got, c.want)
		}
	}
}
