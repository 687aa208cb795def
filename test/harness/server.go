package harness

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startDeadline is ten times what a start may take.
const startDeadline = 20 * time.Second

// A Server is the Pachyderm of a test.
type Server struct {
	URL  string // grpc://host:port
	Peer *Peer

	proc   *Proc // nil: a pachd that was there before
	store  string
	flags  []string
	suffix string // of repo names
}

// Serve gives the Pachyderm of a test: a `pachfs serve` of its own, or the one
// that PACHFS_TEST_PACHD names. Flags are for `pachfs serve`.
func Serve(t testing.TB, flags ...string) *Server {
	t.Helper()
	if url := os.Getenv("PACHFS_TEST_PACHD"); url != "" {
		s := &Server{URL: url, suffix: fmt.Sprintf("-%06x", rand.Uint32()&0xffffff)}
		s.Peer = Dial(t, url)
		return s
	}
	return ServeOwn(t, flags...)
}

// ServeOwn is Serve for a test that must have the server in its hands, to kill
// or to stop it.
func ServeOwn(t testing.TB, flags ...string) *Server {
	t.Helper()
	NeedOwn(t)
	s := &Server{store: filepath.Join(t.TempDir(), "store"), flags: flags}
	s.run(t, "127.0.0.1:0")
	s.Peer = Dial(t, s.URL)
	return s
}

// NeedOwn skips a test that calls ServeOwn in subtests, which would be missed.
func NeedOwn(t testing.TB) {
	t.Helper()
	if os.Getenv("PACHFS_TEST_PACHD") != "" {
		t.Skip("PACHFS_TEST_PACHD is set: this test kills or stops its server, and leaves yours alone")
	}
}

// At gives a Pachyderm that the test itself serves.
func At(t testing.TB, url string) *Server {
	t.Helper()
	return &Server{URL: url, Peer: Dial(t, url)}
}

func (s *Server) run(t testing.TB, listen string) {
	t.Helper()
	args := append([]string{"serve", "--store", s.store, "--listen", listen}, s.flags...)
	s.proc = Start(t, "pachfs serve", exec.Command(Binary(t), args...))
	s.URL = s.proc.FirstLine(t, startDeadline)
	if !strings.HasPrefix(s.URL, "grpc://") {
		t.Fatalf("first line of serve: %q, want grpc://...", s.URL)
	}
}

// Addr is host:port.
func (s *Server) Addr() string { return strings.TrimPrefix(s.URL, "grpc://") }

// Store is the directory of a server of our own.
func (s *Server) Store() string { return s.store }

// Kill kills the server, Restart starts it on the same port and store.
func (s *Server) Kill(t testing.TB) { t.Helper(); s.proc.Kill(t) }

// Restart starts the server again, on the same port and store.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.run(t, s.Addr())
}

// Freeze stops the server without closing a connection: it hangs.
func (s *Server) Freeze(t testing.TB) { t.Helper(); s.proc.Signal(t, syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw(t testing.TB) { t.Helper(); s.proc.Signal(t, syscall.SIGCONT) }

// Ref gives "repo@branch" with a repo name that only this test has.
func (s *Server) Ref(ref string) string {
	repo, branch, ok := strings.Cut(ref, "@")
	if !ok {
		return repo + s.suffix
	}
	return repo + s.suffix + "@" + branch
}
