// Command labelstudio is what `make label-studio` starts: a mount with pictures,
// and a stock Label Studio on it, ready to log in. It is not installed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"pachfs/cmd/internal/labelstudio"
)

// A setting is what to run and where.
type setting struct {
	bin, dir, cache, version string
	root                     string // document root: the mountpoint, or above it
	pachd, context           string // neither: a store of its own
	port                     int
}

func (s setting) mount() string { return filepath.Join(s.dir, "mnt") }

func main() {
	var s setting
	flag.StringVar(&s.bin, "pachfs", "bin/pachfs", "the binary")
	flag.StringVar(&s.dir, "dir", ".run/label-studio", "where everything is that the next run goes on with")
	flag.StringVar(&s.root, "root", "", "document root of Label Studio, the mountpoint or a directory above it; the mountpoint")
	flag.StringVar(&s.cache, "cache", defaultCache(), "where Label Studio is installed")
	flag.StringVar(&s.version, "ls", "", "version of Label Studio; the newest")
	flag.StringVar(&s.pachd, "pachd", "", "address of a pachd, instead of a store in the directory")
	flag.StringVar(&s.context, "context", "", "context of pachctl's configuration, instead of a store in the directory")
	flag.IntVar(&s.port, "port", 8080, "where Label Studio listens on 127.0.0.1; 0: anywhere")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "label-studio:", err)
		os.Exit(1)
	}
}

func defaultCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ".cache/label-studio"
	}
	return filepath.Join(dir, "pachfs-label-studio")
}

// run brings everything up, waits for a signal, and takes down what it brought up.
func run(ctx context.Context, s setting) (err error) {
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return err
	}
	if s.root == "" {
		s.root = s.mount()
	}
	if s.root, err = filepath.Abs(s.root); err != nil {
		return err
	}
	// A mount that died there is there, and can't be looked at; pachfs takes it away.
	if err := os.MkdirAll(s.mount(), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	log, err := os.Create(filepath.Join(s.dir, "install.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	command, err := labelstudio.Install(ctx, s.cache, s.version, log)
	if err != nil {
		return err
	}
	m, err := mount(ctx, s)
	if err != nil {
		return err
	}
	defer func() {
		if m != nil {
			err = errors.Join(err, m.unmount())
		}
	}()
	if err := seed(s.mount()); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "starting Label Studio: half a minute, the first time")
	ls, err := labelstudio.Start(ctx, labelstudio.Config{Command: command, Dir: filepath.Join(s.dir, "data"), Root: s.root, Port: s.port})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ls.Stop()) }()
	project, err := setUp(ctx, ls.Client, s.mount())
	if err != nil {
		return err
	}
	fmt.Printf(welcome, ls.URL, project, labelstudio.Email, labelstudio.Password, s.mount(), s.bin)
	for {
		select {
		case <-ctx.Done():
			fmt.Fprintln(os.Stderr, "stopping: what is staged lands")
			return nil
		case <-ls.Done():
			return errors.New("Label Studio ended by itself; its log is in " + filepath.Join(s.dir, "data", "log"))
		case <-m.done:
			if m, err = m.again(ctx, s); err != nil {
				return err
			}
		}
	}
}

const welcome = `
Label Studio is at %[1]s/projects/%[2]d/data
log in as %[3]s with password %[4]s

Draw a box and submit it, then in another terminal:

  ls %[5]s/labels@master                   # a file an annotation, staged
  %[6]s status %[5]s
  touch %[5]s/labels@master/.commit        # all of them become one commit
  %[6]s log %[5]s/labels@master

Ctrl-C here stops Label Studio, lands what is staged, and unmounts. Run it again, and it goes on.

`

// setUp makes project and storages, or finds those of an earlier run.
func setUp(ctx context.Context, c *labelstudio.Client, mnt string) (project int, err error) {
	if project, err = c.Project(ctx, "pachfs", labelstudio.Boxes); err != nil {
		return 0, err
	}
	source, err := c.Source(ctx, project, filepath.Join(mnt, "images@master"))
	if err != nil {
		return 0, err
	}
	if _, err := c.SyncSource(ctx, source.ID); err != nil {
		return 0, err
	}
	_, err = c.Target(ctx, project, filepath.Join(mnt, "labels@master"))
	return project, err
}
