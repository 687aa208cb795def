package wire

import (
	"pachfs/pachclient"
	"pachfs/pachclient/pfspb/pfs"
)

// userRepo is the type of every repo that people see; servers want it spelled out.
const userRepo = "user"

// Project gives the message of a project; "" is the default one.
func Project(name string) *pfs.Project {
	if name == "" {
		name = pachclient.DefaultProject
	}
	return &pfs.Project{Name: name}
}

// Repo gives the message of a repo. The repo of file sets has neither project
// nor type.
func Repo(r pachclient.Repo) *pfs.Repo {
	if r.Name == pachclient.FileSetRepo {
		return &pfs.Repo{Name: r.Name}
	}
	return &pfs.Repo{Name: r.Name, Type: userRepo, Project: Project(r.Project)}
}

// FromRepo is the reverse; a server before 2.5 sends no project.
func FromRepo(r *pfs.Repo) pachclient.Repo {
	project := r.GetProject().GetName()
	if project == "" {
		project = pachclient.DefaultProject
	}
	return pachclient.Repo{Project: project, Name: r.GetName()}
}

// Branch gives the message of a branch.
func Branch(b pachclient.Branch) *pfs.Branch {
	return &pfs.Branch{Repo: Repo(b.In()), Name: b.Name}
}

// FromBranch is the reverse.
func FromBranch(b *pfs.Branch) pachclient.Branch {
	r := FromRepo(b.GetRepo())
	return pachclient.Branch{Project: r.Project, Repo: r.Name, Name: b.GetName()}
}

// Commit gives the message of a commit. It carries the repo twice and a branch
// always: servers from 2.6 read the one, those before the other, and a nil
// branch crashes some. An ancestry suffix stands behind its branch's name in the
// ID, for that is where every server looks for it.
func Commit(c pachclient.Commit) *pfs.Commit {
	m := &pfs.Commit{Repo: Repo(c.Branch.In()), Branch: Branch(c.Branch), Id: c.ID}
	if c.ID != "" && (c.ID[0] == '^' || c.ID[0] == '~' || c.ID[0] == '.') {
		m.Id, m.Branch.Name = c.Branch.Name+c.ID, ""
	}
	return m
}

// FromCommit is the reverse. Servers from 2.11 leave the branch out, those
// before 2.6 the repo.
func FromCommit(m *pfs.Commit) pachclient.Commit {
	if m == nil {
		return pachclient.Commit{}
	}
	r := m.GetRepo()
	if r == nil {
		r = m.GetBranch().GetRepo()
	}
	repo := FromRepo(r)
	b := pachclient.Branch{Project: repo.Project, Repo: repo.Name, Name: m.GetBranch().GetName()}
	return pachclient.Commit{Branch: b, ID: m.GetId()}
}

// File gives the message of a path in a commit.
func File(c pachclient.Commit, path string) *pfs.File {
	return &pfs.File{Commit: Commit(c), Path: path}
}
