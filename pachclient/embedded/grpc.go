package embedded

import (
	"context"
	"fmt"
	"maps"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // pachctl put file -c sends it
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"pachfs/pachclient/pfspb/admin"
	"pachfs/pachclient/pfspb/auth"
	"pachfs/pachclient/pfspb/metadata"
	"pachfs/pachclient/pfspb/pfs"
	"pachfs/pachclient/pfspb/pps"
	"pachfs/pachclient/pfspb/version"
)

// maxReceive is the largest message that pachd takes.
const maxReceive = 20 << 20

// newGRPC makes the gRPC server. Its windows are large because the usual peer
// is on the same machine, where a small window only costs round trips.
func (s *Server) newGRPC() {
	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(maxReceive),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.InitialWindowSize(4<<20),
		grpc.InitialConnWindowSize(8<<20),
		grpc.ReadBufferSize(128<<10),
		grpc.WriteBufferSize(128<<10),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(s.interceptUnary),
		grpc.StreamInterceptor(s.interceptStream),
	)
	s.health = health.NewServer()
	pfs.RegisterAPIServer(s.grpc, s)
	metadata.RegisterAPIServer(s.grpc, metadataServer{s: s})
	admin.RegisterAPIServer(s.grpc, adminServer{s: s})
	version.RegisterAPIServer(s.grpc, versionServer{})
	auth.RegisterAPIServer(s.grpc, authServer{s: s})
	pps.RegisterAPIServer(s.grpc, pipelineServer{})
	healthpb.RegisterHealthServer(s.grpc, s.health)
}

func (s *Server) interceptUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (resp any, err error) {
	defer s.rescue(info.FullMethod, &err)
	s.stats.call(info.FullMethod)
	if err := s.authorize(ctx, info.FullMethod, req); err != nil {
		return nil, err
	}
	if err := refuseTransaction(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	resp, err = handle(ctx, req)
	return resp, s.answer(info.FullMethod, err)
}

func (s *Server) interceptStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer s.rescue(info.FullMethod, &err)
	s.stats.call(info.FullMethod)
	if err := s.authorize(stream.Context(), info.FullMethod, nil); err != nil {
		return err
	}
	err = handle(srv, stream)
	if err != nil && info.IsClientStream {
		linger(stream)
	}
	return s.answer(info.FullMethod, err)
}

// patience is how long the error of an upload waits for the rest of it.
const patience = 100 * time.Millisecond

// linger takes what a client is just sending after its call has failed. One whose
// Send meets the end of a stream is told "EOF", and pachctl shows people that
// instead of the error.
func linger(stream grpc.ServerStream) {
	over := make(chan struct{})
	go func() { // until the client has sent all, or the handler has returned
		defer close(over)
		for stream.RecvMsg(new(pfs.ModifyFileRequest)) == nil {
		}
	}()
	select {
	case <-over:
	case <-time.After(patience):
	}
}

func (s *Server) answer(method string, err error) error {
	if err != nil {
		s.log.Debug("call failed", "method", method, "error", err)
	}
	return toStatus(err)
}

// rescue turns a panic of a handler into an error of its call.
func (s *Server) rescue(method string, err *error) {
	if p := recover(); p != nil {
		stack := debug.Stack()
		s.log.Error("panic", "method", method, "panic", fmt.Sprint(p), "stack", string(stack))
		*err = toStatus(fail(codes.Aborted, "panic: %v\n%s", p, stack))
	}
}

// Stats count what a server has done since it was opened.
type Stats struct {
	BytesSent     int64            // file contents sent by GetFile and GetFileTAR
	BytesReceived int64            // file contents received by ModifyFile and CreateFileSet
	Calls         map[string]int64 // by full method, as "/pfs_v2.API/GetFile"
}

// Stats gives the counters as they stand.
func (s *Server) Stats() Stats {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	return Stats{s.stats.sent.Load(), s.stats.received.Load(), maps.Clone(s.stats.calls)}
}

type counters struct {
	sent, received atomic.Int64
	mu             sync.Mutex
	calls          map[string]int64
}

func (c *counters) call(method string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = make(map[string]int64)
	}
	c.calls[method]++
}
