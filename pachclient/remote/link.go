package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"pachfs/pachclient/internal/wire"
	"pachfs/pachclient/pfspb/admin"
)

// A link is what every call of a client passes on its way to a connection and
// back: it sees to it that the right cluster answers, and that a failure of the
// wire is told from an answer.
//
// gRPC connects anew by itself, and who listens there may be another by then.
// An answer counts only when the cluster was asked who it is since the last
// connection was made.
type link struct {
	c              *Client
	conn           *grpc.ClientConn
	begun, checked atomic.Int64 // connections so far, and up to which the cluster is known
}

// whoever marks the context of a call that any cluster may answer.
type whoever struct{}

// Pin lets only one cluster answer from now on. Another one behind the same
// address counts as a server that is away, for all calls but Cluster.
func (c *Client) Pin(deployment string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deployment = deployment
}

// Trouble tells why calls are being refused: the token has expired, another
// cluster answers. nil: the last call was not refused.
func (c *Client) Trouble() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.trouble
}

func (c *Client) setTrouble(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble = err
}

func (l *link) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if err := l.before(ctx); err != nil {
		return err
	}
	return l.outcome(ctx, method, invoke(ctx, method, req, reply, cc, opts...))
}

func (l *link) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if err := l.before(ctx); err != nil {
		return nil, err
	}
	own, end := context.WithCancel(ctx)
	s, err := open(own, desc, cc, method, opts...)
	if err != nil {
		end()
		return nil, l.outcome(ctx, method, err)
	}
	if err := l.check(ctx); err != nil { // it may be on a connection made since
		end()
		return nil, err
	}
	return &linkStream{s, l, ctx, end, method, !desc.ServerStreams}, nil
}

type linkStream struct {
	grpc.ClientStream
	l      *link
	ctx    context.Context // of the caller: the stream's own ends with it
	end    func()
	method string
	once   bool // one answer ends it
}

func (s *linkStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil || s.once {
		s.end()
	}
	return s.l.outcome(s.ctx, s.method, err)
}

// before is check ahead of a call: another cluster shall not get what is sent
// either. Without a connection the call would make one, to whoever is there by now.
func (l *link) before(ctx context.Context) error {
	if l.conn.GetState() != connectivity.Ready {
		return l.ask(ctx)
	}
	return l.check(ctx)
}

// check asks the cluster who it is, when that is not known.
func (l *link) check(ctx context.Context) error {
	if l.begun.Load() == l.checked.Load() {
		return nil
	}
	return l.ask(ctx)
}

func (l *link) ask(ctx context.Context) error {
	l.c.mu.RLock()
	want := l.c.deployment
	l.c.mu.RUnlock()
	begun := l.begun.Load()
	if want == "" || ctx.Value(whoever{}) != nil {
		return nil
	}
	info, err := admin.NewAPIClient(l.conn).InspectCluster(context.WithValue(ctx, whoever{}, true), &admin.InspectClusterRequest{})
	if err != nil {
		return err
	}
	if got := deploymentOf(info); got != want {
		err := fmt.Errorf("another Pachyderm answers: cluster %s, not %s", got, want)
		l.c.setTrouble(err)
		return status.Error(codes.Unavailable, err.Error())
	}
	l.checked.Store(begun)
	return nil
}

func deploymentOf(info *admin.ClusterInfo) string {
	if id := info.GetDeploymentId(); id != "" {
		return id
	}
	return info.GetId()
}

// outcome makes of the end of a call, or of a message, what the caller is to
// know of it.
func (l *link) outcome(ctx context.Context, method string, err error) error {
	if err != nil && !errors.Is(err, io.EOF) {
		if err = l.broken(ctx, err); status.Code(err) == codes.Unavailable {
			return err
		}
	}
	if wrong := l.check(ctx); wrong != nil {
		return wrong
	}
	switch s := status.Convert(err); {
	case err == nil || errors.Is(err, io.EOF):
		if ctx.Value(whoever{}) == nil && strings.HasPrefix(method, "/pfs_v2.") && l.c.Trouble() != nil {
			l.c.setTrouble(nil)
		}
	case s.Code() == codes.Unauthenticated:
		err = status.Errorf(s.Code(), "%s; log in with: %s", s.Message(), l.c.login())
		l.c.setTrouble(wire.Error("pachd refuses the token", err))
	}
	return err
}

// broken tells a failure of the wire, or of something in between, from what
// pachd says: such a failure is a server that is away.
func (l *link) broken(ctx context.Context, err error) error {
	s := status.Convert(err)
	switch s.Code() {
	case codes.Canceled: // by the other end, or by Reconfigure
		if ctx.Err() != nil || l.c.isClosed() {
			return err
		}
	case codes.Internal:
		if !strings.Contains(s.Message(), "RST_STREAM") {
			return err
		}
	case codes.Unknown:
		if !strings.Contains(s.Message(), "unexpected HTTP status code") {
			return err
		}
	default:
		return err
	}
	return status.Error(codes.Unavailable, s.Message())
}

func (c *Client) isClosed() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.closed
}

func (c *Client) login() string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.conf.Login == "" {
		return "pachctl auth login"
	}
	return c.conf.Login
}

// HandleConn counts the connections; gRPC tells of one before any call is on it.
func (l *link) HandleConn(_ context.Context, s stats.ConnStats) {
	if _, ok := s.(*stats.ConnBegin); ok {
		l.begun.Add(1)
	}
}

// TagConn, TagRPC and HandleRPC are the rest of a stats.Handler.
func (l *link) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (l *link) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (l *link) HandleRPC(context.Context, stats.RPCStats)                         {}
