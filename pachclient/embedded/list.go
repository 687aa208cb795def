package embedded

import (
	"fmt"

	"google.golang.org/grpc"

	"pachfs/pachclient/embedded/internal/tree"
	"pachfs/pachclient/pfspb/pfs"
)

// ListFile lists what is directly in a directory, or tells about a file.
func (s *Server) ListFile(req *pfs.ListFileRequest, stream grpc.ServerStreamingServer[pfs.FileInfo]) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	n, path, err := s.snapshotFile(stream.Context(), req.File)
	if err != nil {
		return err
	}
	p, err := newPager(req.Number, req.Reverse, req.PaginationMarker.GetPath(), func(key string, e *tree.Entry) error {
		info, err := s.info(n, key, e)
		if err != nil {
			return err
		}
		return stream.Send(info)
	})
	if err != nil {
		return err
	}
	f, err := n.find(path, req.File.Datum)
	if err != nil {
		return err
	}
	return p.run(func() error {
		if f.File != nil {
			if err := p.visit(f.FileKey, f.File); err != nil {
				return err
			}
		}
		if f.Dir == nil {
			return nil
		}
		return tree.List(n.src, f.Dir.Dir, f.DirKey, p.after(f.DirKey), p.visit)
	})
}

// WalkFile lists a path and all that is below it.
func (s *Server) WalkFile(req *pfs.WalkFileRequest, stream grpc.ServerStreamingServer[pfs.FileInfo]) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	n, path, err := s.snapshotFile(stream.Context(), req.File)
	if err != nil {
		return err
	}
	p, err := newPager(req.Number, req.Reverse, req.PaginationMarker.GetPath(), func(key string, e *tree.Entry) error {
		info, err := s.info(n, key, e)
		if err != nil {
			return err
		}
		return stream.Send(info)
	})
	if err != nil {
		return err
	}
	f, err := n.find(path, req.File.Datum)
	if err != nil {
		return err
	}
	if f.File == nil && f.Dir == nil && path != "/" {
		return notFound("commit/%s does not contain item: (%s)", n.ref.Id, path)
	}
	return p.run(func() error {
		if f.File != nil {
			if err := p.visit(f.FileKey, f.File); err != nil {
				return err
			}
		}
		if f.Dir == nil {
			return nil
		}
		if err := p.visit(f.DirKey, f.Dir); err != nil {
			return err
		}
		return tree.Walk(n.src, f.Dir.Dir, f.DirKey, p.after(f.DirKey), p.visit)
	})
}

// maxPage is how many files a page may have.
const maxPage = 100_000

// A pager cuts a page out of a listing: number entries behind the marker, or
// with reverse before it, the last ones first.
type pager struct {
	number  int64
	reverse bool
	marker  string
	send    tree.Visit
	sent    int64
	last    []pagerEntry // with reverse: the newest of them at pos-1
	pos     int
}

type pagerEntry struct {
	key string
	e   tree.Entry
}

func newPager(number int64, reverse bool, marker string, send tree.Visit) (*pager, error) {
	switch {
	case number > maxPage:
		return nil, unknown("cannot return more than %d files at a time", maxPage)
	case reverse && number <= 0:
		return nil, unknown("number must be > 0 when reverse is true")
	}
	return &pager{number: number, reverse: reverse, marker: marker, send: send}, nil
}

// after gives the key, counted from a directory, behind which the page begins.
func (p *pager) after(dirKey string) string {
	dir := "/" + dirKey
	if p.reverse || len(p.marker) <= len(dir) || p.marker[:len(dir)] != dir {
		return ""
	}
	return p.marker[len(dir):]
}

func (p *pager) visit(key string, e *tree.Entry) error {
	path, _ := tree.Path(key)
	if p.reverse {
		if p.marker != "" && path >= p.marker {
			return errStop
		}
		if int64(len(p.last)) < p.number {
			p.last = append(p.last, pagerEntry{key, *e})
		} else {
			p.last[p.pos] = pagerEntry{key, *e}
		}
		p.pos = (p.pos + 1) % int(p.number)
		return nil
	}
	if p.marker != "" && path <= p.marker {
		return nil
	}
	if err := p.send(key, e); err != nil {
		return err
	}
	if p.sent++; p.number > 0 && p.sent >= p.number {
		return errStop
	}
	return nil
}

// run lists, and then sends what is sent last.
func (p *pager) run(list func() error) error {
	if err := list(); err != nil && err != errStop {
		return err
	}
	for i := range p.last {
		at := (p.pos - 1 - i + 2*len(p.last)) % len(p.last)
		if err := p.send(p.last[at].key, &p.last[at].e); err != nil {
			return fmt.Errorf("send page: %w", err)
		}
	}
	return nil
}
