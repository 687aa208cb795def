package staging

import (
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

// reachesBelow says whether something below p is in the set.
func (s pathSet) reachesBelow(p string) bool {
	prefix := strings.TrimSuffix(p, "/") + "/"
	i := sort.SearchStrings(s.sorted, prefix)
	return i < len(s.sorted) && strings.HasPrefix(s.sorted[i], prefix)
}

// stagedPaths lists the paths that layers[:n] say something about; with open,
// those that some process may be about to write to as well. Called with mu held.
func (o *Overlay) stagedPaths(n int, open bool) []string { return stagedIn(o.layers[:n], open) }

func stagedIn(layers []*layer, open bool) []string {
	var out []string
	for _, l := range layers {
		l.root.walk(func(c *node) {
			switch {
			case c.kind == fileNode && (c.file.changed() || open && c.file.writers > 0),
				c.kind == whiteout,
				c.kind == dirNode && c.made && c.lower != c.path():
				out = append(out, c.path())
			}
		})
	}
	return out
}
