package staging

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"pachfs/pachclient"
)

// Commit lands what is staged as one finished commit and returns when that is
// done. It gives the zero commit when there was nothing to land, or nothing
// that made a difference. A Commit during another waits for it, then lands
// what came after. When ctx ends it returns, but a landing under way goes on.
//
// The steps are those of docs/DESIGN.md, "Landing"; each is a function here.
func (o *Overlay) Commit(ctx context.Context, message string) (pachclient.Commit, error) {
	return o.CommitBy(ctx, message, o.opts.OnConflict)
}

// CommitBy is Commit with a policy of its own for paths that others changed.
func (o *Overlay) CommitBy(ctx context.Context, message string, p Policy) (pachclient.Commit, error) {
	if o.dir == "" {
		return pachclient.Commit{}, nil
	}
	select {
	case <-o.landing:
	case <-ctx.Done():
		return pachclient.Commit{}, ctx.Err()
	case <-o.closing:
		return pachclient.Commit{}, ErrClosed
	}
	type result struct {
		c   pachclient.Commit
		err error
	}
	done := make(chan result, 1)
	o.stage.done.Add(1)
	go func() {
		defer o.stage.done.Done()
		c, err := o.commit(message, p)
		o.landing <- struct{}{}
		done <- result{c, err}
	}()
	select {
	case r := <-done:
		return r.c, r.err
	case <-ctx.Done():
		return pachclient.Commit{}, ctx.Err()
	}
}

// commit is Commit, with the landing token.
func (o *Overlay) commit(message string, p Policy) (pachclient.Commit, error) {
	w := newWatchdog(o.opts.CommitTimeout, o.closing)
	defer w.stop()
	o.setCommitting(true)
	defer o.setCommitting(false)
	defer o.stage.room.commit()()
	o.mu.RLock()
	err := o.broken
	o.mu.RUnlock()
	var kept, c pachclient.Commit
	if err == nil {
		kept, err = o.tryKept(w, p)
	}
	some := false
	if err == nil {
		some, err = o.seal(message)
	}
	if err == nil && some {
		c, err = o.land(w, p)
	}
	if c.Zero() {
		c = kept
	}
	if err != nil {
		err = fmt.Errorf("commit %s: %w", o.branch, w.explain(err))
		o.log.Error("commit failed; the changes stay staged", "err", err)
	}
	o.setResult(c, err)
	return c, err
}

// A watchdog ends a context after a time without progress.
type watchdog struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	timeout time.Duration
}

func newWatchdog(timeout time.Duration, closing <-chan struct{}) *watchdog {
	ctx, cancel := context.WithCancelCause(context.Background())
	w := &watchdog{ctx: ctx, cancel: cancel, timeout: timeout}
	w.timer = time.AfterFunc(timeout, func() { cancel(fmt.Errorf("no progress for %v", timeout)) })
	go func() {
		select {
		case <-closing:
			cancel(errors.New("pachfs is ending"))
		case <-ctx.Done():
		}
	}()
	return w
}

// kick says that there was progress.
func (w *watchdog) kick() { w.timer.Reset(w.timeout) }

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// pause waits a moment before another try.
func (w *watchdog) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.ctx.Done():
	}
}

func (w *watchdog) explain(err error) error {
	if w.ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w (%v)", context.Cause(w.ctx), pachclient.ErrUnavailable, err)
}

// land brings all sealed layers into Pachyderm: those whose change was sent
// already by finding out what became of it, the rest as one commit.
func (o *Overlay) land(w *watchdog, p Policy) (pachclient.Commit, error) {
	if err := o.checkCluster(w); err != nil {
		return pachclient.Commit{}, err
	}
	var last pachclient.Commit
	for {
		top, outstanding := o.next()
		if top < 0 {
			return last, nil
		}
		l := o.attempt(w, top, p)
		var c pachclient.Commit
		var err error
		if outstanding {
			c, err = l.resume()
		} else {
			c, err = l.run()
		}
		if err != nil {
			return last, err
		}
		if !c.Zero() {
			last = c
		}
	}
}

