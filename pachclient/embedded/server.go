package embedded

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/test/bufconn"

	"pachfs/pachclient/embedded/internal/content"
	"pachfs/pachclient/embedded/internal/tree"
	"pachfs/pachclient/pfspb/pfs"
)

// Options say how a server behaves. The zero value is what a mount wants.
type Options struct {
	// LikePachd cuts file contents into messages as pachd does, of up to
	// 19 MiB; otherwise they have at most 1 MiB.
	LikePachd bool

	// Token, if not empty, is the authn-token that requests must carry.
	Token string

	// FinishDelay is how long a commit is finishing before it is finished, as
	// it is in pachd. By default it is finished at once.
	FinishDelay time.Duration

	Logger *slog.Logger
}

// A Server is a Pachyderm on a directory.
type Server struct {
	pfs.UnimplementedAPIServer

	opts    Options
	log     *slog.Logger
	lock    *dirLock
	db      *bolt.DB
	content *content.Store
	hashes  tree.Hashes
	grpc    *grpc.Server
	health  *health.Server

	// gate is held for reading by whoever reads or writes trees and blobs, and
	// for writing by the collector.
	gate     sync.RWMutex
	changes  broadcast
	removals removals
	stats    counters
	dirty    dirtyFlag

	memory    *bufconn.Listener
	serveOnce sync.Once
	closeOnce sync.Once
	closeErr  error
	done      chan struct{}  // closed by Close: waiting handlers give up
	workers   sync.WaitGroup // what runs in the background
}

// ErrLocked says that another process, or another Server of this one, has the
// store open. It comes wrapped with the directory and the pid.
var ErrLocked = errors.New("the store is in use")

// Open opens the store in dir, which it creates when it is missing.
func Open(dir string, o Options) (*Server, error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{opts: o, log: o.Logger, lock: lock, done: make(chan struct{}), memory: bufconn.Listen(1 << 20)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.open(dir); err != nil {
		if s.db != nil {
			s.db.Close()
		}
		lock.release()
		return nil, err
	}
	s.newGRPC()
	s.workers.Go(s.maintain)
	s.log.Info("store is open", "dir", dir)
	return s, nil
}

func (s *Server) open(dir string) (err error) {
	if s.content, err = content.Open(filepath.Join(dir, "blobs")); err != nil {
		return err
	}
	if s.db, err = openDB(filepath.Join(dir, "meta.db")); err != nil {
		return err
	}
	if err := s.initialize(); err != nil {
		return err
	}
	if err := s.finishLeftovers(); err != nil {
		return err
	}
	// Files that were just created are safe when the directories know them.
	return errors.Join(content.SyncDir(dir), content.SyncDir(filepath.Dir(filepath.Clean(dir))))
}

// Serve answers on a listener until the server is closed; it may be called for
// any number of them.
func (s *Server) Serve(l net.Listener) error {
	err := s.grpc.Serve(l)
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// Dial gives a connection within the process.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	s.serveOnce.Do(func() {
		s.workers.Go(func() {
			if err := s.Serve(s.memory); err != nil {
				s.log.Error("in-memory connections are over", "error", err)
			}
		})
	})
	return s.memory.DialContext(ctx)
}

// graceful is how long Close lets calls go on that are not just waiting.
const graceful = 2 * time.Second

// Close ends waits and subscriptions, lets what is under way end, syncs and
// gives the store free.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		close(s.done)
		s.health.Shutdown()
		hard := time.AfterFunc(graceful, s.grpc.Stop)
		s.grpc.GracefulStop()
		hard.Stop()
		s.memory.Close()
		s.workers.Wait()
		err := s.markClean()
		s.closeErr = errors.Join(err, s.db.Close(), s.lock.release())
	})
	return s.closeErr
}
