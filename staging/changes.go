package staging

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"sort"

	"pachfs/pachclient"
)

// A delta is what layers change in all, against a base: what goes, and then
// what is there instead.
type delta struct {
	o       *Overlay
	b       *base
	adds    []add
	deletes []string // with a slash at the end: a directory with all below it
}

// An add is a path's new content: a file of a layer, a file or directory of
// the base that comes to stand here, or a file of the base that grew.
type add struct {
	path  string
	file  *File // nil: from says what
	layer int   // of file
	from  string
	keep  int64 // with file and from: the bytes of from that it begins with, which is all of them
}

// paths lists every path that the delta touches, sorted.
func (d *delta) paths() []string {
	out := make([]string, 0, len(d.adds)+len(d.deletes))
	for _, a := range d.adds {
		out = append(out, a.path)
	}
	for _, p := range d.deletes {
		out = append(out, path.Clean(p))
	}
	sort.Strings(out)
	return slices.Compact(out)
}

func (d *delta) empty() bool { return len(d.adds) == 0 && len(d.deletes) == 0 }

// removed is the set of what is deleted, by itself or with a directory.
func (d *delta) removed() pathSet {
	out := make([]string, len(d.deletes))
	for i, p := range d.deletes {
		out[i] = path.Clean(p)
	}
	return newPathSet(out)
}

// A differ works out a delta. It may ask the base, so it must not hold mu; it
// reads layers that nobody changes, which the landing token is for.
type differ struct {
	ctx context.Context
	o   *Overlay
	top int // the last layer that counts
	b   *base
	out delta
}

// delta gives what the layers up to top change.
func (o *Overlay) delta(ctx context.Context, top int) (*delta, error) {
	o.mu.RLock()
	d := &differ{ctx: ctx, o: o, top: top, b: o.base, out: delta{o: o, b: o.base}}
	o.mu.RUnlock()
	return &d.out, d.walk("/", true)
}

// gather and find are the overlay's, under its lock: a look at the upper
// layer's neighbours is a look at shared memory.
func (d *differ) gather(p string) (names []string, above map[string]*upper, lower string, err error) {
	d.o.mu.RLock()
	defer d.o.mu.RUnlock()
	above, lower, _, err = d.o.gather(d.top, p)
	for name := range above {
		names = append(names, name)
	}
	sort.Strings(names)
	return names, above, lower, err
}

func (d *differ) find(p string) (spot, string, error) {
	d.o.mu.RLock()
	defer d.o.mu.RUnlock()
	s, err := d.o.find(d.top, p)
	if err != nil || s.n == nil || s.n.kind != dirNode {
		return s, "", err
	}
	_, lower, _ := d.o.nodeInfo(s)
	return s, lower, nil
}

// committed describes a path of the commit itself; ok says whether it exists.
func (d *differ) committed(p string) (fi pachclient.FileInfo, ok bool, err error) {
	fi, err = d.b.r.Stat(d.ctx, p)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, pachclient.ErrNotDir) {
		return fi, false, nil
	}
	return fi, err == nil, err
}

// walk goes through what the layers say below a directory that shows the same
// directory of the base, or none. inBase: the base has that directory.
func (d *differ) walk(dir string, inBase bool) error {
	names, _, _, err := d.gather(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := d.entry(join(dir, name), inBase); err != nil {
			return err
		}
	}
	return nil
}

func (d *differ) entry(p string, inBase bool) error {
	var old pachclient.FileInfo
	var exists bool
	var err error
	if inBase {
		if old, exists, err = d.committed(p); err != nil {
			return err
		}
	}
	s, lower, err := d.find(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.remove(p, exists, old.Dir)
		return nil
	case err != nil:
		return err
	case s.n == nil:
		if s.base != p && d.b.holdsBelow(s.base) {
			return d.moved(p, s.base)
		} else if s.base != p {
			d.out.adds = append(d.out.adds, add{path: p, from: s.base})
		}
		return nil
	case s.n.kind == fileNode:
		return d.file(p, s, exists, old.Dir)
	case lower == p && inBase:
		return d.walk(p, exists && old.Dir)
	}
	d.remove(p, exists, old.Dir)
	if lower == "" {
		return d.walk(p, false)
	}
	return d.moved(p, lower)
}

func (d *differ) remove(p string, exists, dir bool) {
	if exists && dir {
		p += "/"
	}
	if exists {
		d.out.deletes = append(d.out.deletes, p)
	}
}

