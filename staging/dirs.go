package staging

import "strings"

// remainingDirs lists the directories that the mount goes on showing though
// the commit may have nothing in them: those that were empty before, those that
// were made here, and those that lost their files.
func (a *attempt) remainingDirs() map[string]bool {
	o, layers := a.o, a.layers()
	moves := make([][]move, len(layers))
	for i, l := range layers {
		moves[i] = l.moves()
	}
	out := map[string]bool{}
	keep := func(i int, p string) {
		for j := i; j < len(layers); j++ {
			var ok bool
			if p, ok = layers[j].shows(p, moves[j]); !ok {
				return
			}
		}
		out[p] = true
	}
	for d := range o.base.res.dirs {
		keep(0, d)
	}
	for i, l := range layers {
		l.root.walk(func(n *node) {
			if n.kind == dirNode && n.keepsDir() {
				keep(i+1, n.path())
			}
		})
	}
	return out
}

// keepsDir says whether the directory may be empty in the commit: it was made
// here and holds no file, or files went from it.
func (n *node) keepsDir() bool {
	files, gone := 0, 0
	for _, c := range n.children {
		switch c.kind {
		case fileNode:
			files++
		case whiteout:
			gone++
		}
	}
	return files == 0 && (n.made || gone > 0)
}

// A move is a directory or a file that a layer shows elsewhere.
type move struct{ from, to string }

func (l *layer) moves() []move {
	var out []move
	l.root.walk(func(n *node) {
		if n.kind == dirNode && n.lower != "" && !n.inPlace() {
			out = append(out, move{n.lower, n.path()})
		}
	})
	return out
}

func (l *layer) movedFiles() []move {
	var out []move
	l.root.walk(func(n *node) {
		if n.kind == fileNode && n.file.moved && n.file.lowerPath != "" { // a new one came from nowhere
			out = append(out, move{n.file.lowerPath, n.path()})
		}
	})
	return out
}

// shows tells where the directory p of the tree below a layer stands in the
// tree with it; false when it doesn't.
func (l *layer) shows(p string, moves []move) (string, bool) {
	if l.showsAt(p, p) {
		return p, true
	}
	for _, m := range moves {
		if within(p, m.from) {
			if q := join(m.to, strings.TrimPrefix(p, m.from)); l.showsAt(q, p) {
				return q, true
			}
		}
	}
	return "", false
}

// showsAt says whether the layer shows the directory p of the tree below at q.
func (l *layer) showsAt(q, p string) bool {
	n, lower, err := l.root.resolve(q)
	if err != nil {
		return false
	}
	return n == nil && lower == p || n != nil && n.kind == dirNode && n.lower == p
}
