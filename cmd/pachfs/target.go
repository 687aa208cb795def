package main

import (
	"path/filepath"
	"regexp"
	"strings"

	"pachfs/cmd/internal/control"
)

// A target is what a command's argument names: a mount, maybe a branch of it,
// maybe paths in that branch.
type target struct {
	client *control.Client
	mount  running
	branch string // "": all
	path   string // "": the whole branch
}

var branchForm = regexp.MustCompile(`^[A-Za-z0-9_-]+@[A-Za-z0-9_-]+$`)

// findTarget reads PATH, repo@branch or repo@branch:/path; "" is the working directory.
func findTarget(arg string) (target, error) {
	name, path, colon := strings.Cut(arg, ":")
	if branchForm.MatchString(name) && (colon || !exists(arg)) {
		m, _, err := findMount("")
		return target{m.client(), m, name, strings.Trim(path, "/")}, err
	}
	m, rel, err := findMount(arg)
	if err != nil {
		return target{}, err
	}
	t := target{client: m.client(), mount: m}
	if rel != "." {
		t.branch, t.path, _ = strings.Cut(filepath.ToSlash(rel), "/")
		if !strings.Contains(t.branch, "@") { // through the link of a bare repo
			t.branch += "@master"
		}
	}
	return t, nil
}

func exists(p string) bool {
	_, err := filepath.EvalSymlinks(p)
	return err == nil
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
