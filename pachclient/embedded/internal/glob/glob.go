package glob

import (
	"errors"
	"math/bits"
	"strings"
)

// special are the characters that end the literal prefix of a pattern.
const special = "*?[]{}!()@+^"

// A Glob is a compiled pattern.
type Glob struct {
	prefix string
	root   seq
}

// Compile reads a pattern.
func Compile(pattern string) (*Glob, error) {
	p := &parser{s: pattern}
	root, err := p.sequence("")
	if err != nil {
		return nil, err
	}
	prefix := pattern
	if i := strings.IndexAny(pattern, special); i >= 0 {
		prefix = pattern[:i]
	}
	return &Glob{prefix: prefix, root: root}, nil
}

// Literal says whether a pattern can match nothing but itself.
func Literal(pattern string) bool { return !strings.ContainsAny(pattern, special+`\`) }

// Prefix is what every match begins with. As in Pachyderm its backslashes are
// taken as they stand: a pattern that escapes something before its first
// special character matches nothing.
func (g *Glob) Prefix() string { return g.prefix }

// ErrHard: to tell whether a path matches would take more than mostWork.
var ErrHard = errors.New("the pattern is too hard to match against a path as long as this")

// mostWork is how many steps of one byte a match may take, which bounds its
// memory as well: a part of a second, and some 8 MiB.
const mostWork = 1 << 26

// Match says whether the whole path matches. It fails with ErrHard.
func (g *Glob) Match(path string) (bool, error) {
	if !strings.HasPrefix(path, g.prefix) {
		return false, nil
	}
	at := make(positions, len(path)+1)
	at[0] = true
	r := &run{s: path}
	at = g.root.move(r, at)
	if r.work > mostWork {
		return false, ErrHard
	}
	return at[len(path)], nil
}

// A run matches one path. It remembers where the body of a repeat leads from
// each position: without that, nested ones would be tried again and again, and
// the time would grow with the power of their depth.
type run struct {
	s     string
	steps map[start]bitset
	work  int // steps so far; beyond mostWork nothing matches any more
}

type start struct {
	m *repeat
	i int
}

func (r *run) step(m *repeat, i int) bitset {
	if to, ok := r.steps[start{m, i}]; ok {
		return to
	}
	if r.steps == nil {
		r.steps = make(map[start]bitset)
	}
	from := make(positions, len(r.s)+1)
	from[i] = true
	to := pack(m.body.move(r, from))
	r.steps[start{m, i}] = to
	return to
}

// positions are offsets in the path, from 0 to its length.
type positions []bool

// A bitset is positions that are kept, in little room.
type bitset []uint64

func pack(p positions) bitset {
	b := make(bitset, (len(p)+63)/64)
	for i, ok := range p {
		if ok {
			b[i/64] |= 1 << (i % 64)
		}
	}
	return b
}

func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitset) all(yield func(i int) bool) {
	for w, word := range b {
		for ; word != 0; word &= word - 1 {
			if !yield(w*64 + bits.TrailingZeros64(word)) {
				return
			}
		}
	}
}

// A matcher moves positions over what it matches.
type matcher interface {
	move(r *run, from positions) positions
}

type (
	seq     []matcher
	either  []seq
	literal string
	any1    struct{}
	class   struct {
		not    bool
		ranges []byteRange
	}
	star struct{ slash bool }
	// repeat is an extended form: @ once, ? at most once, + at least once,
	// * any number of times, ! anything else.
	repeat struct {
		op   byte
		body either
	}
)

type byteRange struct{ lo, hi byte }

func (m seq) move(r *run, at positions) positions {
	for _, x := range m {
		if r.work += len(at); r.work > mostWork {
			return make(positions, len(at))
		}
		at = x.move(r, at)
	}
	return at
}

func (m either) move(r *run, from positions) positions {
	to := make(positions, len(from))
	for _, x := range m {
		to.add(x.move(r, from))
	}
	return to
}

// add puts more positions in.
func (p positions) add(more positions) {
	for i, ok := range more {
		p[i] = p[i] || ok
	}
}

func (m literal) move(r *run, from positions) positions {
	to := make(positions, len(from))
	for i, ok := range from {
		if ok && strings.HasPrefix(r.s[i:], string(m)) {
			to[i+len(m)] = true
		}
	}
	return to
}

func (any1) move(r *run, from positions) positions {
	return step(from, func(i int) bool { return r.s[i] != '/' })
}

func (m class) move(r *run, from positions) positions {
	return step(from, func(i int) bool {
		for _, x := range m.ranges {
			if x.lo <= r.s[i] && r.s[i] <= x.hi {
				return !m.not
			}
		}
		return m.not && r.s[i] != '/'
	})
}

// step moves over one byte where ok allows it.
func step(from positions, ok func(i int) bool) positions {
	to := make(positions, len(from))
	for i := range len(from) - 1 {
		to[i+1] = from[i] && ok(i)
	}
	return to
}

func (m star) move(r *run, from positions) positions {
	to := make(positions, len(from))
	in := false
	for i := range from {
		if i > 0 && r.s[i-1] == '/' && !m.slash {
			in = false
		}
		in = in || from[i]
		to[i] = in
	}
	return to
}

func (m *repeat) move(r *run, from positions) positions {
	switch m.op {
	case '!':
		return m.none(r, from)
	case '@':
		return m.body.move(r, from)
	case '?':
		to := m.body.move(r, from)
		to.add(from)
		return to
	}
	to := make(positions, len(from))
	var todo []int
	reach := func(i int) {
		for j := range r.step(m, i).all {
			if !to[j] {
				to[j] = true
				todo = append(todo, j)
			}
		}
	}
	for i, ok := range from {
		if ok {
			reach(i)
		}
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		reach(i)
	}
	if m.op == '*' {
		to.add(from)
	}
	return to
}

// none moves from each position to every later one of the same element, but
// not over what the body matches.
func (m *repeat) none(r *run, from positions) positions {
	to := make(positions, len(from))
	for i, ok := range from {
		if !ok {
			continue
		}
		matched := r.step(m, i)
		for j := i; j < len(from); j++ {
			if !matched.has(j) {
				to[j] = true
			}
			if j < len(r.s) && r.s[j] == '/' {
				break
			}
		}
	}
	return to
}
