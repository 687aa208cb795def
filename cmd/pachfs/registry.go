package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"syscall"

	"pachfs/cmd/internal/control"
)

// A running is a mount that a daemon of this user serves, as it is written
// down in the runtime directory for the other commands to find.
type running struct {
	PID        int    `json:"pid"`
	Mountpoint string `json:"mountpoint"`
	State      string `json:"state"`
	Connection uint32 `json:"connection"` // of FUSE, under /sys/fs/fuse/connections
}

func registryFile(mountpoint string) string {
	return filepath.Join(runDir(), escapePath(mountpoint)+".json")
}

// register writes a mount down; the function that it returns takes it out again.
func register(r running) (func(), error) {
	if err := os.MkdirAll(runDir(), 0o700); err != nil {
		return nil, fmt.Errorf("runtime directory: %w", err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	name := registryFile(r.Mountpoint)
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		return nil, err
	}
	return func() { os.Remove(name) }, os.Rename(name+".new", name)
}

// registered lists the mounts that are written down, those of dead daemons too.
func registered() ([]running, error) {
	entries, err := os.ReadDir(runDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []running
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".json" {
			continue
		}
		var r running
		b, err := os.ReadFile(filepath.Join(runDir(), e.Name()))
		if err == nil && json.Unmarshal(b, &r) == nil {
			out = append(out, r)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Mountpoint < out[j].Mountpoint })
	return out, err
}

func (r running) alive() bool {
	return syscall.Kill(r.PID, 0) == nil || errors.Is(syscall.Kill(r.PID, 0), syscall.EPERM)
}

func (r running) client() *control.Client { return control.NewClient(r.State) }

// findMount gives the mount that a path lies in. "" stands for the working
// directory or, outside of any mount, for the only mount there is.
func findMount(path string) (running, string, error) {
	all, err := registered()
	if err != nil {
		return running{}, "", err
	}
	var live []running
	for _, r := range all {
		if r.alive() {
			live = append(live, r)
		}
	}
	asked := path
	if path == "" {
		path = "."
	}
	if path, err = realPath(path); err != nil {
		return running{}, "", err
	}
	best := -1
	for i, r := range live {
		if inside(path, r.Mountpoint) && (best < 0 || len(r.Mountpoint) > len(live[best].Mountpoint)) {
			best = i
		}
	}
	switch {
	case best >= 0:
		rel, err := filepath.Rel(live[best].Mountpoint, path)
		return live[best], rel, err
	case asked == "" && len(live) == 1:
		return live[0], ".", nil
	case len(live) == 0:
		return running{}, "", errors.New("no pachfs mount of this user is running (try: pachfs mount)")
	}
	msg := "these mounts are running:"
	for _, r := range live {
		msg += " " + r.Mountpoint
	}
	if asked == "" {
		return running{}, "", usage("several mounts are running, name one by a path in it; %s", msg)
	}
	return running{}, "", usage("%s is in no pachfs mount; %s", asked, msg)
}
