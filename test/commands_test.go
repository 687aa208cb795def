package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pachfs/test/harness"
)

// The status of a branch that nobody has used names it, and does not say that
// no other was used.
func TestCommandsStatusOfUnusedBranch(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	m := s.Mount(t)
	write(t, m.Path(ref, "x"), "x")
	if r := harness.Pachfs(t, "status", m.Path(ref)); r.Code != 0 || !strings.Contains(r.Out, "1") {
		t.Errorf("a branch in use: %v", r)
	}
	r := harness.Pachfs(t, "status", m.Path("nosuch@master"))
	if r.Code != 0 || !strings.Contains(r.Out, m.Dir+": nobody has used nosuch@master") || strings.Contains(r.Out, "no branch") {
		t.Errorf("a branch that does not exist: %v", r)
	}
	m.Stop(t, 0)
}

// The log of a mount in the background goes on where the last one ended, and a
// start that fails gives its own words only.
func TestCommandsDaemonLog(t *testing.T) {
	s := harness.Serve(t)
	home := t.TempDir()
	dir := filepath.Join(home, "daemonlog-"+filepath.Base(filepath.Dir(home)))
	ok(t, os.Mkdir(dir, 0o755))
	flags := []string{"mount", "--daemon", "--pachd", s.URL, "--state", home + "/state", "--cache-dir", home + "/cache", dir}
	for range 2 {
		ok(t, exec.Command(harness.Binary(t), flags...).Run())
		if r := harness.Pachfs(t, "umount", dir); r.Code != 0 {
			harness.Try(t, "umount", "-l", dir)
			t.Errorf("pachfs umount: %v", r)
		}
	}
	write(t, dir+"/in-the-way", "")
	if r := harness.Pachfs(t, flags...); r.Code == 0 || !strings.Contains(r.Err, "not empty") || strings.Contains(r.Err, "unmounting") {
		t.Errorf("a start that fails: %v", r)
	}
	var said string
	for _, where := range []string{"/run/pachfs", "/run/user/*/pachfs", os.Getenv("XDG_RUNTIME_DIR") + "/pachfs", "/tmp/pachfs-*"} {
		logs, err := filepath.Glob(where + "/*" + strings.ReplaceAll(filepath.Base(dir), "-", `\\x2d`) + ".log")
		ok(t, err)
		for _, name := range logs {
			said += read(t, name)
			ok(t, os.Remove(name))
		}
	}
	if n := strings.Count(said, "unmounting"); n != 2 || !strings.Contains(said, "not empty") {
		t.Errorf("the log has %d ends of 2: %s", n, said)
	}
}
