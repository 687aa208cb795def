package test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the documents say about the code, where a machine can tell.

// Every module that this one requires by itself has its reason in DESIGN.md.
func TestDocsNameEveryDependency(t *testing.T) {
	design := read(t, "../docs/DESIGN.md")
	direct := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(read(t, "../go.mod"), -1)
	if len(direct) < 10 {
		t.Fatalf("read %d modules", len(direct))
	}
	for _, m := range direct {
		if !strings.Contains(design, "`"+m[1]+"`") {
			t.Errorf("%s is in go.mod, and not in the table of docs/DESIGN.md", m[1])
		}
	}
}

// Every alternative of a -run in the documents and in the Makefile runs a test.
func TestDocsCommandsRunTests(t *testing.T) {
	files, err := filepath.Glob("../docs/*.md")
	ok(t, err)
	run, dir := regexp.MustCompile("-run '?([^' `\\n]+)"), regexp.MustCompile(`\./[a-z/]+`)
	seen := 0
	for _, name := range append(files, "../README.md", "../CONTRIBUTING.md", "../Makefile", "doc.go") {
		for line := range strings.Lines(read(t, name)) {
			for _, at := range run.FindAllStringSubmatchIndex(line, -1) {
				seen++
				of := "./test" // unless it is said
				if before := dir.FindAllString(line[:at[0]], -1); before != nil {
					of = before[len(before)-1]
				}
				tests := testsIn(t, "../"+of)
				for alternative := range strings.SplitSeq(strings.ReplaceAll(line[at[2]:at[3]], `\|`, "|"), "|") {
					if !slices.ContainsFunc(tests, regexp.MustCompile(alternative).MatchString) {
						t.Errorf("%s: %q runs no test of %s: %s", name, alternative, of, line)
					}
				}
			}
		}
	}
	if seen < 20 {
		t.Fatalf("found %d commands", seen)
	}
}

// testsIn gives the names of a package's tests.
func testsIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	ok(t, err)
	for _, f := range files {
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(read(t, f), -1) {
			names = append(names, m[1])
		}
	}
	return names
}
