package embedded

import (
	"archive/tar"
	"path"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"pachfs/pachclient/embedded/internal/content"
	"pachfs/pachclient/embedded/internal/glob"
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

// A match finds what a pattern means in a snapshot.
type match struct {
	s       *Server
	n       *snapshot
	glob    *glob.Glob
	pattern string
	depth   int // elements that a match has at most; -1: any number
	inRange func(path string) bool
}

// match reads a pattern, which is a path like any other if nothing in it is
// special.
func (s *Server) match(n *snapshot, pattern string, limits *pfs.PathRange) (*match, error) {
	m := &match{s: s, n: n, pattern: cleanPattern(pattern), depth: -1}
	var err error
	if m.glob, err = glob.Compile(m.pattern); err != nil {
		return nil, unknown("%v", err)
	}
	if !strings.Contains(m.pattern, "**") && !strings.Contains(m.pattern, "(") {
		m.depth = strings.Count(m.pattern, "/")
	}
	m.inRange = func(p string) bool {
		return limits == nil || p >= limits.Lower && (limits.Upper == "" || p < limits.Upper)
	}
	return m, nil
}

func cleanPattern(p string) string { return path.Clean("/" + p) }

// each calls fn with what matches, in path order. With deep it also calls it
// with all that is below a directory that matches.
func (m *match) each(deep bool, fn tree.Visit) error {
	src := nodes{m.s}
	if m.pattern == "/" && m.n.tree.Root != 0 && m.inRange("/") {
		if err := fn("", &tree.Entry{IsDir: true, Dir: m.n.tree}); err != nil || !deep {
			return err
		}
		return tree.Walk(src, m.n.tree, "", "", fn)
	}
	if glob.Literal(m.pattern) {
		return m.literal(deep, fn)
	}
	inside := "" // the directory that matched last
	err := tree.Walk(src, m.n.tree, "", "", func(key string, e *tree.Entry) error {
		p, _ := tree.Path(key)
		prefix := m.glob.Prefix()
		if !strings.HasPrefix(p, prefix) && !strings.HasPrefix(prefix, p) {
			if p > prefix {
				return errStop
			}
			return skip(e)
		}
		below := inside != "" && strings.HasPrefix(p, inside)
		if !m.inRange(p) {
			return nil
		}
		hit := below || m.glob.Match(strings.TrimSuffix(p, "/"))
		if hit {
			if err := fn(key, e); err != nil {
				return err
			}
			if deep && e.IsDir && !below {
				inside = p
			}
		}
		if m.depth >= 0 && !(deep && hit) && strings.Count(strings.TrimSuffix(p, "/"), "/") >= m.depth {
			return skip(e)
		}
		return nil
	})
	if err == errStop {
		return nil
	}
	return err
}

func skip(e *tree.Entry) error {
	if e.IsDir {
		return tree.SkipDir
	}
	return nil
}

func (m *match) literal(deep bool, fn tree.Visit) error {
	f, err := m.s.find(m.n, m.pattern, "")
	if err != nil {
		return err
	}
	if f.File != nil && m.inRange(m.pattern) {
		if err := fn(f.FileKey, f.File); err != nil {
			return err
		}
	}
	if f.Dir == nil || !m.inRange(m.pattern+"/") {
		return nil
	}
	if err := fn(f.DirKey, f.Dir); err != nil || !deep {
		return err
	}
	return tree.Walk(nodes{m.s}, f.Dir.Dir, f.DirKey, "", func(key string, e *tree.Entry) error {
		if p, _ := tree.Path(key); !m.inRange(p) {
			return nil
		}
		return fn(key, e)
	})
}

// GlobFile lists what matches a pattern.
func (s *Server) GlobFile(req *pfs.GlobFileRequest, stream grpc.ServerStreamingServer[pfs.FileInfo]) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	n, err := s.snapshot(stream.Context(), req.Commit)
	if err != nil {
		return err
	}
	m, err := s.match(n, req.Pattern, req.PathRange)
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
	file, err := s.oneFile(n, req)
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

func (s *Server) oneFile(n *snapshot, req *pfs.GetFileRequest) (*content.File, error) {
	m, err := s.match(n, req.File.Path, req.PathRange)
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
	m, err := s.match(n, req.File.Path, req.PathRange)
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
