package remote

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"slices"
	"sort"
	"strings"

	"pachfs/pachclient"
	"pachfs/pachclient/internal/wire"
	"pachfs/pachclient/pfspb/admin"
	"pachfs/pachclient/pfspb/auth"
	"pachfs/pachclient/pfspb/pfs"
)

// Cluster says who answers.
func (c *Client) Cluster(ctx context.Context) (pachclient.Cluster, error) {
	var out pachclient.Cluster
	ctx = context.WithValue(ctx, whoever{}, true)
	err := c.call(ctx, "inspect cluster", func(ctx context.Context) error {
		info, err := c.admin().InspectCluster(ctx, &admin.InspectClusterRequest{})
		out.ID, out.Deployment = info.GetId(), deploymentOf(info)
		return err
	})
	if err != nil {
		return out, err
	}
	v, err := c.askVersion(ctx)
	out.Version = v.String()
	if err == nil {
		err = c.checkToken(ctx)
	}
	return out, err
}

// checkToken fails if the server wants a token and ours is not good; the calls
// before it are answered to anybody. It must cost nothing, for every landing
// asks: a pachd adds up the sizes of all its repos before it lists the first.
func (c *Client) checkToken(ctx context.Context) error {
	err := c.call(ctx, "who am I", func(ctx context.Context) error {
		_, err := auth.NewAPIClient(c.connection()).WhoAmI(ctx, &auth.WhoAmIRequest{})
		return err
	})
	if errors.Is(err, pachclient.ErrUnsupported) { // auth is off
		return nil
	}
	return err
}

// Projects lists the projects.
func (c *Client) Projects(ctx context.Context) ([]string, error) {
	out, err := all(ctx, c, "list projects", func(ctx context.Context) (receiver[*pfs.ProjectInfo], error) {
		return c.pfs().ListProject(ctx, &pfs.ListProjectRequest{})
	}, func(m *pfs.ProjectInfo) string { return m.GetProject().GetName() })
	if errors.Is(err, pachclient.ErrUnsupported) {
		return []string{pachclient.DefaultProject}, nil
	}
	sort.Strings(out)
	return out, err
}

// Repos lists the user repos of a project.
func (c *Client) Repos(ctx context.Context, project string) ([]pachclient.RepoInfo, error) {
	p := wire.Project(project)
	out, err := all(ctx, c, "list repos", func(ctx context.Context) (receiver[*pfs.RepoInfo], error) {
		return c.pfs().ListRepo(ctx, &pfs.ListRepoRequest{Type: "user", Projects: []*pfs.Project{p}})
	}, func(m *pfs.RepoInfo) pachclient.RepoInfo {
		r := pachclient.RepoInfo{Repo: wire.FromRepo(m.GetRepo())}
		for _, b := range m.GetBranches() {
			r.Branches = append(r.Branches, b.GetName())
		}
		sort.Strings(r.Branches)
		return r
	})
	out = slices.DeleteFunc(out, func(r pachclient.RepoInfo) bool { // servers before 2.5 don't know the filter, nor projects
		return r.Repo.Project != p.GetName()
	})
	slices.SortFunc(out, func(a, b pachclient.RepoInfo) int { return strings.Compare(a.Repo.Name, b.Repo.Name) })
	return out, err
}

// Branches lists the branches of a repo.
func (c *Client) Branches(ctx context.Context, r pachclient.Repo) ([]pachclient.BranchInfo, error) {
	if err := c.hasProject(ctx, r.Project); err != nil {
		return nil, err
	}
	out, err := all(ctx, c, "list branches of "+r.Name, func(ctx context.Context) (receiver[*pfs.BranchInfo], error) {
		return c.pfs().ListBranch(ctx, &pfs.ListBranchRequest{Repo: wire.Repo(r)})
	}, wire.FromBranchInfo)
	slices.SortFunc(out, func(a, b pachclient.BranchInfo) int { return strings.Compare(a.Branch.Name, b.Branch.Name) })
	return out, err
}

// Branch tells one branch.
func (c *Client) Branch(ctx context.Context, b pachclient.Branch) (out pachclient.BranchInfo, err error) {
	if err := c.hasProject(ctx, b.Project); err != nil {
		return out, err
	}
	err = c.call(ctx, "inspect "+b.String(), func(ctx context.Context) error {
		m, err := c.pfs().InspectBranch(ctx, &pfs.InspectBranchRequest{Branch: wire.Branch(b)})
		out = wire.FromBranchInfo(m)
		return err
	})
	return out, err
}

// CreateBranch creates a branch and, if need be, its repo.
func (c *Client) CreateBranch(ctx context.Context, b pachclient.Branch) error {
	if err := c.hasProject(ctx, b.Project); err != nil {
		return err
	}
	_, err := c.Branch(ctx, b)
	if !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	err = c.call(ctx, "create repo "+b.Repo, func(ctx context.Context) error {
		_, err := c.pfs().CreateRepo(ctx, &pfs.CreateRepoRequest{Repo: wire.Repo(b.In())})
		return err
	})
	if err != nil && !errors.Is(err, iofs.ErrExist) {
		return err
	}
	return c.call(ctx, "create "+b.String(), func(ctx context.Context) error {
		_, err := c.pfs().CreateBranch(ctx, &pfs.CreateBranchRequest{Branch: wire.Branch(b)})
		return err
	})
}

// Head finds the newest good commit of a branch.
func (c *Client) Head(ctx context.Context, b pachclient.Branch) (pachclient.CommitInfo, error) {
	none := pachclient.CommitInfo{Commit: pachclient.Commit{Branch: b}}
	info, err := c.Branch(ctx, b)
	if err != nil {
		return none, err
	}
	for commit := info.Head; !commit.Zero(); {
		i, err := c.Commit(ctx, commit)
		if err != nil || i.Good() {
			return i, err
		}
		commit = i.Parent
	}
	return none, nil
}

// Commit tells what is known of a commit now.
func (c *Client) Commit(ctx context.Context, commit pachclient.Commit) (pachclient.CommitInfo, error) {
	return c.inspect(ctx, commit, pfs.CommitState_STARTED)
}

func (c *Client) inspect(ctx context.Context, commit pachclient.Commit, wait pfs.CommitState) (out pachclient.CommitInfo, err error) {
	if err := c.hasProject(ctx, commit.Branch.Project); err != nil {
		return out, err
	}
	within := c.retryFor
	if wait == pfs.CommitState_FINISHED {
		within = 0
	}
	err = c.retry(ctx, "inspect "+commit.String(), within, func(ctx context.Context) error {
		m, err := c.pfs().InspectCommit(ctx, &pfs.InspectCommitRequest{Commit: wire.Commit(commit), Wait: wait})
		out = wire.FromCommitInfo(m, commit.Branch)
		return err
	})
	return out, err
}

// Wait returns when a commit is finished.
func (c *Client) Wait(ctx context.Context, commit pachclient.Commit) (pachclient.CommitInfo, error) {
	return c.inspect(ctx, commit, pfs.CommitState_FINISHED)
}

// Log goes from a commit to its ancestors.
func (c *Client) Log(ctx context.Context, commit pachclient.Commit, fn func(pachclient.CommitInfo) error) error {
	err := each(ctx, c, "log of "+commit.String(), func(ctx context.Context) (receiver[*pfs.CommitInfo], error) {
		m := wire.Commit(commit)
		return c.pfs().ListCommit(ctx, &pfs.ListCommitRequest{Repo: m.Repo, To: m, All: true})
	}, func(m *pfs.CommitInfo) error {
		return fn(wire.FromCommitInfo(m, commit.Branch))
	})
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
