package test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

// odd are names that Pachyderm refuses or that look encoded: as the mount
// shows them, and as they are stored.
var odd = map[string]string{
	"photo (1).jpg":                "photo %281%29.jpg",
	"köln.png":                     "k%C3%B6ln.png",
	"k\xf6ln.png":                  "k%F6ln.png", // not UTF-8
	"a*b?[c]{d}!@+^":               "a%2Ab%3F%5Bc%5D%7Bd%7D%21%40%2B%5E",
	"tab\tline\nbell\x07":          "tab%09line%0Abell%07",
	"100%":                         "100%",
	"a%20b":                        "a%20b",
	"%25":                          "%25",
	"%28":                          "%2528",
	"%2528":                        "%252528",
	"%C3%B6":                       "%25C3%25B6",
	"%2F..%2F":                     "%2F..%2F",
	"%(":                           "%%28",
	"\"quoted\" and plain":         "\"quoted\" and plain",
	strings.Repeat("ö", 127) + "(": strings.Repeat("%C3%B6", 127) + "%28", // 255 bytes, 765 stored
}

func oddly(dir string, form func(shown, stored string) string) map[string]string {
	out := map[string]string{}
	for shown, stored := range odd {
		out[dir+form(shown, stored)] = "content of " + stored
	}
	return out
}

func asShown(shown, _ string) string   { return shown }
func asStored(_, stored string) string { return stored }

// Promise 12 with --encode-names: every name that a local file system takes is
// created, renamed to, committed and read back; others see the stored names; a
// path is the same before and after its commit, a remount and others' commits.
func TestEncodedNames(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/plain": "plain"})
	m := s.Mount(t, "--encode-names")
	shown, stored := oddly("/d (ä)/", asShown), oddly("/d %28%C3%A4%29/", asStored)
	ok(t, os.Mkdir(m.Path(ref, "d (ä)"), 0o777))
	for p, content := range shown {
		write(t, m.Path(ref)+"/tmp", content)
		ok(t, os.Rename(m.Path(ref)+"/tmp", m.Path(ref)+p))
	}
	shown["/plain"], stored["/plain"] = "plain", "plain"
	same(t, "before the commit", local(t, m.Path(ref)), shown)
	commit(t, m, ref)
	same(t, "stored", s.Peer.Tree(t, ref, ""), stored)
	same(t, "after the commit", local(t, m.Path(ref)), shown)

	s.Peer.PutWait(t, ref, map[string]string{"/d %28%C3%A4%29/k%C3%B6ln.png": "theirs", "/n%C3%A9": "new"})
	shown["/d (ä)/köln.png"], shown["/né"] = "theirs", "new"
	harness.Eventually(t, 10*time.Second, "the base follows", func() bool { return m.Status(t, ref).Base == s.Peer.Head(t, ref) })
	same(t, "after a commit of somebody else", local(t, m.Path(ref)), shown)
	same(t, "the commit's directory", local(t, m.Path(s.Ref("a")+"@"+s.Peer.Head(t, ref))), shown)
	m.Stop(t, 0)

	m = m.Again(t)
	same(t, "after a remount", local(t, m.Path(ref)), shown)
	ok(t, os.RemoveAll(m.Path(ref, "d (ä)")))
	commit(t, m, ref)
	same(t, "removed", s.Peer.Tree(t, ref, ""), map[string]string{"/plain": "plain", "/n%C3%A9": "new"})
}

// Whatever others stored is shown, under one name that leads back to it; and
// a mount without the flag shows it as it is stored.
func TestStoredNamesAreShown(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	stored, shown := oddly("/", asStored), oddly("/", asShown)
	s.Peer.PutWait(t, ref, stored)
	m := s.Mount(t, "--encode-names")
	same(t, "with the flag", local(t, m.Path(ref)), shown)
	for p := range shown {
		write(t, m.Path(ref)+p, "rewritten")
		shown[p], stored["/"+odd[p[1:]]] = "rewritten", "rewritten"
	}
	commit(t, m, ref)
	same(t, "each under its own name", s.Peer.Tree(t, ref, ""), stored)
	m.Stop(t, 0)

	m = harness.MountSpec(t, harness.Spec{URL: s.URL, State: m.State, Dir: m.Dir})
	long := "/" + odd[strings.Repeat("ö", 127)+"("]
	if got := names(t, m.Path(ref)); !slices.Contains(got, long[1:]) {
		t.Errorf("the long name is not listed: %q", got)
	}
	if _, err := os.Stat(m.Path(ref) + long); !isErrno(err, syscall.ENAMETOOLONG) {
		t.Errorf("stat of a name of %d bytes: %v", len(long)-1, err)
	}
	delete(stored, long)
	for p, content := range stored {
		if got := read(t, m.Path(ref)+p); got != content {
			t.Errorf("%s reads %q without the flag", p, got)
		}
	}
	ok(t, os.Rename(m.Path(ref)+"/k%C3%B6ln.png", m.Path(ref)+"/z%C3%BCrich.png"))
	m.Stop(t, 0)
	m = harness.MountSpec(t, harness.Spec{URL: s.URL, State: m.State, Dir: m.Dir, Env: []string{"PACHFS_ENCODE_NAMES=true"}})
	if got := read(t, m.Path(ref, "zürich.png")); got != "rewritten" {
		t.Errorf("with the flag again it reads %q", got)
	}
}

