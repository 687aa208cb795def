package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A pkg is what `go list` tells of a package.
type pkg struct {
	ImportPath   string
	Dir          string
	Doc          string
	Imports      []string
	TestImports  []string
	XTestImports []string
	GoFiles      []string
}

// packages lists every package of the module.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json", "pachfs/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) < 10 {
		t.Fatalf("only %d packages found", len(list))
	}
	return list
}

func under(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// A floor says which packages of ours those below a folder may import. The
// longest folder that fits counts.
var floors = []struct {
	folder string
	may    []string
	why    string
}{
	{"pachfs/pachclient", nil, "the words import nobody"},
	{"pachfs/pachclient/pfspb", []string{"pachfs/pachclient/pfspb"}, "generated messages know only each other"},
	{"pachfs/pachclient/internal", []string{"pachfs/pachclient", "pachfs/pachclient/pfspb", "pachfs/pachclient/internal"}, "words to protobuf and back"},
	{"pachfs/pachclient/remote", []string{"pachfs/pachclient", "pachfs/pachclient/pfspb", "pachfs/pachclient/internal"}, "a client knows the words and the wire"},
	{"pachfs/pachclient/embedded", []string{"pachfs/pachclient", "pachfs/pachclient/pfspb", "pachfs/pachclient/internal", "pachfs/pachclient/embedded"}, "a server knows the words and the wire"},
	{"pachfs/pachclient/cache", []string{"pachfs/pachclient"}, "a decorator knows the contract only"},
	{"pachfs/pachclient/names", []string{"pachfs/pachclient"}, "a decorator knows the contract only"},
	{"pachfs/pachclient/clienttest", []string{"pachfs/pachclient"}, "the suite knows the contract only"},
	{"pachfs/staging", []string{"pachfs/pachclient"}, "staging knows neither FUSE nor gRPC"},
	{"pachfs/fs", []string{"pachfs/pachclient", "pachfs/staging"}, "the tree knows no FUSE library"},
	{"pachfs/fs/bazil", []string{"pachfs/fs", "pachfs/staging", "pachfs/pachclient"}, "a shell packs and unpacks"},
	{"pachfs/cmd", []string{"pachfs/"}, "cmd assembles everything"},
	{"pachfs/test", []string{"pachfs/"}, "test stands beside the house"},
}

// Floors import only downwards (docs/DESIGN.md, "The house").
func TestFloors(t *testing.T) {
	for _, p := range packages(t) {
		floor := -1
		for i, f := range floors {
			if under(p.ImportPath, f.folder) && (floor < 0 || len(f.folder) > len(floors[floor].folder)) {
				floor = i
			}
		}
		if floor < 0 {
			t.Errorf("%s stands on no floor: give it one in this test and in docs/DESIGN.md", p.ImportPath)
			continue
		}
		f := floors[floor]
		for _, imp := range p.Imports {
			if under(imp, "pachfs") && !allowed(imp, f.may) {
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, f.why)
			}
			if under(imp, "pachfs/test") && !under(p.ImportPath, "pachfs/test") {
				t.Errorf("%s imports %s: nobody imports the tests", p.ImportPath, imp)
			}
		}
	}
}

func allowed(imp string, may []string) bool {
	for _, m := range may {
		if imp == m || strings.HasSuffix(m, "/") && strings.HasPrefix(imp, m) ||
			m != "pachfs/pachclient" && m != "pachfs/fs" && under(imp, m) {
			return true
		}
	}
	return false
}

// Libraries that belong into one place, with the places.
var fenced = []struct {
	library string
	within  []string
	why     string
}{
	{"bazil.org/fuse", []string{"pachfs/fs/bazil"}, "FUSE types stay in the shells under fs/"},
	{"github.com/hanwen/go-fuse", []string{"pachfs/fs/gofuse"}, "FUSE types stay in the shells under fs/"},
	{"google.golang.org/grpc", []string{"pachfs/pachclient", "pachfs/test"}, "gRPC stays under pachclient"},
	{"google.golang.org/protobuf", []string{"pachfs/pachclient", "pachfs/test"}, "protobuf stays under pachclient"},
	{"github.com/spf13/cobra", []string{"pachfs/cmd"}, "people are talked to in cmd"},
	{"github.com/sirupsen/logrus", []string{"pachfs/cmd"}, "below cmd it is log/slog"},
	{"github.com/prometheus", []string{"pachfs/cmd"}, "metrics are put together in cmd"},
}

// Each library stays where it belongs.
func TestFences(t *testing.T) {
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			for _, f := range fenced {
				if !under(imp, f.library) {
					continue
				}
				ok := false
				for _, w := range f.within {
					ok = ok || under(p.ImportPath, w)
				}
				if !ok || p.ImportPath == "pachfs/pachclient" {
					t.Errorf("%s imports %s: %s", p.ImportPath, imp, f.why)
				}
			}
		}
	}
}

// The root of pachclient imports the standard library only.
func TestWordsAreStandardLibrary(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath != "pachfs/pachclient" {
			continue
		}
		for _, imp := range p.Imports {
			if first, _, _ := strings.Cut(imp, "/"); strings.Contains(first, ".") || first == "pachfs" {
				t.Errorf("pachclient imports %s", imp)
			}
		}
	}
}

// Every package says what it is for, once, in its doc.go (a command in main.go).
func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		said := 0
		for _, name := range p.GoFiles {
			b, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if hasPackageComment(string(b)) {
				said++
			}
		}
		if said > 1 {
			t.Errorf("%s says it in %d files", p.ImportPath, said)
		}
	}
}

// hasPackageComment says whether the lines right above the package clause are
// a comment that is meant for readers.
func hasPackageComment(src string) bool {
	before, _, ok := strings.Cut("\n"+src, "\npackage ")
	if !ok {
		return false
	}
	lines := strings.Split(before, "\n")
	last := lines[len(lines)-1]
	return strings.HasPrefix(last, "//") && !strings.HasPrefix(last, "//go:") && !strings.Contains(before, "DO NOT EDIT") ||
		strings.HasSuffix(last, "*/")
}

// longFiles are the files over 600 lines, with a reason that a reader accepts.
var longFiles = map[string]string{}

const maxLines = 600

// No file over 600 lines without a reason.
func TestNoLongFiles(t *testing.T) {
	for _, p := range packages(t) {
		names, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(b, []byte("\n")); n > maxLines && longFiles[name] == "" && !strings.HasSuffix(name, ".pb.go") {
				t.Errorf("%s has %d lines", name, n)
			}
		}
	}
}

// The user asked for these folders and files at the top.
func TestTopLevel(t *testing.T) {
	for _, name := range []string{"cmd", "fs", "pachclient", "staging", "test", "go.mod", "Makefile", "README.md"} {
		if _, err := os.Stat(filepath.Join("..", name)); err != nil {
			t.Error(err)
		}
	}
}
