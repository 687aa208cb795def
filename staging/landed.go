package staging

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pachfs/pachclient"
)

// finish is steps 6 and 7: the change is in info, or was there before it was
// sent. That commit becomes the base and the layers go.
func (a *attempt) finish(info CommitInfo) error {
	At("found")
	o := a.o
	ours := !info.Commit.Same(a.head.Commit)
	a.reportOverwritten(info, ours)
	old := o.Base()
	var theirs map[string]pachclient.Diff
	err := o.retry(a.w, func() (err error) {
		theirs, err = a.diff(old.Commit, info.Commit)
		return err
	})
	if err != nil {
		return err
	}
	stamps := a.stamps(theirs, info)
	err = o.stage.room.within(func() error { return o.base.res.update(info, stamps, a.remainingDirs(), a.layer.seq) })
	if err != nil {
		return err
	}
	At("residue")
	id := info.Commit.ID
	if !ours {
		id = landedNone
	}
	a.remember()
	foreign := newPathSet(a.foreign(theirs))
	defer o.passed()
	if err := a.pinAbove(foreign); err != nil {
		return err
	}
	At("pinned")
	if err := a.note(record{Op: opLanded, To: id}); err != nil {
		return err
	}
	At("landed")
	changed := o.swap(a, info, foreign)
	if ours {
		err = o.logLanded(a.layer, info, len(a.want.files), len(a.delta.deletes))
		At("logged")
		if annErr := a.annotate(info.Commit); annErr != nil {
			o.log.Warn("the commit carries no message", "commit", info.Commit.ID, "err", annErr)
		}
		At("annotated")
	}
	if len(changed) > 0 {
		o.opts.Changed(o.branch, changed)
	}
	return err
}

// annotate puts the message on the commit, where the server knows how.
func (a *attempt) annotate(c pachclient.Commit) error {
	kv := map[string]string{}
	if a.o.opts.Host != "" {
		kv["pachfs.host"] = a.o.opts.Host
	}
	if a.layer.message != "" {
		kv["pachfs.message"] = a.layer.message
	}
	if len(kv) == 0 {
		return nil
	}
	if err := a.o.client.Annotate(a.w.ctx, c, kv); !errors.Is(err, pachclient.ErrUnsupported) {
		return err
	}
	return nil
}

// reportOverwritten is step 6: when somebody's commit came between the check
// and ours, it is looked at after the fact, and named if ours lies on its paths.
// So is what came before the check, which ours was laid over by policy.
func (a *attempt) reportOverwritten(info CommitInfo, ours bool) {
	if !ours {
		return
	}
	over, set := map[string]pachclient.Commit{}, newPathSet(a.delta.paths())
	a.o.mu.RLock()
	for _, p := range a.o.pinned(a.top + 1) {
		if set.overlaps(p) {
			over[p] = a.head.Commit
		}
	}
	a.o.mu.RUnlock()
	a.between(over, set, a.o.Base().Commit, a.head.Commit)
	a.between(over, set, a.head.Commit, info.Parent)
	for _, p := range slices.Sorted(maps.Keys(over)) {
		a.o.addOverwritten(p, over[p])
	}
}

// between adds to over what others changed of our paths from one commit to another.
func (a *attempt) between(over map[string]pachclient.Commit, ours pathSet, from, to pachclient.Commit) {
	theirs, err := a.diff(from, to)
	if err != nil {
		a.o.log.Warn("can't tell what our commit lies over", "from", from.ID, "to", to.ID, "err", err)
		return
	}
	for p := range theirs {
		if ours.overlaps(p) {
			over[p] = to
		}
	}
}

// stamps says which paths get which time: what landed keeps the time it was
// staged with, what others changed has the time of the commit.
func (a *attempt) stamps(theirs map[string]pachclient.Diff, info CommitInfo) []stamp {
	var out []stamp
	landed := slices.Sorted(maps.Keys(a.want.files))
	for _, ad := range a.delta.adds {
		if ad.file != nil {
			ad.file.mu.Lock()
			out = append(out, stamp{ad.path, a.hash(ad.path, theirs), ad.file.attr.mtime})
			ad.file.mu.Unlock()
			continue
		}
		for _, p := range below(landed, ad.path) {
			h := a.want.files[p]
			if ns, ok := a.o.base.res.time(ad.from+strings.TrimPrefix(p, ad.path), h, false); ok {
				out = append(out, stamp{p, h, ns})
			}
		}
	}
	foreign := map[string]pachclient.Diff{}
	for p, d := range theirs {
		if _, mine := a.want.files[p]; !mine && d.New.Path != "" {
			foreign[p] = d
			out = append(out, stamp{p, d.New.Hash, info.Finished.UnixNano()})
		}
	}
	out = append(out, parentStamps(foreign, info.Finished)...)
	return append(out, a.dirStamps()...)
}

