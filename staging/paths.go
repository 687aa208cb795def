package staging

import (
	"maps"
	"slices"
	"sort"
	"strings"
)

// A pathSet answers whether a path overlaps one of its own.
type pathSet struct {
	sorted []string
	exact  map[string]bool
}

func newPathSet(paths []string) pathSet {
	s := pathSet{sorted: paths, exact: make(map[string]bool, len(paths))}
	sort.Strings(s.sorted)
	for _, p := range paths {
		s.exact[p] = true
	}
	return s
}

// covers says whether p or something above it is in the set.
func (s pathSet) covers(p string) bool {
	for ; p != "/"; p, _ = split(p) {
		if s.exact[p] {
			return true
		}
	}
	return s.exact["/"]
}

// overlaps says whether p, something above it or something below it is in the set.
func (s pathSet) overlaps(p string) bool { return s.covers(p) || s.reachesBelow(p) }

// overlapping lists those that covers and reachesBelow ask for; none for "".
func (s pathSet) overlapping(p string) []string {
	if p == "" {
		return nil
	}
	return append(s.covering(p), s.below(p)...)
}

// covering lists p and those above it; none for "".
func (s pathSet) covering(p string) (out []string) {
	for ; p != "" && p != "/"; p, _ = split(p) {
		if s.exact[p] {
			out = append(out, p)
		}
	}
	return out
}

// below lists those below p, in order.
func (s pathSet) below(p string) []string { return pathsBelow(s.sorted, p) }

// pathsBelow gives the part of a sorted list that lies below a path.
func pathsBelow(sorted []string, p string) []string {
	dir := strings.TrimSuffix(p, "/")
	from, _ := slices.BinarySearch(sorted, dir+"/")
	to, _ := slices.BinarySearch(sorted, dir+"0") // what comes after the slash
	return sorted[from:to]
}

// reachesBelow says whether something below p is in the set.
func (s pathSet) reachesBelow(p string) bool { return len(s.below(p)) > 0 }

// staged says whether the layer says something at the node; with open, also
// whether some process may be about to write there. Called with mu held.
func (n *node) staged(open bool) bool {
	switch n.kind {
	case fileNode:
		return n.file.changed() || open && n.file.writers > 0
	case dirNode:
		return n.made && n.lower != n.path()
	}
	return true // a whiteout
}

// inTheWay says, with open, whether the node is a directory that was made here:
// nothing that lands, but a file of others can't be at it, nor above it.
func (n *node) inTheWay(open bool) bool { return open && n.kind == dirNode && n.made }

// around calls fn with the staged nodes at p, above it and below it, until fn
// says so. n is the root of a layer. Called with mu held.
func (n *node) around(p string, open bool, fn func(*node) bool) bool {
	for rest := strings.TrimPrefix(p, "/"); rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if n = n.children[name]; n == nil {
			return false
		}
		if (n.staged(open) || rest == "" && n.inTheWay(open)) && fn(n) {
			return true
		}
	}
	return n.some(func(c *node) bool { return (c.staged(open) || c.inTheWay(open)) && fn(c) })
}

// overlap says whether anything that is staged in the layers is at p, above it
// or below it. It takes a few steps, however much is staged. Called with mu held.
func overlap(layers []*layer, p string, open bool) bool {
	return slices.ContainsFunc(layers, func(l *layer) bool {
		return l.root.around(p, open, func(*node) bool { return true })
	})
}

// overlapping lists those of the set that overlap what is staged in the layers.
// It goes over what is less, the set or what is staged. Called with mu held.
func overlapping(layers []*layer, set pathSet, open bool) []string {
	nodes := 0
	more := slices.ContainsFunc(layers, func(l *layer) bool {
		return l.root.some(func(*node) bool { nodes++; return nodes > len(set.sorted) })
	})
	if more {
		return slices.DeleteFunc(slices.Clone(set.sorted), func(p string) bool { return !overlap(layers, p, open) })
	}
	found := map[string]bool{}
	for _, l := range layers {
		l.root.walk(func(n *node) {
			var touched []string
			if n.staged(open) {
				touched = set.overlapping(n.path())
			} else if n.inTheWay(open) {
				touched = set.covering(n.path())
			}
			for _, p := range touched {
				found[p] = true
			}
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// above calls fn with the nodes above p. n is the root of a layer.
func (n *node) above(p string, fn func(*node)) {
	for rest := strings.TrimPrefix(p, "/"); ; {
		name, after, more := strings.Cut(rest, "/")
		if n = n.children[name]; n == nil || !more {
			return
		}
		fn(n)
		rest = after
	}
}
