package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pachfs/cmd/internal/control"
	"pachfs/pachclient"
	"pachfs/staging"
)

// Why a mount ends.
type ending int

const (
	unmounted ending = iota // it is gone already
	detached                // gone from here, but somebody still holds it
	asked                   // a signal, or pachfs umount
)

// wait returns when the mount ends, or shall end.
func (d *daemon) wait(served chan error) ending {
	select {
	case err := <-served:
		if err != nil {
			d.log.Error("serving ended", "err", err)
		}
		return unmounted
	case <-d.mounted.Gone():
		select {
		case <-served:
			return unmounted
		case <-time.After(time.Second):
			return detached
		}
	case sig := <-d.signals:
		d.signalled++
		d.log.Info("unmounting", "signal", sig.String())
		return asked
	case <-d.stopAsked:
		d.log.Info("unmounting")
		return asked
	}
}

// finish unmounts if need be, and lands what is staged.
func (d *daemon) finish(reason ending, served chan error) error {
	staging.At("unmounting")
	switch reason {
	case asked:
		if err := d.mounted.Unmount(); err != nil {
			d.log.Warn("the mount is in use: it goes away from its directory now, and from those who use it when this process ends", "err", err)
			d.detach()
			break
		}
		select {
		case <-served:
		case <-time.After(5 * time.Second):
		}
	case detached:
		d.parts.tree.Freeze()
	case unmounted: // or the connection was aborted, and its mount is a dead one
		if d.mounted.There() {
			d.detach()
		}
	}
	staging.At("unmounted")
	err := d.land()
	staging.At("closing")
	return err
}

// detach takes a mount away that somebody uses. What they do from now on could
// not land any more, so it fails.
func (d *daemon) detach() {
	d.parts.tree.Freeze()
	if err := d.mounted.Detach(); err != nil {
		d.log.Error("can't unmount", "err", err)
	}
}

// land makes the last commits. It gives up after a time without progress, or
// at a second signal.
func (d *daemon) land() error {
	dirty := 0
	for _, o := range d.parts.stage.Overlays() {
		if o.Dirty() {
			dirty++
		}
	}
	if dirty == 0 {
		return nil
	}
	d.log.Info("landing what is staged", "branches", dirty)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go d.patience(ctx, cancel)
	err := d.commitAll(ctx)
	if err == nil {
		err = d.unfinished()
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w; %w in %s, and the next mount on %s goes on with them", err, control.ErrStays, d.f.state, d.mountpoint)
}

// commitAll tries for as long as the server is away and patience lasts: one
// that restarts shall not leave changes behind.
func (d *daemon) commitAll(ctx context.Context) error {
	var away error
	for {
		err := d.parts.tree.CommitAll(ctx, "")
		switch {
		case errors.Is(err, pachclient.ErrUnavailable):
			away = err
		case err == nil, ctx.Err() == nil:
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
		if ctx.Err() != nil && away != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), away)
		} else if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// unfinished fails when something did not go along: files that were open for
// writing in a mount that was taken away in use.
func (d *daemon) unfinished() error {
	for _, o := range d.parts.stage.Overlays() {
		if o.Dirty() {
			return fmt.Errorf("commit %s: not of files that were still being written", o.Branch())
		}
	}
	return nil
}

// patience ends the last commit when nothing has moved for the stop timeout. A
// signal that only said to unmount is none that says to give up.
func (d *daemon) patience(ctx context.Context, give func(error)) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	p := progress{uploaded: map[string]int64{}}
	since := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.signals:
			if d.signalled++; d.signalled > 1 {
				give(errors.New("a second signal ended the wait"))
				return
			}
			d.log.Info("landing; another signal gives up")
		case <-tick.C:
		}
		if p.moved(d.parts.stage.Overlays()) {
			since = time.Now()
		} else if time.Since(since) > d.f.stopTimeout {
			give(fmt.Errorf("no progress for %v (--stop-timeout)", d.f.stopTimeout))
			return
		}
	}
}

// progress is how far the landings have come. To upload the same bytes again
// is none.
type progress struct {
	uploaded map[string]int64 // by branch and base
}

func (p *progress) moved(overlays []*staging.Overlay) bool {
	moved := false
	for _, o := range overlays {
		st := o.Status()
		key := st.Branch + " " + st.Base
		if most, ok := p.uploaded[key]; !ok || st.Uploaded > most {
			p.uploaded[key] = st.Uploaded
			moved = true
		}
	}
	return moved
}
