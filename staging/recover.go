package staging

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pachfs/pachclient"
)

// openOverlay reads what is staged for a branch, or starts anew.
func (s *Stage) openOverlay(ctx context.Context, b pachclient.Branch) (*Overlay, error) {
	dir := s.branchDir(b)
	meta, fresh, err := s.claim(b, dir)
	if err != nil {
		return nil, err
	}
	o := s.newOverlay(b, dir)
	if s.opts.Named != nil {
		o.client = s.opts.Named(meta.Naming)
	}
	o.readOnly.Store(s.opts.ReadOnly != nil && s.opts.ReadOnly(b))
	var start CommitInfo
	if fresh {
		if start, err = o.firstBase(ctx); err != nil {
			return nil, err
		}
		if err := s.learnDeployment(ctx); err != nil {
			return nil, err
		}
		if err := s.makeBranchDir(b, dir); err != nil {
			return nil, err
		}
	}
	open := openResidue
	if s.look {
		open = lookResidue
	}
	res, err := open(filepath.Join(dir, "residue.db"))
	if err != nil {
		return nil, err
	}
	if !fresh && s.renamed(meta) {
		err = errors.Join(res.keepDirs(s.opts.ValidName), s.writeMeta(b, dir))
	}
	if err == nil {
		err = o.load(ctx, res, start)
	}
	if err != nil {
		return nil, errors.Join(err, res.close())
	}
	if o.Dirty() {
		return o, nil // it could be written then, and nobody need be asked: what is staged is there without a pachd
	}
	if now, err := o.client.Branch(ctx, b); err == nil && now.Output {
		o.readOnly.Store(true) // a pipeline writes it
	}
	return o, nil
}

// claim says whether a branch's directory has to be made. What is staged there
// must belong to the Pachyderm that answers, and be named as names are now; a
// directory in which nothing is staged gives way.
func (s *Stage) claim(b pachclient.Branch, dir string) (meta branchMeta, fresh bool, err error) {
	meta, err = s.readMeta(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return meta, true, nil
	}
	elsewhere := s.Deployment() != "" && meta.Deployment != s.Deployment()
	if err != nil || !elsewhere && !s.renamed(meta) {
		return meta, false, err
	}
	staged, err := s.newOverlay(b, dir).anythingStaged()
	switch {
	case err != nil:
	case staged && elsewhere:
		err = fmt.Errorf("%s: %w", b, ErrOtherCluster)
	case staged:
		err = fmt.Errorf("%s: %w", b, ErrOtherNaming)
	case elsewhere:
		return meta, true, s.d.RemoveAll(dir)
	}
	return meta, false, err
}

// renamed says whether names are written in another way than when the branch
// was first used.
func (s *Stage) renamed(meta branchMeta) bool {
	return meta.Naming != s.opts.Naming && s.opts.Named == nil
}

// firstBase finds the commit to start from. A branch that doesn't exist yet,
// in a repo that does, starts empty.
func (o *Overlay) firstBase(ctx context.Context) (CommitInfo, error) {
	info, err := o.client.Head(ctx, o.branch)
	if errors.Is(err, fs.ErrNotExist) {
		if _, repoErr := o.client.Branches(ctx, o.branch.In()); repoErr != nil {
			return info, repoErr
		}
		return CommitInfo{Commit: pachclient.Commit{Branch: o.branch}}, nil
	}
	return info, err
}

func (s *Stage) makeBranchDir(b pachclient.Branch, dir string) error {
	// The directory of contents is there, for good, before any record speaks of one.
	if err := s.d.MkdirAll(filepath.Join(dir, "content")); err != nil {
		return err
	}
	if err := s.writeMeta(b, dir); err != nil {
		return err
	}
	return s.d.SyncDir(filepath.Dir(dir))
}

func (s *Stage) writeMeta(b pachclient.Branch, dir string) error {
	m, err := json.Marshal(branchMeta{s.Deployment(), b.Project, b.Repo, b.Name, s.opts.Naming})
	if err != nil {
		return err
	}
	return writeDurably(s.d, filepath.Join(dir, "branch.json"), m)
}

// load brings the overlay to the state last acknowledged: the base, the layers
// from their journals, and the end of a landing that was interrupted.
func (o *Overlay) load(ctx context.Context, res *residue, start CommitInfo) error {
	made, err := o.Log()
	if err != nil {
		return err
	}
	if len(made) > 0 {
		o.progress.last = made[0].Commit
	}
	o.files.contents = map[uint64]*content{}
	if err := o.replayLayers(); err != nil {
		return err
	}
	At("replayed")
	if err := o.collectContents(); err != nil {
		return err
	}
	if err := o.loadBase(ctx, res, start); err != nil {
		return err
	}
	o.dropLanded()
	o.base = o.onBase(o.base.info, res)
	o.setConflicts(o.pinned(len(o.layers)))
	if len(o.layers) == 0 || o.top().sealed {
		if err := o.pushLayer(); err != nil {
			return err
		}
	}
	err = o.top().j.append(record{Op: opOpen, Text: o.d.Boot()})
	At("opened")
	return err
}

