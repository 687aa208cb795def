package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"pachfs/cmd/internal/control"
	"pachfs/fs"
	"pachfs/fs/bazil"
	"pachfs/staging"
)

func newMount(s streams) *cobra.Command {
	var f mountFlags
	c := &cobra.Command{
		Use:   "mount [flags] MOUNTPOINT",
		Short: "Mount a Pachyderm",
		Long: `Mounts a Pachyderm on an empty directory and stays in the foreground; one line
on stdout says when it can be used. What is staged lands on unmount (umount,
fusermount3 -u, Ctrl-C, SIGTERM); the exit status is 3 when it could not, and
then the next mount on this directory goes on with it.`,
		Example: "  pachfs mount --pachd grpc://localhost:30650 /mnt/pach\n  pachfs mount --store ~/pach --daemon ./mnt",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if f.daemon {
				return background(s, args[0])
			}
			return runMount(c.Context(), &f, args[0], s)
		},
	}
	f.add(c.Flags())
	return c
}

// runMount is the life of a mount.
func runMount(ctx context.Context, f *mountFlags, mountpoint string, s streams) error {
	log, err := newLogger(s.err, f.logLevel, f.logFormat)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	if mountpoint, err = realPlace(mountpoint); err != nil {
		return err
	}
	if err = clearDied(mountpoint, log); err != nil {
		return err
	}
	if mountpoint, err = bazil.Preflight(mountpoint, log); err != nil {
		return err
	}
	if err := f.directories(mountpoint); err != nil {
		return err
	}
	ctx, up, cancel := untilUp(ctx, signals)
	defer cancel()
	p, err := f.assemble(ctx, log)
	if err != nil {
		return err
	}
	d := &daemon{up: up, f: f, parts: p, log: log, mountpoint: mountpoint, signals: signals, stopAsked: make(chan struct{}, 1), ended: make(chan control.Stopped, 8)}
	err = d.run(ctx, s)
	return errors.Join(err, p.close())
}

// untilUp gives a context that the first signal ends, until up is called: a
// server that hangs must not hold up somebody who stops a mount that is not there yet.
func untilUp(ctx context.Context, signals <-chan os.Signal) (_ context.Context, up, cancel func()) {
	ctx, end := context.WithCancelCause(ctx)
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case sig := <-signals:
			end(fmt.Errorf("%v before the mount was up", sig))
		case <-done:
		}
	}()
	up = sync.OnceFunc(func() {
		close(done)
		<-gone // from now on signals are for others
	})
	return ctx, up, func() { end(nil); up() }
}

// directories fills in the default directories, and refuses to mount over them.
func (f *mountFlags) directories(mountpoint string) (err error) {
	if f.state == "" {
		if f.state, err = defaultState(mountpoint); err != nil {
			return err
		}
	}
	if f.cacheDir == "" && f.cacheSize > 0 {
		if f.cacheDir, err = defaultCache(); err != nil {
			return err
		}
	}
	for _, own := range []struct {
		flag string
		dir  *string
	}{{"--state", &f.state}, {"--cache-dir", &f.cacheDir}, {"--store", &f.store}} {
		if *own.dir == "" {
			continue
		}
		if *own.dir, err = realPath(*own.dir); err != nil {
			return err
		}
		if inside(*own.dir, mountpoint) {
			return usage("%s %s lies inside the mountpoint %s: the mount would hide it", own.flag, *own.dir, mountpoint)
		}
		if inside(mountpoint, *own.dir) {
			return usage("the mountpoint %s lies inside %s %s: that directory is pachfs's own", mountpoint, own.flag, *own.dir)
		}
	}
	return nil
}

// A daemon is a mount that is being served.
type daemon struct {
	f          *mountFlags
	parts      *parts
	log        *slog.Logger
	mountpoint string
	mounted    *bazil.Mounted
	signals    chan os.Signal
	signalled  int    // signals so far
	up         func() // the mount can be used: signals unmount now
	stopAsked  chan struct{}
	ended      chan control.Stopped // one for everybody who asked to stop
}

