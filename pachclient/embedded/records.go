package embedded

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"time"

	"pachfs/pachclient/embedded/internal/tree"
	"pachfs/pachclient/pfspb/pfs"
)

const (
	defaultProject = "default"
	userRepo       = "user"
	fileSetRepo    = "__filesets__"
)

// newID makes a version 4 UUID without dashes.
func newID() string {
	var id [16]byte
	rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return hex.EncodeToString(id[:])
}

// A repoName names a repo; its key is PROJECT/NAME.TYPE.
type repoName struct{ Project, Name, Type string }

func (r repoName) key() string { return r.Project + "/" + r.Name + "." + r.Type }

// String is how messages name a repo.
func (r repoName) String() string {
	if r.Type != userRepo {
		return r.Project + "/" + r.Name + "." + r.Type
	}
	return r.Project + "/" + r.Name
}

func (r repoName) proto() *pfs.Repo {
	return &pfs.Repo{Name: r.Name, Type: r.Type, Project: &pfs.Project{Name: r.Project}}
}

func (r repoName) branch(name string) *pfs.Branch { return &pfs.Branch{Repo: r.proto(), Name: name} }

func (r repoName) commit(id string) *pfs.Commit { return &pfs.Commit{Repo: r.proto(), Id: id} }

// A branchName names a branch; its key is that of the repo, @, and its name.
type branchName struct {
	Repo repoName
	Name string
}

func (b branchName) key() string { return b.Repo.key() + "@" + b.Name }

func (b branchName) String() string { return b.Repo.String() + "@" + b.Name }

type projectRec struct {
	Name        string
	Description string `json:",omitempty"`
	Created     time.Time
	Metadata    map[string]string `json:",omitempty"`
}

type repoRec struct {
	Repo        repoName
	Description string `json:",omitempty"`
	Created     time.Time
	Seq         uint64
	Metadata    map[string]string `json:",omitempty"`
}

type branchRec struct {
	Branch     branchName
	Head       string
	Provenance []branchName `json:",omitempty"` // the direct one
	Trigger    *pfs.Trigger `json:",omitempty"`
	Created    time.Time
	Updated    time.Time
	Seq        uint64
	Metadata   map[string]string `json:",omitempty"`
}

type commitRec struct {
	Repo        repoName
	ID          string
	Branch      string // on which it was made
	Origin      pfs.OriginKind
	Description string   `json:",omitempty"`
	Parent      string   `json:",omitempty"`
	Children    []string `json:",omitempty"`
	Started     time.Time
	Finishing   time.Time `json:",omitzero"`
	Finished    time.Time `json:",omitzero"`
	Updated     time.Time
	Error       string `json:",omitempty"`
	Invalid     bool   `json:",omitempty"` // the error was found, not given
	Seq         uint64
	Metadata    map[string]string `json:",omitempty"`
	// Tree is the content. Base is what descendants build on: Tree, once the
	// commit has ended well; until then, and after an error, what the commit
	// itself was built on.
	Tree tree.Dir
	Base tree.Dir
	// Own is what the commit changed.
	Own layer
}

func (c *commitRec) key() string { return c.Repo.key() + "@" + c.ID }

// String is how messages name a commit.
func (c *commitRec) String() string { return c.Repo.String() + "@" + c.ID }

func (c *commitRec) open() bool { return c.Finishing.IsZero() }

type fileSetRec struct {
	ID      string
	Does    layer
	Total   bool      `json:",omitempty"` // the whole of a commit: all in it is added
	Expires time.Time `json:",omitzero"`  // zero: never
}

// changes gives what adding a file set does, sorted.
func (r *fileSetRec) changes(src tree.Source) ([]tree.Change, error) {
	changes, err := r.Does.changes(src)
	if r.Total {
		for i := range changes {
			changes[i].Del = false
		}
	}
	return changes, err
}

func (t *tx) putProject(p *projectRec) error { return t.put(bucketProjects, p.Name, p) }

func (t *tx) putRepo(r *repoRec) error { return t.put(bucketRepos, r.Repo.key(), r) }

func (t *tx) putBranch(b *branchRec) error { return t.put(bucketBranches, b.Branch.key(), b) }

func (t *tx) putCommit(c *commitRec) error {
	c.Updated = t.now
	return t.put(bucketCommits, c.key(), c)
}

// project, repo, branch and commit give nil for what does not exist.

func (t *tx) project(name string) (*projectRec, error) {
	return found(t.get, bucketProjects, name, new(projectRec))
}

func (t *tx) repo(name repoName) (*repoRec, error) {
	return found(t.get, bucketRepos, name.key(), new(repoRec))
}

func (t *tx) branch(name branchName) (*branchRec, error) {
	return found(t.get, bucketBranches, name.key(), new(branchRec))
}

func (t *tx) commit(repo repoName, id string) (*commitRec, error) {
	return found(t.get, bucketCommits, repo.key()+"@"+id, new(commitRec))
}

func found[R any](get func([]byte, string, any) error, bucket []byte, key string, rec *R) (*R, error) {
	err := get(bucket, key, rec)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return rec, nil
}

// nextSeq numbers repos, branches and commits in the order of their creation.
func (t *tx) nextSeq() (uint64, error) { return t.b.Bucket(bucketOrder).NextSequence() }
