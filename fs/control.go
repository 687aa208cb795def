package fs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"pachfs/pachclient"
	"pachfs/staging"
)

// A controlFile is a name that is found by lookup in a branch directory and in
// the root, and never listed.
type controlFile struct {
	name    string
	trigger bool // writing or touching it commits
	read    func(overlays []*staging.Overlay, root bool) string
}

// The control files. A report is made when it is looked up or opened.
var controlFiles = []*controlFile{
	{name: ".commit", trigger: true, read: lastCommits},
	{name: ".status", read: statuses},
	{name: ".diff", read: diffs},
}

func controlNamed(name string) *controlFile {
	for _, c := range controlFiles {
		if c.name == name {
			return c
		}
	}
	return nil
}

func lastCommits(overlays []*staging.Overlay, root bool) string {
	var b strings.Builder
	for _, o := range overlays {
		if id := o.LastCommit(); id != "" && root {
			fmt.Fprintf(&b, "%s %s\n", o.Branch(), id)
		} else if id != "" {
			fmt.Fprintln(&b, id)
		}
	}
	return b.String()
}

func statuses(overlays []*staging.Overlay, root bool) string {
	list := make([]staging.Status, len(overlays))
	for i, o := range overlays {
		list[i] = o.Status()
	}
	var v any = list
	if !root {
		v = list[0]
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b) + "\n"
}

func diffs(overlays []*staging.Overlay, root bool) string {
	var b strings.Builder
	for _, o := range overlays {
		for _, d := range o.Diff() {
			path := strings.TrimPrefix(d.Path, "/")
			if root {
				path = o.Branch().String() + d.Path
			}
			fmt.Fprintf(&b, "%c %s\n", d.Op, pachclient.Path(path).Line())
		}
	}
	return b.String()
}

// scope gives the overlays that a control file speaks of.
func (t *Tree) scope(ctx context.Context, parent *inode) ([]*staging.Overlay, error) {
	if parent.kind == rootDir {
		return t.c.Stage.Overlays(), nil
	}
	o, err := t.overlay(ctx, parent)
	return []*staging.Overlay{o}, err
}

// lookupControl finds a control file. Each lookup gives a new number: a touch
// that waits for its commit would hold up every other on the same number.
func (t *Tree) lookupControl(ctx context.Context, parent *inode, name string) (Entry, bool, error) {
	ctl := controlNamed(name)
	if ctl == nil || parent.kind != rootDir && parent.kind != branchDir {
		return Entry{}, false, nil
	}
	if parent.kind == branchDir && parent.branch.Repo == "" { // a commit has none
		return Entry{Valid: longValid}, true, nil
	}
	overlays, err := t.scope(ctx, parent)
	if err != nil {
		return Entry{}, true, err
	}
	text := ctl.read(overlays, parent.kind == rootDir)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entry(t.add(&inode{kind: control, parent: parent, name: name, ctl: ctl, text: text})), true, nil
}

func (t *Tree) openControl(ctx context.Context, n *inode, write bool) (Handle, OpenFlags, error) {
	if write && !n.ctl.trigger {
		return 0, OpenFlags{}, syscall.EACCES
	}
	overlays, err := t.scope(ctx, n.parent)
	if err != nil {
		return 0, OpenFlags{}, err
	}
	text := n.ctl.read(overlays, n.parent.kind == rootDir)
	t.mu.Lock()
	defer t.mu.Unlock()
	n.text = text
	t.lastHandle++
	of := &openFile{n: n, write: write, text: text}
	n.files = append(n.files, of)
	t.handles[t.lastHandle] = of
	return t.lastHandle, OpenFlags{Direct: true}, nil
}

// setattrControl is half of the trigger rule: setting a time without a length
// commits, unless a handle of the same number was written to. That is what
// touch and its like do, on a path or on a descriptor; cp -p and tar write first.
func (t *Tree) setattrControl(ctx context.Context, n *inode, size int64, a staging.Attr) (Attr, error) {
	if !n.ctl.trigger {
		return Attr{}, syscall.EACCES
	}
	t.mu.Lock()
	fired := n.fired
	t.mu.Unlock()
	if a.ModTime != nil && size < 0 && !fired {
		if err := t.fire(ctx, n, ""); err != nil {
			return Attr{}, err
		}
	}
	return t.fixedAttr(n), nil
}

// writeControl is the other half: the first write of a handle commits, and its
// text is the message.
func (t *Tree) writeControl(ctx context.Context, of *openFile, p []byte) (int, error) {
	t.mu.Lock()
	fired := of.n.fired
	of.n.fired = true
	t.mu.Unlock()
	if fired {
		return len(p), nil
	}
	return len(p), t.fire(ctx, of.n, strings.TrimSpace(string(p)))
}

// IsTrigger says whether touching or writing a number commits.
func (t *Tree) IsTrigger(ino Ino) bool {
	n, err := t.get(ino)
	return err == nil && n.kind == control && n.ctl.trigger
}

// fire commits what a trigger speaks of and returns when that is done.
func (t *Tree) fire(ctx context.Context, n *inode, message string) error {
	overlays, err := t.scope(ctx, n.parent)
	if err != nil {
		return err
	}
	var errs []error
	for _, o := range overlays {
		if n.parent.kind == rootDir && !o.Dirty() {
			continue
		}
		if err := t.writable(&inode{o: o}); err != nil {
			errs = append(errs, err)
			continue
		}
		_, err := o.Commit(ctx, message)
		errs = append(errs, err)
	}
	err = errors.Join(errs...)
	if err != nil && ctx.Err() != nil {
		return ErrInterrupted
	}
	return err
}
