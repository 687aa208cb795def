package wire

import (
	"testing"

	"pachfs/pachclient"
	"pachfs/pachclient/pfspb/pfs"
)

// The head of a branch is named as a server of any age wants to hear it again.
func TestHeadKeepsItsBranch(t *testing.T) {
	repo := &pfs.Repo{Name: "r", Type: "user"}
	for made, want := range map[*pfs.Branch]string{nil: "moved", {Repo: repo, Name: "first"}: "first"} {
		head := &pfs.Commit{Repo: repo, Branch: made, Id: "1"}
		if made != nil {
			head.Repo = nil // before 2.6
		}
		got := FromBranchInfo(&pfs.BranchInfo{Branch: &pfs.Branch{Repo: repo, Name: "moved"}, Head: head})
		if b := (pachclient.Branch{Project: "default", Repo: "r", Name: want}); got.Head.Branch != b || got.Branch.Name != "moved" {
			t.Errorf("%+v, want a head on %s", got, b)
		}
	}
}
