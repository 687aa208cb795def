package tree

import (
	"errors"
	"sort"
	"strings"

	"pachfs/pachclient/embedded/internal/content"
)

// A node is split when it weighs more than maxWeight, and joined with a
// neighbour when a change leaves less than minWeight of it.
const (
	maxWeight = 8000
	minWeight = maxWeight / 4
)

// A Sink stores nodes, too.
type Sink interface {
	Source
	Put([]byte) (ID, error)
}

// A Change is what becomes of one file.
type Change struct {
	Key  string        // from the root
	Del  bool          // what is there goes
	File *content.File // what is put there; nil: nothing
}

// Apply makes a new tree from base and changes, which are sorted by key, each
// key once. What is put on a file that exists replaces it: appending is the
// caller's business. It also gives the collision that comes first in path
// order among those that the changes made; the tree holds both sides of it.
func Apply(st Sink, base Dir, changes []Change) (Dir, *Collision, error) {
	e := &editor{Sink: st, cache: make(map[ID]*node)}
	d, err := e.dir(base, changes, "")
	return d, e.first, err
}

type editor struct {
	Sink
	cache map[ID]*node // what this editor stored
	first *Collision
}

// An edit is a change of one entry of a directory: of a file (one change), or
// of a directory (all changes below it).
type edit struct {
	key     string
	changes []Change
}

// edits groups changes by the entry of the directory prefix that they change.
func edits(changes []Change, prefix string) []edit {
	var all []edit
	for i := 0; i < len(changes); {
		first, _ := split(changes[i].Key[len(prefix):])
		j := i + 1
		for j < len(changes) && strings.HasPrefix(changes[j].Key[len(prefix):], first) && strings.HasSuffix(first, "/") {
			j++
		}
		all = append(all, edit{first, changes[i:j]})
		i = j
	}
	return all
}

func (e *editor) dir(base Dir, changes []Change, prefix string) (Dir, error) {
	todo := edits(changes, prefix)
	level, err := e.node(base.Root, todo, prefix)
	if err != nil {
		return Dir{}, err
	}
	for len(level) > 1 {
		if level, err = e.pack(level); err != nil {
			return Dir{}, err
		}
	}
	if len(level) == 0 {
		return Dir{}, nil
	}
	root := level[0]
	for root.n != nil && root.n.inner && len(root.n.children) == 1 {
		root = root.n.children[0]
	}
	if err := e.store(&root); err != nil {
		return Dir{}, err
	}
	return Dir{Root: root.id, Files: root.files, Size: root.size}, e.check(root.id, todo, prefix)
}

// node applies edits to a node and gives what takes its place on its level:
// nothing, one node or several, not stored yet.
func (e *editor) node(id ID, todo []edit, prefix string) ([]child, error) {
	n, err := load(e, id)
	if err != nil {
		return nil, err
	}
	if !n.inner {
		entries, err := e.leaf(n.entries, todo, prefix)
		return splitLeaf(entries), err
	}
	var level []child
	for i := range n.children {
		end := len(todo)
		if i+1 < len(n.children) {
			next := n.children[i+1].key
			end = sort.Search(len(todo), func(j int) bool { return todo[j].key >= next })
		}
		if end == 0 {
			level = append(level, n.children[i])
			continue
		}
		made, err := e.node(n.children[i].id, todo[:end], prefix)
		if err != nil {
			return nil, err
		}
		level = append(level, made...)
		todo = todo[end:]
	}
	if level, err = e.join(level); err != nil {
		return nil, err
	}
	if len(level) == 0 {
		return nil, nil
	}
	return e.pack(level)
}

// leaf merges edits into entries.
func (e *editor) leaf(old []Entry, todo []edit, prefix string) ([]Entry, error) {
	made := make([]Entry, 0, len(old)+len(todo))
	for _, t := range todo {
		for len(old) > 0 && old[0].Key < t.key {
			made = append(made, old[0])
			old = old[1:]
		}
		var was *Entry
		if len(old) > 0 && old[0].Key == t.key {
			was = &old[0]
			old = old[1:]
		}
		if strings.HasSuffix(t.key, "/") {
			d := Dir{}
			if was != nil {
				d = was.Dir
			}
			d, err := e.dir(d, t.changes, prefix+t.key)
			if err != nil {
				return nil, err
			}
			if d.Root != 0 {
				made = append(made, Entry{Key: t.key, IsDir: true, Dir: d})
			}
			continue
		}
		switch c := t.changes[0]; {
		case c.File != nil:
			made = append(made, Entry{Key: t.key, File: *c.File, Replace: c.Del})
		case was != nil && !c.Del:
			made = append(made, *was)
		}
	}
	return append(made, old...), nil
}

// check looks for collisions beside what was edited in a directory.
func (e *editor) check(root ID, todo []edit, prefix string) error {
	for _, t := range todo {
		name := bare(strings.TrimSuffix(t.key, "/"))
		c, err := seek(e, root, name)
		if err != nil {
			return err
		}
		var last *Entry
		for {
			x := c.entry()
			if x == nil || !strings.HasPrefix(x.Key, name) {
				break
			}
			if collides(last, x) {
				var found *Collision
				if err := collision(e, prefix, x); !errors.As(err, &found) {
					return err
				}
				if e.first == nil || found.Path < e.first.Path {
					e.first = found
				}
				break
			}
			if last = x; bare(x.Key) != name {
				break
			}
			if err := c.next(); err != nil {
				return err
			}
		}
	}
	return nil
}
