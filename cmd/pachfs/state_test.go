package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pachfs/pachclient"
	"pachfs/staging"
)

// The name of a state directory gives the mountpoint back.
func TestUnescapePath(t *testing.T) {
	for _, p := range []string{"/", "/mnt/pach", "/a-b/c d", "/.hidden/x", `/back\slash`, "/ü", "/x\\x2d"} {
		if got := unescapePath(escapePath(p)); got != p {
			t.Errorf("%q became %q and then %q", p, escapePath(p), got)
		}
	}
}

// How pachfs state is called wrongly is status 2, with words that say what to do.
func TestStateUsage(t *testing.T) {
	alone(t)
	dir := t.TempDir()
	empty := filepath.Join(dir, "state")
	s, err := staging.Open(empty, staging.Options{Client: pachclient.Offline{}})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	t.Setenv("PACHFS_ON_CONFLICT", "perhaps")
	for _, c := range []struct {
		args  []string
		words string
	}{
		{[]string{"bogus"}, "pachfs state --help"},
		{[]string{"check"}, "pachfs state check --help"},
		{[]string{"check", dir}, "no state directory"},
		{[]string{"check", dir + "/none"}, "no state directory"},
		{[]string{"list", dir}, "no state directory"},
		{[]string{"export", empty}, "pachfs state export --help"},
		{[]string{"export", empty, dir}, "there already"},
		{[]string{"export", empty, empty + "/out"}, "in the state directory"},
		{[]string{"land", empty}, "perhaps"},
		{[]string{"discard", empty, "labels@master"}, "nothing is staged for such a branch"},
	} {
		if code, _, stderr := call(append([]string{"state"}, c.args...)...); code != 2 || !strings.Contains(stderr, c.words) {
			t.Errorf("state %q: exit %d, %s", c.args, code, stderr)
		}
	}
	for _, c := range []struct{ args, words string }{
		{"list", ""}, {"list " + empty, "not mounted"}, {"check " + empty, ""}, {"discard " + empty + " --yes", "nothing is staged"},
		{"export " + empty + " " + dir + "/out", "nothing is staged"}, {"land --on-conflict fail " + empty, "nothing to land"},
	} {
		code, stdout, stderr := call(append([]string{"state"}, strings.Fields(c.args)...)...)
		if code != 0 || !strings.Contains(stdout+stderr, c.words) {
			t.Errorf("state %s: exit %d, %s%s", c.args, code, stdout, stderr)
		}
	}
	if _, err := os.Stat(dir + "/out"); err == nil {
		t.Error("an export of nothing made a directory")
	}
}
