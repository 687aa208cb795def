package staging

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"pachfs/pachclient"
)

// An Overlay is one branch, or one commit, as a tree of files: the committed
// tree below, the layers of local changes above. Methods that take a context
// may wait for the network; the others can't. Safe for concurrent use. Paths
// have a leading slash and no trailing one.
//
// Lock order: landing (held through a whole commit), then mu, then File.mu,
// then the journal's. mu is never held across the network or a sync.
type Overlay struct {
	branch   pachclient.Branch
	client   pachclient.Client
	d        disk
	dir      string // the branch's part of the state directory; "": nothing can be staged
	log      *slog.Logger
	opts     Options
	stage    *Stage
	landing  chan struct{} // a token: whoever holds it may land, discard, or move the base
	closing  chan struct{}
	unsynced sync.Map // *File → true: to be synced within SyncAfter
	readOnly atomic.Bool
	contents sync.Map // directories of contents with entries that may not be on disk: name → true

	mu      sync.RWMutex
	closed  bool
	broken  error    // why nothing can land any more, nor be taken back; nil: it can
	layers  []*layer // bottom to top; the last one takes changes
	lastSeq uint64
	base    *base
	moving  *moving // what a landing is about to move the base past; nil: none is
	files   fileTable
	open    map[*File]bool // those with handles
	half    map[*File]bool // those without, that no close completed

	doomedMu sync.Mutex // a leaf
	doomed   []string   // content files that nobody owns any more

	statusMu sync.Mutex // guards what follows; a leaf
	progress progress
}

// Branch is the branch that the overlay shows.
func (o *Overlay) Branch() pachclient.Branch { return o.branch }

// ReadOnly says whether nothing can be staged here.
func (o *Overlay) ReadOnly() bool { return o.readOnly.Load() }

// Base is the commit that the changes lie on.
func (o *Overlay) Base() CommitInfo {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.base.info
}

func (o *Overlay) top() *layer { return o.layers[len(o.layers)-1] }

// A spot is where a path leads: to a node of a layer, to a path of the base, or nowhere.
type spot struct {
	n     *node
	layer int // of n; -1: the base
	base  string
}

// find walks down from the layer with that index. A whiteout is nowhere.
// Called with mu held.
func (o *Overlay) find(layer int, p string) (spot, error) {
	for i := layer; i >= 0; i-- {
		n, lower, err := o.layers[i].root.resolve(p)
		switch {
		case err != nil:
			return spot{}, err
		case n != nil && n.kind == whiteout, n == nil && lower == "":
			return spot{}, errNotExist(p)
		case n != nil:
			return spot{n: n, layer: i}, nil
		}
		p = lower
	}
	return spot{layer: -1, base: p}, nil
}

func errNotExist(p string) error { return &fs.PathError{Op: "lookup", Path: p, Err: fs.ErrNotExist} }
func errNotDir(p string) error {
	return &fs.PathError{Op: "lookup", Path: p, Err: pachclient.ErrNotDir}
}

// Stat describes one path. fs.ErrNotExist: nothing there.
func (o *Overlay) Stat(ctx context.Context, p string) (Info, error) {
	o.mu.RLock()
	if o.closed {
		o.mu.RUnlock()
		return Info{}, ErrClosed
	}
	s, err := o.find(len(o.layers)-1, p)
	b := o.base
	var info Info
	var lower string
	var inPlace bool
	if err == nil && s.n != nil {
		info, lower, inPlace = o.nodeInfo(s)
	}
	o.mu.RUnlock()
	switch {
	case err != nil:
		return Info{}, err
	case s.n == nil:
		info, err = b.stat(ctx, s.base)
	case inPlace:
		if li, err := b.stat(ctx, lower); err == nil {
			info.over(li)
		}
	}
	_, info.Name = split(p)
	return info, err
}

// over lays a directory over the one that shows through: the later time counts.
func (i *Info) over(below Info) {
	if i.Dir && below.Dir && below.mtime > i.mtime {
		i.mtime, i.ModTime = below.mtime, below.ModTime
	}
}