func (d *differ) file(p string, s spot, exists, dir bool) error {
	a := add{path: p, file: s.n.file, layer: s.layer}
	a.from, a.keep = d.origin(s)
	grown := a.size() - a.keep
	switch {
	case a.from == p && grown == 0 && exists && !dir:
		return nil
	case a.from != "" && grown == 0:
		a = add{path: p, from: a.from}
	case a.keep > 0:
		fi, ok, err := d.committed(a.from)
		if err != nil {
			return err
		}
		if !ok || fi.Dir || fi.Size != a.keep {
			a.from, a.keep = "", 0
		}
	default:
		a.from = ""
	}
	if exists && dir {
		d.remove(p, true, true)
	}
	d.out.adds = append(d.out.adds, a)
	return nil
}

// origin tells whether a file begins with the whole of one of the base, and
// with which and how much that is. What comes after it was appended here.
func (d *differ) origin(s spot) (from string, size int64) {
	f := s.n.file
	f.mu.Lock()
	extends, lower, size := f.lowerPath != "" && f.committed().extends(f.lowerSize), f.lowerPath, f.lowerSize
	f.mu.Unlock()
	if !extends {
		return "", 0
	}
	d.o.mu.RLock()
	below, err := d.o.find(s.layer-1, lower)
	d.o.mu.RUnlock()
	switch {
	case err != nil:
		return "", 0
	case below.n == nil:
		return below.base, size
	case below.n.kind == fileNode:
		return d.origin(below)
	}
	return "", 0
}

// moved goes through a directory that shows another directory of the base.
// Where no layer says anything of what is there, it is one copy, whatever is below.
func (d *differ) moved(p, from string) error {
	names, above, _, err := d.gather(p)
	if err != nil {
		return err
	}
	if len(names) == 0 && !d.b.holdsBelow(from) {
		fi, ok, err := d.committed(from)
		if err == nil && ok && fi.Dir {
			d.out.adds = append(d.out.adds, add{path: p, from: from})
		}
		return err
	}
	var rest, mixed []add // what nobody changed: of one commit, or of several
	whole := !d.b.holdsBelow(from)
	err = d.b.r.List(d.ctx, from, func(fi pachclient.FileInfo) error {
		name := path.Base(fi.Path)
		a := add{path: join(p, name), from: fi.Path}
		if _, said := above[name]; said {
			whole = false
		} else if fi.Dir && d.b.holdsBelow(fi.Path) {
			mixed = append(mixed, a)
		} else {
			rest = append(rest, a)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, a := range mixed {
		if err := d.moved(a.path, a.from); err != nil {
			return err
		}
	}
	if whole && len(rest) > 0 { // what changed only comes to it
		rest = []add{{path: p, from: from}}
	}
	d.out.adds = append(d.out.adds, rest...)
	for _, name := range names {
		if above[name] == nil {
			continue
		}
		child := join(p, name)
		s, lower, err := d.find(child)
		switch {
		case err != nil:
			return err
		case s.n.kind == fileNode:
			err = d.file(child, s, false, false)
		case lower == "":
			err = d.walk(child, false)
		default:
			err = d.moved(child, lower)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// changes gives the delta as what an upload takes. progress hears of bytes read.
func (d *delta) changes(progress func(int64)) iter.Seq2[pachclient.Change, error] {
	return func(yield func(pachclient.Change, error) bool) {
		for _, a := range d.adds {
			c := pachclient.Change{Path: a.path}
			if a.from != "" {
				c.From = d.b.source(a.from)
			}
			if a.file != nil {
				if c.Size = a.size() - a.keep; c.Size > 0 {
					c.Open = d.open(a, progress)
				}
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}

func (a add) size() int64 {
	a.file.mu.Lock()
	defer a.file.mu.Unlock()
	return a.file.committed().size
}

func (d *delta) open(a add, progress func(int64)) func(context.Context) (io.ReadCloser, error) {
	return func(ctx context.Context) (io.ReadCloser, error) {
		return &sequential{ctx: ctx, z: d.pin(a), off: a.keep, progress: progress}, nil
	}
}

func (d *delta) pin(a add) *pinned {
	d.o.mu.RLock()
	defer d.o.mu.RUnlock()
	return d.o.pin(a.file, a.layer)
}

// sequential reads a file of a sealed layer to its end.
type sequential struct {
	ctx      context.Context
	z        *pinned
	off      int64
	progress func(int64)
}

func (s *sequential) Read(p []byte) (int, error) {
	n, err := s.z.readAt(s.ctx, p, s.off)
	s.off += int64(n)
	s.progress(int64(n))
	return n, err
}

func (s *sequential) Close() error {
	s.z.release()
	return nil
}
