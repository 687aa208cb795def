package staging_test

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// A refTree is a tree with its empty directories.
type refTree struct {
	files tree
	dirs  []string
}

// A refFile is shared by its name and its handles.
type refFile struct {
	b        []byte // what readers see
	stable   string // what the next commit takes, if complete
	complete bool   // it was closed or synced since it came to be
	clean    bool   // nothing was written since then
	flushed  bool   // a descriptor was closed since the last write, and is not released
}

func committedFile(content string) *refFile {
	return &refFile{b: []byte(content), stable: content, complete: true, clean: true}
}

// dirsOf lists the directories that files need.
func dirsOf(files tree, more ...string) []string {
	set := map[string]bool{}
	for p := range files {
		for d := path.Dir(p); d != "/"; d = path.Dir(d) {
			set[d] = true
		}
	}
	for _, d := range more {
		set[d] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// half says whether readers see other bytes than a commit would take.
func (f *refFile) half() bool { return !f.complete || f.stable != string(f.b) }

// settle is a close or a sync: the next commit takes the file as it is.
func (f *refFile) settle() {
	f.stable, f.complete, f.clean, f.flushed = string(f.b), true, true, false
}

func (f *refFile) wrote() { f.clean, f.flushed = false, false }

func (f *refFile) truncate(n int64) {
	if size := int64(len(f.b)); n != size {
		f.b = append(f.b[:min(n, size):min(n, size)], make([]byte, max(0, n-size))...)
		f.wrote()
	}
}

func (f *refFile) write(b []byte, off int64) {
	f.b = append(f.b, make([]byte, max(0, off+int64(len(b))-int64(len(f.b))))...)
	copy(f.b[off:], b)
	f.wrote()
}

// overlay gives the tree of a commit that brings ours, what the branch's head
// has elsewhere.
func overlay(head, ours, base tree) tree {
	out := maps.Clone(head)
	for _, p := range differing(ours, base) {
		if content, ok := ours[p]; ok {
			out[p] = content
		} else {
			delete(out, p)
		}
	}
	return out
}

// differing lists the paths at which two trees are not the same.
func differing(a, b tree) []string {
	var out []string
	for p := range a {
		if !same(a, b, p) {
			out = append(out, p)
		}
	}
	for p := range b {
		if _, ok := a[p]; !ok {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

func same(a, b tree, p string) bool {
	x, inA := a[p]
	y, inB := b[p]
	return x == y && inA == inB
}

func overlaps(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}
