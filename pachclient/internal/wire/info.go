package wire

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pachfs/pachclient"
	"pachfs/pachclient/pfspb/pfs"
)

// FromBranchInfo reads what a server tells of a branch. Only output branches
// have a provenance. A head that was made on another branch is known there only
// to servers before 2.6.
func FromBranchInfo(m *pfs.BranchInfo) pachclient.BranchInfo {
	b := pachclient.BranchInfo{Branch: FromBranch(m.GetBranch()), Output: len(m.GetProvenance()) > 0}
	if m.GetHead().GetId() != "" {
		if b.Head = FromCommit(m.GetHead()); b.Head.Branch.Name == "" {
			b.Head.Branch = b.Branch
		}
	}
	return b
}

// FromCommitInfo reads what a server tells of a commit that was asked for under
// a branch, which its own answer may leave out.
func FromCommitInfo(m *pfs.CommitInfo, asked pachclient.Branch) pachclient.CommitInfo {
	i := pachclient.CommitInfo{
		Commit:      FromCommit(m.GetCommit()),
		Description: m.GetDescription(),
		Started:     fromTime(m.GetStarted()),
		Finishing:   fromTime(m.GetFinishing()),
		Finished:    fromTime(m.GetFinished()),
		Error:       m.GetError(),
		Metadata:    m.GetMetadata(),
	}
	if m.GetParentCommit().GetId() != "" {
		i.Parent = FromCommit(m.GetParentCommit())
	}
	for _, c := range []*pachclient.Commit{&i.Commit, &i.Parent} {
		if c.ID != "" && c.Branch.Name == "" {
			c.Branch.Name = asked.Name
		}
	}
	return i
}

// FromFileInfo reads what a server tells of a path.
func FromFileInfo(m *pfs.FileInfo) pachclient.FileInfo {
	f := pachclient.FileInfo{
		Path:    FromPath(m.GetFile().GetPath()),
		Dir:     m.GetFileType() == pfs.FileType_DIR,
		Size:    m.GetSizeBytes(),
		ModTime: fromTime(m.GetCommitted()),
	}
	copy(f.Hash[:], m.GetHash())
	return f
}

// FromPath turns a server's path, which ends in a slash for a directory, into ours.
func FromPath(p string) string {
	if p = strings.TrimSuffix(p, "/"); p == "" {
		return "/"
	}
	return p
}

func fromTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
