package main

import (
	"encoding/json"
	"errors"
	iofs "io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pachfs/pachclient"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/names"
	"pachfs/pachclient/pfspb/pfs"
	"pachfs/pachclient/remote"
	"pachfs/staging"
)

// A kept is a Pachyderm and a state directory with changes for it, and no mount.
type kept struct {
	t      *testing.T
	server *embedded.Server
	url    string
	dir    string
}

func newKept(t *testing.T) *kept {
	t.Helper()
	alone(t)
	home := t.TempDir()
	s, err := embedded.Open(filepath.Join(home, "store"), embedded.Options{})
	must(t, err)
	l, err := net.Listen("unix", filepath.Join(home, "socket"))
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() { must(t, errors.Join(s.Close(), <-served)) })
	return &kept{t, s, "unix://" + filepath.Join(home, "socket"), filepath.Join(home, "state")}
}

// stage lets fn change a branch, as a mount with --encode-names would.
func (k *kept) stage(b pachclient.Branch, fn func(o *staging.Overlay)) {
	k.t.Helper()
	c, err := remote.Dial(k.t.Context(), remote.Config{Dialer: k.server.Dial})
	must(k.t, err)
	who, err := c.Cluster(k.t.Context())
	must(k.t, err)
	if err := c.CreateBranch(k.t.Context(), b); !errors.Is(err, iofs.ErrExist) {
		must(k.t, err)
	}
	client := names.New(c)
	s, err := staging.Open(k.dir, staging.Options{Client: client, Deployment: who.Deployment, ValidName: names.ValidName, Naming: encoded})
	must(k.t, err)
	o, err := s.Overlay(k.t.Context(), b)
	must(k.t, err)
	fn(o)
	must(k.t, errors.Join(s.Close(), client.Close()))
}

// write makes a file, and closes it or leaves it half.
func (k *kept) write(o *staging.Overlay, path, data string, whole bool) {
	k.t.Helper()
	f, err := o.Create(k.t.Context(), path, staging.Attr{})
	must(k.t, err)
	_, err = f.WriteAt([]byte(data), 0)
	must(k.t, err)
	if whole {
		must(k.t, f.Close(true))
	}
}

// state runs `pachfs state`, and wants an exit status.
func (k *kept) state(code int, args ...string) (stdout, stderr string) {
	k.t.Helper()
	got, stdout, stderr := call(append([]string{"state"}, args...)...)
	if got != code {
		k.t.Errorf("state %q: exit %d, want %d: %s%s", args, got, code, stdout, stderr)
	}
	return stdout, stderr
}

var labels = pachclient.Branch{Project: "default", Repo: "labels", Name: "master"}

// Two projects may have a branch of one name: each has its commit, its
// directory and its line.
func TestStateOfTwoProjects(t *testing.T) {
	k := newKept(t)
	_, err := k.server.CreateProject(t.Context(), &pfs.CreateProjectRequest{Project: &pfs.Project{Name: "lab"}})
	must(t, err)
	other := labels
	other.Project = "lab"
	for _, b := range []pachclient.Branch{labels, other} {
		k.stage(b, func(o *staging.Overlay) { k.write(o, "/a", "of "+b.Project, true) })
	}
	out := filepath.Join(t.TempDir(), "out")
	k.state(0, "export", k.dir, out)
	stdout, _ := k.state(0, "land", k.dir, "--pachd", k.url, "--json")
	var made map[string]string
	must(t, json.Unmarshal([]byte(stdout), &made))
	for _, b := range []pachclient.Branch{labels, other} {
		if len(made[withProject(b)]) != 32 {
			t.Errorf("no commit of %s: %s", withProject(b), stdout)
		}
		if got, err := os.ReadFile(filepath.Join(out, withProject(b), "a")); string(got) != "of "+b.Project {
			t.Errorf("exported of %s: %q, %v", withProject(b), got, err)
		}
	}
}

