package remote_test

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/remote"
)

// A house is a place where a server listens, and then another one.
type house struct {
	at       string
	accepted atomic.Int64
	leave    func()
}

type countingListener struct {
	net.Listener
	n *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return c, err
}

// move has a server on dir listen there, after the one before has left.
func (h *house) move(t *testing.T, dir string, o embedded.Options) {
	t.Helper()
	if h.leave != nil {
		h.leave()
	} else {
		h.at = "127.0.0.1:0"
		t.Cleanup(func() { h.leave() })
	}
	s, err := embedded.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", h.at)
	if err != nil {
		t.Fatal(err)
	}
	h.at = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- s.Serve(countingListener{l, &h.accepted}) }()
	h.leave = func() {
		if err := errors.Join(s.Close(), <-done); err != nil {
			t.Error(err)
		}
	}
}

func dialTo(t *testing.T, c remote.Config) *remote.Client {
	t.Helper()
	client, err := remote.Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// soon is a context for what shall fail.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// Another cluster that came to the same address is a server that is away: what
// it says of names and commits that it does not have is nobody's answer.
func TestPinnedCluster(t *testing.T) {
	mine, theirs := t.TempDir(), t.TempDir()
	var h house
	h.move(t, theirs, embedded.Options{})
	stranger := dialTo(t, remote.Config{Address: h.at})
	if err := stranger.CreateBranch(t.Context(), images); err != nil {
		t.Fatal(err)
	}
	h.move(t, mine, embedded.Options{})
	c := dialTo(t, remote.Config{Address: h.at})
	who, err := c.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.Pin(who.Deployment)
	r, fi := bigFile(t, c, "content")
	if err := c.Trouble(); err != nil {
		t.Errorf("the right cluster: %v", err)
	}

	h.move(t, theirs, embedded.Options{})
	if got, err := c.Cluster(t.Context()); err != nil || got.Deployment == who.Deployment { // there is a connection then
		t.Errorf("asked who it is: %+v, %v", got, err)
	}
	for op, call := range map[string]func(context.Context) error{
		"Branch": func(ctx context.Context) error { _, err := c.Branch(ctx, images); return err },
		"Repos":  func(ctx context.Context) error { _, err := c.Repos(ctx, "default"); return err },
		"Commit": func(ctx context.Context) error { _, err := c.Commit(ctx, r.Commit()); return err },
		"Stat":   func(ctx context.Context) error { _, err := r.Stat(ctx, "/big"); return err },
		"ReadAt": func(ctx context.Context) error { _, err := r.ReadAt(ctx, fi, make([]byte, 7), 0); return err },
		"List": func(ctx context.Context) error {
			return r.List(ctx, "/", func(pachclient.FileInfo) error { return nil })
		},
		"Create": func(ctx context.Context) error {
			return c.CreateBranch(ctx, pachclient.Branch{Repo: "new", Name: "master"})
		},
		"Upload": func(ctx context.Context) error { _, err := c.Upload(ctx, seq(add("/x", "x"))); return err },
		"Land":   func(ctx context.Context) error { return c.Land(ctx, images, "0123456789abcdef0123456789abcdef", nil) },
		"Drop":   func(ctx context.Context) error { return c.Drop(ctx, r.Commit()) },
	} {
		err := call(soon(t))
		if !errors.Is(err, pachclient.ErrUnavailable) || !strings.Contains(err.Error(), "another Pachyderm answers") || errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%s on another cluster: %v", op, err)
		}
	}
	if err := c.Trouble(); err == nil || !strings.Contains(err.Error(), who.Deployment) {
		t.Errorf("another cluster is no trouble: %v", err)
	}
	if repos, err := stranger.Repos(t.Context(), "default"); err != nil || len(repos) != 1 {
		t.Errorf("the other cluster has %v, %v", repos, err)
	}

	h.move(t, mine, embedded.Options{})
	p := make([]byte, 7)
	if n, err := r.ReadAt(t.Context(), fi, p, 0); n != 7 || string(p) != "content" {
		t.Errorf("back again: %q, %v", p[:n], err)
	}
	if err := c.Trouble(); err != nil {
		t.Errorf("back again: %v", err)
	}
}

// A refused token is told with the command that gets another, until there is one.
func TestTroubleWithToken(t *testing.T) {
	var h house
	h.move(t, t.TempDir(), embedded.Options{Token: "right"})
	conf := remote.Config{Address: h.at, Token: "stale-token", Login: "PACH_CONTEXT=prod pachctl auth login"}
	c := dialTo(t, conf)
	for range 2 {
		_, err := c.Repos(t.Context(), "default")
		for _, err := range []error{err, c.Trouble()} {
			if !errors.Is(err, pachclient.ErrUnauthenticated) || !strings.Contains(err.Error(), conf.Login) || strings.Contains(err.Error(), conf.Token) {
				t.Errorf("a stale token: %v", err)
			}
		}
	}
	if _, err := c.Upload(t.Context(), seq(add("/x", "x"))); !errors.Is(err, pachclient.ErrUnauthenticated) || !strings.Contains(err.Error(), conf.Login) {
		t.Errorf("an upload with a stale token: %v", err)
	}
	connections := h.accepted.Load()
	conf.Token = "right"
	if err := c.Reconfigure(conf); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Repos(t.Context(), "default"); err != nil || c.Trouble() != nil {
		t.Errorf("with a new token: %v, %v", err, c.Trouble())
	}
	if n := h.accepted.Load(); n != connections {
		t.Errorf("a new token made %d connections", n-connections)
	}
}

// A stream and a wait that are under way go on over the new address.
func TestReconfigureKeepsReading(t *testing.T) {
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	var at [2]string
	for i := range at {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go s.Serve(l)
		at[i] = l.Addr().String()
	}
	c := dialTo(t, remote.Config{Address: at[0]})
	content := strings.Repeat("0123456789abcdef", 4<<16)
	r, fi := bigFile(t, c, content)
	stream, err := r.Open(t.Context(), fi, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	first := make([]byte, 100)
	if _, err := io.ReadFull(stream, first); err != nil {
		t.Fatal(err)
	}
	if err := c.Reconfigure(remote.Config{Address: at[1]}); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(stream)
	if err != nil || string(first)+string(rest) != content {
		t.Errorf("%d bytes, %v", len(first)+len(rest), err)
	}
	// Back and forth, beside calls of all kinds. A turn lasts longer than a read
	// does under the race detector on a busy machine: one whose every attempt is
	// cut off is right to give up.
	stop, done := make(chan bool), make(chan error, 1)
	go func() {
		var errs []error
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- errors.Join(errs...)
				return
			case <-time.After(300 * time.Millisecond):
				errs = append(errs, c.Reconfigure(remote.Config{Address: at[i%2]}))
			}
		}
	}()
	for range 30 {
		if _, err := c.Head(t.Context(), images); err != nil {
			t.Error(err)
		}
		p := make([]byte, 3000)
		if n, err := r.ReadAt(t.Context(), fi, p, 1<<20); err != nil || string(p) != content[1<<20:1<<20+3000] {
			t.Errorf("%d bytes, %v", n, err)
		}
		if _, err := c.Upload(t.Context(), seq(add("/x", "x"))); err != nil && !errors.Is(err, pachclient.ErrUnavailable) {
			t.Errorf("an upload that was cut off: %v", err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Head(t.Context(), images); !errors.Is(err, context.Canceled) {
		t.Errorf("after Close: %v", err)
	}
}
