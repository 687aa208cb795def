package test

import (
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/posixtest"

	"pachfs/test/harness"
)

// Where go-fuse's suite asks for more than promise 11 gives: the test, and what
// its failure, or its reason to skip itself, says. One that says something else
// is a failure here.
var gofuseDepartures = map[string]string{
	"Fallocate":           "not supported",
	"FallocateKeepSize":   "not supported",
	"FcntlFlockLocksFile": "expected EAGAIN", // of a process's own lock: no file system of the kernel does so
	"Link":                "not permitted",
	"LinkUnlinkRename":    "not permitted",
	"OpenSymlinkRace":     "not permitted",
	"SetattrSymlink":      "not permitted",
	"SymlinkReadlink":     "not permitted",
	"Tmpfile":             "not support O_TMPFILE",
	"XAttr":               "not support xattrs",
	"XAttrLarge":          "not support large xattrs",
}

// go-fuse's suite of a POSIX file system, each test in a directory of its own.
func TestPosixGofuse(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("suite@master")
	s.Peer.Create(t, s.Ref("suite"))
	m := s.Mount(t)
	for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
		t.Run(name, func(t *testing.T) {
			dir := m.Path(ref, name)
			ok(t, os.Mkdir(dir, 0o777))
			says, departs := gofuseDepartures[name]
			if r := gofuseOne(t, name, dir); !departs && r != "PASS" {
				t.Error(r)
			} else if departs && !strings.Contains(r, says) {
				t.Errorf("want that it says %q: %s", says, r)
			}
		})
	}
	if r := gofuseOne(t, "FcntlFlockLocksFile", t.TempDir()); r == "PASS" {
		t.Error("a plain directory passes FcntlFlockLocksFile")
	}
	want := local(t, m.Path(ref))
	commit(t, m, ref)
	same(t, "what landed", s.Peer.Tree(t, ref, ""), want)
}

// gofuseOne runs a test of the suite in a process of its own, so that a failure
// is an answer: PASS, or what it said.
func gofuseOne(t *testing.T, name, dir string) string {
	t.Helper()
	p := harness.Start(t, name, harness.Self("posixtest", name, dir))
	if !p.Within(time.Minute) {
		t.Fatalf("it runs for a minute: %s", p.Out())
	}
	if out := p.Out(); p.Code() != 0 || !strings.Contains(out, "--- PASS: "+name) {
		return out + p.Log()
	}
	return "PASS"
}

// posixtestMain runs one test of the suite and ends the process.
func posixtestMain(args []string) error {
	testing.Init()
	if err := flag.Set("test.v", "true"); err != nil { // it tells why it skips itself
		return err
	}
	one := testing.InternalTest{Name: args[0], F: func(t *testing.T) { posixtest.All[args[0]](t, args[1]) }}
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{one}, nil, nil)
	return nil
}
