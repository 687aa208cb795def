package embedded

import (
	"path"
	"regexp"
	"strings"
)

// maxPath bounds the length of a path, and with it how deep a tree can be.
// pachd has no such limit; the recursion over a tree needs one.
const maxPath = 16 << 10

const globChars = "*?[]{}!()@+^"

var printable = regexp.MustCompile(`^[ -~]+$`)

// cleanPath gives a path its one form: a leading slash, no trailing one.
func cleanPath(p string) string { return path.Clean("/" + p) }

// writePath checks and cleans a path that is written to.
func writePath(p string) (string, error) {
	if !printable.MatchString(p) {
		return "", unknown("path (%v) invalid: only printable ASCII characters allowed", p)
	}
	if i := strings.IndexAny(p, globChars); i >= 0 {
		return "", unknown("path (%v) invalid: globbing character (%c) not allowed in path", p, p[i])
	}
	for _, name := range strings.Split(p, "/") {
		if name == "." || name == ".." {
			return "", unknown("path (%v) invalid: relative file paths are not allowed", p)
		}
	}
	return checkLength(cleanPath(p))
}

// copyPath cleans the target of a copy. Its characters are not checked: pachd
// doesn't either.
func copyPath(p string) (string, error) {
	if strings.ContainsRune(p, 0) {
		return "", unknown("path (%q) invalid: only printable ASCII characters allowed", p)
	}
	return checkLength(cleanPath(p))
}

func checkLength(p string) (string, error) {
	if len(p) > maxPath {
		return "", unknown("path (%.40s...) invalid: longer than %d bytes", p, maxPath)
	}
	return p, nil
}
