package labelstudio

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The login of the only user.
const (
	Email    = "annotator@example.com"
	Password = "pachfs-label-studio"
)

// A Config says what to run and where.
type Config struct {
	Command string // what Install gave
	Dir     string // database, log and token; kept from run to run
	Root    string // the document root: storages are directories below it
	Port    int    // 0: a free one
}

// A Server is a Label Studio that answers.
type Server struct {
	*Client
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// startTimeout is long: the first start makes the database, and the machine may be busy.
const startTimeout = 10 * time.Minute

// Start runs Label Studio on the loopback interface and waits until it answers.
func Start(ctx context.Context, c Config) (*Server, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	port, err := freePort(c.Port)
	if err != nil {
		return nil, err
	}
	token, err := keptToken(filepath.Join(c.Dir, "token"))
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(c.Dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &Server{Client: NewClient(fmt.Sprintf("http://127.0.0.1:%d", port), token), done: make(chan struct{})}
	s.cmd = exec.Command(c.Command, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", strconv.Itoa(port), "--data-dir", c.Dir)
	s.cmd.Env = environment(c, token)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for whoever started this
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.cmd.Wait(); close(s.done) }()
	if err := s.await(ctx, log.Name()); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// environment lets local files be served, in the words of old and new
// releases, and keeps everything on this machine, and in the directory: Label
// Studio makes those of XDG wherever its data are.
func environment(c Config, token string) []string {
	return append(os.Environ(),
		"LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true", "LOCAL_FILES_SERVING_ENABLED=true",
		"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT="+c.Root, "LOCAL_FILES_DOCUMENT_ROOT="+c.Root,
		"XDG_DATA_HOME="+c.Dir, "XDG_CONFIG_HOME="+c.Dir, "XDG_CACHE_HOME="+c.Dir,
		"LABEL_STUDIO_USERNAME="+Email, "LABEL_STUDIO_PASSWORD="+Password, "LABEL_STUDIO_USER_TOKEN="+token,
		"LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN=true",
		"COLLECT_ANALYTICS=false", "SENTRY_DSN=", "FRONTEND_SENTRY_DSN=", "SENTRY_RATE=0", "LATEST_VERSION_CHECK=false")
}

// freePort makes sure that a port is free: Label Studio would take the next one
// in silence.
func freePort(port int) (int, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return 0, fmt.Errorf("port %d is taken (give another with -port): %w", port, err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// keptToken reads the user's token, or makes one: Label Studio takes it only
// when it makes the user.
func keptToken(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	random := make([]byte, 20)
	rand.Read(random)
	token := fmt.Sprintf("%x", random)
	return token, os.WriteFile(name, []byte(token+"\n"), 0o600)
}

func (s *Server) await(ctx context.Context, log string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/health", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.done:
			return fmt.Errorf("starting Label Studio: it ended: %v (its log: %s)", s.cmd.ProcessState, log)
		case <-ctx.Done():
			return fmt.Errorf("starting Label Studio: no answer: %w (its log: %s)", context.Cause(ctx), log)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Done is closed when the process has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends the process, at once if it does not go by itself.
func (s *Server) Stop() error {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		return nil
	case <-time.After(10 * time.Second):
	}
	err := s.cmd.Process.Kill()
	<-s.done
	return err
}