// mostKept is how many layers commits that fail may leave: from then on, what
// is kept has to land before more is sealed, in a commit of its own.
const mostKept = 8

// tryKept looks whether what earlier commits could not land can land now,
// before one more layer comes on top of it: however often a commit fails, the
// layers don't pile up. A set that was uploaded, and lives, tells; without one
// it is, the first time, enough that the server answers. What it would refuse
// to commit only shows when it does.
func (o *Overlay) tryKept(w *watchdog, p Policy) (pachclient.Commit, error) {
	var none pachclient.Commit
	top, outstanding := o.next()
	full := o.kept() >= mostKept
	if top < 0 || outstanding && !full {
		return none, nil
	}
	if err := o.checkCluster(w); err != nil {
		return none, err
	}
	a := o.attempt(w, top, p)
	switch {
	case outstanding:
		if c, err := a.resume(); err != nil || !c.Zero() {
			return c, err
		}
		return o.tryKept(w, p) // nothing came of it
	case full:
		return a.run()
	}
	lives := a.layer.uploaded != "" && o.client.Renew(w.ctx, a.layer.uploaded, setTTL) == nil
	if !lives && top == 0 {
		return none, nil
	}
	err := a.measure()
	if err == nil && a.delta.empty() { // it was discarded
		return none, nil
	}
	if err == nil {
		err = o.retry(w, a.upload)
	}
	if err == nil {
		_, err = a.check()
	}
	if errors.Is(err, errAgain) {
		return none, nil
	}
	return none, err
}

// checkCluster refuses to land on another Pachyderm than the one that the
// changes were made on.
func (o *Overlay) checkCluster(w *watchdog) error {
	m, err := o.stage.readMeta(o.dir)
	if err != nil {
		return err
	}
	return o.retry(w, func() error {
		c, err := o.client.Cluster(w.ctx)
		if err != nil {
			return err
		}
		if m.Deployment != "" && c.Deployment != m.Deployment {
			return fmt.Errorf("cluster %s answers, the changes belong to %s: %w", c.Deployment, m.Deployment, ErrOtherCluster)
		}
		return nil
	})
}

// retry calls fn until it succeeds, fails for a reason that time does not
// mend, or the watchdog ends it.
func (o *Overlay) retry(w *watchdog, fn func() error) error {
	wait := 50 * time.Millisecond
	for {
		err := fn()
		if err == nil || !passing(err) || w.ctx.Err() != nil {
			return err
		}
		o.setOffline(err)
		w.pause(wait)
		if w.ctx.Err() != nil {
			return err
		}
		wait = min(2*wait, 2*time.Second)
	}
}

// passing says whether an error may go by itself.
func passing(err error) bool {
	return errors.Is(err, pachclient.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errNotYet)
}

// next gives the index of the layer to land with all below it, and whether its
// change was sent before; -1 when there is none.
func (o *Overlay) next() (int, bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	sealed := len(o.layers) - 1
	for i, l := range o.layers[:sealed] {
		if !l.landing.deadline.IsZero() {
			return i, true
		}
	}
	return sealed - 1, false
}

// kept is how many layers are sealed.
func (o *Overlay) kept() int {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return len(o.layers) - 1
}

// An attempt is one landing of the layers up to top.
type attempt struct {
	o     *Overlay
	w     *watchdog
	top   int
	layer *layer // the one at top, whose journal tells of the landing
	delta *delta
	set   pachclient.FileSet
	want  *want
	head  CommitInfo                               // the one that was checked
	diffs map[[2]string]map[string]pachclient.Diff // between two commits, by their IDs
	again bool                                     // it was sent before, or refused, and nothing came of it
	fewer bool                                     // what is staged has become less: that is something else to try

	onConflict Policy
	cleared    []string // deletes that make room for what is laid over changes of others
}

func (o *Overlay) attempt(w *watchdog, top int, p Policy) *attempt {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return &attempt{o: o, w: w, top: top, layer: o.layers[top], onConflict: p, diffs: map[[2]string]map[string]pachclient.Diff{}}
}

// kick says that there was progress. To try the same again is none.
func (a *attempt) kick() {
	if !a.again {
		a.w.kick()
	}
}

