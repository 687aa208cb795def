package main

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"pachfs/pachclient/remote"
)

// watchConfig takes up a new address, CA or token when pachctl's configuration
// changes. The context stays the one that was mounted. The directory is
// watched, not the file: pachctl replaces it.
func (d *daemon) watchConfig() (stop func()) {
	s := d.parts.server
	if s.config == "" {
		return func() {}
	}
	w, err := fsnotify.NewWatcher()
	if err == nil {
		err = w.Add(filepath.Dir(s.config))
	}
	if err != nil {
		d.log.Warn("pachctl's configuration is not watched", "file", s.config, "err", err)
		return func() {}
	}
	go func() {
		for {
			select {
			case _, ok := <-w.Events:
				if !ok {
					return
				}
				d.reconfigure()
			case err, ok := <-w.Errors:
				if !ok {
					return
				}
				d.log.Warn("watching pachctl's configuration", "err", err)
			}
		}
	}()
	return func() { w.Close() }
}

// reconfigure looks whether the configuration says something else than before.
// Any event in its directory is a reason to: where the file is a link, as in
// Kubernetes, it is the link's target that is replaced.
func (d *daemon) reconfigure() {
	s := d.parts.server
	c, err := remote.LoadContext(s.context, os.Getenv)
	if err != nil { // half written, perhaps: then another event comes
		d.log.Debug("pachctl's configuration can't be read; going on with the old one", "err", err)
		return
	}
	conf := remote.Config{Address: c.Address, ServerCAs: c.ServerCAs, Token: c.Token, Logger: d.log}
	if conf.Address == s.conf.Address && conf.Token == s.conf.Token && bytes.Equal(conf.ServerCAs, s.conf.ServerCAs) {
		return
	}
	if err := s.remote.Reconfigure(conf); err != nil {
		d.log.Warn("pachctl's configuration is not usable; going on with the old one", "err", err)
		return
	}
	s.conf = conf
	d.log.Info("took up pachctl's configuration", "context", c.Name, "address", c.Address)
}
