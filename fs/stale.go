package fs

import (
	"path"
	"strings"

	"pachfs/pachclient"
)

// A Notice is something that the kernel must forget about an inode: its
// attributes, or with Data, of a directory, its listing too; or, with Name, an
// entry of a directory. That is needed in one case only, a file that became a
// directory: the kernel walks into it without asking for attributes. The pages of
// files are never invalidated.
type Notice struct {
	Ino  Ino
	Data bool
	Name string
}

// Notices tells the shell that there is something to send; Take gives it.
func (t *Tree) Notices() <-chan struct{} { return t.notices }

// Take gives the notices that have come together.
func (t *Tree) Take() []Notice {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.pending
	t.pending = nil
	return out
}

// Changed hears that paths of a branch show something else now, for another
// reason than a request of the kernel. It is what staging.Options.Changed wants.
func (t *Tree) Changed(b pachclient.Branch, paths []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	root := t.inodes[Root].children[b.String()]
	if root == nil {
		return
	}
	listings := map[*inode]bool{}
	for _, p := range paths {
		dir := root
		rest := strings.TrimPrefix(path.Clean(p), "/")
		for rest != "" {
			listings[dir] = true
			var name string
			name, rest, _ = strings.Cut(rest, "/")
			n := dir.children[name]
			if rest != "" && (n != nil && !n.dir || dir.ghosts[name] > 0) {
				t.notify(Notice{Ino: dir.ino, Name: name})
			}
			if n != nil && (rest == "" || !n.dir) {
				t.changed(n)
			}
			if dir = n; n == nil || !n.dir {
				break
			}
		}
		if dir == root { // all of it
			t.changed(root)
		}
	}
	for n := range listings {
		t.notify(Notice{Ino: n.ino, Data: true})
	}
}

// changed deals with an inode whose path was named, and all below it. Called with mu held.
func (t *Tree) changed(n *inode) {
	for _, c := range n.children {
		t.changed(c)
	}
	if n.dir { // it may be a directory still; if not, the next look at it says so
		t.notify(Notice{Ino: n.ino, Data: true})
		return
	}
	t.supersede(n)
}

// supersede takes a number off its path: what is there now gets another one.
// Called with mu held.
func (t *Tree) supersede(n *inode) {
	if n.stale {
		return
	}
	n.leave()
	n.stale = true
	if n.lookups > 0 { // the kernel still has it under this name
		n.ghost = true
		if n.parent.ghosts == nil {
			n.parent.ghosts = map[string]int{}
		}
		n.parent.ghosts[n.name]++
	}
	t.notify(Notice{Ino: n.ino})
}

// notify puts a notice on the list. Called with mu held.
func (t *Tree) notify(x Notice) {
	t.pending = append(t.pending, x)
	select {
	case t.notices <- struct{}{}:
	default:
	}
}
