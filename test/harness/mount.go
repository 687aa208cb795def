package harness

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Spec says what to mount and where. What is empty is made up.
type Spec struct {
	URL                    string        // of the server, or of a proxy before it; "": none is named
	Dir, State, Cache, Tmp string        // fresh ones
	Flags                  []string      // more flags of `pachfs mount`
	Deadline               time.Duration // of the whole mount; 90 s
	As                     []string      // a prefix to the command, to be somebody else
	Env                    []string      // more of the environment

	Binary string // another than Binary
}

// A Mount is a `pachfs mount` in a child.
type Mount struct {
	*Proc
	Spec
	Conn int // number of the FUSE connection

	started time.Time
	dog     *time.Timer
}

// Mount mounts the server and waits until the root can be listed.
func (s *Server) Mount(t testing.TB, flags ...string) *Mount {
	t.Helper()
	return MountSpec(t, Spec{URL: s.URL, Flags: flags})
}

// Again mounts the same with the same state, after the mount before has ended.
func (m *Mount) Again(t testing.TB) *Mount {
	t.Helper()
	return MountSpec(t, m.Spec)
}

// StartMount starts `pachfs mount` and does not wait.
func StartMount(t testing.TB, spec Spec) *Mount {
	t.Helper()
	needFusectl(t)
	base := ""
	for _, d := range []struct {
		at   *string
		name string
	}{{&spec.Dir, "mnt"}, {&spec.State, "state"}, {&spec.Cache, "cache"}, {&spec.Tmp, "tmp"}} {
		if *d.at != "" {
			continue
		}
		if base == "" {
			base = t.TempDir()
		}
		*d.at = filepath.Join(base, d.name)
		if err := os.Mkdir(*d.at, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	bin := spec.Binary
	if bin == "" {
		bin = Binary(t)
	}
	args := append(append([]string{}, spec.As...), bin, "mount", "--state", spec.State, "--cache-dir", spec.Cache)
	if spec.URL != "" {
		args = append(args, "--pachd", spec.URL)
	}
	args = append(append(args, spec.Flags...), spec.Dir)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "TMPDIR="+spec.Tmp, "HOME="+spec.Tmp, "GORACE=halt_on_error=0")
	cmd.Env = append(cmd.Env, spec.Env...)
	m := &Mount{Spec: spec, started: time.Now(), Proc: Start(t, "pachfs mount", cmd)}
	m.watch(t)
	t.Cleanup(func() { m.Close(t) }) // before the one of Start
	return m
}

// MountSpec mounts and waits until the root can be listed.
func MountSpec(t testing.TB, spec Spec) *Mount {
	t.Helper()
	m := StartMount(t, spec)
	m.FirstLine(t, startDeadline)
	if !m.Connect(t) {
		t.Fatalf("it says it is mounted, and is not: %s", m.Out())
	}
	return m
}

// Connect takes down the number of the connection. It says whether there is one.
func (m *Mount) Connect(t testing.TB) (ok bool) {
	t.Helper()
	m.Conn, ok = mountedOn(t, m.Dir)
	return ok
}

// watch aborts the connection when the time is over.
func (m *Mount) watch(t testing.TB) {
	limit := m.Deadline
	if limit == 0 {
		limit = 90 * time.Second
	}
	limit = patience(limit)
	m.dog = time.AfterFunc(limit, func() {
		t.Errorf("the mount was still in use after %v: its connection is aborted", limit)
		for _, b := range Blocked() {
			t.Log("blocked:", b)
		}
		m.Cmd.Process.Signal(syscall.SIGQUIT) // the goroutines go to the log
		m.abort(t)                            // now: the number may be another's soon
	})
}

func (m *Mount) abort(t testing.TB) {
	conn := m.Conn
	if conn == 0 { // it never said that it is mounted
		conn, _ = mountedOn(t, m.Dir)
	}
	if conn != 0 {
		abort(conn, m.Dir)
	}
}

// Path gives a path under the mount.
func (m *Mount) Path(elems ...string) string {
	return filepath.Join(append([]string{m.Dir}, elems...)...)
}

// Stop is SIGTERM, and wants an exit status.
func (m *Mount) Stop(t testing.TB, want int) {
	t.Helper()
	m.Signal(t, syscall.SIGTERM)
	m.Exit(t, 60*time.Second, want)
	m.Close(t)
}

// Close ends the mount if that was not done, and wants nothing of it to be
// left: no process, no mount, no connection, no temporary file. Twice is once.
func (m *Mount) Close(t testing.TB) {
	t.Helper()
	if m.dog == nil {
		return
	}
	if !m.Exited() {
		m.Cmd.Process.Signal(syscall.SIGCONT)
		m.Cmd.Process.Signal(syscall.SIGTERM)
		switch {
		case !m.Within(30 * time.Second):
			t.Errorf("pachfs mount (pid %d) does not end on SIGTERM", m.Pid())
			m.Cmd.Process.Signal(syscall.SIGQUIT)
			m.Within(2 * time.Second)
			m.abort(t)
			m.Cmd.Process.Kill()
			if !m.Within(20 * time.Second) {
				t.Errorf("pachfs mount (pid %d) survives SIGKILL", m.Pid())
			}
		case m.Code() != 0:
			t.Errorf("pachfs mount: exit %d on SIGTERM, want 0:\n%s", m.Code(), m.Log())
		}
	}
	m.dog.Stop()
	m.dog = nil
	m.noLeaks(t)
}

// noLeaks looks for what a mount that has ended may not leave behind. After a
// kill the dead mount is the kernel's, and taken away here.
func (m *Mount) noLeaks(t testing.TB) {
	t.Helper()
	killed := m.Code() == 128+int(syscall.SIGKILL)
	if _, ok := mountedOn(t, m.Dir); ok {
		if !killed {
			t.Errorf("still mounted: %s", m.Dir)
		}
		detach(m.Dir)
	}
	if m.Conn != 0 && !killed {
		gone := false
		for end := time.Now().Add(5 * time.Second); !gone && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			gone = !connected(m.Conn, m.Dir)
		}
		if !gone {
			t.Errorf("FUSE connection %d is still there", m.Conn)
			m.abort(t)
		}
	}
	var blocked []string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if blocked = Blocked(); len(blocked) == 0 {
			break
		}
	}
	for _, b := range blocked {
		t.Errorf("a thread hangs in FUSE: %s", b)
		m.abort(t)
	}
	if !killed {
		m.noStrays(t)
	}
}