// nodeInfo describes a node. For a directory it also gives the path in the
// base that shows through it, and whether that is the directory that was at
// this place before: one that was moved here took its time along. Called with mu held.
func (o *Overlay) nodeInfo(s spot) (info Info, lower string, inPlace bool) {
	if s.n.kind == fileNode {
		info = s.n.file.Info()
		info.Name = s.n.name
		return info, "", false
	}
	info = Info{Name: s.n.name, Dir: true, attr: s.n.attr, Staged: s.n.made}
	lower, inPlace = s.n.lower, s.n.inPlace()
	for i := s.layer - 1; i >= 0 && lower != ""; i-- {
		n, next, err := o.layers[i].root.resolve(lower)
		if err != nil || n != nil && n.kind != dirNode {
			lower = ""
			break
		}
		if n != nil {
			if inPlace {
				info.mtime = max(info.mtime, n.attr.mtime)
			}
			next, inPlace = n.lower, inPlace && n.inPlace()
		}
		lower = next
	}
	info.ModTime = time.Unix(0, info.mtime)
	return info, lower, inPlace && lower != ""
}

// An upper is what the layers say of an entry of a directory.
type upper struct {
	Info
	inPlace bool // the base's entry of that name shows through it
}

// List gives the entries of a directory, as one moment has them.
func (o *Overlay) List(ctx context.Context, dir string) ([]Info, error) {
	o.mu.RLock()
	if o.closed {
		o.mu.RUnlock()
		return nil, ErrClosed
	}
	above, lower, found, err := o.gather(len(o.layers)-1, dir)
	b := o.base
	o.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	var out []Info
	if lower != "" {
		out, err = b.list(ctx, lower)
		if err != nil && !(found && errors.Is(err, pachclient.ErrNotDir)) { // others put a file where a directory is here
			return nil, err
		}
		if len(out) == 0 && !found && lower != "/" {
			if _, err := b.stat(ctx, lower); err != nil {
				return nil, err
			}
		}
	}
	return merge(out, above), nil
}

// gather collects what the layers say of a directory's entries: nil for those
// that are hidden. lower is the directory of the base that shows through, ""
// for none; found, that the directory exists whatever the base says. Called with mu held.
func (o *Overlay) gather(layer int, dir string) (above map[string]*upper, lower string, found bool, err error) {
	above, lower = map[string]*upper{}, dir
	for i := layer; i >= 0 && lower != ""; i-- {
		n, next, err := o.layers[i].root.resolve(lower)
		switch {
		case err != nil && found, n != nil && n.kind != dirNode && found:
			return above, "", true, nil // what is below can't show through a directory
		case err != nil:
			return nil, "", false, err
		case n != nil && n.kind == whiteout, n == nil && next == "" && !found:
			return nil, "", false, errNotExist(dir)
		case n != nil && n.kind == fileNode:
			return nil, "", false, errNotDir(dir)
		case n != nil:
			found, next = true, n.lower
			for name, c := range n.children {
				if _, said := above[name]; said {
					continue
				}
				above[name] = nil
				if c.kind != whiteout {
					info, _, inPlace := o.nodeInfo(spot{n: c, layer: i})
					above[name] = &upper{info, inPlace}
				}
			}
		}
		lower = next
	}
	return above, lower, found, nil
}

// merge lays what the layers say over the listing of the base.
func merge(below []Info, above map[string]*upper) []Info {
	if len(above) == 0 {
		return below
	}
	out := below[:0:0]
	for _, b := range below {
		a, ok := above[b.Name]
		switch {
		case !ok:
			out = append(out, b)
		case a != nil && a.inPlace:
			a.over(b)
		}
	}
	n := len(out)
	for _, a := range above {
		if a != nil {
			out = append(out, a.Info)
		}
	}
	sort.Slice(out[n:], func(i, j int) bool { return out[n+i].Name < out[n+j].Name })
	return out
}

// A tx is one attempt at changing the tree. What it must know of the base it
// takes from facts; a missing fact ends the attempt, is fetched without any
// lock, and the attempt is made again.
type tx struct {
	o     *Overlay
	facts map[factKey]fact
}

type factKey struct {
	b    *base
	path string
	list bool
}

type fact struct {
	info Info
	list []Info
	err  error
}

// need says which fact is missing.
type need struct{ key factKey }

func (n *need) Error() string { return "not known yet: " + n.key.path }

// update runs fn with mu held, as often as it takes to learn what fn needs to
// know of the base. fn must not change anything before its last look-up.
func (o *Overlay) update(ctx context.Context, fn func(t *tx) error) error {
	t := &tx{o: o, facts: map[factKey]fact{}}
	for {
		o.mu.Lock()
		err := ErrClosed
		if !o.closed {
			err = fn(t)
		}
		o.mu.Unlock()
		var n *need
		if !errors.As(err, &n) {
			return err
		}
		if err := t.learn(ctx, n.key); err != nil {
			return err
		}
	}
}

