package fs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"
	"sync"
	"syscall"
	"time"

	"pachfs/pachclient"
)

// repoFor is how long the list of repos is believed. One round trip answers
// every lookup and listing of the root in that time.
const repoFor = 200 * time.Millisecond

// patience is how long a lookup of what the last list knew waits for the next
// one: the way to what is staged or cached must not lead through a server that
// is away.
const patience = time.Second

// A repoList is the answer to one call, or will be.
type repoList struct {
	done  chan struct{} // closed when the rest is set
	repos map[string]pachclient.RepoInfo
	order []string
	err   error
}

// A repoCache holds the repos of the project, one call at a time.
type repoCache struct {
	mu     sync.Mutex
	at     time.Time // when last was asked for; zero: nobody believes it
	last   *repoList // the last answer that was none of an error
	flight *repoList // the call under way
}

// branches lists the repos with their branches. When the server is away or
// slow it gives the last list, if there is one that the caller thinks enough.
func (t *Tree) branches(ctx context.Context, enough func(*repoList) bool) (*repoList, error) {
	c := &t.repos
	c.mu.Lock()
	last := c.last
	if last != nil && time.Since(c.at) < repoFor {
		c.mu.Unlock()
		return last, nil
	}
	if c.flight == nil {
		c.flight = &repoList{done: make(chan struct{})}
		go t.askRepos(c.flight)
	}
	next := c.flight
	c.mu.Unlock()
	if last != nil && !enough(last) {
		last = nil
	}
	var late <-chan time.Time
	if last != nil {
		late = time.After(patience)
	}
	select {
	case <-next.done:
		if errors.Is(next.err, pachclient.ErrUnavailable) && last != nil {
			return last, nil
		}
		return next, next.err
	case <-late:
		return last, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// askRepos makes the call; whoever waits may go away meanwhile.
func (t *Tree) askRepos(l *repoList) {
	ctx, cancel := t.Limit(context.Background())
	defer cancel()
	start := time.Now()
	list, err := t.c.Client.Repos(ctx, t.c.Project)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(pachclient.ErrUnavailable, err)
	}
	if err != nil {
		l.err = fmt.Errorf("list repos: %w", err)
	}
	l.repos = make(map[string]pachclient.RepoInfo, len(list))
	for _, r := range list {
		if len(r.Branches) == 0 { // shown all the same; the first commit makes the branch
			r.Branches = []string{pachclient.DefaultBranch}
		}
		l.repos[r.Repo.Name] = r
		l.order = append(l.order, r.Repo.Name)
	}
	c := &t.repos
	c.mu.Lock()
	if c.flight == l { // otherwise it was too early for somebody
		c.flight = nil
		if err == nil {
			c.last, c.at = l, start
		}
	}
	c.mu.Unlock()
	close(l.done)
}

// refresh makes the next look at the root ask anew.
func (t *Tree) refresh() {
	t.repos.mu.Lock()
	t.repos.at, t.repos.flight = time.Time{}, nil
	t.repos.mu.Unlock()
}

// shown says whether the mount has the branch.
func (t *Tree) shown(b pachclient.Branch) bool { return t.c.Only == nil || t.c.Only(b) }

// listRoot gives the names of the branch directories.
func (t *Tree) listRoot(ctx context.Context) ([]Dirent, error) {
	l, err := t.branches(ctx, func(*repoList) bool { return true })
	if err != nil {
		return nil, err
	}
	var out []Dirent
	for _, name := range l.order {
		for _, branch := range l.repos[name].Branches {
			b := pachclient.Branch{Project: t.c.Project, Repo: name, Name: branch}
			if t.shown(b) {
				out = append(out, Dirent{Name: b.String(), Type: Dir})
			}
		}
	}
	return out, nil
}

// lookupRoot finds a branch directory, a commit directory, or a link to one.
func (t *Tree) lookupRoot(ctx context.Context, root *inode, name string) (Entry, error) {
	repo, ref, at := strings.Cut(name, "@")
	if !pachclient.ValidRefName(repo) {
		return t.nothing(), nil
	}
	l, err := t.branches(ctx, func(old *repoList) bool {
		r, ok := old.repos[repo]
		return ok && (!at || pachclient.IsCommitID(ref) || hasBranch(r, ref))
	})
	if err != nil {
		return Entry{}, err
	}
	info, ok := l.repos[repo]
	if !ok {
		return t.nothing(), nil
	}
	switch {
	case !at:
		return t.bareRepo(root, name, info), nil
	case pachclient.IsCommitID(ref):
		return t.commitDir(ctx, root, name, repo, ref)
	case strings.ContainsAny(ref, "^~."):
		return t.ancestor(ctx, root, name, repo, ref)
	}
	b := pachclient.Branch{Project: t.c.Project, Repo: repo, Name: ref}
	if !hasBranch(info, ref) || !t.shown(b) {
		return t.nothing(), nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := root.children[name]
	if n == nil {
		n = t.add(&inode{kind: branchDir, parent: root, name: name, branch: b, dir: true})
	}
	return t.entry(n), nil
}

func hasBranch(info pachclient.RepoInfo, name string) bool {
	for _, b := range info.Branches {
		if b == name {
			return true
		}
	}
	return false
}

func (t *Tree) nothing() Entry { return Entry{Valid: negativeValid} }

// entry counts a lookup of an inode that this package makes up. Called with mu held.
func (t *Tree) entry(n *inode) Entry {
	n.lookups++
	a := t.fixed(n)
	return Entry{Ino: n.ino, Attr: a, Valid: a.Valid}
}

// bareRepo is the link from a repo's name to its default branch. It is a link
// and not the directory itself, since a directory has one name.
func (t *Tree) bareRepo(root *inode, name string, info pachclient.RepoInfo) Entry {
	b := pachclient.Branch{Project: t.c.Project, Repo: name, Name: pachclient.DefaultBranch}
	if !hasBranch(info, b.Name) || !t.shown(b) {
		return t.nothing()
	}
	return t.linkTo(root, name, b.String())
}

func (t *Tree) linkTo(root *inode, name, target string) Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entry(t.add(&inode{kind: link, parent: root, name: name, target: target}))
}

// commitDir is a commit by its ID, read-only and for ever.
func (t *Tree) commitDir(ctx context.Context, root *inode, name, repo, id string) (Entry, error) {
	t.mu.Lock()
	if n := root.children[name]; n != nil {
		defer t.mu.Unlock()
		return t.entry(n), nil
	}
	t.mu.Unlock()
	info, err := t.c.Client.Commit(ctx, pachclient.Commit{Branch: pachclient.Branch{Project: t.c.Project, Repo: repo}, ID: id})
	if errors.Is(err, iofs.ErrNotExist) || err == nil && info.Finished.IsZero() {
		return t.nothing(), nil
	}
	if err != nil {
		return Entry{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := root.children[name]
	if n == nil {
		n = t.add(&inode{kind: branchDir, parent: root, name: name, dir: true, o: t.c.Stage.At(info)})
	}
	return t.entry(n), nil
}

// ancestor is the link from "images@master^2" to that commit's directory,
// resolved anew each time.
func (t *Tree) ancestor(ctx context.Context, root *inode, name, repo, ref string) (Entry, error) {
	i := strings.IndexAny(ref, "^~.")
	c := pachclient.Commit{Branch: pachclient.Branch{Project: t.c.Project, Repo: repo}}
	if start := ref[:i]; pachclient.IsCommitID(start) {
		c.ID = ref
	} else {
		c.Branch.Name, c.ID = start, ref[i:]
	}
	info, err := t.c.Client.Commit(ctx, c)
	if errors.Is(err, iofs.ErrNotExist) {
		return t.nothing(), nil
	} else if err != nil {
		return Entry{}, err
	}
	return t.linkTo(root, name, repo+"@"+info.Commit.ID), nil
}

// Readlink gives where a link leads.
func (t *Tree) Readlink(ino Ino) (string, error) {
	n, err := t.get(ino)
	if err != nil {
		return "", err
	}
	if n.kind != link {
		return "", syscall.EINVAL
	}
	return n.target, nil
}

// mkBranch is mkdir in the root: it creates the branch, and its repo.
func (t *Tree) mkBranch(ctx context.Context, root *inode, name string) (Entry, error) {
	if err := t.writable(root); err != nil {
		return Entry{}, err
	}
	b, err := pachclient.ParseBranch(t.c.Project, name)
	if err != nil || !strings.Contains(name, "@") {
		t.log.Warn("mkdir is refused: a directory here is a branch, and is called repo@branch", "name", name)
		return Entry{}, syscall.EINVAL
	}
	if !t.shown(b) {
		t.log.Warn("mkdir is refused: the mount does not show this branch", "name", name)
		return Entry{}, syscall.EPERM
	}
	if e, err := t.lookupRoot(ctx, root, name); err != nil || e.Ino != 0 {
		if e.Ino != 0 {
			t.Forget(e.Ino, 1)
			err = iofs.ErrExist
		}
		return Entry{}, err
	}
	if err := t.c.Client.CreateBranch(ctx, b); err != nil {
		return Entry{}, err
	}
	t.refresh()
	return t.lookupRoot(ctx, root, name)
}
