package main

import (
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
		for e := range w.Events {
			if filepath.Clean(e.Name) == filepath.Clean(s.config) && e.Has(fsnotify.Write|fsnotify.Create|fsnotify.Rename) {
				d.reconfigure()
			}
		}
	}()
	return func() { w.Close() }
}

func (d *daemon) reconfigure() {
	s := d.parts.server
	c, err := remote.LoadContext(s.context, os.Getenv)
	if err != nil {
		d.log.Warn("pachctl's configuration can't be read; going on with the old one", "err", err)
		return
	}
	err = s.remote.Reconfigure(remote.Config{Address: c.Address, ServerCAs: c.ServerCAs, Token: c.Token, Logger: d.log})
	if err != nil {
		d.log.Warn("pachctl's configuration is not usable; going on with the old one", "err", err)
		return
	}
	d.log.Info("took up pachctl's configuration", "context", c.Name, "address", c.Address)
}
