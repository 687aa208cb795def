package staging

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// imageModel is an image beside the bytes it must read as: the value of a byte
// is the number of the content it stands in; 0 is zeros, 255 the file below.
type imageModel struct {
	im    image
	bytes []byte
}

const fromBelow = 255

func (m imageModel) read(t *testing.T, off, end int64) []byte {
	t.Helper()
	var out []byte
	at := off
	err := m.im.each(off, end, func(from, to int64, src source, c *content) error {
		if from != at || to <= from {
			t.Fatalf("each gives [%d,%d) after %d", from, to, at)
		}
		at = to
		var v byte
		switch src {
		case fromContent:
			v = byte(c.id)
		case fromLower:
			v = fromBelow
		}
		out = append(out, bytes.Repeat([]byte{v}, int(to-from))...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (m imageModel) check(t *testing.T) {
	t.Helper()
	if m.im.size != int64(len(m.bytes)) {
		t.Fatalf("size %d, want %d", m.im.size, len(m.bytes))
	}
	if got := m.read(t, 0, m.im.size+7); !bytes.Equal(got, m.bytes) {
		t.Fatalf("reads %v\nwant  %v\npieces %v lower %d", got, m.bytes, m.im.pieces, m.im.lower)
	}
	at := int64(0)
	local := int64(0)
	for i, p := range m.im.pieces {
		if p.off < at || p.end <= p.off || p.end > m.im.size {
			t.Fatalf("piece %d is [%d,%d) after %d of %d", i, p.off, p.end, at, m.im.size)
		}
		if i > 0 && m.im.pieces[i-1].end == p.off && m.im.pieces[i-1].c == p.c {
			t.Fatalf("pieces %d and %d touch and are one", i-1, i)
		}
		if at = p.end; p.c != nil {
			local += p.end - p.off
		}
	}
	if m.im.local() != local || m.im.lower > m.im.size {
		t.Fatalf("local %d, want %d; lower %d of %d", m.im.local(), local, m.im.lower, m.im.size)
	}
}

// step changes the image and the model alike.
func (m imageModel) step(t *testing.T, rnd *rand.Rand, contents []*content) imageModel {
	grown := func(b []byte, n int64) []byte {
		return append(bytes.Clone(b), make([]byte, max(0, n-int64(len(b))))...)
	}
	if rnd.IntN(4) == 0 {
		size := rnd.Int64N(80)
		return imageModel{m.im.resized(size), grown(m.bytes, size)[:size]}
	}
	off := rnd.Int64N(60)
	end, c := off+rnd.Int64N(25), contents[rnd.IntN(len(contents))]
	im, news := m.im.with(off, end, c)
	if off == end {
		if news || !im.same(m.im) {
			t.Fatal("an empty write says something new")
		}
		return m
	}
	if !news && !im.same(m.im) {
		t.Fatal("nothing new, and yet another image")
	}
	id := byte(0)
	if c != nil {
		id = byte(c.id)
	}
	b := grown(m.bytes, end)
	changed := int64(len(b)) != m.im.size || !bytes.Equal(b[off:end], bytes.Repeat([]byte{id}, int(end-off)))
	if changed && !news {
		t.Fatal("other bytes, and nothing new")
	}
	copy(b[off:end], bytes.Repeat([]byte{id}, int(end-off)))
	return imageModel{im, b}
}

// TestImageRandom holds images against byte arrays, and old copies of them too:
// an image is a value.
func TestImageRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	contents := []*content{nil, {id: 1}, {id: 2}, {id: 3}}
	rounds := 1000
	if testing.Short() {
		rounds = 200
	}
	for range rounds {
		lower := rnd.Int64N(40)
		m := imageModel{image{size: lower, lower: lower}, bytes.Repeat([]byte{fromBelow}, int(lower))}
		if !m.im.whole(lower) {
			t.Fatal("an untouched image is not whole")
		}
		var old []imageModel
		for range 30 {
			old = append(old, m)
			m = m.step(t, rnd, contents)
			m.check(t)
			off := rnd.Int64N(90)
			end := off + rnd.Int64N(30)
			want := m.bytes[min(off, m.im.size):max(min(end, m.im.size), min(off, m.im.size))]
			if got := m.read(t, off, end); !bytes.Equal(got, want) {
				t.Fatalf("[%d,%d) reads %v, want %v", off, end, got, want)
			}
			for _, c := range contents[1:] {
				if got, want := m.im.uses(c, off, end), bytes.IndexByte(want, byte(c.id)) >= 0; got != want && off < end {
					t.Fatalf("uses(%d, %d, %d) is %v", c.id, off, end, got)
				}
			}
		}
		for _, m := range old {
			m.check(t)
		}
	}
}

// TestImageCutAndGrownHidesBelow: what a truncate took away does not come back.
func TestImageCutAndGrownHidesBelow(t *testing.T) {
	m := imageModel{im: image{size: 10, lower: 10}.resized(4).resized(10)}
	if got := m.read(t, 0, 10); !bytes.Equal(got, []byte{255, 255, 255, 255, 0, 0, 0, 0, 0, 0}) {
		t.Fatal(got)
	}
	if m.im.whole(10) {
		t.Fatal("it still counts as the file below")
	}
}
