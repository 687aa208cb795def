package staging

import "sort"

// A piece says that the bytes [off, end) of a file are local: they stand at
// the same offsets of a content file. A nil content means zeros.
type piece struct {
	off, end int64
	c        *content
}

// A span is a part of a file; one that ends where it begins is empty.
type span struct{ off, end int64 }

func (s span) empty() bool { return s.end <= s.off }

// tried gives what is still to be written after a write to [off, end), which
// failed or did not.
func (s span) tried(off, end int64, err error) span {
	switch {
	case err != nil && s.empty():
		return span{off, end}
	case err != nil:
		return span{min(s.off, off), max(s.end, end)}
	case off <= s.off:
		s.off = max(s.off, end)
	case end >= s.end:
		s.end = min(s.end, off)
	}
	return s
}

// cut gives what is still to be written of a file that is so long now.
func (s span) cut(size int64) span {
	s.end = min(s.end, size)
	return s
}

// An image is what a file reads as: its pieces; where there is none, the file
// below as far as it shows through; beyond that, zeros. Images are values: a
// method never changes the pieces of another copy.
type image struct {
	pieces []piece // sorted, disjoint, not empty, none reaches beyond size
	size   int64
	lower  int64 // [0, lower) of the file below shows through
}

// with returns the image after [off, end) came to stand in c, and whether that
// says anything new.
func (im image) with(off, end int64, c *content) (image, bool) {
	if off >= end {
		return im, false
	}
	i := sort.Search(len(im.pieces), func(i int) bool { return im.pieces[i].end >= off })
	if i < len(im.pieces) {
		if p := im.pieces[i]; p.c == c && p.off <= off && end <= p.end {
			return im, false
		}
	}
	out := make([]piece, 0, len(im.pieces)+2)
	out = append(out, im.pieces[:i]...)
	fresh := piece{off, end, c}
	for ; i < len(im.pieces); i++ {
		p := im.pieces[i]
		if p.off > end || (p.off == end && p.c != c) {
			break
		}
		if p.c == c { // touching or overlapping, same content: one piece
			fresh.off, fresh.end = min(fresh.off, p.off), max(fresh.end, p.end)
			continue
		}
		if p.off < off {
			out = append(out, piece{p.off, min(p.end, off), p.c})
		}
		if p.end > end {
			out = append(out, fresh, piece{max(p.off, end), p.end, p.c})
			out = append(out, im.pieces[i+1:]...)
			return image{out, max(im.size, end), im.lower}, true
		}
	}
	out = append(out, fresh)
	out = append(out, im.pieces[i:]...)
	return image{out, max(im.size, end), im.lower}, true
}

// resized returns the image cut, or made longer with zeros.
func (im image) resized(size int64) image {
	if size >= im.size {
		return image{im.pieces, size, im.lower}
	}
	i := sort.Search(len(im.pieces), func(i int) bool { return im.pieces[i].end > size })
	out := append(make([]piece, 0, i+1), im.pieces[:i]...)
	if i < len(im.pieces) && im.pieces[i].off < size {
		out = append(out, piece{im.pieces[i].off, size, im.pieces[i].c})
	}
	return image{out, size, min(im.lower, size)}
}

// each calls fn with the parts that make up [off, end), cut to the file's
// size, in order. src tells where the bytes of a part come from.
func (im image) each(off, end int64, fn func(off, end int64, src source, c *content) error) error {
	end = min(end, im.size)
	i := sort.Search(len(im.pieces), func(i int) bool { return im.pieces[i].end > off })
	for off < end {
		next := end // where the gap before the next piece ends
		if i < len(im.pieces) {
			if p := im.pieces[i]; p.off <= off {
				stop := min(p.end, end)
				src := fromContent
				if p.c == nil {
					src = fromZeros
				}
				if err := fn(off, stop, src, p.c); err != nil {
					return err
				}
				off, i = stop, i+1
				continue
			} else {
				next = min(next, p.off)
			}
		}
		src := fromZeros
		if off < im.lower {
			src, next = fromLower, min(next, im.lower)
		}
		if err := fn(off, next, src, nil); err != nil {
			return err
		}
		off = next
	}
	return nil
}

// uses says whether any byte of [off, end) is read from c.
func (im image) uses(c *content, off, end int64) bool {
	i := sort.Search(len(im.pieces), func(i int) bool { return im.pieces[i].end > off })
	for ; i < len(im.pieces) && im.pieces[i].off < end; i++ {
		if im.pieces[i].c == c {
			return true
		}
	}
	return false
}

// local counts the bytes that stand on the local disk.
func (im image) local() (n int64) {
	for _, p := range im.pieces {
		if p.c != nil {
			n += p.end - p.off
		}
	}
	return n
}

// whole says whether the image reads exactly as a file below of this size.
func (im image) whole(size int64) bool {
	return len(im.pieces) == 0 && im.size == size && im.lower == size
}

// extends says whether the image reads as a file below of this size with
// something appended, or nothing.
func (im image) extends(size int64) bool {
	return im.lower == size && im.size >= size && (len(im.pieces) == 0 || im.pieces[0].off >= size)
}

// same says whether two images read the same by construction.
func (im image) same(o image) bool {
	if im.size != o.size || im.lower != o.lower || len(im.pieces) != len(o.pieces) {
		return false
	}
	for i := range im.pieces {
		if im.pieces[i] != o.pieces[i] {
			return false
		}
	}
	return true
}

// A source says where a part of an image comes from.
type source uint8

const (
	fromZeros source = iota
	fromContent
	fromLower
)
