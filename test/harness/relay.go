package harness

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A Relay stands between a client and its server as a [Proxy] does, but knows
// where a call begins and ends: it can break the wire at a point of a call.
type Relay struct {
	URL string

	to *grpc.ClientConn
	l  *cutListener

	mu    sync.Mutex
	trap  *Trap
	calls map[string]int // that reached the server, by method
}

// A Trap is a fault that strikes calls of a method at a point.
type Trap struct {
	Method string // the last part of its name; "": all
	Point  Point
	After  int           // messages that come through before; at Asking and Answering
	Times  int           // calls that are struck; 0: one
	Delay  time.Duration // instead of a cut
	Do     func()        // happens first, and ends before anything else goes on

	struck int // calls so far
}

// A Point is a moment of a call.
type Point int

// The points at which a trap strikes.
const (
	Arriving  Point = iota // before the server has seen anything of it
	Asking                 // between messages of the request
	Asked                  // when the server begins to answer the whole request; its answer goes nowhere
	Answering              // between messages of the answer
	Answered               // after the last message, before the end is told
)

// NewRelay listens for the calls of a client.
func NewRelay(t testing.TB, s *Server) *Relay {
	t.Helper()
	to, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()), soonBack,
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{URL: "grpc://" + l.Addr().String(), to: to, l: &cutListener{Listener: l, conns: map[net.Conn]bool{}}, calls: map[string]int{}}
	g := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.MaxRecvMsgSize(64<<20), grpc.UnknownServiceHandler(r.relay))
	go g.Serve(r.l)
	t.Cleanup(func() {
		g.Stop()
		if err := to.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// Set lays a trap; nil takes it away.
func (r *Relay) Set(trap *Trap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trap = trap
	clear(r.calls)
}

// Struck says how many calls the trap has struck.
func (r *Relay) Struck() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trap == nil {
		return 0
	}
	return r.trap.struck
}

// Calls says how many calls of a method reached the server since the last Set.
func (r *Relay) Calls(method string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[method]
}

// strikes says whether the trap strikes here, and gives it.
func (r *Relay) strikes(method string, at Point, messages int) (bool, *Trap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	trap := r.trap
	if trap == nil || trap.Method != "" && trap.Method != method || trap.Point != at || (at == Asking || at == Answering) && messages != trap.After || trap.struck >= max(1, trap.Times) {
		return false, nil
	}
	trap.struck++
	return true, trap
}

var errCut = status.Error(codes.Unavailable, "the relay cut the connection")

// pass is a point of a call: it fails when the wire was cut there.
func (r *Relay) pass(ctx context.Context, method string, at Point, messages int) error {
	hit, trap := r.strikes(method, at, messages)
	if hit && trap.Do != nil {
		done := make(chan struct{})
		go func() { // it may end the test, and with it its goroutine, which must not be the call's
			defer close(done)
			trap.Do()
		}()
		<-done
	}
	switch {
	case hit && trap.Delay > 0:
		select {
		case <-time.After(trap.Delay):
		case <-ctx.Done():
		}
	case hit:
		r.l.cut()
		return errCut
	}
	return nil
}

// relay is a call. The server's half of it goes on when the client's is cut
// off, as it does where a wire breaks that nobody watches.
func (r *Relay) relay(_ any, in grpc.ServerStream) error {
	full, _ := grpc.MethodFromServerStream(in)
	method := full[strings.LastIndexByte(full, '/')+1:]
	if err := r.pass(in.Context(), method, Arriving, 0); err != nil {
		return err
	}
	r.mu.Lock()
	r.calls[method]++
	r.mu.Unlock()
	md, _ := metadata.FromIncomingContext(in.Context())
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(context.WithoutCancel(in.Context()), md))
	defer cancel()
	if d, ok := in.Context().Deadline(); ok {
		ctx, cancel = context.WithDeadline(ctx, d)
		defer cancel()
	}
	out, err := r.to.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, full)
	if err != nil {
		return err
	}
	asked := make(chan error, 1)
	go func() {
		err := r.ask(in, out, method)
		if err != nil {
			cancel() // the client is gone in the middle of its request
		}
		asked <- err
	}()
	return r.answer(in, out, method, asked)
}

// ask carries a request to the server.
func (r *Relay) ask(in grpc.ServerStream, out grpc.ClientStream, method string) error {
	for n := 0; ; n++ {
		var m []byte
		if err := r.pass(in.Context(), method, Asking, n); err != nil {
			return err
		}
		err := in.RecvMsg(&m)
		if errors.Is(err, io.EOF) {
			return out.CloseSend()
		} else if err != nil {
			return err
		}
		if err := out.SendMsg(&m); err != nil {
			return nil // the reason comes as the answer
		}
	}
}

// drain waits for the end of a call whose answer nobody gets.
func drain(out grpc.ClientStream) {
	for {
		var m []byte
		if out.RecvMsg(&m) != nil {
			return
		}
	}
}

// answer carries the answer back.
func (r *Relay) answer(in grpc.ServerStream, out grpc.ClientStream, method string, asked <-chan error) error {
	for n := 0; ; n++ {
		var m []byte
		err := out.RecvMsg(&m)
		if err != nil && !errors.Is(err, io.EOF) { // which may come before the request is whole
			if cut := r.pass(in.Context(), method, Asked, 0); cut != nil {
				return cut
			}
			r.pass(in.Context(), method, Answered, 0)
			return err
		}
		if n == 0 {
			if err := <-asked; err != nil {
				return err
			}
			if err := r.pass(in.Context(), method, Asked, 0); err != nil {
				drain(out)
				return err
			}
		}
		if err != nil {
			return r.pass(in.Context(), method, Answered, 0)
		}
		if err := r.pass(in.Context(), method, Answering, n); err != nil {
			return err
		}
		if err := in.SendMsg(&m); err != nil {
			return err
		}
	}
}