func (t *tx) learn(ctx context.Context, k factKey) error {
	var f fact
	if k.list {
		f.list, f.err = k.b.list(ctx, k.path)
	} else {
		f.info, f.err = k.b.stat(ctx, k.path)
	}
	if f.err != nil && !errors.Is(f.err, fs.ErrNotExist) && !errors.Is(f.err, pachclient.ErrNotDir) {
		return f.err
	}
	t.facts[k] = f
	return nil
}

// stat describes a path in the tree up to a layer, and tells where it leads.
func (t *tx) stat(layer int, p string) (Info, spot, error) {
	s, err := t.o.find(layer, p)
	if err != nil {
		return Info{}, s, err
	}
	if s.n != nil {
		info, _, _ := t.o.nodeInfo(s)
		return info, s, nil
	}
	k := factKey{t.o.base, s.base, false}
	f, ok := t.facts[k]
	if !ok {
		return Info{}, s, &need{k}
	}
	return f.info, s, f.err
}

// dirTime gives the time that a directory shows, for one that moves.
func (t *tx) dirTime(info Info, s spot) (int64, error) {
	if s.n == nil {
		return info.mtime, nil
	}
	_, lower, inPlace := t.o.nodeInfo(s)
	if !inPlace {
		return info.mtime, nil
	}
	k := factKey{t.o.base, lower, false}
	f, ok := t.facts[k]
	if !ok {
		return 0, &need{k}
	}
	return max(info.mtime, f.info.mtime), nil
}

// empty says whether a directory has no entries.
func (t *tx) empty(p string) (bool, error) {
	above, lower, _, err := t.o.gather(len(t.o.layers)-1, p)
	if err != nil {
		return false, err
	}
	for _, a := range above {
		if a != nil {
			return false, nil
		}
	}
	if lower == "" {
		return true, nil
	}
	k := factKey{t.o.base, lower, true}
	f, ok := t.facts[k]
	if !ok {
		return false, &need{k}
	}
	if errors.Is(f.err, pachclient.ErrNotDir) {
		return true, nil
	}
	return len(merge(f.list, above)) == 0, f.err
}

// below tells what would show at p if the top layer said nothing of it.
func (t *tx) below(p string) (Info, bool, error) {
	dir, name := split(p)
	n, lower, err := t.o.top().root.resolve(dir)
	if err != nil {
		return Info{}, false, err
	}
	if n != nil {
		lower = n.lower
	}
	if lower = join(lower, name); lower == "" {
		return Info{}, false, nil
	}
	info, _, err := t.stat(len(t.o.layers)-2, lower)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, pachclient.ErrNotDir) {
		return Info{}, false, nil
	}
	return info, err == nil, err
}

// parent fails unless p's directory exists.
func (t *tx) parent(p string) error {
	dir, _ := split(p)
	if dir == "/" {
		return nil
	}
	info, _, err := t.stat(len(t.o.layers)-1, dir)
	if err == nil && !info.Dir {
		err = errNotDir(dir)
	}
	return err
}

func (t *tx) writable() error {
	if t.o.readOnly.Load() {
		return fmt.Errorf("%s: %w", t.o.branch, ErrReadOnly)
	}
	return nil
}

// newContent makes an empty content file.
func (o *Overlay) newContent() (*content, error) {
	o.files.idMu.Lock()
	o.files.lastCont++
	id := o.files.lastCont
	o.files.idMu.Unlock()
	c := &content{id: id, name: contentName(o.dir, id), o: o}
	f, err := o.d.Create(c.name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = o.d.MkdirAll(filepath.Dir(c.name)); err == nil {
			f, err = o.d.Create(c.name)
		}
	}
	if err != nil {
		return nil, err
	}
	At("content")
	o.contents.Store(filepath.Dir(c.name), true)
	c.f = f // closed after its first use
	return c, nil
}

// syncContentDirs makes the names of contents durable.
func (o *Overlay) syncContentDirs(cs []*content) error {
	for _, c := range cs {
		dir := filepath.Dir(c.name)
		if _, fresh := o.contents.LoadAndDelete(dir); !fresh {
			continue
		}
		if err := errors.Join(o.d.SyncDir(dir), o.d.SyncDir(filepath.Dir(dir))); err != nil {
			o.contents.Store(dir, true)
			return err
		}
	}
	return nil
}
