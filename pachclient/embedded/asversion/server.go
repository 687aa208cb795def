package asversion

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"pachfs/pachclient/embedded"
)

// maxMessage is more than a client or a server of ours sends.
const maxMessage = 64 << 20

// A Server is an embedded server that answers as another version.
type Server struct {
	version version
	backend *embedded.Server
	conn    *grpc.ClientConn // to the backend
	grpc    *grpc.Server
	memory  *bufconn.Listener
	serving sync.WaitGroup

	mu      sync.Mutex
	skipped map[string]bool // fields of requests, and calls, that this version does not know
	crashes []string
}

// New puts a version ("2.3.9") before an embedded server, which stays open
// when the Server is closed.
func New(backend *embedded.Server, release string) (*Server, error) {
	v, err := parseVersion(release)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///embedded", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return backend.Dial(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		return nil, err
	}
	s := &Server{version: v, backend: backend, conn: conn, memory: bufconn.Listen(1 << 20), skipped: map[string]bool{}}
	s.grpc = grpc.NewServer(grpc.UnknownServiceHandler(s.handle), grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))
	s.serving.Go(func() { s.grpc.Serve(s.memory) })
	return s, nil
}

// Dial gives a connection within the process.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) { return s.memory.DialContext(ctx) }

// Serve answers on a listener as well, until the server is closed.
func (s *Server) Serve(l net.Listener) error { return s.grpc.Serve(l) }

// Close ends all calls.
func (s *Server) Close() error {
	s.grpc.Stop()
	s.serving.Wait()
	return s.conn.Close()
}

// Skipped lists, sorted, what was asked for and is not known to this version:
// fields of requests ("pfs_v2.Commit.repo") and calls ("pfs_v2.API/DropCommit").
func (s *Server) Skipped() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for name := range s.skipped {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Crashes lists the requests that would have brought this version down.
func (s *Server) Crashes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.crashes)
}

func (s *Server) skip(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skipped[name] = true
}

// handle passes a call of any kind through.
func (s *Server) handle(_ any, in grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(in)
	method, err := s.method(strings.TrimPrefix(path, "/"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(in.Context())
	defer cancel()
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		ctx = metadata.NewOutgoingContext(ctx, md)
	}
	out, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, path)
	if err != nil {
		return err
	}
	refused := make(chan error, 1)
	go func() {
		if err := s.requests(method, in, out); err != nil {
			refused <- err
			cancel()
		}
	}()
	err = s.answers(method, in, out)
	select {
	case err = <-refused:
	default:
	}
	return s.code(err)
}

// method finds the description of a call that this version has.
func (s *Server) method(name string) (protoreflect.MethodDescriptor, error) {
	service, call, _ := strings.Cut(name, "/")
	if !s.version.knows(name) {
		s.skip(name)
	} else if d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service)); err == nil {
		if sd, ok := d.(protoreflect.ServiceDescriptor); ok {
			if md := sd.Methods().ByName(protoreflect.Name(call)); md != nil {
				return md, nil
			}
		}
	}
	return nil, status.Errorf(codes.Unimplemented, "unknown method %s for service %s", call, service)
}

// requests passes the requests on, until there are no more or one is refused.
func (s *Server) requests(method protoreflect.MethodDescriptor, in grpc.ServerStream, out grpc.ClientStream) error {
	for {
		m, err := receive(method.Input(), in)
		if errors.Is(err, io.EOF) {
			return out.CloseSend()
		}
		if err != nil {
			return nil // the call is over, and answers knows how
		}
		pass, err := s.request(m)
		if err != nil {
			return err
		}
		if pass && out.SendMsg(m) != nil {
			return nil
		}
	}
}

func (s *Server) answers(method protoreflect.MethodDescriptor, in grpc.ServerStream, out grpc.ClientStream) error {
	for {
		m, err := receive(method.Output(), out)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.answer(m); err != nil {
			return err
		}
		if err := in.SendMsg(m); err != nil {
			return err
		}
	}
}

// receive takes a message of a described type.
func receive(d protoreflect.MessageDescriptor, from interface{ RecvMsg(any) error }) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil, err
	}
	m := t.New().Interface()
	return m, from.RecvMsg(m)
}
