package staging

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
)

// A wanted is a content that files have pieces in.
type wanted struct {
	c      *content
	must   bool // without it what was acknowledged is lost
	frozen bool // a sealed layer reads it
}

// collectContents checks that every content that is needed is there, and
// removes those that nobody needs: what a kill left between two steps.
func (o *Overlay) collectContents() error {
	used, files := o.wantedContents()
	err := o.eachContent(func(name string, id uint64) {
		o.files.lastCont = max(o.files.lastCont, id)
		if w := used[name]; w != nil {
			w.c.o, w.c.frozen = o, w.frozen
		} else {
			o.doom(name)
		}
	})
	if err != nil {
		return err
	}
	for name, w := range used {
		if w.must && w.c.o == nil {
			return fmt.Errorf("%s is missing: %w", name, ErrCorrupt)
		}
	}
	for _, f := range files { // what a record vouched for goes once a later one is on disk
		f.synced = slices.DeleteFunc(f.synced, func(v vouched) bool {
			return slices.ContainsFunc(slices.Concat(v.im.pieces, v.stable.pieces), func(p piece) bool { return p.c != nil && p.c.o == nil })
		})
	}
	o.files.contents = nil
	return nil
}

// wantedContents gives the contents that the files of the layers are made of,
// by the names of their files, and lets go of the others. What has landed is in
// Pachyderm, and may be gone in part.
func (o *Overlay) wantedContents() (used map[string]*wanted, files []*File) {
	used = map[string]*wanted{}
	landed := o.landedLayers()
	for i, l := range o.layers {
		use := func(im image, must bool) {
			for _, p := range im.pieces {
				if p.c == nil {
					continue
				}
				w := used[p.c.name]
				if w == nil {
					w = &wanted{c: p.c}
					used[p.c.name] = w
				}
				w.must, w.frozen = w.must || must && i >= landed, w.frozen || l.sealed
			}
		}
		l.root.walk(func(n *node) {
			if n.kind != fileNode {
				return
			}
			f := n.file
			files = append(files, f)
			use(f.im, true)
			use(f.stable, true)
			for i, v := range f.synced {
				last := i == len(f.synced)-1
				use(v.im, last)
				use(v.stable, last)
			}
			for c := range f.owned {
				if used[c.name] == nil {
					delete(f.owned, c)
					c.disown()
				}
			}
		})
	}
	return used, files
}

// eachContent calls fn with the content files that are there.
func (o *Overlay) eachContent(fn func(name string, id uint64)) error {
	root := filepath.Join(o.dir, "content")
	subs, err := o.d.ReadDir(root)
	if err != nil {
		return err
	}
	for _, sub := range subs {
		names, err := o.d.ReadDir(filepath.Join(root, sub))
		if err != nil {
			return err
		}
		for _, name := range names {
			full := filepath.Join(root, sub, name)
			id, err := strconv.ParseUint(name, 16, 64)
			if err != nil {
				return fmt.Errorf("%s: %w", full, ErrCorrupt)
			}
			fn(full, id)
		}
	}
	return nil
}
