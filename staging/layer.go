package staging

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"pachfs/pachclient"
)

// A layer is a set of changes on top of what is below it: a tree in memory and
// the journal that tells how it came about.
type layer struct {
	seq  uint64
	root *node
	j    *journal

	// What the journal says about the way into Pachyderm.
	sealed   bool
	message  string
	sealedAt time.Time
	uploaded pachclient.FileSet
	landing  landing
	landed   string            // the ID of the commit that holds it; landedNone: it made no difference
	conflict map[string]string // paths that others changed below what is staged there, and the commit that they are held to
}

// landedNone stands for the commit of a layer that changed nothing.
const landedNone = "none"

// landing is a change that was sent to the server.
type landing struct {
	head     string // the ID of the head that was checked before; "": none
	set      pachclient.FileSet
	deadline time.Time // zero: nothing was sent
}

func newLayer(seq uint64) *layer {
	return &layer{seq: seq, root: newRoot(), conflict: map[string]string{}}
}

// journalName gives the file of a layer's journal.
func journalName(dir string, seq uint64) string {
	return filepath.Join(dir, fmt.Sprintf("layer-%08d", seq))
}

// empty says whether the layer changes nothing. Nodes without a change, kept
// for open files, don't count.
func (l *layer) empty() bool {
	return len(l.conflict) == 0 && !l.root.some((*node).changes)
}

// changes says whether the node makes a difference to what is below.
func (n *node) changes() bool {
	switch n.kind {
	case whiteout:
		return true
	case dirNode:
		return n.made
	default:
		return n.file.changed()
	}
}

// apply brings the tree to the state after r. Live operations and replay both
// go through here; files says which File a number means.
func (l *layer) apply(r record, files *fileTable) error {
	switch r.Op {
	case opOpen, opCarried:
		return nil
	case opCreate, opCopyUp, opAdopt:
		return l.applyFile(r, files)
	case opMkdir:
		return l.applyMkdir(r)
	case opRemove:
		return l.applyRemove(r)
	case opRename:
		return l.applyRename(r, files)
	case opAttr:
		if n, _, err := l.root.resolve(r.Path); err == nil && n != nil {
			n.setAttr(r)
		}
		return nil
	case opDiscard:
		return l.applyDiscard(r)
	case opConflict:
		l.conflict[r.Path] = r.To
		return nil
	case opFellBack:
		return files.fallBack(l)
	case opSealed, opUploaded, opLanding, opLanded:
		return l.applyState(r)
	case opExtent, opTruncate, opStable, opSynced, opFlushed:
		f := files.byID[r.File]
		if f == nil || f.node == nil { // it was removed; its writers went on
			return nil
		}
		return f.replay(r, files)
	}
	return fmt.Errorf("unknown record %d: %w", r.Op, ErrNewerFormat)
}

func (l *layer) applyState(r record) error {
	switch r.Op {
	case opSealed:
		l.sealed, l.message, l.sealedAt = true, r.Text, time.Unix(0, r.Time)
		l.freeze()
	case opUploaded:
		l.uploaded = pachclient.FileSet(r.Text)
	case opLanding:
		l.landing = landing{head: r.To, set: pachclient.FileSet(r.Text), deadline: time.Unix(0, r.Time)}
		if r.Time == 0 {
			l.landing = landing{}
		}
	case opLanded:
		l.landed = r.To
	}
	return nil
}

// freeze leaves of every file what the commit takes, while a journal is
// replayed. The files that were open then went on in the layer above.
func (l *layer) freeze() {
	var gone []*node
	l.root.walk(func(n *node) {
		if n.kind != fileNode {
			return
		}
		if n.file.commits() {
			n.file.im = n.file.committed()
		} else {
			gone = append(gone, n)
		}
	})
	for _, n := range gone {
		n.takeOut()
	}
}

// takeOut removes a file of which a sealed layer has nothing to commit.
func (n *node) takeOut() {
	n.file.put(nil, nil)
	n.file.release()
	n.withhold()
}

// applyFile puts a file into the tree: a new one, one that stands on the file
// below, or one that goes on from the layer below.
func (l *layer) applyFile(r record, files *fileTable) error {
	f, live := files.byID[r.File], true
	if f == nil {
		f, live = files.add(r.File), false
	}
	if !live && r.Op != opCreate && r.Flags&flagBelow != 0 {
		_, lower, err := l.root.resolve(r.Path)
		if err != nil {
			return err
		}
		f.lowerPath, f.lowerSize, f.lowerHash = lower, r.Size, r.Hash
	}
	if !live && r.Op == opCopyUp {
		f.im = image{size: r.Size, lower: r.Size}
	}
	if !live && r.Op == opAdopt {
		f.im = image{size: r.End, lower: r.Lower}
	}
	f.attr.set(r)
	if f.node != nil && f.node.kind == fileNode && f.layer == l {
		return nil // it is in the tree already, opened before it was changed
	}
	n := &node{kind: fileNode, file: f}
	f.put(n, l)
	if r.Op == opCreate {
		l.touch(r)
	}
	return l.root.place(r.Path, n, r.Flags&(flagBelow|flagToBelow) != 0, r.Flags&flagBelowDir != 0)
}

