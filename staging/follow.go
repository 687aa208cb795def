package staging

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"pachfs/pachclient"
)

// pollEvery is how often the heads of the branches in use are asked for. A
// subscription would not see a head that was moved by hand, and can hurt the
// server (docs/DESIGN.md).
const pollEvery = 250 * time.Millisecond

// followTimeout is how long one look at the heads of a repo may take.
const followTimeout = 30 * time.Second

// followLoop keeps the bases at the heads: one call a repo in use.
func (s *Stage) followLoop() {
	tick := time.NewTicker(s.opts.lookEvery)
	defer tick.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-s.stop
		cancel()
	}()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		case <-s.due:
		}
		repos := map[pachclient.Repo][]*Overlay{}
		for _, o := range s.Overlays() {
			repos[o.branch.In()] = append(repos[o.branch.In()], o)
		}
		for r, overlays := range repos {
			s.followRepo(ctx, r, overlays)
		}
	}
}

// lookSoon has the heads looked at now, by followLoop.
func (s *Stage) lookSoon() {
	select {
	case s.due <- struct{}{}:
	default: // one is due already
	}
}

func (s *Stage) followRepo(ctx context.Context, r pachclient.Repo, overlays []*Overlay) {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	branches, err := s.opts.Client.Branches(ctx, r)
	heads := map[string]pachclient.BranchInfo{}
	for _, b := range branches {
		heads[b.Branch.Name] = b
	}
	for _, o := range overlays {
		if err != nil {
			o.setOffline(err)
			continue
		}
		err := o.follow(ctx, heads[o.branch.Name])
		if err != nil && !errors.Is(err, context.Canceled) { // a discard may end it, or our own end
			o.setOffline(err)
			o.log.Warn("can't follow the head", "err", err)
		}
	}
}

// follow takes the base to the head, unless others touched what is staged
// here: then the branch is in conflict and its base stays. A landing looks
// after the base itself, so there is nothing to do during one.
func (o *Overlay) follow(ctx context.Context, b pachclient.BranchInfo) error {
	o.setOnline(b)
	if b.Output {
		o.readOnly.Store(true) // a pipeline writes it
	}
	if b.Head.Zero() || b.Head.Same(o.Base().Commit) && !o.conflicted() || !o.unseen(b.Head) {
		return nil
	}
	select {
	case <-o.landing:
		defer func() { o.landing <- struct{}{} }()
	default:
		return nil
	}
	if o.outstanding() || o.isBroken() {
		return nil
	}
	if err := o.dropOrphans(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	o.setLooking(cancel)
	defer func() { o.setLooking(nil); cancel() }()
	info, err := o.client.Head(ctx, o.branch)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := o.advance(ctx, info); err != nil {
		return err
	}
	if info.Commit.Same(b.Head) {
		o.setSeen(b.Head)
	}
	return nil
}

// outstanding says whether a change was sent and its fate is not known.
func (o *Overlay) outstanding() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, l := range o.layers {
		if !l.landing.deadline.IsZero() {
			return true
		}
	}
	return false
}

func (o *Overlay) setLooking(cancel context.CancelFunc) {
	o.statusMu.Lock()
	defer o.statusMu.Unlock()
	o.progress.looking = cancel
}

func (o *Overlay) isBroken() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.broken != nil
}

// advance makes info the base if nothing that is staged was touched.
func (o *Overlay) advance(ctx context.Context, info CommitInfo) error {
	old := o.Base()
	theirs := map[string]pachclient.Diff{}
	if !info.Commit.Same(old.Commit) {
		var err error
		if theirs, err = diffFiles(ctx, o.client, old.Commit, info.Commit); err != nil {
			return err
		}
	}
	changed := newPathSet(slices.Collect(maps.Keys(theirs)))
	if o.inTheWay(changed) {
		return nil
	}
	// The times first: they are looked up by hash, so they are right for the
	// old base too, and nobody sees a new file with an old time.
	var stamps []stamp
	for p, d := range theirs {
		if d.New.Path != "" {
			stamps = append(stamps, stamp{p, d.New.Hash, info.Finished.UnixNano()})
		}
	}
	stamps = append(stamps, parentStamps(theirs, info.Finished)...)
	if !info.Commit.Same(old.Commit) {
		if err := o.base.res.update(info, stamps, nil, 0); err != nil {
			return err
		}
	}
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return ErrClosed
	}
	if o.inTheWayLocked(changed) { // staged meanwhile
		o.mu.Unlock()
		return nil
	}
	if err := o.giveWay(changed); err != nil {
		o.mu.Unlock()
		return err
	}
	o.base = o.onBase(info, o.base.res)
	o.detachChanged(changed)
	o.mu.Unlock()
	if len(theirs) > 0 {
		o.opts.Changed(o.branch, changed.sorted)
	}
	return nil
}

// parentStamps gives every directory above a change the time of the commit.
func parentStamps(theirs map[string]pachclient.Diff, t time.Time) []stamp {
	seen := map[string]bool{}
	var out []stamp
	for p := range theirs {
		for dir, _ := split(p); !seen[dir]; dir, _ = split(dir) {
			seen[dir] = true
			out = append(out, stamp{path: dir, ns: t.UnixNano()})
		}
	}
	return out
}

// inTheWay says whether others touched what is staged here, and says so in the status.
func (o *Overlay) inTheWay(theirs pathSet) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.inTheWayLocked(theirs)
}

func (o *Overlay) inTheWayLocked(theirs pathSet) bool {
	found := o.pinned(len(o.layers))
	found = append(found, overlapping(o.layers, theirs, true)...)
	o.setConflicts(found)
	return len(found) > 0
}

// detachChanged lets open files whose committed bytes are no longer at their
// path keep what they read, apart from the tree. Called with mu held.
func (o *Overlay) detachChanged(changed pathSet) {
	if len(changed.sorted) == 0 {
		return
	}
	for f := range o.open {
		if n := f.node; n != nil && n.kind == fileNode && f.writers == 0 && changed.overlaps(n.path()) && !f.changed() {
			n.cut()
			n.parent.prune()
			f.put(nil, nil)
		}
	}
}
