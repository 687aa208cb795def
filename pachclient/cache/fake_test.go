package cache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pachfs/pachclient"
)

var finished = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

// A fake is a Pachyderm that only reads: commits, each a map of files. It
// counts what it is asked, and stops at gates that a test holds.
type fake struct {
	pachclient.Client // nil: nothing else is called

	mu      sync.Mutex
	commits map[string]map[string][]byte
	fail    error // of every call

	stats, lists, reads, opens atomic.Int64
	bytes, open, mostOpen      atomic.Int64
	listGate                   func(ctx context.Context, entry int) error
	readGate                   func(ctx context.Context, off int64) error // before the byte at off is given
	seed                       uint64                                     // of the lengths that a stream gives at a time
	closed                     atomic.Bool
}

func newFake() *fake { return &fake{commits: map[string]map[string][]byte{}} }

// commit makes a finished commit in the repo "r".
func (f *fake) commit(n int, files map[string][]byte) pachclient.Commit {
	c := pachclient.Commit{Branch: pachclient.Branch{Repo: "r"}, ID: fmt.Sprintf("%012x4%019x", n, n)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.commits[c.ID] = files
	return c
}

func (f *fake) At(c pachclient.Commit) pachclient.Reader { return &fakeReader{f, c} }

func (f *fake) Close() error {
	f.closed.Store(true)
	return nil
}

func (f *fake) setFail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

type fakeReader struct {
	f *fake
	c pachclient.Commit
}

func (r *fakeReader) Commit() pachclient.Commit { return r.c }

func (r *fakeReader) files() (map[string][]byte, error) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if r.f.fail != nil {
		return nil, r.f.fail
	}
	files, ok := r.f.commits[r.c.ID]
	if !ok {
		return nil, fmt.Errorf("commit %v: %w", r.c, fs.ErrNotExist)
	}
	return files, nil
}

func info(path string, data []byte) pachclient.FileInfo {
	return pachclient.FileInfo{Path: path, Size: int64(len(data)), Hash: sha256.Sum256(data), ModTime: finished}
}

func (r *fakeReader) Stat(_ context.Context, path string) (pachclient.FileInfo, error) {
	r.f.stats.Add(1)
	files, err := r.files()
	if err != nil {
		return pachclient.FileInfo{}, err
	}
	if data, ok := files[path]; ok {
		return info(path, data), nil
	}
	dir := pachclient.FileInfo{Path: path, Dir: true, ModTime: finished}
	found := path == "/"
	for p, data := range files {
		if strings.HasPrefix(p, strings.TrimSuffix(path, "/")+"/") {
			found = true
			dir.Size += int64(len(data))
		}
	}
	if !found {
		return pachclient.FileInfo{}, fs.ErrNotExist
	}
	return dir, nil
}

func (r *fakeReader) List(ctx context.Context, dir string, fn func(pachclient.FileInfo) error) error {
	r.f.lists.Add(1)
	files, err := r.files()
	if err != nil {
		return err
	}
	if _, ok := files[dir]; ok {
		return pachclient.ErrNotDir
	}
	for i, f := range children(files, dir) {
		if r.f.listGate != nil {
			if err := r.f.listGate(ctx, i); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(f); err != nil {
			return err
		}
	}
	return nil
}

// children lists a directory the slow and simple way.
func children(files map[string][]byte, dir string) []pachclient.FileInfo {
	prefix := strings.TrimSuffix(dir, "/") + "/"
	seen := map[string]pachclient.FileInfo{}
	for p, data := range files {
		rest, ok := strings.CutPrefix(p, prefix)
		if !ok {
			continue
		}
		if name, _, isDir := strings.Cut(rest, "/"); isDir {
			d := seen[name+"/"]
			d.Path, d.Dir, d.ModTime = prefix+name, true, finished
			d.Size += int64(len(data))
			seen[name+"/"] = d
		} else {
			seen[name] = info(p, data)
		}
	}
	keys := make([]string, 0, len(seen))
	for k := range seen {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var all []pachclient.FileInfo
	for _, k := range keys {
		all = append(all, seen[k])
	}
	return all
}

func (r *fakeReader) Walk(context.Context, string, func(pachclient.FileInfo) error) error { return nil }

func (r *fakeReader) Diff(context.Context, pachclient.Commit, func(pachclient.Diff) error) error {
	return nil
}

func (r *fakeReader) ReadAt(ctx context.Context, f pachclient.FileInfo, p []byte, off int64) (int, error) {
	r.f.reads.Add(1)
	s, err := r.stream(ctx, f, off)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	n, err := io.ReadFull(s, p)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

func (r *fakeReader) Open(ctx context.Context, f pachclient.FileInfo, off int64) (io.ReadCloser, error) {
	r.f.opens.Add(1)
	return r.stream(ctx, f, off)
}

func (r *fakeReader) stream(ctx context.Context, f pachclient.FileInfo, off int64) (io.ReadCloser, error) {
	files, err := r.files()
	if err != nil {
		return nil, err
	}
	data, ok := files[f.Path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	n := r.f.open.Add(1)
	for most := r.f.mostOpen.Load(); n > most && !r.f.mostOpen.CompareAndSwap(most, n); most = r.f.mostOpen.Load() {
	}
	return &fakeStream{ctx: ctx, f: r.f, data: data, off: off}, nil
}

// A fakeStream gives its bytes in pieces of changing size.
type fakeStream struct {
	ctx    context.Context
	f      *fake
	data   []byte
	off    int64
	closed bool
}

func (s *fakeStream) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	if s.off >= int64(len(s.data)) {
		return 0, io.EOF
	}
	if s.f.readGate != nil {
		if err := s.f.readGate(s.ctx, s.off); err != nil {
			return 0, err
		}
	}
	piece := 4096 + rand.New(rand.NewPCG(s.f.seed, uint64(s.off))).IntN(128<<10)
	n := copy(p[:min(len(p), piece)], s.data[s.off:])
	s.off += int64(n)
	s.f.bytes.Add(int64(n))
	return n, nil
}

func (s *fakeStream) Close() error {
	if !s.closed {
		s.closed = true
		s.f.open.Add(-1)
	}
	return nil
}

var errAway = errors.New("server is away")

// random gives n bytes that differ from all others.
func random(n int, seed uint64) []byte {
	p := make([]byte, n)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	rand.NewChaCha8(key).Read(p)
	return p
}

// start puts a cache before f, and closes it with the test.
func start(t *testing.T, f *fake, o Options) *Client {
	t.Helper()
	c, err := New(f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
