package embedded

import (
	"archive/tar"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"pachfs/pachclient/embedded/internal/content"
	"pachfs/pachclient/embedded/internal/tree"
	"pachfs/pachclient/pfspb/pfs"
)

// How large the messages with file contents are: those of pachd, and those of
// a server that does not have to be it.
const (
	pachdMessage = 19 << 20
	message      = 1 << 20
)

func (s *Server) messageSize() int {
	if s.opts.LikePachd {
		return pachdMessage
	}
	return message
}

// GlobFile lists what matches a pattern.
func (s *Server) GlobFile(req *pfs.GlobFileRequest, stream grpc.ServerStreamingServer[pfs.FileInfo]) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	n, err := s.snapshot(stream.Context(), req.Commit)
	if err != nil {
		return err
	}
	m, err := n.match(req.Pattern, req.PathRange)
	if err != nil {
		return err
	}
	return m.each(false, func(key string, e *tree.Entry) error {
		info, err := s.info(n, key, e)
		if err != nil {
			return err
		}
		return stream.Send(info)
	})
}

// GetFile sends the content of the one file that a pattern matches.
func (s *Server) GetFile(req *pfs.GetFileRequest, stream grpc.ServerStreamingServer[wrapperspb.BytesValue]) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if req.File == nil {
		return unknown("file cannot be nil")
	}
	if req.File.Commit == nil {
		return unknown("commit cannot be nil")
	}
	if req.URL != "" {
		return fail(codes.Unimplemented, "the embedded server does not write to URLs")
	}
	n, _, err := s.snapshotFile(stream.Context(), req.File)
	if err != nil {
		return prefixed("get file", err)
	}
	file, err := n.oneFile(req)
	if err != nil {
		return err
	}
	r := s.content.NewReader()
	defer r.Close()
	off := max(req.Offset, 0)
	buf := make([]byte, max(0, min(int64(s.messageSize()), file.Size-off)))
	return r.Stream(*file, off, buf, func(p []byte) error {
		s.stats.sent.Add(int64(len(p)))
		return stream.Send(&wrapperspb.BytesValue{Value: p})
	})
}

func (n *snapshot) oneFile(req *pfs.GetFileRequest) (*content.File, error) {
	m, err := n.match(req.File.Path, req.PathRange)
	if err != nil {
		return nil, err
	}
	var one *content.File
	err = m.each(false, func(key string, e *tree.Entry) error {
		_, datum := tree.Path(key)
		switch {
		case e.IsDir:
			return unknown("cannot get directory or non-regular file. Use GetFileTAR instead")
		case req.File.Datum != "" && datum != req.File.Datum:
			return nil
		case one != nil:
			return unknown("matched multiple files. Use GetFileTAR instead")
		}
		one = &e.File
		return nil
	})
	if err == nil && one == nil {
		err = n.noFile(m.pattern)
	}
	return one, err
}

// GetFileTAR sends all that a pattern matches, directories with all that is
// below them, as a tar stream.
func (s *Server) GetFileTAR(req *pfs.GetFileRequest, stream grpc.ServerStreamingServer[wrapperspb.BytesValue]) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if req.URL != "" {
		return fail(codes.Unimplemented, "the embedded server does not write to URLs")
	}
	n, _, err := s.snapshotFile(stream.Context(), req.File)
	if err != nil {
		return err
	}
	m, err := n.match(req.File.Path, req.PathRange)
	if err != nil {
		return err
	}
	out := &messages{stream: stream, size: s.messageSize()}
	archive := tar.NewWriter(out)
	r := s.content.NewReader()
	defer r.Close()
	buf := make([]byte, 64<<10)
	any := false
	err = m.each(true, func(key string, e *tree.Entry) error {
		name, datum := tree.Path(key)
		if req.File.Datum != "" && !e.IsDir && datum != req.File.Datum {
			return nil
		}
		any = true
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Size: e.File.Size}
		if e.IsDir {
			h.Typeflag = tar.TypeDir
		}
		if err := archive.WriteHeader(h); err != nil || e.IsDir {
			return err
		}
		s.stats.sent.Add(e.File.Size)
		return r.Stream(e.File, 0, buf, func(p []byte) error {
			_, err := archive.Write(p)
			return err
		})
	})
	if err == nil && !any {
		err = n.noFile(m.pattern)
	}
	if err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return out.flush()
}

// messages cuts a stream of bytes into messages.
type messages struct {
	stream grpc.ServerStreamingServer[wrapperspb.BytesValue]
	size   int
	buf    []byte
}

func (m *messages) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := min(len(p), m.size-len(m.buf))
		m.buf = append(m.buf, p[:n]...)
		p = p[n:]
		if len(m.buf) == m.size {
			if err := m.flush(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

func (m *messages) flush() error {
	if len(m.buf) == 0 {
		return nil
	}
	err := m.stream.Send(&wrapperspb.BytesValue{Value: m.buf})
	m.buf = m.buf[:0]
	return err
}