// note appends a record about the landing, and makes it durable.
func (a *attempt) note(r record) error {
	a.o.mu.Lock()
	err := a.layer.log(&a.o.files, r)
	a.o.mu.Unlock()
	if err == nil {
		err = a.layer.j.sync()
	}
	return err
}

// run lands a change that was never sent, or surely did not happen.
func (a *attempt) run() (pachclient.Commit, error) {
	for {
		if err := a.prepare(); err != nil {
			return pachclient.Commit{}, err
		}
		c, err := a.send()
		if !errors.Is(err, errAgain) {
			return c, err
		}
		if a.again, a.fewer = !a.fewer, false; a.again {
			a.w.pause(100 * time.Millisecond)
		}
		if a.w.ctx.Err() != nil {
			return pachclient.Commit{}, err
		}
	}
}

// prepare is step 2, with the delta that it takes.
func (a *attempt) prepare() error {
	err := a.measure()
	if err == nil {
		err = a.o.retry(a.w, a.upload)
	}
	return err
}

func (a *attempt) measure() error {
	return a.o.retry(a.w, func() (err error) {
		a.delta, err = a.o.delta(a.w.ctx, a.top)
		return err
	})
}

// errAgain: nothing happened, and a new try may succeed.
var errAgain = errors.New("the head of the branch moved")

// setTTL is how long a file set is asked to live; it is renewed before it is sent.
const setTTL = 30 * time.Minute

// upload is step 2: the delta as a file set, invisible to everybody. One that
// was uploaded before serves while it lives.
func (a *attempt) upload() error {
	if a.set = a.layer.uploaded; a.set != "" {
		if err := a.o.client.Renew(a.w.ctx, a.set, setTTL); err == nil {
			if a.want == nil {
				a.want, err = a.readWant(a.set)
			}
			if err == nil || !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		} else if passing(err) {
			return err
		}
	}
	progress := func(n int64) { a.w.kick(); a.o.addUploaded(n); At("uploading") }
	At("upload")
	set, err := a.o.client.Upload(a.w.ctx, a.delta.changes(progress))
	if err != nil {
		return err
	}
	At("set")
	a.w.kick()
	if a.want, err = a.readWant(set); err != nil {
		return err
	}
	At("hashes")
	a.set = set
	err = a.note(record{Op: opUploaded, Text: string(set)})
	At("uploaded")
	return err
}

func (a *attempt) readWant(set pachclient.FileSet) (*want, error) {
	return readWant(a.w.ctx, a.o.client, set, a.delta, a.kick)
}

// send is steps 3 to 7, from the check of the head to the end.
func (a *attempt) send() (pachclient.Commit, error) {
	done, err := a.check()
	if err != nil || done {
		return pachclient.Commit{}, err
	}
	At("checked")
	deadline := time.Now().Add(a.o.opts.LandTimeout)
	err = a.note(record{Op: opLanding, To: a.head.Commit.ID, Text: string(a.set), Time: deadline.UnixNano()})
	if err != nil {
		return pachclient.Commit{}, err
	}
	At("landing")
	ctx, cancel := context.WithDeadline(a.w.ctx, deadline)
	err = a.o.client.Land(ctx, a.o.branch, a.set, slices.Concat(a.delta.deletes, a.cleared))
	cancel()
	At("answered")
	if err != nil && !passing(err) && !errors.Is(err, context.Canceled) {
		return pachclient.Commit{}, a.refused(err)
	}
	a.kick()
	return a.await()
}

// refused deals with a Land that surely did nothing.
func (a *attempt) refused(err error) error {
	if err := a.note(record{Op: opLanding}); err != nil {
		return err
	}
	if errors.Is(err, pachclient.ErrOpenCommit) {
		return errAgain
	}
	if errors.Is(err, fs.ErrNotExist) {
		if renewErr := a.o.client.Renew(a.w.ctx, a.set, setTTL); errors.Is(renewErr, fs.ErrNotExist) {
			a.layer.uploaded, a.want = "", nil
			return errAgain
		}
	}
	return err
}

