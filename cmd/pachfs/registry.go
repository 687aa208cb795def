package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"pachfs/cmd/internal/control"
	"pachfs/fs/bazil"
)

// A running is a mount that a daemon of this user serves, as it is written
// down in the runtime directory for the other commands to find.
type running struct {
	PID        int    `json:"pid"`
	Started    string `json:"started"` // of the process, in ticks since boot: a pid alone may be another's by now
	Mountpoint string `json:"mountpoint"`
	State      string `json:"state"`
	Connection uint32 `json:"connection"` // of FUSE, under /sys/fs/fuse/connections
}

func registryFile(dir, mountpoint string) string {
	return filepath.Join(dir, escapePath(mountpoint)+".json")
}

// register writes down a mount of this process; the function that it returns
// takes it out again, unless another mount took the place.
func register(r running) (leave func(), err error) {
	dir, err := runDir()
	if err != nil {
		return nil, err
	}
	r.PID, r.Started = os.Getpid(), startOf(os.Getpid())
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	name := registryFile(dir, r.Mountpoint)
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		return nil, err
	}
	leave = func() {
		if now, err := readRunning(name); err == nil && now.PID == r.PID {
			os.Remove(name)
		}
	}
	return leave, os.Rename(name+".new", name)
}

func readRunning(name string) (r running, err error) {
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}

// registered lists the mounts that are written down, those of dead daemons too.
func registered() ([]running, error) {
	dir, err := runDir()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []running
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".json" {
			continue
		}
		if r, err := readRunning(filepath.Join(dir, e.Name())); err == nil {
			out = append(out, r)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Mountpoint < out[j].Mountpoint })
	return out, err
}

// live lists the mounts whose daemons live.
func live() ([]running, error) {
	all, err := registered()
	var out []running
	for _, r := range all {
		if r.alive() {
			out = append(out, r)
		}
	}
	return out, err
}

func (r running) alive() bool {
	s := startOf(r.PID)
	return s != "" && s == r.Started
}

// startOf tells when a process started; "" when it is no more, or nothing but
// a zombie that nobody has waited for, as there are in containers.
func startOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	line := string(b) // "PID (NAME) STATE ...", where the name may hold anything
	f := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(f) < 20 || f[0] == "Z" || f[0] == "X" {
		return ""
	}
	return f[19]
}

// clear takes away what a daemon that died has left: its mount and what is
// written down here. It returns when the process is gone for good, with its lock:
// a thread of it may have waited in the mount.
func (r running) clear() error {
	dir, err := runDir()
	if err != nil {
		return err
	}
	if err := bazil.ClearDead(r.Mountpoint, r.Connection); err != nil {
		return err
	}
	for end := time.Now().Add(2 * time.Second); startOf(r.PID) == "" && threads(r.PID) > 1 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	err = os.Remove(registryFile(dir, r.Mountpoint))
	if errors.Is(err, fs.ErrNotExist) { // somebody else cleared it
		return nil
	}
	return err
}

// threads counts the threads of a process. One is left of a zombie.
func threads(pid int) int {
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return len(list)
}

// clearDied does that before another mount takes the place.
func clearDied(mountpoint string, log *slog.Logger) error {
	r, err := runningOn(mountpoint)
	if err != nil || r.alive() { // nothing is known, or nothing is to be done
		return nil
	}
	log.Info("a pachfs was mounted here and died", "mountpoint", mountpoint, "pid", r.PID)
	return r.clear()
}

// runningOn gives the mount that is, or was, on just this directory or on the
// one that it is a link to. fs.ErrNotExist: none is known.
func runningOn(mountpoint string) (running, error) {
	at, err := realPlace(mountpoint)
	if err != nil {
		return running{}, err
	}
	dir, err := runDir()
	if err != nil {
		return running{}, err
	}
	return readRunning(registryFile(dir, at))
}

func (r running) client() *control.Client { return control.NewClient(r.State) }

// findMount gives the mount that a path lies in, and the rest of the path. ""
// stands for the working directory or, outside of any mount, for the only
// mount there is. Nothing in a mount is looked at: it may hang.
func findMount(path string) (running, string, error) {
	all, err := live()
	if err != nil {
		return running{}, "", err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return running{}, "", err
	}
	r, ok := holding(all, abs)
	if !ok {
		if abs, err = realPath(abs); err != nil {
			return running{}, "", err
		}
		r, ok = holding(all, abs)
	}
	switch {
	case ok:
		rel, err := filepath.Rel(r.Mountpoint, abs)
		return r, rel, err
	case path == "" && len(all) == 1:
		return all[0], ".", nil
	case len(all) == 0:
		return running{}, "", errors.New("no pachfs mount of this user is running (try: pachfs mount)")
	}
	names := make([]string, len(all))
	for i, r := range all {
		names[i] = r.Mountpoint
	}
	list := "these mounts are running: " + strings.Join(names, " ")
	if path == "" {
		return running{}, "", usage("several mounts are running, name one by a path in it; %s", list)
	}
	return running{}, "", usage("%s is in no pachfs mount; %s", strconv.Quote(path), list)
}

// holding gives the innermost mount that holds a path.
func holding(all []running, path string) (best running, ok bool) {
	for _, r := range all {
		if inside(path, r.Mountpoint) && len(r.Mountpoint) > len(best.Mountpoint) {
			best, ok = r, true
		}
	}
	return best, ok
}
