package staging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"pachfs/pachclient"
)

// A want is the state that a landed delta leaves: which file has which bytes,
// and what is gone. It is how a commit of ours is known again, for the call
// that makes it tells nothing.
type want struct {
	files   map[string]pachclient.Hash
	deletes []string
	d       *delta
	grown   map[string]add // those of the files that are a copy with something appended
	tick    func()         // called while files are compared: that takes long where they are many, or large
}

// readWant takes the hashes of a delta from its file set.
func readWant(ctx context.Context, c pachclient.Client, set pachclient.FileSet, d *delta, tick func()) (*want, error) {
	w := &want{files: map[string]pachclient.Hash{}, deletes: d.deletes, d: d, grown: map[string]add{}, tick: tick}
	for _, a := range d.adds {
		if a.keep > 0 {
			w.grown[a.path] = a
		}
	}
	err := c.At(set.Commit()).Walk(ctx, "/", func(fi pachclient.FileInfo) error {
		if !fi.Dir {
			w.files[fi.Path] = fi.Hash
		}
		tick()
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the uploaded file set: %w", err)
	}
	return w, nil
}

// heldBy says whether a commit has this state on every path. known may say
// what is already known of some paths; nil FileInfos don't exist.
func (w *want) heldBy(ctx context.Context, r pachclient.Reader, known map[string]pachclient.Diff) (bool, error) {
	for p, h := range w.files {
		w.tick()
		fi := known[p].New
		if _, ok := known[p]; !ok {
			var err error
			if fi, err = statOrNone(ctx, r, p); err != nil {
				return false, err
			}
		}
		if fi.Path == "" || fi.Dir {
			return false, nil
		}
		if fi.Hash == h {
			continue
		}
		if ok, err := w.reads(ctx, r, fi); !ok {
			return false, err
		}
	}
	for _, p := range w.deletes {
		if ok, err := w.gone(ctx, r, p, known); !ok {
			return false, err
		}
	}
	return true, nil
}

// reads says whether a file that another hash stands for has our bytes: a
// server may cut a file that grew into other chunks when it finishes the
// commit, and hash those. Only such files are read.
func (w *want) reads(ctx context.Context, r pachclient.Reader, fi pachclient.FileInfo) (bool, error) {
	a, ok := w.grown[fi.Path]
	if !ok || fi.Size != a.size() {
		return false, nil
	}
	z := w.d.pin(a)
	defer z.release()
	for _, part := range [][2]int64{{a.keep, fi.Size}, {0, a.keep}} { // what was appended tells most
		ours, theirs := make([]byte, 1<<20), make([]byte, 1<<20)
		for off := part[0]; off < part[1]; off += int64(len(ours)) {
			ours, theirs = ours[:min(int64(len(ours)), part[1]-off)], theirs[:min(int64(len(ours)), part[1]-off)]
			if _, err := z.readAt(ctx, ours, off); err != nil && err != io.EOF {
				return false, err
			}
			if _, err := r.ReadAt(ctx, fi, theirs, off); err != nil && err != io.EOF {
				return false, err
			}
			if !bytes.Equal(ours, theirs) {
				return false, nil
			}
			w.tick()
		}
	}
	return true, nil
}

// gone says whether what the delta deletes is not there, but for what it adds.
func (w *want) gone(ctx context.Context, r pachclient.Reader, p string, known map[string]pachclient.Diff) (bool, error) {
	dir, isDir := strings.CutSuffix(p, "/")
	if !isDir {
		fi := known[p].New
		if _, ok := known[p]; !ok {
			var err error
			if fi, err = statOrNone(ctx, r, p); err != nil {
				return false, err
			}
		}
		return fi.Path == "" || fi.Dir || w.has(p), nil
	}
	clean := true
	err := r.Walk(ctx, dir, func(fi pachclient.FileInfo) error {
		if !fi.Dir && !w.has(fi.Path) {
			clean = false
			return io.EOF
		}
		return nil
	})
	if errors.Is(err, io.EOF) || errors.Is(err, pachclient.ErrNotDir) || errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return clean, err
}

func (w *want) has(p string) bool { _, ok := w.files[p]; return ok }

// touches says whether one of the differences is on a path of ours.
func (w *want) touches(diffs map[string]pachclient.Diff) bool {
	gone := newPathSet(slices.Clone(w.deletes))
	for p := range diffs {
		if w.has(p) || gone.exact[p] {
			return true
		}
		for dir, _ := split(p); dir != "/"; dir, _ = split(dir) {
			if gone.exact[dir+"/"] {
				return true
			}
		}
	}
	return false
}

func statOrNone(ctx context.Context, r pachclient.Reader, p string) (pachclient.FileInfo, error) {
	fi, err := r.Stat(ctx, p)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, pachclient.ErrNotDir) {
		return pachclient.FileInfo{}, nil
	}
	return fi, err
}

