package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// escapePath makes a file name of a path as systemd-escape --path does.
func escapePath(p string) string {
	p = strings.Trim(filepath.Clean(p), "/")
	if p == "" {
		return "-"
	}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case c == '/':
			b.WriteByte('-')
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == ':', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// unescapePath gives the path that escapePath made a file name of.
func unescapePath(name string) string {
	if name == "-" {
		return "/"
	}
	b := []byte{'/'}
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '-':
			b = append(b, '/')
		case c == '\\' && i+3 < len(name):
			if n, err := strconv.ParseUint(name[i+2:i+4], 16, 8); err == nil {
				c, i = byte(n), i+3
			}
			b = append(b, c)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// userDir gives a directory of this user's, by the environment or under home;
// root has the system's.
func userDir(env, underHome, system string) (string, error) {
	if d := os.Getenv(env); d != "" {
		return filepath.Join(d, "pachfs"), nil
	}
	if os.Geteuid() == 0 {
		return system, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("%w (or give the directory by its flag)", err)
	}
	return filepath.Join(home, underHome, "pachfs"), nil
}

// defaultState is where the staged changes of a mountpoint are kept.
func defaultState(mountpoint string) (string, error) {
	dir, err := stateRoot()
	if err != nil {
		return "", err
	}
	return realPath(filepath.Join(dir, escapePath(mountpoint)))
}

// stateRoot is where the state directories are, unless another is given; a real path.
func stateRoot() (string, error) {
	dir, err := userDir("XDG_STATE_HOME", ".local/state", "/var/lib/pachfs")
	if err != nil {
		return "", err
	}
	return realPath(dir)
}

// defaultCache is shared by all mounts of a user.
func defaultCache() (string, error) { return userDir("XDG_CACHE_HOME", ".cache", "/var/cache/pachfs") }

// systemRunDir is root's; the tests have one of their own.
var systemRunDir = "/run/pachfs"

// runDir gives the directory where running mounts are written down, and makes
// it. It must be the same for a daemon and for whoever looks for it, whatever the
// one or the other has in its environment: root's is fixed.
func runDir() (string, error) {
	uid := os.Geteuid()
	dir := fmt.Sprintf("/tmp/pachfs-%d", uid)
	switch user := fmt.Sprintf("/run/user/%d", uid); {
	case uid == 0:
		dir = systemRunDir
	case os.Getenv("XDG_RUNTIME_DIR") != "":
		dir = filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "pachfs")
	case owned(user):
		dir = filepath.Join(user, "pachfs")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("runtime directory: %w", err)
	}
	if !owned(dir) { // in /tmp anybody could have made it, to be found in our place
		return "", fmt.Errorf("runtime directory %s is not this user's own (set XDG_RUNTIME_DIR)", dir)
	}
	return dir, nil
}

// owned says whether this is a directory of this user's.
func owned(dir string) bool {
	st, err := os.Lstat(dir)
	if err != nil || !st.IsDir() {
		return false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(sys.Uid) == os.Geteuid()
}

// realPath resolves the links of a path, of which only the front may exist yet.
func realPath(p string) (string, error) {
	p, err := filepath.Abs(p)
	if err != nil {
		return "", err
	}
	for front, rest := p, ""; ; front, rest = filepath.Dir(front), filepath.Join(filepath.Base(front), rest) {
		if real, err := filepath.EvalSymlinks(front); err == nil {
			return filepath.Join(real, rest), nil
		}
		if front == "/" {
			return p, nil
		}
	}
}

// realPlace resolves the links of a path to a mountpoint. Of what is there
// nothing is asked but whether it is a link, which the kernel answers by itself:
// what is mounted there may hang, or be dead.
func realPlace(p string) (string, error) {
	p, err := filepath.Abs(p)
	for range 40 { // as many links as the kernel follows
		if err != nil || p == "/" {
			break
		}
		var parent string
		if parent, err = realPath(filepath.Dir(p)); err != nil {
			break
		}
		p = filepath.Join(parent, filepath.Base(p))
		target, linkErr := os.Readlink(p)
		if linkErr != nil {
			break
		}
		if p = target; !filepath.IsAbs(target) {
			p = filepath.Join(parent, target)
		}
	}
	return p, err
}

// inside says whether p is dir or lies below it.
func inside(p, dir string) bool {
	rel, err := filepath.Rel(dir, p)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