// run mounts, serves until somebody unmounts or asks to, and lands what is staged.
func (d *daemon) run(ctx context.Context, s streams) (err error) {
	if err := d.openKept(ctx); err != nil {
		return err
	}
	d.mounted, err = bazil.Mount(d.mountpoint, d.parts.tree, bazil.Options{
		AllowOther: d.f.allowOther, ReadOnly: d.f.readOnly, Source: "pachfs:" + d.parts.server.project, Logger: d.log})
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- d.mounted.Serve() }()
	config, unwatch := watchConfig(d.parts.server, d.log)
	defer unwatch()
	stop, err := d.announce(ctx, s, config)
	if err != nil {
		return errors.Join(err, d.mounted.Detach())
	}
	defer stop()
	reason := d.wait(served)
	err = d.finish(reason, served)
	how := control.Stopped{Exit: control.ExitCode(err, false)}
	if err != nil {
		how.Message = err.Error()
	}
	for range cap(d.ended) {
		d.ended <- how
	}
	return err
}

// openKept goes on with what earlier mounts left, so that it shows in the status.
func (d *daemon) openKept(ctx context.Context) error {
	kept, err := d.parts.stage.Kept()
	if err != nil {
		return err
	}
	for _, b := range kept {
		if b.Project != d.parts.server.project {
			continue
		}
		o, err := d.parts.stage.Overlay(ctx, b)
		if errors.Is(err, staging.ErrOtherCluster) {
			return fmt.Errorf("%w; land them on their own Pachyderm (pachfs state land), or give another --state than %s", err, d.f.state)
		} else if errors.Is(err, staging.ErrOtherNaming) {
			return fmt.Errorf("%w: mount with --encode-names=%t until they have landed, or give another --state than %s", err, !d.f.encodeNames, d.f.state)
		} else if errors.Is(err, iofs.ErrNotExist) { // it is gone there, and nothing was staged for it
			continue
		} else if err != nil {
			d.log.Warn("a branch that was mounted before can't be opened", "branch", b.String(), "err", err)
			continue
		}
		if st := o.Status(); st.Staged.Files+st.Staged.Deleted > 0 {
			d.log.Info("going on with what was staged before", "branch", b.String(), "files", st.Staged.Files, "deleted", st.Staged.Deleted)
		}
	}
	return nil
}

// announce makes the mount known once it can be used: to the other commands
// and, with one line, to whoever waits.
func (d *daemon) announce(ctx context.Context, s streams, config *configWatch) (stop func(), err error) {
	if err := d.listable(ctx); err != nil {
		return nil, err
	}
	l, err := control.Listen(d.f.state)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	api := &control.Server{Stage: d.parts.stage, Mountpoint: d.mountpoint, Project: d.parts.server.project,
		Address: config.Address, Problem: config.Problem, Stop: d.askStop}
	go func() {
		if err := api.Serve(l); err != nil {
			d.log.Error("control socket", "err", err)
		}
	}()
	leave, err := register(running{Mountpoint: d.mountpoint, State: d.f.state, Connection: d.mounted.Connection()})
	if err != nil {
		return nil, errors.Join(err, api.Shutdown())
	}
	if err := os.WriteFile(filepath.Join(d.f.state, mountFile), []byte(d.mountpoint+"\n"), 0o600); err != nil {
		d.log.Warn("pachfs state list will not know the mountpoint", "err", err)
	}
	if d.up(); ctx.Err() != nil {
		leave()
		return nil, errors.Join(context.Cause(ctx), api.Shutdown())
	}
	fmt.Fprintf(s.out, "mounted project %s of %s at %s (pid %d)\n", d.parts.server.project, d.parts.server.address, d.mountpoint, os.Getpid())
	return func() {
		leave()
		if err := errors.Join(api.Shutdown(), control.Remove(d.f.state)); err != nil {
			d.log.Warn("control socket", "err", err)
		}
	}, nil
}

// listable waits until the root can be listed. It asks the tree and not the
// kernel: a thread of ours that waits in our own mount holds /dev/fuse open, and
// when we are killed nothing can end it but an abort of the connection.
func (d *daemon) listable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	h, _, err := d.parts.tree.OpenDir(ctx, fs.Root)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("the mount on %s can't be listed: %w", d.mountpoint, err)
	}
	d.parts.tree.ReleaseDir(h)
	return nil
}

// askStop is how others than the kernel and signals end a mount.
func (d *daemon) askStop() <-chan control.Stopped {
	select {
	case d.stopAsked <- struct{}{}:
	default:
	}
	return d.ended
}
