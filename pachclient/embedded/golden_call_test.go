package embedded

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/health/grpc_health_v1" // its messages are in the transcript
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A method is one of the gRPC API, found by its name.
type method struct {
	name    string
	in, out protoreflect.MessageType
	stream  grpc.StreamDesc
}

func methodOf(full string) (method, error) {
	m := method{name: full}
	service, name, _ := strings.Cut(strings.TrimPrefix(full, "/"), "/")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return m, err
	}
	sd, ok := d.(protoreflect.ServiceDescriptor)
	if !ok || sd.Methods().ByName(protoreflect.Name(name)) == nil {
		return m, fmt.Errorf("no method %s", full)
	}
	md := sd.Methods().ByName(protoreflect.Name(name))
	m.stream = grpc.StreamDesc{StreamName: name, ServerStreams: md.IsStreamingServer(), ClientStreams: md.IsStreamingClient()}
	if m.in, err = protoregistry.GlobalTypes.FindMessageByName(md.Input().FullName()); err != nil {
		return m, err
	}
	m.out, err = protoregistry.GlobalTypes.FindMessageByName(md.Output().FullName())
	return m, err
}

// An answer is what came of a call.
type answer struct {
	responses []any // as proto JSON
	data      []byte
	code      codes.Code
	message   string
}

// do makes the call; after that many responses it cancels it (0: never).
func (m method) do(ctx context.Context, cancel func(), conn *grpc.ClientConn, requests []any, cancelAfter int) (*answer, error) {
	a := &answer{}
	stream, err := conn.NewStream(ctx, &m.stream, m.name)
	if err != nil {
		a.status(err)
		return a, nil
	}
	for _, r := range requests {
		b, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		in := m.in.New().Interface()
		if err := protojson.Unmarshal(b, in); err != nil {
			return nil, fmt.Errorf("request: %w", err)
		}
		if stream.SendMsg(in) != nil {
			break // why, the status tells
		}
	}
	stream.CloseSend()
	for {
		out := m.out.New().Interface()
		if err := stream.RecvMsg(out); err != nil {
			if !errors.Is(err, io.EOF) {
				a.status(err)
			}
			return a, nil
		}
		if cancelAfter > 0 && len(a.responses) == cancelAfter {
			continue // sent before the server heard of it
		}
		if err := a.add(out); err != nil {
			return nil, err
		}
		if len(a.responses) == cancelAfter {
			cancel()
		}
		if !m.stream.ServerStreams {
			return a, nil
		}
	}
}

func (a *answer) status(err error) {
	s, _ := status.FromError(err)
	a.code, a.message = s.Code(), s.Message()
}

func (a *answer) add(out proto.Message) error {
	if v, ok := out.(*wrapperspb.BytesValue); ok {
		a.data = append(a.data, v.Value...)
	}
	b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(out)
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	a.responses = append(a.responses, v)
	return nil
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// entries lists what is in a tar stream.
func entries(data []byte) ([]tarEntry, error) {
	var out []tarEntry
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return out, err
		}
		e := tarEntry{Name: h.Name, Type: "file", Size: h.Size, Mode: h.Mode}
		if h.Typeflag == tar.TypeDir {
			e.Type = "dir"
		} else {
			b, err := io.ReadAll(r)
			if err != nil {
				return out, err
			}
			e.SHA256 = sum(b)
		}
		out = append(out, e)
	}
}
