package staging_test

import (
	"bytes"
	"maps"
	"path"
	"slices"
)

// A reference is what a branch must be: a map of files, and a list of commits.
type reference struct {
	files   map[string]*refFile
	dirs    map[string]string // every directory but the root → the one below that it shows; "": none
	below   refTree           // what the top layer lies on: the base, or what was frozen last
	commits []refCommit       // the branch's history, oldest first, from the first that holds files
	base    int               // the commit below everything
	pending int               // a commit that was made here and not heard of; 0: none
	layer   int               // counts the layers; this one takes changes
	landed  int               // the last layer that has landed
	named   map[string]name   // what was staged by name, since the base
	held    map[string]bool   // what others changed below it, and stays as it was
}

type refCommit struct {
	id string
	refTree
	layer  int      // the last one in it; 0: it is somebody else's
	theirs []string // what it changes, if it is
}

// A name was given, taken or written through in a layer.
type name struct {
	layer int
	moved bool
}

func newReference(id string, files tree) *reference {
	r := &reference{files: map[string]*refFile{}, dirs: map[string]string{}, named: map[string]name{}, layer: 1}
	t := refTree{files, dirsOf(files)}
	r.commits = []refCommit{{id: id, refTree: t}}
	r.startFrom(t)
	return r
}

// startFrom shows a tree with nothing staged on it.
func (r *reference) startFrom(t refTree) {
	r.below = refTree{maps.Clone(t.files), t.dirs}
	clear(r.files)
	clear(r.dirs)
	clear(r.named)
	for p, content := range t.files {
		r.files[p] = committedFile(content)
	}
	for _, d := range t.dirs {
		r.dirs[d] = d
	}
}

func (r *reference) shown() tree {
	out := tree{}
	for d := range r.dirs {
		out[d+"/"] = ""
	}
	for p, f := range r.files {
		out[p] = string(f.b)
	}
	return out
}

func (r *reference) exists(p string) bool { return r.isDir(p) || r.files[p] != nil }

func (r *reference) isDir(p string) bool {
	_, ok := r.dirs[p]
	return ok || p == "/"
}

func (r *reference) isEmpty(dir string) bool {
	for p := range r.dirs {
		if path.Dir(p) == dir {
			return false
		}
	}
	for p := range r.files {
		if path.Dir(p) == dir {
			return false
		}
	}
	return true
}

// pathOf is where a file stands; "" when its name is gone.
func (r *reference) pathOf(f *refFile) string {
	for p, other := range r.files {
		if other == f {
			return p
		}
	}
	return ""
}

func (r *reference) touch(moved bool, paths ...string) {
	for _, p := range paths {
		r.named[p] = name{r.layer, moved || r.named[p].moved}
	}
}

// standing gives what the next commit takes at a path where a file is that was
// never complete: the file that stands there in the tree below.
func (r *reference) standing(p string) (string, bool) {
	dir := path.Dir(p)
	if dir != "/" {
		if dir = r.dirs[dir]; dir == "" {
			return "", false
		}
	}
	content, ok := r.below.files[path.Join(dir, path.Base(p))]
	return content, ok
}

// takes is what a commit of now holds of everything that is here (promise 3).
func (r *reference) takes() tree {
	out := tree{}
	for p, f := range r.files {
		if f.complete {
			out[p] = f.stable
		} else if content, ok := r.standing(p); ok {
			out[p] = content
		}
	}
	return out
}

// seal freezes what a commit takes.
func (r *reference) seal() {
	r.below = refTree{r.takes(), slices.Sorted(maps.Keys(r.dirs))}
	r.layer++
	for d := range r.dirs {
		r.dirs[d] = d
	}
	for p, f := range r.files {
		if !f.clean || !f.complete {
			r.touch(false, p)
		}
	}
}

// kill ends all handles: what none of them had closed stays half.
func (r *reference) kill() {
	for _, f := range r.files {
		if f.flushed && !f.clean {
			f.settle()
		}
		f.flushed = false
	}
}

func (r *reference) head() refCommit { return r.commits[len(r.commits)-1] }

// landsOn is what is to be told apart from what a commit of now takes: the base,
// or a commit of ours that was not heard of. What others changed on the way to
// that does not show here yet.
func (r *reference) landsOn() tree {
	base, at := r.commits[r.base].files, max(r.base, r.pending)
	on := maps.Clone(r.commits[at].files)
	for _, c := range r.commits[r.base+1 : at+1] {
		for _, p := range c.theirs {
			content, was := base[p]
			switch {
			case !same(c.files, on, p): // ours was laid over it
			case was:
				on[p] = content
			default:
				delete(on, p)
			}
		}
	}
	return on
}

// rebase moves the base, and shows what others changed on the way.
func (r *reference) rebase(to int) {
	for ; r.base < to; r.base++ {
		c := r.commits[r.base+1]
		if c.layer > r.landed {
			r.landed = c.layer
		}
		for _, p := range c.theirs {
			if !r.held[p] && !same(r.below.files, r.commits[to].files, p) { // else ours was laid over it
				r.show(p, r.commits[to].files)
			}
		}
	}
	if r.pending <= r.base {
		r.pending = 0
	}
	maps.DeleteFunc(r.named, func(_ string, n name) bool { return n.layer <= r.landed })
}

// show makes the path what a commit says, below and on top. Handles go on
// reading what was there.
func (r *reference) show(p string, from tree) {
	content, ok := from[p]
	if !ok {
		delete(r.files, p)
		delete(r.below.files, p)
		return
	}
	if f := r.files[p]; f == nil || !bytes.Equal(f.b, []byte(content)) || f.half() {
		r.files[p] = committedFile(content)
	}
	r.below.files[p] = content
	for d := path.Dir(p); !r.isDir(d); d = path.Dir(d) {
		r.dirs[d] = d
		r.below.dirs = append(r.below.dirs, d)
	}
}

// staged lists the paths that a commit of now would change.
func (r *reference) staged() []string { return differing(r.takes(), r.commits[r.base].files) }

// untouched says whether nothing that was done here has to do with a path.
func (r *reference) untouched(p string) bool {
	for q := range r.named {
		if overlaps(p, q) {
			return false
		}
	}
	return true
}

// alone says whether giving up a path gives up nothing else.
func (r *reference) alone(p string) bool {
	for q, n := range r.named {
		if overlaps(p, q) && (q != p || n.moved) {
			return false
		}
	}
	return !r.isDir(p) && r.isDir(path.Dir(p))
}