// below gives the part of a sorted list that is a path, or lies below it.
func below(sorted []string, p string) []string {
	if _, is := slices.BinarySearch(sorted, p); is {
		return []string{p} // a file
	}
	return pathsBelow(sorted, p)
}

// hash is that of a file that landed, as the commit has it.
func (a *attempt) hash(p string, theirs map[string]pachclient.Diff) pachclient.Hash {
	if d := theirs[p]; d.New.Path != "" {
		return d.New.Hash
	}
	return a.want.files[p]
}

// layers gives those that land. Nobody changes them while the landing token is
// held, so a walk needs no lock, and keeps no writer waiting.
func (a *attempt) layers() []*layer {
	a.o.mu.RLock()
	defer a.o.mu.RUnlock()
	return slices.Clone(a.o.layers[:a.top+1])
}

// dirStamps keeps the times of directories whose listing changed here.
func (a *attempt) dirStamps() []stamp {
	var out []stamp
	for _, l := range a.layers() {
		root := l.root
		visit := func(n *node) {
			if n.kind == dirNode && n.attr.mtime != 0 {
				out = append(out, stamp{path: n.path(), ns: n.attr.mtime})
			}
		}
		visit(root)
		root.walk(visit)
	}
	return out
}

// A rememberer is a client that can be told bytes that it would have to fetch.
type rememberer interface {
	Add(h pachclient.Hash, size int64, r io.ReaderAt) error
}

// remember hands what was uploaded to the cache; not a file that grew, of which
// the larger part may never have been here.
func (a *attempt) remember() {
	cache, ok := a.o.client.(rememberer)
	if !ok {
		return
	}
	for _, ad := range a.delta.adds {
		if ad.file == nil || ad.keep > 0 || ad.size() == 0 {
			continue
		}
		z := a.delta.pin(ad)
		err := cache.Add(a.want.files[ad.path], z.im.size, pinnedAt{a, z})
		z.release()
		if err != nil {
			a.o.log.Debug("not cached", "path", ad.path, "err", err)
			return
		}
	}
}

// pinnedAt is a file of a sealed layer as an io.ReaderAt.
type pinnedAt struct {
	a *attempt
	z *pinned
}

func (r pinnedAt) ReadAt(p []byte, off int64) (int, error) {
	r.a.w.kick()
	return r.z.readAt(r.a.w.ctx, p, off)
}

// gone says whether the path is no more because our commit deleted it there.
func (a *attempt) gone(removed pathSet, p string) bool {
	return removed.covers(p) || slices.ContainsFunc(a.cleared, func(c string) bool {
		return c == p || strings.HasSuffix(c, "/") && strings.HasPrefix(p, c)
	})
}

// foreign gives what others changed of the paths that differ.
func (a *attempt) foreign(theirs map[string]pachclient.Diff) []string {
	var out []string
	removed := a.delta.removed()
	for p, d := range theirs {
		if _, mine := a.want.files[p]; !mine && !(d.New.Path == "" && a.gone(removed, p)) {
			out = append(out, p)
		}
	}
	return out
}

// swap makes info the base and drops the layers that it holds. It returns the
// paths that show something else then: what others changed, and what was held.
func (o *Overlay) swap(a *attempt, info CommitInfo, foreign pathSet) []string {
	landedAt := map[*File]string{}
	for _, ad := range a.delta.adds {
		if ad.file != nil {
			landedAt[ad.file] = ad.path
		}
	}
	o.mu.Lock()
	changed := append(slices.Clone(foreign.sorted), o.pinned(a.top+1)...)
	dropped := o.layers[:a.top+1]
	o.layers = append([]*layer(nil), o.layers[a.top+1:]...)
	next, fresh := o.layers[0], map[string]string{}
	o.pinForeign(o.layers, foreign, fresh) // what is open for writing since pinAbove
	err := o.setPins(next, fresh)
	o.moving = nil
	err = errors.Join(err, o.giveWay(foreign))
	o.base = o.onBase(info, o.base.res)
	o.repoint(landedAt)
	ended := slices.DeleteFunc(slices.Clone(changed[len(foreign.sorted):]), func(p string) bool {
		_, mine := a.want.files[p]
		return mine || isPinned(o.layers, p)
	})
	o.detachChanged(newPathSet(append(slices.Clone(foreign.sorted), ended...)))
	pins := o.pinned(len(o.layers))
	o.mu.Unlock()
	if err != nil {
		o.log.Error("can't record a conflict", "paths", shorten(pins), "err", err)
	}
	At("swapped")
	o.dropLayers(dropped)
	o.setConflicts(pins)
	return changed
}

