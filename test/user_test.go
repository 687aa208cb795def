package test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pachfs/test/harness"
)

// nobody is the prefix that runs a command as an ordinary user; fusermount3 is
// setuid, so nothing may forbid new privileges.
var nobody = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=+all"}

// openFuse lets everybody open /dev/fuse, as udev does on every Debian; where
// there is no udev, for as long as the test runs.
func openFuse(t *testing.T) {
	st, err := os.Stat("/dev/fuse")
	ok(t, err)
	if st.Mode().Perm()&0o006 != 0o006 {
		ok(t, os.Chmod("/dev/fuse", 0o666))
		t.Cleanup(func() { os.Chmod("/dev/fuse", st.Mode().Perm()) })
	}
}

// An ordinary user mounts through fusermount3, writes, commits, unmounts.
func TestUnprivileged(t *testing.T) {
	openFuse(t)
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/x": "x"})
	base, err := os.MkdirTemp("", "pachfs-nobody-") // t.TempDir is for root alone
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(base) })
	spec := harness.Spec{URL: s.URL, As: nobody}
	ok(t, os.Chmod(base, 0o755))
	for at, name := range map[*string]string{&spec.Dir: "mnt", &spec.State: "state", &spec.Cache: "cache", &spec.Tmp: "tmp"} {
		*at = filepath.Join(base, name)
		ok(t, os.Mkdir(*at, 0o700))
		ok(t, os.Chown(*at, 65534, 65534))
	}
	m := harness.MountSpec(t, spec)
	as := func(script string) harness.Result {
		return harness.TryIn(t, "/", append(append([]string{}, nobody...), "bash", "-c", "cd "+m.Path(ref)+" && "+script)...)
	}
	if r := as("cat x && id -u && stat -c %u x && echo mine > new && touch .commit && cat .commit && touch x && chmod 600 new"); r.Code != 0 || !strings.HasPrefix(r.Out, "x65534\n65534\n") {
		t.Errorf("as nobody: %v", r)
	}
	same(t, "landed", s.Peer.Tree(t, ref, ""), map[string]string{"/x": "x", "/new": "mine\n"})
	if _, err := os.Stat(m.Path(ref)); !isErrno(err, syscall.EACCES) {
		t.Errorf("root looks into a mount without --allow-other: %v", err)
	}
	if r := as("echo last > last"); r.Code != 0 {
		t.Error(r)
	}
	r := harness.TryIn(t, "/", append(append([]string{}, nobody...), "fusermount3", "-u", m.Dir)...)
	if r.Code != 0 {
		t.Errorf("fusermount3 -u as nobody: %v", r)
	}
	m.Exit(t, 60e9, 0)
	if got := s.Peer.Tree(t, ref, "")["/last"]; got != "last\n" {
		t.Errorf("the unmount landed %q", got)
	}
}

// --allow-other without root needs a line in /etc/fuse.conf, and says so.
func TestUnprivilegedAllowOther(t *testing.T) {
	openFuse(t)
	s := harness.Serve(t)
	base, err := os.MkdirTemp("", "pachfs-nobody-")
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(base) })
	ok(t, os.Chown(base, 65534, 65534))
	ok(t, os.Mkdir(base+"/mnt", 0o777))
	ok(t, os.Chown(base+"/mnt", 65534, 65534))
	without := base + "/fuse.conf" // this machine's may have the line
	ok(t, os.WriteFile(without, []byte("# nothing is allowed\n"), 0o644))
	in := append([]string{"unshare", "-m", "sh", "-c", "touch /etc/fuse.conf && mount --bind " + without + ` /etc/fuse.conf && exec "$@"`, "sh"}, nobody...)
	r := harness.TryIn(t, "/", append(in, harness.Binary(t), "mount", "--allow-other",
		"--pachd", s.URL, "--state", base+"/state", "--cache-dir", base+"/cache", base+"/mnt")...)
	if r.Code != 1 || !strings.Contains(r.Err, "user_allow_other") || !strings.Contains(r.Err, "/etc/fuse.conf") {
		t.Errorf("--allow-other as nobody: %v", r)
	}
}

// Root with --allow-other: other users come in, and permissions are checked.
func TestAllowOther(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("a@master")
	s.Peer.Create(t, s.Ref("a"))
	s.Peer.PutWait(t, ref, map[string]string{"/x": "x"})
	base, err := os.MkdirTemp("", "pachfs-nobody-")
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(base) })
	ok(t, os.Chmod(base, 0o755))
	ok(t, os.Mkdir(base+"/mnt", 0o755))
	m := harness.MountSpec(t, harness.Spec{URL: s.URL, Dir: base + "/mnt", Flags: []string{"--allow-other", "--umask", "022"}})
	as := func(script string) harness.Result {
		return harness.TryIn(t, "/", append(append([]string{}, nobody...), "bash", "-c", "cd "+m.Path(ref)+" && "+script)...)
	}
	if r := as("cat x; ls -a"); r.Code != 0 || !strings.HasPrefix(r.Out, "x") {
		t.Errorf("reading as nobody: %v", r)
	}
	if r := as("echo no > x"); r.Code == 0 || !strings.Contains(r.Err, "Permission denied") {
		t.Errorf("writing root's file as nobody: %v", r)
	}
	if r := as("echo no > new"); r.Code == 0 {
		t.Errorf("creating in root's directory as nobody: %v", r)
	}
	write(t, m.Path(ref, "staged"), "staged")
	if r := as("touch .commit"); r.Code != 0 { // control files are 0666
		t.Errorf("touch .commit as nobody: %v", r)
	}
	if got := s.Peer.Tree(t, ref, "")["/staged"]; got != "staged" {
		t.Errorf("landed %q", got)
	}
}