func (l *layer) applyMkdir(r record) error {
	dir, name := split(r.Path)
	parent, err := l.root.dir(dir)
	if err != nil {
		return err
	}
	n := &node{kind: dirNode, made: true, lower: join(parent.lower, name)}
	if parent.children[name] != nil { // a whiteout: what it hides stays hidden
		n.lower = ""
	}
	n.attr.set(r)
	err = l.root.place(r.Path, n, false, false)
	l.touch(r)
	return err
}

func (l *layer) applyRemove(r record) error {
	below, belowDir := r.Flags&flagBelow != 0, r.Flags&flagBelowDir != 0
	n, _, err := l.root.resolve(r.Path)
	if err != nil {
		return err
	}
	if n == nil {
		n = &node{kind: whiteout}
		if err := l.root.place(r.Path, n, below, belowDir); err != nil {
			return err
		}
	}
	l.unlink(n)
	n.hide(below, belowDir)
	l.touch(r)
	return nil
}

// unlink tells the files of a subtree that their name is gone.
func (l *layer) unlink(n *node) {
	drop := func(n *node) {
		if n.kind == fileNode {
			n.file.put(nil, nil)
			if n.file.refs == 0 {
				n.file.release()
			}
		}
	}
	drop(n)
	n.walk(drop)
}

func (l *layer) applyRename(r record, files *fileTable) error {
	below, belowDir := r.Flags&flagBelow != 0, r.Flags&flagBelowDir != 0
	n, lower, err := l.root.resolve(r.Path)
	if err != nil {
		return err
	}
	if n == nil { // what moves is below: the node says where it came from
		n = &node{kind: dirNode, lower: lower}
		if r.Flags&flagDir == 0 {
			f := files.add(r.File)
			f.lowerPath, f.lowerSize, f.lowerHash = lower, r.Size, r.Hash
			f.im = image{size: r.Size, lower: r.Size}
			f.attr.mtime = r.Off
			n = &node{kind: fileNode, file: f}
			f.put(n, l)
		}
		if err := l.root.place(r.Path, n, below, belowDir); err != nil {
			return err
		}
	}
	if n.kind == fileNode {
		n.file.move(r.File, files)
	} else {
		n.made = true
		n.attr.mtime = max(n.attr.mtime, r.Off)
	}
	n.hide(below, belowDir)
	if old, _, _ := l.root.resolve(r.To); old != nil {
		l.unlink(old)
	}
	if err := l.root.place(r.To, n, r.Flags&flagToBelow != 0, r.Flags&flagToBelowDir != 0); err != nil {
		return err
	}
	l.touch(r)
	return nil
}

// applyDiscard forgets what the layer says of a path and of all below it.
func (l *layer) applyDiscard(r record) error {
	if r.Path == "" {
		return fmt.Errorf("a path without a name: %w", ErrCorrupt)
	}
	l.uploaded = "" // the set holds what is discarded
	if delete(l.conflict, r.Path); r.Path == "/" {
		clear(l.conflict)
	}
	n, _, err := l.root.resolve(r.Path)
	if err != nil || n == nil {
		return nil
	}
	l.unlink(n)
	if n.parent == nil {
		n.children = nil
	} else {
		n.cut()
		n.parent.prune()
	}
	return nil
}

// touch gives the directories whose listing r changed a new time.
func (l *layer) touch(r record) {
	if r.Flags&flagTime == 0 {
		return
	}
	for _, p := range []string{r.Path, r.To} {
		if p == "" || (p == r.To && r.Op != opRename) {
			continue
		}
		dir, _ := split(p)
		if n, _, err := l.root.resolve(dir); err == nil && n != nil && n.kind == dirNode {
			n.attr.mtime = max(n.attr.mtime, r.Time)
		}
	}
}

func (n *node) setAttr(r record) {
	if n.kind == fileNode {
		n.file.attr.set(r)
	} else {
		n.attr.set(r)
	}
}

// log appends records to the journal and then brings the tree to that state.
func (l *layer) log(files *fileTable, rs ...record) error {
	rs = files.o.pinning(l, rs)
	if err := l.j.append(rs...); err != nil {
		return err
	}
	for _, r := range rs {
		if err := l.apply(r, files); err != nil {
			return errors.Join(fmt.Errorf("record %d of %s", r.Op, r.Path), err)
		}
	}
	return nil
}

// put gives the file its place in a layer, or takes it away. Called with
// Overlay.mu held.
func (f *File) put(n *node, l *layer) {
	f.mu.Lock()
	f.node, f.layer = n, l
	f.mu.Unlock()
}