// repoint lets open files read from the base what has landed: a file that is
// open for ever shall not keep what every commit took of it. Called with mu held.
func (o *Overlay) repoint(landedAt map[*File]string) {
	for f := range o.open {
		f.mu.Lock()
		if z, ok := f.lower.(*pinned); ok {
			if p, landed := landedAt[z.of]; landed {
				f.lower = baseFile{o.base.r, pachclient.FileInfo{Path: p, Size: f.lowerSize}}
				z.release()
			}
		}
		f.mu.Unlock()
	}
}

// dropLayers removes layers from the disk: the journals first, for good, and
// then the contents that they speak of. What can't be removed now goes when the
// branch is opened again.
func (o *Overlay) dropLayers(layers []*layer) {
	for _, l := range layers {
		o.mu.Lock()
		l.root.walk(func(n *node) {
			if n.kind == fileNode { // whoever is about to sync it has nothing to write down any more
				n.file.put(nil, nil)
			}
		})
		o.mu.Unlock()
	}
	if err := o.dropJournals(layers); err != nil {
		o.log.Error("can't remove what has landed", "err", err)
		return
	}
	for _, l := range layers {
		l.root.walk(func(n *node) {
			if n.kind != fileNode {
				return
			}
			n.file.mu.Lock()
			n.file.release()
			n.file.mu.Unlock()
			o.files.forget(n.file)
		})
	}
	if err := o.sweep(); err != nil {
		o.log.Error("can't remove what has landed", "err", err)
	}
}

// dropJournals removes the journals of layers from the bottom up. The last one
// says that they landed: it goes when the others are gone for good.
func (o *Overlay) dropJournals(layers []*layer) error {
	for i, l := range layers {
		if i > 0 && i == len(layers)-1 {
			if err := o.d.SyncDir(o.dir); err != nil {
				return err
			}
		}
		if err := errors.Join(l.j.close(), o.d.Remove(journalName(o.dir, l.seq))); err != nil {
			return fmt.Errorf("layer %d: %w", l.seq, err)
		}
		At("dropped")
	}
	return o.d.SyncDir(o.dir)
}

func (t *fileTable) forget(f *File) {
	t.o.mu.Lock()
	defer t.o.mu.Unlock()
	if t.byID[f.id] == f {
		delete(t.byID, f.id)
	}
}

// dropLanded ends, after a restart, a landing that was killed at its very end.
func (o *Overlay) dropLanded() {
	n := o.landedLayers()
	dropped := o.layers[:n]
	o.layers = o.layers[n:]
	if n > 0 {
		o.dropLayers(dropped)
	}
}

// landedLayers is how many layers, from the bottom, a commit has taken.
func (o *Overlay) landedLayers() int {
	n := 0
	for i, l := range o.layers {
		if l.landed != "" {
			n = i + 1
		}
	}
	return n
}

// logName gives the file that tells of every commit made for the branch.
func (o *Overlay) logName() string { return filepath.Join(o.dir, "log") }

// A LogEntry is one commit that was made here.
type LogEntry struct {
	Commit  string    `json:"commit"`
	Time    time.Time `json:"time"`
	Message string    `json:"message,omitempty"`
	Files   int       `json:"files"`
	Deleted int       `json:"deleted"`
}

func (o *Overlay) logLanded(l *layer, info CommitInfo, files, deleted int) error {
	e := LogEntry{Commit: info.Commit.ID, Time: info.Finished, Message: l.message, Files: files, Deleted: deleted}
	if err := o.stage.room.within(func() error { return appendLog(o.d, o.logName(), e) }); err != nil {
		return fmt.Errorf("%s landed as %s, but can't be written to the log: %w", o.branch, info.Commit.ID, err)
	}
	return nil
}
