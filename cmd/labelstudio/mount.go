package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"pachfs/cmd/internal/control"
	"pachfs/cmd/internal/sample"
)

// A mounted is a `pachfs mount` in a child.
type mounted struct {
	cmd   *exec.Cmd
	since time.Time
	done  chan struct{} // closed when it has ended
	err   error         // how; read after done
}

// mount starts pachfs and returns when the mount can be used.
func mount(ctx context.Context, s setting) (*mounted, error) {
	args := []string{"mount", "--state", filepath.Join(s.dir, "state"), "--cache-dir", filepath.Join(s.dir, "cache")}
	switch {
	case s.pachd != "":
		args = append(args, "--pachd", s.pachd)
	case s.context != "":
		args = append(args, "--context", s.context)
	default:
		args = append(args, "--store", filepath.Join(s.dir, "store"))
	}
	m := &mounted{cmd: exec.Command(s.bin, append(args, s.mount())...), since: time.Now(), done: make(chan struct{})}
	m.cmd.Stderr = os.Stderr
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us: Label Studio has to stop first
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (try: make build)", err)
	}
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(out)
		ready <- lines.Scan()
		for lines.Scan() {
		}
		m.err = m.cmd.Wait()
		close(m.done)
	}()
	select {
	case ok := <-ready:
		if ok {
			return m, nil
		}
		<-m.done
		return nil, errors.New("pachfs could not mount")
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), m.unmount())
	}
}

// tooShort is a life after which another one would be no better.
const tooShort = 3 * time.Second

// pause is between two tries to mount again.
const pause = 3 * time.Second

// again mounts anew where pachfs died. Label Studio goes on: it holds nothing
// of a mount but paths, and what it had written is still staged. Where that
// fails, because pachd is away too, it is tried until it works or ctx ends.
// A mount that somebody took away on purpose stays away.
func (m *mounted) again(ctx context.Context, s setting) (*mounted, error) {
	switch code := m.cmd.ProcessState.ExitCode(); {
	case code == control.ExitDone:
		return nil, errors.New("somebody has unmounted " + s.mount())
	case code == control.ExitStaged, code == control.ExitConflict, time.Since(m.since) < tooShort:
		return nil, fmt.Errorf("pachfs ended: %w", m.err)
	}
	fmt.Fprintf(os.Stderr, "label-studio: pachfs died (%v); mounting again\n", m.err)
	for {
		next, err := mount(ctx, s)
		if err == nil {
			return next, nil
		}
		if ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "label-studio: %v; again in %v\n", err, pause)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("stopped without a mount: what is staged waits in %s: %w", filepath.Join(s.dir, "state"), err)
		case <-time.After(pause):
		}
	}
}

// unmount returns when what was staged has landed.
func (m *mounted) unmount() error {
	m.cmd.Process.Signal(syscall.SIGTERM)
	<-m.done
	if m.err != nil {
		return fmt.Errorf("pachfs: %w", m.err)
	}
	return nil
}

// seed makes the two branches and puts the pictures into an empty images@master,
// as anybody would: through the mount.
func seed(mnt string) error {
	for _, branch := range []string{"images@master", "labels@master"} {
		if err := os.Mkdir(filepath.Join(mnt, branch), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	images := filepath.Join(mnt, "images@master")
	if there, err := os.ReadDir(images); err != nil || len(there) > 0 {
		return err
	}
	files, err := sample.Gallery()
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(images, name), content, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(images, ".commit"), []byte("twenty pictures"), 0)
}