// noStrays looks for temporary files. HOME is there too: a mount that is told
// where its directories are has no business there.
func (m *Mount) noStrays(t testing.TB) {
	t.Helper()
	filepath.WalkDir(m.Tmp, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("left behind: %s", path)
		}
		return nil
	})
	for _, dir := range []string{m.State, m.Cache} {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			// What a mount that was killed leaves in the cache goes after an hour.
			if dir == m.Cache && m.before(d) {
				return nil
			}
			if name := strings.ToLower(filepath.Base(path)); err == nil && path != dir && (strings.Contains(name, "tmp") || strings.Contains(name, "temp") || m.Conn != 0 && strings.HasSuffix(name, ".sock")) {
				t.Errorf("left behind: %s", path)
			}
			return nil
		})
	}
}

// before says whether a file was written before this mount was started.
func (m *Mount) before(d fs.DirEntry) bool {
	if d == nil {
		return false
	}
	fi, err := d.Info()
	return err == nil && fi.ModTime().Before(m.started)
}

// Staged lists the content files in the state directory: none after all has landed.
func (m *Mount) Staged(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(m.State, "branches", "*", "content", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A Status is what `.status` shows.
type Status struct {
	Branch, Base, Head, State string
	Staged                    struct {
		Files, Deleted int
		Bytes          int64
		Oldest         *time.Time
	}
	Conflicts  []string
	LastCommit string `json:"last_commit"`
	LastError  *struct {
		Time    time.Time
		Message string
	} `json:"last_error"`
	ReadOnly    bool `json:"read_only"`
	Overwritten []struct{ Path, Commit string }
	Writing     []string
}

// Status reads the `.status` of a branch directory.
func (m *Mount) Status(t testing.TB, ref string) Status {
	t.Helper()
	s, err := m.ReadStatus(ref)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ReadStatus is Status for where a test may not be ended.
func (m *Mount) ReadStatus(ref string) (s Status, err error) {
	b, err := os.ReadFile(m.Path(ref, ".status"))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%w: %s", err, b)
	}
	return s, nil
}

// Pachfs runs a subcommand to its end.
func Pachfs(t testing.TB, args ...string) Result {
	t.Helper()
	return Try(t, append([]string{Binary(t)}, args...)...)
}
