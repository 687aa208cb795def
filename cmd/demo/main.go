// Command demo is what `make run` and `make demo` start: it puts sample data
// into an embedded Pachyderm and mounts that, or plays the whole story on it, step
// by step, through the real binary. It is not installed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"pachfs/cmd/internal/sample"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/remote"
)

func main() {
	bin := flag.String("pachfs", "bin/pachfs", "the binary")
	dir := flag.String("dir", ".run", "where store, state and cache live")
	mnt := flag.String("mnt", "mnt", "where to mount")
	story := flag.Bool("story", false, "play the story and end")
	flag.Parse()
	run := keepMounted
	if *story {
		run = play
	}
	if err := run(setting{*bin, *dir, *mnt}); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// A setting is where everything is.
type setting struct{ bin, dir, mnt string }

func (s setting) store() string { return filepath.Join(s.dir, "store") }

// mountArgs mounts the store with all that belongs to it below one directory.
func (s setting) mountArgs() []string {
	return []string{"mount", "--store", s.store(), "--state", filepath.Join(s.dir, "state"), "--cache-dir", filepath.Join(s.dir, "cache"), s.mnt}
}

// seed puts the sample data into the store.
func (s setting) seed() error {
	ctx := context.Background()
	srv, err := embedded.Open(s.store(), embedded.Options{})
	if err != nil {
		return err
	}
	defer srv.Close()
	c, err := remote.Dial(ctx, remote.Config{Dialer: srv.Dial})
	if err != nil {
		return err
	}
	defer c.Close()
	return sample.Seed(ctx, c)
}

const welcome = `
A Pachyderm of your own is about to be mounted at ./%[1]s. In another terminal, try:

  ls %[1]s %[1]s/images@master
  echo '{"label": "statue"}' > %[1]s/labels@master/liberty.json
  cat %[1]s/labels@master/.status
  touch %[1]s/labels@master/.commit        # one commit, finished when touch returns
  ls '%[1]s/labels@master^'                 # the commit before it
  ./%[2]s status %[1]s

Ctrl-C here lands what is staged, and unmounts.

`

// keepMounted is make run.
func keepMounted(s setting) error {
	// A mount that died there is there, and can't be looked at; pachfs takes it away.
	if err := os.MkdirAll(s.mnt, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := s.seed(); err != nil {
		return err
	}
	fmt.Printf(welcome, s.mnt, s.bin)
	cmd := exec.Command(s.bin, s.mountArgs()...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// Ctrl-C reaches the mount by itself, being in the same process group; a
	// SIGTERM is handed on. Either way this waits until it has landed.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		for sig := range signals {
			if sig == syscall.SIGTERM {
				cmd.Process.Signal(sig)
			}
		}
	}()
	return cmd.Wait()
}
