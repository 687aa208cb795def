package bazil

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"bazil.org/fuse"

	"pachfs/fs"
)

// readers is how many goroutines read requests.
const readers = 4

// A server answers the requests of one connection.
type server struct {
	conn *fuse.Conn
	tree *fs.Tree
	log  *slog.Logger
	bufs sync.Pool // *[]byte for READ
	intr interrupts
	// Closes under way: the kernel does not wait for them before the mount is
	// gone, and a file counts as written when they are done.
	releases sync.WaitGroup
}

// serve answers requests until the mount is gone.
func (s *server) serve() error {
	var wg sync.WaitGroup
	errs := make(chan error, readers)
	for range readers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs <- s.read()
		}()
	}
	wg.Wait()
	s.releases.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *server) read() error {
	for {
		req, err := s.conn.ReadRequest()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.ENOENT): // taken back before it was read
			continue
		case err != nil:
			return fmt.Errorf("read from /dev/fuse: %w", err)
		}
		if !s.atOnce(req) {
			done := func() {}
			if _, ok := req.(*fuse.ReleaseRequest); ok {
				s.releases.Add(1)
				done = s.releases.Done
			}
			go func() {
				defer done()
				s.answer(req)
			}()
		}
	}
}

// atOnce answers what needs neither the network nor a sync, and says whether it did.
func (s *server) atOnce(req fuse.Request) bool {
	switch r := req.(type) {
	case *fuse.ForgetRequest:
		s.tree.Forget(fs.Ino(r.Node), r.N)
		r.Respond()
	case *fuse.BatchForgetRequest:
		for _, f := range r.Forget {
			s.tree.Forget(fs.Ino(f.NodeID), f.N)
		}
		r.Respond()
	case *fuse.InterruptRequest:
		if s.intr.interrupt(r.IntrID) {
			r.Respond()
		} else { // it overtook its request: the kernel shall send it again
			r.RespondError(fuse.Errno(syscall.EAGAIN))
		}
	case *fuse.FlushRequest:
		s.answer(req)
	case *fuse.ReadRequest:
		if !r.Dir && !s.tree.Local(fs.Handle(r.Handle), r.Offset, r.Size) {
			return false
		}
		s.answer(req)
	default:
		return false
	}
	return true
}

// answer works a request out and then answers it, once. A panic is an answer
// too, and only to this request.
func (s *server) answer(req fuse.Request) {
	hdr := req.Hdr()
	ctx, done := s.intr.begin(hdr.ID, hdr.Node, hdr.Pid, s.isTrigger(req))
	reply, err := s.handle(ctx, req)
	done()
	if err != nil {
		if n := fs.Errno(s.log, op(req), err); n != 0 {
			req.RespondError(fuse.Errno(n))
			return
		}
		req.RespondError(fuse.Errno(syscall.EIO))
		return
	}
	reply()
}

// handle is dispatch, with a panic turned into EIO.
func (s *server) handle(ctx context.Context, req fuse.Request) (reply func(), err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("a request panicked", "op", op(req), "panic", p, "stack", string(debug.Stack()))
			reply, err = nil, syscall.EIO
		}
	}()
	if !s.isTrigger(req) { // a commit has a timeout of its own
		var done context.CancelFunc
		ctx, done = s.tree.Limit(ctx)
		defer done()
	}
	reply, err = s.dispatch(ctx, req)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return reply, err
}

// op names a request for the log.
func op(req fuse.Request) string { return fmt.Sprintf("%T", req)[len("*fuse."):] }

// isTrigger says whether a request may be one that waits for a commit: any
// signal ends that. All else goes on, for SA_RESTART does not cover it.
func (s *server) isTrigger(req fuse.Request) bool {
	switch req.(type) {
	case *fuse.SetattrRequest, *fuse.WriteRequest:
		return s.tree.IsTrigger(fs.Ino(req.Hdr().Node))
	}
	return false
}

// notify tells the kernel what to forget, until stop.
func (s *server) notify(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-s.tree.Notices():
		}
		for _, n := range s.tree.Take() {
			if n.Name != "" {
				go s.forgetEntry(n, stop)
				continue
			}
			off := int64(-1) // attributes only
			if n.Data {
				off = 0
			}
			err := s.conn.InvalidateNode(fuse.NodeID(n.Ino), off, 0)
			if err != nil && !errors.Is(err, fuse.ErrNotCached) {
				s.log.Debug("notice not taken", "ino", n.Ino, "err", err)
			}
		}
	}
}

// forgetEntry invalidates an entry. The kernel takes the directory's lock for
// that, which a LOOKUP in it holds while it waits for us: so it is done only while no
// request of that directory is under way. Should one come in that very instant, this
// goroutine waits for its answer; nobody else does.
func (s *server) forgetEntry(n fs.Notice, stop <-chan struct{}) {
	for s.intr.busy(fuse.NodeID(n.Ino)) {
		select {
		case <-stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := s.conn.InvalidateEntry(fuse.NodeID(n.Ino), n.Name); err != nil && !errors.Is(err, fuse.ErrNotCached) {
		s.log.Debug("entry not forgotten", "ino", n.Ino, "name", n.Name, "err", err)
	}
}
