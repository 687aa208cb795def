package tree

import (
	"fmt"
	"sort"
	"strings"
)

// A Source gives stored nodes: it calls fn with the bytes of one.
type Source interface {
	Node(id ID, fn func([]byte) error) error
}

func load(src Source, id ID) (*node, error) {
	if id == 0 {
		return &node{}, nil
	}
	var n *node
	switch src := src.(type) {
	case *editor: // what was just made need not be decoded
		n = src.cache[id]
	case *Cache:
		n = src.nodes[id]
	}
	if n != nil {
		return n, nil
	}
	err := src.Node(id, func(b []byte) (err error) {
		n, err = decode(b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("tree node %d: %w", id, err)
	}
	if c, ok := src.(*Cache); ok {
		c.keep(id, n)
	}
	return n, nil
}

// A Cache is a Source that remembers the nodes it read, for one who looks up
// many keys. It is not safe for concurrent use.
type Cache struct {
	Source
	nodes map[ID]*node
}

// NewCache gives an empty cache over a source.
func NewCache(src Source) *Cache { return &Cache{Source: src} }

// maxCached bounds a cache. Keys mostly come in order, so it may forget all at
// once.
const maxCached = 1000

func (c *Cache) keep(id ID, n *node) {
	if c.nodes == nil || len(c.nodes) >= maxCached {
		c.nodes = make(map[ID]*node)
	}
	c.nodes[id] = n
}

// split takes the first element off a key; that of a directory keeps its
// slash. A slash in a datum is none.
func split(key string) (first, rest string) {
	if i := strings.IndexAny(key, "/\x00"); i >= 0 && key[i] == '/' {
		return key[:i+1], key[i+1:]
	}
	return key, ""
}

// Key makes the key of a file from its path, which begins with a slash.
func Key(path, datum string) string {
	if datum != "" && datum != DefaultDatum {
		return path[1:] + "\x00" + datum
	}
	return path[1:]
}

// DefaultDatum is the datum of what was written without one.
const DefaultDatum = "default"

// Path gives path and datum of a key; those of a directory end in a slash and
// have no datum.
func Path(key string) (path, datum string) {
	if strings.HasSuffix(key, "/") || key == "" {
		return "/" + key, ""
	}
	name, datum, ok := strings.Cut(key, "\x00")
	if !ok {
		datum = DefaultDatum
	}
	return "/" + name, datum
}

// A cursor walks the entries of one directory in order.
type cursor struct {
	src   Source
	stack []position
}

type position struct {
	n *node
	i int
}

// seek gives a cursor on the first entry whose key is not less than key.
func seek(src Source, root ID, key string) (*cursor, error) {
	c := &cursor{src: src}
	for id := root; ; {
		n, err := load(src, id)
		if err != nil {
			return nil, err
		}
		if !n.inner {
			i := sort.Search(len(n.entries), func(i int) bool { return n.entries[i].Key >= key })
			c.stack = append(c.stack, position{n, i})
			return c, c.settle()
		}
		i := max(0, sort.Search(len(n.children), func(i int) bool { return n.children[i].key > key })-1)
		c.stack = append(c.stack, position{n, i})
		id = n.children[i].id
	}
}

// entry gives the entry under the cursor, nil at the end.
func (c *cursor) entry() *Entry {
	if len(c.stack) == 0 {
		return nil
	}
	p := &c.stack[len(c.stack)-1]
	return &p.n.entries[p.i]
}

func (c *cursor) next() error {
	c.stack[len(c.stack)-1].i++
	return c.settle()
}

// settle moves a cursor that stands behind the end of a leaf to the next one.
func (c *cursor) settle() error {
	for len(c.stack) > 0 {
		p := &c.stack[len(c.stack)-1]
		if !p.n.inner && p.i < len(p.n.entries) {
			return nil
		}
		if p.n.inner && p.i < len(p.n.children) {
			n, err := load(c.src, p.n.children[p.i].id)
			if err != nil {
				return err
			}
			c.stack = append(c.stack, position{n, 0})
			continue
		}
		c.stack = c.stack[:len(c.stack)-1]
		if len(c.stack) > 0 {
			c.stack[len(c.stack)-1].i++
		}
	}
	return nil
}

// Lookup finds the entry with exactly this key below root; nil, nil: there is
// none. A directory's key ends in a slash.
func Lookup(src Source, root Dir, key string) (*Entry, error) {
	for {
		first, rest := split(key)
		c, err := seek(src, root.Root, first)
		if err != nil {
			return nil, err
		}
		e := c.entry()
		if e == nil || e.Key != first {
			return nil, nil
		}
		if rest == "" {
			return e, nil
		}
		root, key = e.Dir, rest
	}
}
