package embedded

import (
	"pachfs/pachclient/embedded/internal/content"
	"pachfs/pachclient/embedded/internal/tree"
)

// A layer is a stored change set: what a file set does, and what a commit did
// to its parent's tree.
type layer struct {
	Files   tree.Dir // what it puts; Entry.Replace says how
	Deletes tree.Dir // what it deletes and does not put; empty files
}

// changes gives what a layer does, sorted.
func (l layer) changes(src tree.Source) ([]tree.Change, error) {
	changes := make([]tree.Change, 0, l.Files.Files+l.Deletes.Files)
	err := tree.Walk(src, l.Files, "", "", func(key string, e *tree.Entry) error {
		if !e.IsDir {
			changes = append(changes, tree.Change{Key: key, Del: e.Replace, File: &e.File})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = tree.Walk(src, l.Deletes, "", "", func(key string, e *tree.Entry) error {
		if !e.IsDir {
			changes = append(changes, tree.Change{Key: key, Del: true})
		}
		return nil
	})
	sortChanges(changes)
	return changes, err
}

// overlay lays sorted changes over a layer. It also gives the collision that
// they made in it.
func (t *tx) overlay(l layer, changes []tree.Change) (layer, *tree.Collision, error) {
	w := t.newWriter()
	files := make([]tree.Change, 0, len(changes))
	var deletes []tree.Change
	seen := tree.NewCache(t)
	for _, c := range changes {
		was, err := tree.Lookup(seen, l.Files, c.Key)
		if err != nil {
			return l, nil, err
		}
		gone, err := tree.Lookup(seen, l.Deletes, c.Key)
		if err != nil {
			return l, nil, err
		}
		if c.File == nil {
			files = append(files, tree.Change{Key: c.Key, Del: true})
			deletes = append(deletes, tree.Change{Key: c.Key, File: &content.Empty})
			continue
		}
		if gone != nil {
			deletes = append(deletes, tree.Change{Key: c.Key, Del: true})
			c.Del = true
		} else if was != nil && !c.Del {
			file, err := concat(w, was.File, *c.File)
			if err != nil {
				return l, nil, err
			}
			c = tree.Change{Key: c.Key, Del: was.Replace, File: &file}
		}
		files = append(files, c)
	}
	if err := w.Sync(); err != nil {
		return l, nil, err
	}
	var made layer
	var collision *tree.Collision
	var err error
	if made.Files, collision, err = tree.Apply(t, l.Files, files); err != nil {
		return l, nil, err
	}
	made.Deletes, _, err = tree.Apply(t, l.Deletes, deletes)
	return made, collision, err
}
