package main

import (
	"os"
	"path/filepath"
	"strings"
)

// namesOf lists the names by which a path is found: of the file and of every
// link on the way to it. Replacing one of them is replacing the file.
func namesOf(path string) []string {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	var names []string
	for range 40 { // as many links as the kernel follows
		link, rest := firstLink(path)
		if link == "" {
			break
		}
		names = append(names, link)
		target, err := os.Readlink(link)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(link), target)
		}
		path = filepath.Join(target, rest)
	}
	return append(names, path)
}

// firstLink gives the first part of an absolute path that is a link, and what
// comes after it.
func firstLink(path string) (link, rest string) {
	parts := strings.Split(path[1:], "/")
	for i, at := range parts {
		link = filepath.Join("/", filepath.Join(parts[:i]...), at)
		if st, err := os.Lstat(link); err == nil && st.Mode()&os.ModeSymlink != 0 {
			return link, filepath.Join(parts[i+1:]...)
		}
	}
	return "", ""
}
