package staging

import (
	"maps"
	"slices"

	"pachfs/pachclient"
)

// A pin is a path that others changed below what is staged there, when a landing
// moved the base past that: the branch is in conflict there until what is staged
// is given up, or lands over theirs, and until then the base holds the path to the
// commit that it was in ([held]). Pins stand in the layers' journals (`conflict`),
// in the lowest layer that is left.

// emptyTree stands, in a journal, for the commit of a branch without any.
const emptyTree = "none"

// holdID names the base for a record that says that a path is held to it.
func (b *base) holdID() string {
	if b.info.Commit.Zero() {
		return emptyTree
	}
	return b.info.Commit.ID
}

// onBase gives a base at a commit that holds what the layers say. Called with
// mu held, or alone.
func (o *Overlay) onBase(info CommitInfo, res *residue) *base {
	old := map[string]pachclient.Reader{}
	for _, l := range slices.Backward(o.layers) { // the lowest says what it was first
		for p, id := range l.conflict {
			c := pachclient.Commit{Branch: o.branch, ID: id}
			switch id {
			case "": // a pachfs wrote it that held nothing
				continue
			case emptyTree:
				c.ID = ""
			}
			old[p] = o.client.At(c)
		}
	}
	return &base{info: info, r: hold(o.client.At(info.Commit), old), res: res}
}

// pinned lists the pins of the lowest layers. Called with mu held.
func (o *Overlay) pinned(n int) []string {
	var out []string
	for _, l := range o.layers[:n] {
		out = slices.AppendSeq(out, maps.Keys(l.conflict))
	}
	return out
}

// A moving is what a landing moves the base past: from when it has looked at
// what is staged above it until the base has moved, whoever stages more on such a
// path pins it himself. A kill in between finds the new base and all pins.
type moving struct {
	theirs pathSet
	above  int // the first layer that stays
}

// pinAbove records, before the base moves, what of that is staged above, and
// the pins of the layers that go where something above still needs them.
func (a *attempt) pinAbove(foreign pathSet) error {
	o := a.o
	removed := a.delta.removed()
	o.mu.Lock()
	above := o.layers[a.top+1:]
	pins := map[string]string{}
	for _, l := range o.layers[:a.top+1] {
		for p, to := range l.conflict {
			if _, mine := a.want.files[p]; !mine && !a.gone(removed, p) && overlap(above, p, true) {
				pins[p] = to
			}
		}
	}
	o.pinForeign(above, foreign, pins)
	err := o.setPins(above[0], pins)
	o.moving = &moving{foreign, a.top + 1}
	o.mu.Unlock()
	if err != nil || len(pins) == 0 {
		return err
	}
	return above[0].j.sync()
}

// pinForeign adds to pins what others changed of what is staged in the layers,
// held to the base as it is. Called with mu held.
func (o *Overlay) pinForeign(layers []*layer, foreign pathSet, pins map[string]string) {
	for _, p := range overlapping(layers, foreign, true) {
		if _, ok := pins[p]; !ok && !isPinned(layers, p) {
			pins[p] = o.base.holdID()
		}
	}
}

func isPinned(layers []*layer, p string) bool {
	return slices.ContainsFunc(layers, func(l *layer) bool { _, ok := l.conflict[p]; return ok })
}

// setPins records pins in a layer. They count, as long as this process lives, also
// where the disk takes no record. Called with mu held.
func (o *Overlay) setPins(l *layer, pins map[string]string) error {
	var rs []record
	for p, to := range pins {
		l.conflict[p] = to
		rs = append(rs, record{Op: opConflict, Path: p, To: to})
	}
	return l.j.append(rs...)
}

// pinning puts before records that stage something those of the pins that it
// takes while a landing passes. Called with mu held.
func (o *Overlay) pinning(l *layer, rs []record) []record {
	if o.moving == nil {
		return rs
	}
	var pins []record
	for _, r := range rs {
		for _, p := range o.moving.touched(r) {
			if !isPinned(o.layers[o.moving.above:], p) {
				l.conflict[p] = o.base.holdID()
				pins = append(pins, record{Op: opConflict, Path: p, To: l.conflict[p]})
			}
		}
	}
	return append(pins, rs...)
}

// touched lists what others changed of the paths at which a record stages something.
func (m *moving) touched(r record) []string {
	switch r.Op {
	case opCreate, opCopyUp, opRemove, opRename:
		return append(m.theirs.overlapping(r.Path), m.theirs.overlapping(r.To)...)
	case opMkdir:
		return m.theirs.covering(r.Path)
	}
	return nil
}

// passed ends what pinAbove began, should the base not have moved.
func (o *Overlay) passed() {
	o.mu.Lock()
	o.moving = nil
	o.mu.Unlock()
}

// orphans lists pins that nothing staged is at any more: what was opened for
// writing was closed without a change, or what was staged is forgotten. Called
// with mu held.
func (o *Overlay) orphans() []string {
	return slices.DeleteFunc(o.pinned(len(o.layers)), func(p string) bool { return overlap(o.layers, p, true) })
}

// dropOrphans lets go of them.
func (o *Overlay) dropOrphans() error {
	o.mu.Lock()
	var gone []string
	var err error
	if orphans := o.orphans(); len(orphans) > 0 {
		gone, err = o.forget(orphans)
	}
	o.mu.Unlock()
	if len(gone) > 0 {
		o.opts.Changed(o.branch, gone)
	}
	return err
}

// giveWay forgets directories of which the layers know no more than a time where
// others put a file. Called with mu held.
func (o *Overlay) giveWay(theirs pathSet) error {
	for _, l := range o.layers {
		var rs []record
		if len(l.root.children) == 0 {
			continue
		}
		for _, p := range theirs.sorted {
			n, _, err := l.root.resolve(p)
			if err == nil && n != nil && n.kind == dirNode && !overlap(o.layers, p, true) {
				rs = append(rs, record{Op: opDiscard, Path: p})
			}
		}
		if len(rs) > 0 {
			if err := l.log(&o.files, rs...); err != nil {
				return err
			}
		}
	}
	return nil
}
