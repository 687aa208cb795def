package staging

import (
	"fmt"
	"path"
	"strings"
)

// A kind says what a node is.
type kind uint8

const (
	whiteout kind = iota // something below is hidden
	dirNode
	fileNode
)

// A node is one entry of a layer: what the layer says about one path. Paths
// that the layer says nothing about show what is below. Nodes are guarded by
// Overlay.mu.
type node struct {
	name   string
	parent *node
	kind   kind
	attr   attr

	// below tells what would show at this place without the node. For a
	// directory it is not kept: what is in a directory below may change.
	below, belowDir bool

	// Directories.
	children map[string]*node
	lower    string // the directory of the tree below that shows through; "": none
	made     bool   // brought into being or moved here by this layer, so it exists even when empty

	// Files.
	file *File
}

// attr is what a local file system keeps of a file and Pachyderm does not.
type attr struct {
	mode, uid, gid uint32
	hasMode        bool
	hasOwner       bool
	mtime          int64 // Unix nanoseconds; 0: not known here
}

// set takes over what a record says.
func (a *attr) set(r record) {
	if r.Flags&flagMode != 0 {
		a.mode, a.hasMode = r.Mode, true
	}
	if r.Flags&flagOwner != 0 {
		a.uid, a.gid, a.hasOwner = r.UID, r.GID, true
	}
	if r.Flags&flagTime != 0 {
		a.mtime = r.Time
	}
}

// put writes the attributes into a record.
func (a attr) put(r record) record {
	if a.hasMode {
		r.Mode, r.Flags = a.mode, r.Flags|flagMode
	}
	if a.hasOwner {
		r.UID, r.GID, r.Flags = a.uid, a.gid, r.Flags|flagOwner
	}
	if a.mtime != 0 {
		r.Time, r.Flags = a.mtime, r.Flags|flagTime
	}
	return r
}

// newRoot gives the root of a layer that says nothing yet.
func newRoot() *node { return &node{kind: dirNode, lower: "/"} }

// path gives the node's path in its layer.
func (n *node) path() string {
	if n.parent == nil {
		return "/"
	}
	return path.Join(n.parent.path(), n.name)
}

// join names a child below a directory, "" staying "".
func join(dir, name string) string {
	if dir == "" {
		return ""
	}
	return path.Join(dir, name)
}

// split cuts a path into its directory and its last element.
func split(p string) (dir, name string) {
	dir, name = path.Split(p)
	return path.Clean(dir), name
}

// within says whether p is dir or lies below it.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}

// resolve walks to p. It gives the node there; or else the path in the tree
// below that shows at p, "" for nothing. It fails with ErrNotDir when an
// element on the way is a file.
func (n *node) resolve(p string) (*node, string, error) {
	rest := strings.TrimPrefix(p, "/")
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		child := n.children[name]
		switch {
		case child == nil && n.lower == "":
			return nil, "", nil
		case child == nil:
			return nil, path.Join(n.lower, name, rest), nil
		case rest != "" && child.kind == whiteout:
			return nil, "", nil
		case rest != "" && child.kind == fileNode:
			return nil, "", errNotDir(p)
		}
		n = child
	}
	return n, "", nil
}

// dir walks to the directory p and puts in the nodes on the way that are
// missing; they say nothing by themselves.
func (n *node) dir(p string) (*node, error) {
	for _, name := range strings.Split(strings.TrimPrefix(p, "/"), "/") {
		if name == "" {
			continue
		}
		child := n.children[name]
		if child == nil {
			if n.lower == "" {
				return nil, fmt.Errorf("no directory %s: %w", p, ErrCorrupt)
			}
			child = &node{name: name, kind: dirNode, lower: join(n.lower, name)}
			n.put(child)
		}
		if child.kind != dirNode {
			return nil, fmt.Errorf("%s is not a directory: %w", p, ErrCorrupt)
		}
		n = child
	}
	return n, nil
}

// put makes child an entry of n.
func (n *node) put(child *node) {
	if n.children == nil {
		n.children = map[string]*node{}
	}
	child.parent = n
	n.children[child.name] = child
}

// cut takes the node out of its directory.
func (n *node) cut() {
	delete(n.parent.children, n.name)
}

// inPlace says whether what shows through the directory is what would be at
// its place without it: it was neither moved here nor made over something.
func (n *node) inPlace() bool {
	return n.parent == nil || n.lower != "" && n.lower == join(n.parent.lower, n.name)
}

// hide takes the node out and leaves a whiteout when something below would
// show in its place.
func (n *node) hide(below, belowDir bool) {
	parent := n.parent
	n.cut()
	if below {
		parent.put(&node{name: n.name, kind: whiteout, below: true, belowDir: belowDir})
	}
}

// withhold takes out a file that a commit does not take yet. The file below
// shows again: it is what was there at the last close. A directory does not: it was
// removed. It says whether that left a whiteout.
func (n *node) withhold() bool {
	hides := n.belowDir && n.file.lowerPath == ""
	n.hide(hides, n.belowDir)
	if !hides {
		n.parent.prune()
	}
	return hides
}

// prune takes out a node that says nothing, and its directories as far as they
// say nothing either.
func (n *node) prune() {
	for n.parent != nil && n.kind == dirNode && !n.made && len(n.children) == 0 && n.attr.mtime == 0 {
		parent := n.parent
		n.cut()
		n = parent
	}
}

// place puts a node at p, over what the layer says there now, and keeps what
// is known of the tree below.
func (n *node) place(p string, child *node, below, belowDir bool) error {
	dir, name := split(p)
	parent, err := n.dir(dir)
	if err != nil {
		return err
	}
	if old := parent.children[name]; old != nil && old.kind != dirNode {
		below, belowDir = old.below, old.belowDir
	}
	child.name, child.below, child.belowDir = name, below, belowDir
	parent.put(child)
	return nil
}

// walk calls fn with every node below n, parents first.
func (n *node) walk(fn func(*node)) {
	for _, c := range n.children {
		fn(c)
		c.walk(fn)
	}
}

// some says whether fn says so of any node below n. It stops at the first.
func (n *node) some(fn func(*node) bool) bool {
	for _, c := range n.children {
		if fn(c) || c.some(fn) {
			return true
		}
	}
	return false
}
