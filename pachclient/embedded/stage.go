package embedded

import (
	"slices"
	"strings"

	"pachfs/pachclient/embedded/internal/content"
	"pachfs/pachclient/embedded/internal/tree"
)

// A stage is the change set of one stream while it comes in: the contents go
// to the disk, what becomes of each path stays in memory. What is done to a
// path adds up to: perhaps a delete, then perhaps an append.
type stage struct {
	w     *content.Writer
	files map[string]*staged // by tree key
	order []*staged          // those with an open builder, oldest first

	builders, buffered int // how many may be open, with how many bytes

	lost bool // something was written that the changes may not need
}

type staged struct {
	del  bool
	add  bool
	file content.File     // what to append, unless b has it
	b    *content.Builder // open while more may come
}

// How many builders stay open, and with how many bytes in all. Clients mostly
// send one file after the other. For one that mixes some, which shows when a
// file is continued that was closed, the room grows: closing means to write the
// end of a file, and to read and write it again later.
const (
	minBuilders, maxBuilders = 4, 64
	minBuffered, maxBuffered = 32 << 20, 256 << 20
)

func newStage(s *content.Store) *stage {
	return &stage{w: s.NewWriter(), files: make(map[string]*staged), builders: minBuilders, buffered: minBuffered}
}

func (g *stage) at(key string) *staged {
	f := g.files[key]
	if f == nil {
		f = &staged{}
		g.files[key] = f
	}
	return f
}

// build gives the open builder of a file.
func (g *stage) build(f *staged) (*content.Builder, error) {
	if f.b != nil {
		return f.b, nil
	}
	b := g.w.Build()
	if f.add {
		if err := b.Append(f.file); err != nil {
			return nil, err
		}
		g.lost = true
		g.builders, g.buffered = min(2*g.builders, maxBuilders), min(2*g.buffered, maxBuffered)
	}
	f.add, f.b = true, b
	g.order = append(g.order, f)
	return b, nil
}

// add appends bytes to a file.
func (g *stage) add(key string, p []byte) error {
	b, err := g.build(g.at(key))
	if err != nil {
		return err
	}
	if _, err := b.Write(p); err != nil {
		return err
	}
	return g.trim()
}

// trim closes the oldest builders when there are too many.
func (g *stage) trim() error {
	buffered := 0
	for _, f := range g.order {
		buffered += f.b.Buffered()
	}
	for len(g.order) > g.builders || buffered > g.buffered && len(g.order) > 1 {
		buffered -= g.order[0].b.Buffered()
		if err := g.close(g.order[0]); err != nil {
			return err
		}
	}
	return nil
}

// close ends the builder of a file.
func (g *stage) close(f *staged) (err error) {
	if f.b == nil {
		return nil
	}
	f.file, err = f.b.File()
	f.b = nil
	g.order = slices.DeleteFunc(g.order, func(x *staged) bool { return x == f })
	return err
}

// delete forgets what was added to a file, and deletes what is below.
func (g *stage) delete(key string) {
	f := g.at(key)
	g.lost = g.lost || f.add
	g.order = slices.DeleteFunc(g.order, func(x *staged) bool { return x == f })
	*f = staged{del: true}
}

// deleteDir deletes what the stream put into a directory and what keys name.
func (g *stage) deleteDir(prefix string, keys []string) {
	for key, f := range g.files {
		if strings.HasPrefix(key, prefix) && !isTagged(key) && f.add {
			g.delete(key)
		}
	}
	for _, key := range keys {
		if !isTagged(key) {
			g.delete(key)
		}
	}
}

// isTagged says whether a file has a datum of its own: deleting a directory
// leaves it.
func isTagged(key string) bool { return strings.ContainsRune(key, 0) }

// copy puts an existing file.
func (g *stage) copy(key string, from content.File, appended bool) error {
	if !appended {
		g.delete(key)
	}
	f := g.at(key)
	if !f.add {
		f.add, f.file = true, from
		return nil
	}
	b, err := g.build(f)
	if err != nil {
		return err
	}
	if err := b.Append(from); err != nil {
		return err
	}
	return g.trim()
}

// finish puts everything on disk and gives the changes, sorted.
func (g *stage) finish() ([]tree.Change, error) {
	for len(g.order) > 0 {
		if err := g.close(g.order[0]); err != nil {
			return nil, err
		}
	}
	if err := g.w.Sync(); err != nil {
		return nil, err
	}
	changes := make([]tree.Change, 0, len(g.files))
	for key, f := range g.files {
		c := tree.Change{Key: key, Del: f.del}
		if f.add {
			c.File = &f.file
		}
		if f.add || f.del {
			changes = append(changes, c)
		}
	}
	sortChanges(changes)
	return changes, nil
}

func sortChanges(changes []tree.Change) {
	slices.SortFunc(changes, func(a, b tree.Change) int { return strings.Compare(a.Key, b.Key) })
}

// settle turns appends to files that exist into replacements, so that every
// change is final. Small files are read for that, of big ones the end.
func settle(src tree.Source, base tree.Dir, changes []tree.Change, w *content.Writer) error {
	seen := tree.NewCache(src)
	for i := range changes {
		c := &changes[i]
		if c.Del || c.File == nil {
			continue
		}
		old, err := tree.Lookup(seen, base, c.Key)
		if err != nil {
			return err
		}
		if old == nil {
			continue
		}
		file, err := concat(w, old.File, *c.File)
		if err != nil {
			return err
		}
		c.Del, c.File = true, &file
	}
	return w.Sync()
}

func concat(w *content.Writer, a, b content.File) (content.File, error) {
	build := w.Build()
	if err := build.Append(a); err != nil {
		return content.File{}, err
	}
	if err := build.Append(b); err != nil {
		return content.File{}, err
	}
	return build.File()
}
