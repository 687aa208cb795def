package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"pachfs/pachclient/remote"
)

// load reads the context of this server from pachctl's configuration: the one
// that --context names or, once it was chosen, the one that was active then.
func (s *server) load() (remote.Context, error) {
	return remote.LoadContext(s.named, func(key string) string {
		if key == "PACH_CONTEXT" && s.context.Name != "" {
			return s.context.Name
		}
		return os.Getenv(key)
	})
}

// dialing says how to speak to the server of a context.
func dialing(c remote.Context, log *slog.Logger) remote.Config {
	conf := remote.Config{Address: c.Address, ServerCAs: c.ServerCAs, Token: c.Token, Logger: log}
	if c.Name == "" {
		return conf
	}
	conf.Login = "PACH_CONTEXT=" + quote(c.Name) + " pachctl auth login" // that one may not be the active one
	if path := os.Getenv("PACH_CONFIG"); path != "" {
		conf.Login = "PACH_CONFIG=" + quote(path) + " " + conf.Login
	}
	return conf
}

// quote writes a word as a shell takes it.
func quote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// A configWatch takes up a new address, CA or token when pachctl's
// configuration changes. The context stays the one that was mounted, and so
// does its project.
type configWatch struct {
	s   *server
	log *slog.Logger
	w   *fsnotify.Watcher // nil: there could be none

	mu      sync.Mutex
	now     remote.Context // what the client was told last
	problem string         // why the file as it is was not taken up; "": it was
}

const (
	// settle is how long after the first event the file is read: whoever
	// rewrites it in place is done then.
	settle = 100 * time.Millisecond

	// lookEvery is for file systems that tell of no changes which another
	// machine made, and for directories that were not there to be watched.
	lookEvery = 10 * time.Second
)

// watchConfig begins to watch.
func watchConfig(s *server, log *slog.Logger) (cw *configWatch, stop func()) {
	cw = &configWatch{s: s, log: log, now: s.context}
	if s.context.Path == "" {
		return cw, func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	if cw.w, err = fsnotify.NewWatcher(); err != nil { // there may be too many
		log.Warn("changes of pachctl's configuration are noticed late", "file", s.context.Path, "every", lookEvery, "err", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		cw.run(ctx)
	}()
	return cw, func() {
		cancel()
		<-done
	}
}

func (cw *configWatch) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var events chan fsnotify.Event
	var errs chan error
	if cw.w != nil {
		events, errs = cw.w.Events, cw.w.Errors
		defer cw.w.Close()
	}
	for {
		names := cw.watch()
		cw.look(ctx) // also for what came before the watch
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				waiting = false
			case e := <-events:
				waiting = !names[e.Name]
			case err := <-errs:
				cw.log.Warn("watching pachctl's configuration", "err", err)
				waiting = false
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(settle):
		}
	}
}

// watch watches the directories of the file and of the links on the way to it:
// a file is replaced rather than written, and where it is a mounted secret, a
// link above it is. It gives the names that matter there.
func (cw *configWatch) watch() map[string]bool {
	names := map[string]bool{}
	for _, name := range namesOf(cw.s.context.Path) {
		names[name] = true
		if cw.w == nil {
			continue
		}
		if err := cw.w.Add(filepath.Dir(name)); err != nil {
			cw.log.Debug("a directory is not watched", "dir", filepath.Dir(name), "err", err)
		}
	}
	return names
}

// look takes up what the configuration says now, if that is something new.
func (cw *configWatch) look(ctx context.Context) {
	c, err := cw.s.load()
	if err == nil && !sameServer(c, cw.now) {
		err = cw.takeUp(ctx, c)
	}
	if ctx.Err() != nil {
		return
	}
	words := ""
	if err != nil {
		words = fmt.Sprintf("pachctl's configuration is not taken up, the one before goes on: %v", err)
	}
	cw.mu.Lock()
	defer cw.mu.Unlock()
	if words != "" && words != cw.problem {
		cw.log.Warn(words)
	}
	cw.problem = words
}

func sameServer(a, b remote.Context) bool {
	return a.Address == b.Address && a.Token == b.Token && bytes.Equal(a.ServerCAs, b.ServerCAs)
}

// takeUp changes over to another address, CA or token, unless another cluster
// is there. One that can't be reached now is taken: the client lets no other
// cluster answer when it can be.
func (cw *configWatch) takeUp(ctx context.Context, c remote.Context) error {
	conf := dialing(c, cw.log)
	probe, err := remote.Dial(ctx, conf)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, 3*time.Second)
	who, _ := probe.Cluster(asking) // known, also where the token is refused
	cancel()
	if err := probe.Close(); err != nil {
		return err
	}
	for _, id := range []string{c.Deployment, who.Deployment} {
		if id != "" && id != cw.s.deployment {
			return fmt.Errorf("%s is cluster %s, and what is mounted is of cluster %s", c.Address, id, cw.s.deployment)
		}
	}
	if err := cw.s.remote.Reconfigure(conf); err != nil {
		return err
	}
	cw.mu.Lock()
	cw.now = c
	cw.mu.Unlock()
	cw.log.Info("took up pachctl's configuration", "context", c.Name, "address", c.Address)
	return nil
}

// Address is that of the server now.
func (cw *configWatch) Address() string {
	cw.mu.Lock()
	defer cw.mu.Unlock()
	if cw.now.Path == "" {
		return cw.s.address
	}
	return cw.now.Address
}

// Problem tells what is wrong with the server, or with its configuration.
func (cw *configWatch) Problem() string {
	cw.mu.Lock()
	defer cw.mu.Unlock()
	var words []string
	if cw.problem != "" {
		words = append(words, cw.problem)
	}
	if err := cw.s.remote.Trouble(); err != nil {
		words = append(words, err.Error())
	}
	return strings.Join(words, "\n")
}
