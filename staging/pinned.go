package staging

import (
	"context"

	"pachfs/pachclient"
)

// A reader reads the file below.
type reader interface {
	readAt(ctx context.Context, p []byte, off int64) (int, error)
}

// baseFile is a file of a commit.
type baseFile struct {
	r  pachclient.Reader
	fi pachclient.FileInfo
}

func (b baseFile) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	fi := b.fi
	if fi.Hash.Zero() { // it was staged when the file above it was made, and has landed since
		var err error
		if fi, err = b.r.Stat(ctx, fi.Path); err != nil {
			return 0, err
		}
	}
	return b.r.ReadAt(ctx, fi, p, off)
}

// A pinned is what the next commit takes of a file in a sealed layer. It reads
// the same whatever becomes of that layer, until it is released.
type pinned struct {
	of    *File
	im    image
	lower reader
}

func (z *pinned) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	return readImage(ctx, z.im, z.lower, p, off)
}

func pin(of *File, im image, lower reader) *pinned {
	for _, p := range im.pieces {
		if p.c != nil {
			p.c.own()
		}
	}
	return &pinned{of, im, lower}
}

// release gives back what the pin keeps on the local disk.
func (z *pinned) release() {
	for _, p := range z.im.pieces {
		if p.c != nil {
			p.c.disown()
		}
	}
	release(z.lower)
}

func release(r reader) {
	if z, ok := r.(*pinned); ok {
		z.release()
	}
}

// pin gives what the next commit takes of a file of the sealed layer with that
// index. Called with mu held.
func (o *Overlay) pin(f *File, layer int) *pinned {
	f.mu.Lock()
	z := pin(f, f.committed(), nil)
	f.mu.Unlock()
	z.lower = o.below(f, layer)
	return z
}

// below gives a reader for the file below f, a file of the layer with that
// index; nil when there is none. Called with mu held.
func (o *Overlay) below(f *File, layer int) reader {
	if f.lowerPath == "" {
		return nil
	}
	s, err := o.find(layer-1, f.lowerPath)
	p := f.lowerPath
	switch {
	case err == nil && s.n != nil && s.n.kind == fileNode:
		return o.pin(s.n.file, s.layer)
	case err == nil && s.n == nil:
		p = s.base
	}
	return baseFile{o.base.r, pachclient.FileInfo{Path: p, Size: f.lowerSize, Hash: f.lowerHash}}
}

// unpin ends what the last handle needed. Called with f.mu held.
func (f *File) unpin() {
	release(f.lower)
	f.lower = nil
}
