package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pachfs/cmd/internal/control"
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
		d.log.Info("unmounting", "signal", sig.String())
		return asked
	case <-d.stopAsked:
		d.log.Info("unmounting")
		return asked
	}
}

// finish unmounts if need be, and lands what is staged.
func (d *daemon) finish(reason ending, served chan error) error {
	if reason == asked {
		if err := d.mounted.Unmount(); err != nil {
			d.log.Warn("the mount is in use: it goes away from its directory now, and from those who use it when this process ends", "err", err)
			d.parts.tree.Freeze()
			if err := d.mounted.Detach(); err != nil {
				d.log.Error("can't unmount", "err", err)
			}
			reason = detached
		}
	}
	switch reason {
	case detached: // what its users do from now on could not land any more
		d.parts.tree.Freeze()
	case asked:
		select {
		case <-served:
		case <-time.After(5 * time.Second):
		}
	}
	return d.land()
}

// land makes the last commits. It gives up after a time without progress, or
// at another signal.
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
	err := d.parts.tree.CommitAll(ctx, "")
	if err == nil {
		err = d.unfinished()
	}
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		err = cause
	}
	return fmt.Errorf("%w; %w in %s, and the next mount on %s goes on with them", err, control.ErrStays, d.f.state, d.mountpoint)
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

// patience ends the last commit when nothing has moved for the stop timeout.
func (d *daemon) patience(ctx context.Context, give func(error)) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	last, since := d.progress(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.signals:
			give(errors.New("a second signal ended the wait"))
			return
		case <-tick.C:
		}
		if now := d.progress(); now != last {
			last, since = now, time.Now()
		} else if time.Since(since) > d.f.stopTimeout {
			give(fmt.Errorf("no progress for %v (--stop-timeout)", d.f.stopTimeout))
			return
		}
	}
}

// progress changes whenever a landing gets on.
func (d *daemon) progress() string {
	var out string
	for _, o := range d.parts.stage.Overlays() {
		st := o.Status()
		out += fmt.Sprint(st.Branch, st.Base, st.State == staging.Committing, st.Uploaded, ";")
	}
	return out
}