// What can't be read stays: status 3, whether or not something else lands.
func TestStateLandOfDamage(t *testing.T) {
	k := newKept(t)
	k.stage(labels, func(o *staging.Overlay) { k.write(o, "/a", "lost soon", true) })
	removed := 0
	must(t, filepath.WalkDir(k.dir, func(p string, d iofs.DirEntry, err error) error {
		if b, _ := os.ReadFile(p); string(b) == "lost soon" {
			removed++
			return os.Remove(p)
		}
		return err
	}))
	if removed != 1 {
		t.Fatalf("%d contents found", removed)
	}
	k.state(3, "land", k.dir, "--pachd", k.url)
	k.stage(pachclient.Branch{Project: "default", Repo: "notes", Name: "main"}, func(o *staging.Overlay) { k.write(o, "/n", "a note", true) })
	if stdout, stderr := k.state(3, "land", k.dir, "--pachd", k.url); !strings.HasPrefix(stdout, "notes@main ") || !strings.Contains(stderr, "stay staged in "+k.dir) {
		t.Errorf("%s%s", stdout, stderr)
	}
	must(t, os.WriteFile(filepath.Join(k.dir, "format"), []byte("no format\n"), 0o600))
	k.state(3, "land", k.dir, "--pachd", k.url)
}

// An export reads a committed file of which a part was changed once, not again
// for every piece.
func TestStateExportFetchesOnce(t *testing.T) {
	k := newKept(t)
	whole := strings.Repeat("0123456789abcdef", 1<<20)
	k.stage(labels, func(o *staging.Overlay) {
		k.write(o, "/big", whole, true)
		_, err := o.Commit(t.Context(), "")
		must(t, err)
		f, err := o.Open(t.Context(), "/big", true)
		must(t, err)
		_, err = f.WriteAt([]byte("x"), 5<<20)
		must(t, errors.Join(err, f.Close(true)))
	})
	before := k.server.Stats().BytesSent
	out := filepath.Join(t.TempDir(), "out")
	k.state(0, "export", k.dir, out, "--pachd", k.url)
	got, err := os.ReadFile(filepath.Join(out, labels.String(), "big"))
	if want := whole[:5<<20] + "x" + whole[5<<20+1:]; string(got) != want {
		t.Errorf("%d bytes exported, want %d: %v", len(got), len(want), err)
	}
	if sent := k.server.Stats().BytesSent - before; sent > 2*int64(len(whole)) {
		t.Errorf("%d bytes were fetched for a file of %d", sent, len(whole))
	}
}

// A name with a newline or an escape sequence takes one line and does nothing to
// the terminal, and its bytes are in the JSON.
func TestStateNamesOnOneLine(t *testing.T) {
	k := newKept(t)
	const name = "a\n\x1b[31m\xff"
	k.stage(labels, func(o *staging.Overlay) {
		k.write(o, "/"+name, "committed", true)
		_, err := o.Commit(t.Context(), "")
		must(t, err)
		must(t, o.Rename(t.Context(), "/"+name, "/moved"+name))
		k.write(o, "/half"+name, "never closed", false)
	})
	out := filepath.Join(t.TempDir(), "out")
	list, _ := k.state(0, "list", k.dir)
	discard, _ := k.state(2, "discard", k.dir)
	k.state(3, "export", k.dir, out)
	said := list + discard
	for _, ext := range []string{".deleted", ".writing", ".missing"} {
		b, err := os.ReadFile(filepath.Join(out, labels.String()+ext))
		must(t, err)
		if n := strings.Count(string(b), "\n"); n != 1 {
			t.Errorf("%d lines in %s: %q", n, ext, b)
		}
		said += string(b)
	}
	if strings.Contains(said, "\x1b") || strings.Count(said, `\n\x1b[31m\xff`) < 6 {
		t.Errorf("said: %q", said)
	}
	if asJSON, _ := k.state(0, "list", "--json", k.dir); !strings.Contains(asJSON, `"/half`+"a\\n\\u001b[31m\\udcff") || !strings.Contains(asJSON, `"conflicts": []`) {
		t.Error(asJSON)
	}
}

// A rename goes whole whichever end is named, and that is said before.
func TestStateDiscardOfARename(t *testing.T) {
	k := newKept(t)
	k.stage(labels, func(o *staging.Overlay) {
		k.write(o, "/old", "committed", true)
		_, err := o.Commit(t.Context(), "")
		must(t, err)
		must(t, o.Rename(t.Context(), "/old", "/new"))
	})
	if stdout, _ := k.state(2, "discard", k.dir, "labels@master:/new"); stdout != "+ labels@master/new\n- labels@master/old\n" {
		t.Error(stdout)
	}
	k.state(0, "discard", k.dir, "labels@master:/new", "--yes")
	if stdout, _ := k.state(0, "list", k.dir); !strings.Contains(stdout, "nothing staged") {
		t.Error(stdout)
	}
}
