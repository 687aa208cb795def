package staging

import (
	"io"
	"slices"
)

// The contents of one file that may pile up before they are merged.
const maxContents = 8

// merge moves the bytes of many contents into one. Called with f.mu held and
// stable being what readers see.
func (f *File) merge() error {
	if len(f.owned) <= maxContents {
		return nil
	}
	into, err := f.mergeInto()
	if into == nil {
		return err
	}
	im, err := f.copyPieces(into)
	if err != nil {
		return err
	}
	f.im, f.stable, f.cur = im, im, into
	f.markUnsynced()
	for c := range f.owned {
		if c != into && !c.isFrozen() {
			delete(f.owned, c)
			f.retired = append(f.retired, c)
		}
	}
	if f.held != nil && f.held != into {
		f.drop()
	}
	return nil
}

// mergeInto chooses a content where the bytes of all others can be written
// over what nobody needs; nil when there is nothing to be gained.
func (f *File) mergeInto() (*content, error) {
	some := false
	for _, p := range f.im.pieces {
		if p.c == nil || p.c.isFrozen() {
			continue
		}
		some = true
		if !slices.ContainsFunc(f.im.pieces, func(q piece) bool {
			return q.c != nil && q.c != p.c && !q.c.isFrozen() && f.needs(p.c, q.off, q.end)
		}) {
			return p.c, nil
		}
	}
	if !some {
		return nil, nil
	}
	c, err := f.o.newContent()
	if err == nil {
		f.adopt(c)
	}
	return c, err
}

// copyPieces writes every other local byte into one content and records that.
func (f *File) copyPieces(into *content) (image, error) {
	dst, err := into.use()
	if err != nil {
		return image{}, err
	}
	defer into.done()
	im, rs := f.im, []record{}
	buf := make([]byte, 256<<10)
	for _, p := range f.im.pieces {
		if p.c == into || p.c == nil || p.c.isFrozen() {
			continue
		}
		for off := p.off; off < p.end; off += int64(len(buf)) {
			part := buf[:min(int64(len(buf)), p.end-off)]
			if _, err := p.c.readAt(part, off); err != nil && err != io.EOF {
				return im, err
			}
			if _, err := dst.WriteAt(part, off); err != nil {
				return im, err
			}
		}
		im, _ = im.with(p.off, p.end, into)
		rs = append(rs, record{Op: opExtent, File: f.id, Content: into.id, Off: p.off, End: p.end})
	}
	rs = append(rs, record{Op: opStable, File: f.id})
	return im, f.layer.j.append(rs...)
}
