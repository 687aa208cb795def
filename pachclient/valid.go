package pachclient

import (
	"fmt"
	"strings"
)

// forbidden are the printable bytes that Pachyderm takes for glob characters.
const forbidden = "*?[]{}!()@+^"

// ValidName reports whether name can be one element of a committed path:
// nil, or ErrBadName with the reason. It is exactly what the server checks,
// so that a name can be refused when it is made and not when it lands.
func ValidName(name string) error {
	if name == "" || name == "." || name == ".." {
		return fmt.Errorf("name %q: %w", name, ErrBadName)
	}
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c < ' ' || c > '~':
			return fmt.Errorf("name %q: only printable ASCII is allowed: %w", name, ErrBadName)
		case c == '/':
			return fmt.Errorf("name %q: a slash is not part of a name: %w", name, ErrBadName)
		case strings.IndexByte(forbidden, c) >= 0:
			return fmt.Errorf("name %q: %q is a glob character there: %w", name, c, ErrBadName)
		}
	}
	return nil
}

// ValidRefName says whether s can name a project, a repo or a branch.
func ValidRefName(s string) bool {
	if s == "" {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
