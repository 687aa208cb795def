package staging

import "path/filepath"

// Sweep removes what nobody owns any more, now.
func (o *Overlay) Sweep() error { return o.sweep() }

// NeededContents names the content files that some file has or reads from,
// relative to the state directory.
func (o *Overlay) NeededContents() map[string]bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	out := map[string]bool{}
	for _, l := range o.layers {
		l.root.walk(func(n *node) {
			if n.kind != fileNode {
				return
			}
			for c := range n.file.owned {
				rel, _ := filepath.Rel(o.stage.dir, c.name)
				out[rel] = true
			}
			for _, c := range n.file.retired {
				rel, _ := filepath.Rel(o.stage.dir, c.name)
				out[rel] = true
			}
			for _, im := range []image{n.file.im, n.file.stable} {
				for _, p := range im.pieces {
					rel, _ := filepath.Rel(o.stage.dir, p.c.name)
					out[rel] = true
				}
			}
		})
	}
	return out
}

// BranchDir is where the branch is in the state directory, relative to it.
func (o *Overlay) BranchDir() string {
	rel, _ := filepath.Rel(o.stage.dir, o.dir)
	return rel
}
