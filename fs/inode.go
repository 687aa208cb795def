package fs

import (
	"path"

	"pachfs/pachclient"
	"pachfs/staging"
)

// A place says what an inode is.
type place uint8

const (
	rootDir   place = iota
	branchDir       // the root of a branch or of a commit
	inside          // a file or directory of a branch
	link            // another name of a branch directory
	control
)

// An inode is a place that the kernel knows by a number. Guarded by Tree.mu.
type inode struct {
	ino      Ino
	kind     place
	parent   *inode
	name     string
	children map[string]*inode // those that the kernel knows
	ghosts   map[string]int    // superseded ones, by name, that the kernel has not forgotten
	lookups  uint64
	stale    bool // superseded: its path shows something else now
	ghost    bool // counted in its parent's ghosts
	dir      bool
	last     *Attr // of a directory that was removed: who has it open may ask

	branch pachclient.Branch // of a branchDir
	o      *staging.Overlay  // nil in a branchDir until somebody looks into it
	target string            // of a link

	hash  pachclient.Hash // of the committed bytes that the kernel may have pages of
	files []*openFile     // the handles

	ctl   *controlFile
	text  string // of a control file: what it reads as
	fired bool   // of a trigger: one of its handles was written to
}

// path gives the path in the overlay. Called with Tree.mu held.
func (n *inode) path() string {
	if n.kind != inside {
		return "/"
	}
	return path.Join(n.parent.path(), n.name)
}

// get gives the inode of a number that the kernel sent.
func (t *Tree) get(ino Ino) (*inode, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.inodes[ino]
	if n == nil {
		return nil, errStale
	}
	return n, nil
}

// add makes an inode. Called with mu held.
func (t *Tree) add(n *inode) *inode {
	t.lastIno++
	n.ino = t.lastIno
	t.inodes[n.ino] = n
	if n.parent != nil && n.kind != control && n.kind != link {
		n.parent.adopt(n)
	}
	return n
}

// adopt makes child a known entry of n.
func (n *inode) adopt(child *inode) {
	if n.children == nil {
		n.children = map[string]*inode{}
	}
	child.parent = n
	n.children[child.name] = child
}

// leave takes the inode off its place; its number lives on. Called with mu held.
func (n *inode) leave() {
	if n.parent != nil && n.parent.children[n.name] == n {
		delete(n.parent.children, n.name)
	}
}

// child gives the inode for a name inside an overlay that was just looked up.
// Called with mu held.
func (t *Tree) child(parent *inode, name string, info staging.Info) *inode {
	n := parent.children[name]
	if n != nil && (n.dir != info.Dir || !n.dir && changedHash(n.hash, info.Hash)) {
		t.supersede(n)
		n = nil
	}
	if n == nil {
		n = t.add(&inode{kind: inside, parent: parent, name: name, o: parent.o, dir: info.Dir})
	}
	n.hash = info.Hash
	return n
}

// changedHash says whether committed bytes were replaced by others. A file
// that is staged has no hash: its bytes change through the kernel, which knows.
func changedHash(old, now pachclient.Hash) bool {
	return !old.Zero() && !now.Zero() && old != now
}

// Forget takes back n lookups of a number.
func (t *Tree) Forget(ino Ino, n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.inodes[ino]
	if i == nil || ino == Root {
		return
	}
	i.lookups -= min(n, i.lookups)
	t.sweep(i)
}

// sweep takes an inode out of the table that nobody can name any more. Called
// with mu held.
func (t *Tree) sweep(n *inode) {
	for n != nil && n.ino != Root && n.lookups == 0 && len(n.files) == 0 && len(n.children) == 0 && len(n.ghosts) == 0 {
		parent := n.parent
		n.leave()
		if n.ghost {
			if parent.ghosts[n.name]--; parent.ghosts[n.name] == 0 {
				delete(parent.ghosts, n.name)
			}
		}
		delete(t.inodes, n.ino)
		n = parent
	}
}

// gone takes the inode off a place at which there is nothing any more. last is
// what a directory shows to those who still have it open. Called with mu held.
func (t *Tree) gone(parent *inode, name string, last *Attr) {
	if n := parent.children[name]; n != nil {
		n.leave()
		n.stale, n.last = true, last
		t.sweep(n)
	}
}