// diffFiles gives the files that differ between two commits, by path.
func diffFiles(ctx context.Context, c pachclient.Client, from, to pachclient.Commit) (map[string]pachclient.Diff, error) {
	out := map[string]pachclient.Diff{}
	err := c.At(to).Diff(ctx, from, func(d pachclient.Diff) error {
		// A path that was a file and is a directory differs as a file.
		if d.Old.Dir {
			d.Old = pachclient.FileInfo{}
		}
		if d.New.Dir {
			d.New = pachclient.FileInfo{}
		}
		if d.Path() != "" {
			merge := out[d.Path()]
			if d.Old.Path != "" {
				merge.Old = d.Old
			}
			if d.New.Path != "" {
				merge.New = d.New
			}
			out[d.Path()] = merge
		}
		return nil
	})
	return out, err
}

// diff is diffFiles for this attempt: a landing asks for the same again, when
// it looks for its commit and when that becomes the base.
func (a *attempt) diff(from, to pachclient.Commit) (map[string]pachclient.Diff, error) {
	if from.Same(to) {
		return nil, nil
	}
	k := [2]string{from.ID, to.ID}
	if d, ok := a.diffs[k]; ok {
		return d, nil
	}
	d, err := diffFiles(a.w.ctx, a.o.client, from, to)
	if err == nil {
		a.diffs[k] = d
	}
	return d, err
}

// errNotYet: a commit on the branch is still open, and may be or hold ours.
var errNotYet = errors.New("a commit on the branch is not finished yet")

// findLanded looks for the commit that made the state true that is wanted, above
// the head that was checked before it was sent. fs.ErrNotExist: there is none so far.
func (a *attempt) findLanded(checked string) (CommitInfo, error) {
	candidates, err := a.o.above(a.w.ctx, checked, a.layer.sealedAt)
	if err != nil {
		return CommitInfo{}, err
	}
	open := false
	for _, c := range slices.Backward(candidates) { // oldest first
		if c.Open() {
			open = true
			continue
		}
		info, ours, err := a.isOurs(c)
		if err != nil || ours {
			return info, err
		}
	}
	if open {
		return CommitInfo{}, errNotYet
	}
	return CommitInfo{}, fmt.Errorf("the commit of this change: %w", fs.ErrNotExist)
}

// above lists the commits of the branch above a commit, newest first. Should
// somebody have moved the head aside, those since a time are listed.
func (o *Overlay) above(ctx context.Context, checked string, since time.Time) ([]CommitInfo, error) {
	var out []CommitInfo
	b, err := o.client.Branch(ctx, o.branch)
	if errors.Is(err, fs.ErrNotExist) || err == nil && b.Head.Zero() {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	err = o.client.Log(ctx, b.Head, func(info CommitInfo) error {
		if info.Commit.ID == checked || !since.IsZero() && info.Started.Before(since.Add(-clockSkew)) {
			return io.EOF
		}
		out = append(out, info)
		return nil
	})
	return out, err
}

// clockSkew is by how much the server's clock may differ from ours.
const clockSkew = 10 * time.Minute

// isOurs says whether a commit has our state on every path while its parent
// differs on at least one.
func (a *attempt) isOurs(c CommitInfo) (CommitInfo, bool, error) {
	ctx, o, w := a.w.ctx, a.o, a.want
	info, err := o.client.Wait(ctx, c.Commit)
	if err != nil {
		return c, false, err
	}
	parent, err := o.goodAncestor(ctx, info.Parent)
	if err != nil {
		return info, false, err
	}
	diffs, err := a.diff(parent, info.Commit)
	if err != nil && info.Error != "" {
		ours, err := w.brokenHolds(ctx, o.client.At(info.Commit), o.client.At(parent))
		return info, ours, err
	} else if err != nil {
		return info, false, err
	}
	if !w.touches(diffs) {
		return info, false, nil
	}
	ours, err := w.heldBy(ctx, o.client.At(info.Commit), diffs)
	return info, ours, err
}

// brokenHolds is heldBy for a commit with an error, where the paths that
// collide can't be read: what can be read has our state, at least one path of
// it, and the parent has not. Where nothing can be read it is taken for
// somebody else's, and stays.
func (w *want) brokenHolds(ctx context.Context, r, parent pachclient.Reader) (bool, error) {
	read := 0
	for p, h := range w.files {
		fi, err := statOrNone(ctx, r, p)
		switch {
		case err != nil && passing(err):
			return false, err
		case err != nil:
			continue
		case fi.Path == "" || fi.Dir || fi.Hash != h:
			return false, nil
		}
		read++
	}
	if read == 0 {
		return false, nil
	}
	before, err := w.heldBy(ctx, parent, nil)
	return !before, err
}

// goodAncestor walks up to the commit whose data counts.
func (o *Overlay) goodAncestor(ctx context.Context, c pachclient.Commit) (pachclient.Commit, error) {
	for !c.Zero() {
		info, err := o.client.Wait(ctx, c)
		if err != nil || info.Good() {
			return c, err
		}
		c = info.Parent
	}
	return c, nil
}