// loadBase takes the base from the residue, or, in a new state, the given one.
func (o *Overlay) loadBase(ctx context.Context, res *residue, start CommitInfo) error {
	res.settle(func(layer uint64) bool {
		for _, l := range o.layers {
			if l.seq == layer {
				return l.landed != ""
			}
		}
		return true // it was dropped
	})
	if m := res.base(); m.Known {
		start = CommitInfo{Commit: pachclient.Commit{Branch: o.branch, ID: m.Base}, Finished: m.Time}
	} else {
		if start.Commit.Zero() && start.Commit.Branch.Repo == "" {
			info, err := o.firstBase(ctx)
			if o.stage.look && errors.Is(err, pachclient.ErrUnavailable) {
				info, err = CommitInfo{Commit: pachclient.Commit{Branch: o.branch}}, nil
			}
			if err != nil {
				return err
			}
			start = info
		}
		if err := res.update(start, nil, nil, 0); err != nil {
			return err
		}
	}
	o.base = &base{info: start, r: o.client.At(start.Commit), res: res}
	return nil
}

func (o *Overlay) layerSeqs() ([]uint64, error) {
	names, err := o.d.ReadDir(o.dir)
	var out []uint64
	for _, name := range names {
		if n, ok := strings.CutPrefix(name, "layer-"); ok {
			seq, err := strconv.ParseUint(n, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", filepath.Join(o.dir, name), ErrCorrupt)
			}
			out = append(out, seq) // ReadDir sorts, and the numbers have leading zeros
		}
	}
	return out, err
}

func (o *Overlay) replayLayers() error {
	seqs, err := o.layerSeqs()
	if err != nil {
		return err
	}
	if seqs, err = o.dropUnborn(seqs); err != nil {
		return err
	}
	power := false // the machine went down since
	for i, seq := range seqs {
		o.lastSeq = seq
		l := newLayer(seq)
		carried := false
		if i+1 < len(seqs) {
			if carried, err = o.carried(seqs[i+1]); err != nil {
				return err
			}
		}
		l.j, err = openJournal(o.d, journalName(o.dir, seq), func(r record) error {
			switch {
			case r.Op == opOpen:
				power = r.Text != o.d.Boot()
			case r.Op == opSealed && !carried:
				return errCut
			}
			return l.apply(r, &o.files)
		})
		if err != nil {
			return err
		}
		l.j.lend = o.stage.room.lend
		o.layers = append(o.layers, l)
		if !l.sealed && i < len(seqs)-1 {
			// Killed while sealing: nobody wrote to the layer above.
			o.dropFiles(seqs[i+1:])
			break
		}
	}
	if len(o.layers) == 0 {
		return nil // load makes one
	}
	return o.settleFiles(power)
}

// dropUnborn removes a journal that was being made when the machine went down:
// it is the last one, and nothing was written to it yet.
func (o *Overlay) dropUnborn(seqs []uint64) ([]uint64, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	last := len(seqs) - 1
	f, err := o.d.Open(journalName(o.dir, seqs[last]))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if unborn, err := isUnborn(f); err != nil || !unborn {
		return seqs, err
	}
	o.dropFiles(seqs[last:])
	return seqs[:last], nil
}

// carried says whether a journal begins with all that was open in the layer
// below. What comes after that is not read.
func (o *Overlay) carried(seq uint64) (bool, error) {
	f, err := o.d.Open(journalName(o.dir, seq))
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, len(journalMagic))
	if _, err := f.ReadAt(head, 0); err == nil && string(head) == formatLine(journalWord, 1) {
		return true, nil // it was made when there was no `carried`
	}
	found := false
	_, err = replay(f, func(r record) error {
		switch r.Op {
		case opOpen, opAdopt, opExtent, opFlushed:
			return nil
		case opCarried:
			found = true
		}
		return errCut
	})
	return found, err
}

func (o *Overlay) dropFiles(seqs []uint64) {
	for _, seq := range seqs {
		o.d.Remove(journalName(o.dir, seq))
		o.lastSeq = max(o.lastSeq, seq)
	}
}

