package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	dir, err := userDir("XDG_STATE_HOME", ".local/state", "/var/lib/pachfs")
	return filepath.Join(dir, escapePath(mountpoint)), err
}

// defaultCache is shared by all mounts of a user.
func defaultCache() (string, error) { return userDir("XDG_CACHE_HOME", ".cache", "/var/cache/pachfs") }

// runDir is where running mounts are written down.
func runDir() string {
	if d := os.Getenv("XDG_RUNTIME_DIR"); d != "" {
		return filepath.Join(d, "pachfs")
	}
	if os.Geteuid() == 0 {
		return "/run/pachfs"
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("pachfs-%d", os.Geteuid()))
}

// realPath resolves links of a path whose end may not exist yet.
func realPath(p string) (string, error) {
	p, err := filepath.Abs(p)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(p); err == nil {
		return real, nil
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(p))
	if err != nil {
		return p, nil
	}
	return filepath.Join(parent, filepath.Base(p)), nil
}

// inside says whether p is dir or lies below it.
func inside(p, dir string) bool {
	rel, err := filepath.Rel(dir, p)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
