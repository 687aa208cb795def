package tree

import (
	"errors"
	"fmt"
	"strings"
)

// Nodes visits every node below a directory once, and with it every file in
// it. Nodes that seen knows are left out; it learns those that are visited.
// file may be nil.
func Nodes(src Source, d Dir, seen map[ID]bool, file func(e *Entry) error) error {
	if d.Root == 0 || seen[d.Root] {
		return nil
	}
	seen[d.Root] = true
	n, err := load(src, d.Root)
	if err != nil {
		return err
	}
	for i := range n.children {
		if err := Nodes(src, Dir{Root: n.children[i].id}, seen, file); err != nil {
			return err
		}
	}
	for i := range n.entries {
		e := &n.entries[i]
		if e.IsDir {
			err = Nodes(src, e.Dir, seen, file)
		} else if file != nil {
			err = file(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Verify checks that a tree is well formed: keys in order, sums right, nothing
// empty. Subtrees that good knows are taken for good; it learns what it saw.
// It gives all that is wrong, joined.
func Verify(src Source, d Dir, good map[Dir]bool) error {
	if good[d] {
		return nil
	}
	v := &verifier{src: src, good: good}
	v.dir(d, "")
	return errors.Join(v.wrong...)
}

type verifier struct {
	src   Source
	good  map[Dir]bool
	wrong []error
}

func (v *verifier) bad(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Errorf(format, args...))
}

func (v *verifier) dir(d Dir, prefix string) {
	if v.good[d] {
		return
	}
	v.good[d] = true
	if d.Root == 0 {
		if d != (Dir{}) {
			v.bad("directory /%s: empty, but counts %d files", prefix, d.Files)
		}
		return
	}
	last := ""
	files, size := v.node(d.Root, prefix, &last)
	if files != d.Files || size != d.Size {
		v.bad("directory /%s: has %d files of %d bytes, counts %d of %d", prefix, files, size, d.Files, d.Size)
	}
}

func (v *verifier) node(id ID, prefix string, last *string) (files, size int64) {
	n, err := load(v.src, id)
	if err != nil {
		v.bad("directory /%s: %w", prefix, err)
		return 0, 0
	}
	if len(n.entries)+len(n.children) == 0 {
		v.bad("directory /%s: node %d is empty", prefix, id)
	}
	for _, c := range n.children {
		if c.key < *last {
			v.bad("directory /%s: child %q after %q", prefix, c.key, *last)
		}
		f, s := v.node(c.id, prefix, last)
		if f != c.files || s != c.size {
			v.bad("directory /%s: node %d has %d files of %d bytes, its parent counts %d of %d", prefix, c.id, f, s, c.files, c.size)
		}
		files, size = files+f, size+s
	}
	for i := range n.entries {
		e := &n.entries[i]
		v.entry(prefix, e, last)
		f, s := e.sums()
		files, size = files+f, size+s
	}
	return files, size
}

func (v *verifier) entry(prefix string, e *Entry, last *string) {
	if e.Key == "" || e.Key <= *last && *last != "" {
		v.bad("directory /%s: key %q after %q", prefix, e.Key, *last)
	}
	*last = e.Key
	if e.IsDir != strings.HasSuffix(e.Key, "/") {
		v.bad("directory /%s: %q is a directory: %v", prefix, e.Key, e.IsDir)
	}
	if e.IsDir {
		if e.Dir.Root == 0 {
			v.bad("directory /%s: %q is empty", prefix, e.Key)
		}
		v.dir(e.Dir, prefix+e.Key)
		return
	}
	sum := int64(0)
	for _, c := range e.File.Chunks {
		sum += c.Len
	}
	if sum != e.File.Size {
		v.bad("file /%s%s: chunks of %d bytes, size %d", prefix, e.Key, sum, e.File.Size)
	}
}