// landMargin is how long after its deadline a call may still turn out to have happened.
const landMargin = 2 * time.Second

// await is step 5: it finds the commit that came of the change, or finds that
// there is none and will be none.
func (a *attempt) await() (pachclient.Commit, error) {
	l := a.layer.landing
	wait := time.Millisecond
	for {
		info, err := a.findLanded(l.head)
		switch {
		case err == nil && info.Error != "":
			return pachclient.Commit{}, a.dropErrored(info)
		case err == nil:
			return info.Commit, a.finish(info)
		case a.w.ctx.Err() != nil:
			return pachclient.Commit{}, err
		case errors.Is(err, fs.ErrNotExist):
			if time.Now().After(l.deadline.Add(landMargin)) {
				if err := a.note(record{Op: opLanding}); err != nil {
					return pachclient.Commit{}, err
				}
				return pachclient.Commit{}, errAgain
			}
		case !passing(err):
			return pachclient.Commit{}, err
		default:
			a.o.setOffline(err)
		}
		a.w.pause(wait)
		wait = min(2*wait, 500*time.Millisecond)
	}
}

// dropErrored removes a commit of ours that the server finished with an error.
func (a *attempt) dropErrored(info CommitInfo) error {
	err := fmt.Errorf("%s finished with the error %q", info.Commit, info.Error)
	if dropErr := a.o.client.Drop(a.w.ctx, info.Commit); dropErr != nil {
		return errors.Join(err, fmt.Errorf("and could not be dropped: %w", dropErr))
	}
	if noteErr := a.note(record{Op: opLanding}); noteErr != nil {
		return noteErr
	}
	return err
}

// resume deals with a change that was sent before, by this process or the one
// that was here before it.
func (a *attempt) resume() (pachclient.Commit, error) {
	a.set = a.layer.landing.set
	err := a.o.retry(a.w, func() (err error) {
		if a.delta, err = a.o.delta(a.w.ctx, a.top); err != nil {
			return err
		}
		a.want, err = a.readWant(a.set)
		if errors.Is(err, fs.ErrNotExist) { // the set is gone; what it held is still here
			err = a.upload()
		}
		return err
	})
	if err != nil {
		return pachclient.Commit{}, err
	}
	a.head = CommitInfo{Commit: pachclient.Commit{Branch: a.o.branch, ID: a.layer.landing.head}}
	c, err := a.await()
	if errors.Is(err, errAgain) {
		return pachclient.Commit{}, nil // land goes on with everything that is sealed
	}
	return c, err
}

// check is step 3: it looks at the head before anything is sent. done says
// that the head has our state already.
func (a *attempt) check() (done bool, err error) {
	err = a.o.retry(a.w, func() error {
		if a.head, err = a.o.steadyHead(a.w.ctx); err != nil {
			return err
		}
		done, err = a.want.heldBy(a.w.ctx, a.o.client.At(a.head.Commit), nil)
		return err
	})
	if err != nil {
		return false, err
	}
	if done {
		return true, a.finish(a.head)
	}
	a.kick()
	theirs, err := a.conflicts()
	if err == nil && len(theirs) > 0 {
		err = a.settleConflicts(theirs)
	}
	return false, err
}

// steadyHead gives the newest good commit, when nobody holds the head open and
// the branch may be written at all.
func (o *Overlay) steadyHead(ctx context.Context) (CommitInfo, error) {
	b, err := o.client.Branch(ctx, o.branch)
	if errors.Is(err, fs.ErrNotExist) {
		return o.firstBase(ctx)
	} else if err != nil {
		return CommitInfo{}, err
	}
	if b.Output {
		return CommitInfo{}, fmt.Errorf("%s: %w", o.branch, pachclient.ErrOutputBranch)
	}
	if !b.Head.Zero() {
		info, err := o.client.Commit(ctx, b.Head)
		if err != nil {
			return info, err
		}
		if info.Open() {
			return info, fmt.Errorf("%s is open: %w: %w", info.Commit, pachclient.ErrOpenCommit, errNotYet)
		}
	}
	return o.client.Head(ctx, o.branch)
}