// settleFiles decides what each file is after a restart. Nobody has it open
// any more: what a descriptor was closed of since its last write is complete;
// the journal says so, for the next restart must come to the same. Anything
// else was being written, and waits until somebody completes it. After a power
// cut only what was synced counts.
func (o *Overlay) settleFiles(power bool) error {
	if power {
		if err := o.top().log(&o.files, record{Op: opFellBack}); err != nil {
			return err
		}
	}
	var rs []record
	for _, l := range o.layers {
		l.root.walk(func(n *node) {
			if n.kind != fileNode {
				return
			}
			f := n.file
			if l.sealed || !f.half() {
				f.flushed = false
			} else if f.flushed {
				rs = append(rs, record{Op: opStable, File: f.id})
				f.stable, f.isStable, f.flushed = f.im, true, false
			} else {
				o.half[f] = true
			}
			if n := len(f.synced); n == 0 || !f.synced[n-1].im.same(f.im) {
				f.markUnsynced()
			}
		})
	}
	return o.top().j.append(rs...)
}

// fallBack takes every file to the bytes that are surely on disk, from the
// bottom up: what a file stands on may have come to less.
func (t *fileTable) fallBack(top *layer) error {
	layers := t.o.layers
	if len(layers) == 0 || layers[len(layers)-1] != top { // it is being replayed
		layers = append(slices.Clone(layers), top)
	}
	for i, l := range layers {
		var files []*node
		l.root.walk(func(n *node) {
			if n.kind == fileNode {
				files = append(files, n)
			}
		})
		for _, n := range files {
			n.file.fallBack(func(p string) (spot, error) { return t.o.find(i-1, p) })
			if l.sealed && !n.file.commits() {
				n.takeOut()
			}
		}
	}
	return nil
}

// fallBack takes the file to the bytes of its last sync, or of the file below;
// a file that never was synced is empty, and not complete.
func (f *File) fallBack(below func(string) (spot, error)) {
	f.flushed = false
	if len(f.synced) == 0 && f.isStable && f.stable.local() == 0 && f.stable.lower == 0 {
		f.synced = []vouched{{f.stable, f.stable, true}} // it has no bytes that could be lost
	}
	if n := len(f.synced); n > 0 {
		v := f.synced[n-1]
		f.im = v.im
		if !f.isStable || !f.stable.same(v.im) { // what was closed is what is surely there
			f.stable, f.isStable = v.stable, v.isStable
		}
		return
	}
	if f.lowerPath != "" {
		switch s, err := below(f.lowerPath); {
		case err != nil: // it was never synced either
			f.lowerPath = ""
		case s.n != nil && s.n.kind == fileNode:
			f.lowerSize = s.n.file.committed().size
		}
	}
	if f.im = (image{size: f.lowerSize, lower: f.lowerSize}); f.lowerPath == "" {
		f.im = image{}
	}
	f.stable, f.isStable = f.im, f.isStable && f.lowerPath != ""
}

// anythingStaged reads the journals without keeping anything open.
func (o *Overlay) anythingStaged() (bool, error) {
	o.files.contents = map[uint64]*content{}
	seqs, err := o.layerSeqs()
	if err != nil {
		return false, err
	}
	staged := false
	for _, seq := range seqs {
		l := newLayer(seq)
		f, err := o.d.Open(journalName(o.dir, seq))
		if err != nil {
			return false, err
		}
		_, err = replay(f, func(r record) error { return l.apply(r, &o.files) })
		f.Close()
		if err != nil {
			return false, err
		}
		staged = staged || !l.empty() && l.landed == ""
	}
	return staged, nil
}

// pushLayer puts an empty layer on top.
func (o *Overlay) pushLayer() error {
	l, err := o.makeLayer()
	if err != nil {
		return err
	}
	o.layers = append(o.layers, l)
	return nil
}

// makeLayer makes the journal of a layer to come; it is on disk when it returns.
func (o *Overlay) makeLayer() (*layer, error) {
	o.mu.Lock()
	o.lastSeq++
	l := newLayer(o.lastSeq)
	o.mu.Unlock()
	var j *journal
	err := o.stage.room.within(func() (err error) {
		j, err = createJournal(o.d, journalName(o.dir, l.seq))
		return err
	})
	if err != nil {
		return nil, err
	}
	l.j, j.lend = j, o.stage.room.lend
	err = j.append(record{Op: opOpen, Text: o.d.Boot()})
	if err == nil {
		err = o.d.SyncDir(o.dir)
	}
	if err != nil {
		return nil, errors.Join(err, j.close(), o.d.Remove(journalName(o.dir, l.seq)))
	}
	return l, nil
}

// close ends the overlay. Files that are still open stay readable where they
// need no network; nothing can be staged any more.
func (o *Overlay) close() error {
	swept := o.sweep()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil
	}
	o.closed = true
	errs := []error{swept}
	for _, l := range o.layers {
		if l.j != nil {
			errs = append(errs, l.j.close())
		}
	}
	if o.base.res != nil {
		errs = append(errs, o.base.res.close())
	}
	return errors.Join(errs...)
}