// Off by default: EINVAL when the name is made, and words that tell of the flag.
func TestNamesAreRefusedByDefault(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, ref)
	m := s.Mount(t)
	write(t, m.Path(ref, "good"), "x")
	for _, name := range []string{"photo (1).jpg", "köln.png", "k\xf6ln"} {
		p := m.Path(ref) + "/" + name
		_, err := os.Create(p)
		fails(t, "create "+name, err, syscall.EINVAL)
		fails(t, "mkdir "+name, os.Mkdir(p, 0o777), syscall.EINVAL)
		fails(t, "rename to "+name, os.Rename(m.Path(ref, "good"), p), syscall.EINVAL)
		fails(t, "stat "+name, os.Remove(p), syscall.ENOENT)
	}
	if e := m.Status(t, ref).LastError; e == nil || !strings.Contains(e.Message, "--encode-names") {
		t.Errorf("last_error: %+v", e)
	}
	if log := m.Log(); strings.Count(log, "photo (1).jpg") == 0 || !strings.Contains(log, "--encode-names") {
		t.Errorf("the log does not tell of --encode-names:\n%s", log)
	}
	commit(t, m, ref)
	same(t, "committed", s.Peer.Tree(t, ref, ""), map[string]string{"/good": "x"})
}

// What is staged with the flag is not mounted without it: its names would be
// others. The words say what to do, and nothing is lost.
func TestStagedWithEncodedNames(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, ref)
	m := s.Mount(t, "--encode-names")
	write(t, m.Path(ref, "ö"), "x")
	m.Kill(t)
	refused(t, 1, []string{ref, "--encode-names=true", m.State}, "--state", m.State, "--pachd", s.URL, m.Dir)
	out := filepath.Join(t.TempDir(), "out")
	if r := harness.Pachfs(t, "state", "export", m.State, out); r.Code != 0 {
		t.Errorf("pachfs state export: %v", r)
	}
	if got := read(t, filepath.Join(out, ref, "ö")); got != "x" {
		t.Errorf("exported: %q", got)
	}
	if r := harness.Pachfs(t, "state", "land", m.State, "--pachd", s.URL); r.Code != 0 {
		t.Errorf("pachfs state land: %v", r)
	}
	same(t, "landed without a mount", s.Peer.Tree(t, ref, ""), map[string]string{"/%C3%B6": "x"})
	m = m.Again(t)
	write(t, m.Path(ref, "ä"), "y")
	commit(t, m, ref)
	same(t, "committed", s.Peer.Tree(t, ref, ""), map[string]string{"/%C3%B6": "x", "/%C3%A4": "y"})
}

// The reports and the commands show names as the mount does, and take them so.
func TestReportsOfEncodedNames(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/k%C3%B6ln": "1", "/gone %281%29": "1"})
	m := s.Mount(t, "--encode-names")
	write(t, m.Path(ref, "köln"), "2")
	ok(t, os.Remove(m.Path(ref, "gone (1)")))
	write(t, m.Path(ref, "%28"), "new")
	write(t, m.Path(ref, "k\xf6ln"), "not UTF-8")
	write(t, m.Path(ref, "two\nlines"), "on one")
	want := "+ %28\n- gone (1)\nM köln\n+ k\xf6ln\n+ \"two\\nlines\"\n"
	if got := read(t, m.Path(ref, ".diff")); got != want {
		t.Errorf(".diff reads\n%swant\n%s", got, want)
	}
	if r := harness.Pachfs(t, "diff", m.Path(ref)); r.Code != 0 || r.Out != want {
		t.Errorf("pachfs diff: %v", r)
	}
	for _, name := range []string{"gone (1)", "k\xf6ln", "two\nlines"} {
		if r := harness.Pachfs(t, "discard", m.Path(ref, name)); r.Code != 0 {
			t.Errorf("pachfs discard %q: %v", name, r)
		}
	}
	s.Peer.PutWait(t, ref, map[string]string{"/k%C3%B6ln": "theirs"})
	harness.Eventually(t, 10*time.Second, "the conflict is seen", func() bool { return m.Status(t, ref).State == "conflict" })
	if got := m.Status(t, ref).Conflicts; !slices.Equal(got, []string{"/köln"}) {
		t.Errorf("conflicts %q", got)
	}
	if r := harness.Pachfs(t, "status", m.Path(ref)); !strings.Contains(r.Out, "\n  /köln\n") {
		t.Errorf("pachfs status: %v", r)
	}
	if r := harness.Pachfs(t, "discard", m.Path(ref, "köln")); r.Code != 0 {
		t.Errorf("pachfs discard: %v", r)
	}
	commit(t, m, ref)
	same(t, "committed", s.Peer.Tree(t, ref, ""), map[string]string{"/k%C3%B6ln": "theirs", "/gone %281%29": "1", "/%2528": "new"})
}

// Label Studio names a local file by a URL with the quoted path in it, and
// opens what that unquotes to: it is there at every time.
func TestLabelStudioPathsStayStable(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("images@master")
	s.Peer.Create(t, ref)
	m := s.Mount(t, "--encode-names")
	tasks := map[string]string{}
	for name := range odd {
		tasks["/data/local-files/?d="+url.QueryEscape(ref+"/"+name)] = name
		write(t, m.Path(ref)+"/"+name, "picture of "+name)
	}
	see := func(when string) {
		t.Helper()
		for task, name := range tasks {
			u, err := url.Parse(task)
			ok(t, err)
			if got := read(t, m.Dir+"/"+u.Query().Get("d")); got != "picture of "+name {
				t.Errorf("%s: %s reads %q", when, task, got)
			}
		}
	}
	see("before the commit")
	commit(t, m, ref)
	see("after the commit")
	for i := range 3 {
		s.Peer.PutWait(t, ref, map[string]string{fmt.Sprintf("/other%d", i): "x"})
		see("while the base moves")
	}
	harness.Eventually(t, 10*time.Second, "the base follows", func() bool { return m.Status(t, ref).Base == s.Peer.Head(t, ref) })
	see("after the base moved")
	m.Stop(t, 0)
	m = m.Again(t)
	see("after a remount")
}
