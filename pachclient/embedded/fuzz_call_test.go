package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// bare hands bytes to gRPC as they are, as if they were protobuf.
type bareBytes struct{}

func (bareBytes) Name() string                    { return "proto" }
func (bareBytes) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (bareBytes) Unmarshal(b []byte, v any) error { *v.(*[]byte) = slices.Clone(b); return nil }

// methods finds every method that a server serves: none can be forgotten.
func methods(t testing.TB, s *Server) []method {
	t.Helper()
	var all []method
	for service, info := range s.grpc.GetServiceInfo() {
		for _, i := range info.Methods {
			m, err := methodOf("/" + service + "/" + i.Name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b method) int { return strings.Compare(a.name, b.name) })
	return all
}

// waits says which methods may wait for what never comes.
func (m method) waits() bool {
	return slices.Contains([]string{"SubscribeCommit", "InspectCommit", "InspectCommitSet", "Watch"}, m.stream.StreamName)
}

// raw makes a call with messages as they are on the wire, takes every answer,
// and judges what came of it: any status will do, except that of a panic or of
// a call that had all the time there is.
func (m method) raw(ctx context.Context, conn *grpc.ClientConn, messages [][]byte) (codes.Code, error) {
	limit := 30 * time.Second
	if m.waits() {
		limit = 20 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := m.exchange(ctx, conn, messages)
	st := status.Convert(err)
	switch {
	case strings.HasPrefix(st.Message(), "panic:"):
		return st.Code(), fmt.Errorf("%s: %v", m.name, err)
	case st.Code() == codes.DeadlineExceeded && !m.waits():
		return st.Code(), fmt.Errorf("%s hangs\n%s", m.name, goroutines())
	}
	return st.Code(), nil
}

func (m method) exchange(ctx context.Context, conn *grpc.ClientConn, messages [][]byte) error {
	stream, err := conn.NewStream(ctx, &m.stream, m.name, grpc.ForceCodec(bareBytes{}))
	if err != nil {
		return err
	}
	for _, b := range messages {
		if err := stream.SendMsg(&b); err != nil {
			break // why, the status tells
		}
	}
	stream.CloseSend()
	for {
		var b []byte
		if err := stream.RecvMsg(&b); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if !m.stream.ServerStreams {
			return nil
		}
	}
}

func goroutines() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// settled wants that every handler has ended soon, and the store in order.
func (p *peer) settled() {
	p.t.Helper()
	p.idle(10 * time.Second)
	if err := p.s.Check(context.Background()); err != nil {
		p.t.Fatalf("check: %v", err)
	}
}

// idle waits until nobody reads or writes files, nor has a transaction.
func (p *peer) idle(limit time.Duration) {
	p.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		if p.s.gate.TryLock() {
			p.s.gate.Unlock()
			if p.s.db.Stats().OpenTxN == 0 {
				return
			}
		}
		if time.Now().After(end) {
			p.t.Fatalf("a handler goes on for ever\n%s", goroutines())
		}
	}
}
