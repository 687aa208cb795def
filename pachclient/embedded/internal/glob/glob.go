package glob

import "strings"

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

// Match says whether the whole path matches.
func (g *Glob) Match(path string) bool {
	if !strings.HasPrefix(path, g.prefix) {
		return false
	}
	at := make(positions, len(path)+1)
	at[0] = true
	return g.root.move(path, at)[len(path)]
}

// positions are offsets in the path, from 0 to its length.
type positions []bool

// A matcher moves positions over what it matches.
type matcher interface {
	move(s string, from positions) positions
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

func (m seq) move(s string, at positions) positions {
	for _, x := range m {
		at = x.move(s, at)
	}
	return at
}

func (m either) move(s string, from positions) positions {
	to := make(positions, len(from))
	for _, x := range m {
		to.add(x.move(s, from))
	}
	return to
}

// add puts more positions in, and says whether any was new.
func (p positions) add(more positions) bool {
	grown := false
	for i, ok := range more {
		if ok && !p[i] {
			p[i], grown = true, true
		}
	}
	return grown
}

func (m literal) move(s string, from positions) positions {
	to := make(positions, len(from))
	for i, ok := range from {
		if ok && strings.HasPrefix(s[i:], string(m)) {
			to[i+len(m)] = true
		}
	}
	return to
}

func (any1) move(s string, from positions) positions {
	return step(from, func(i int) bool { return s[i] != '/' })
}

func (m class) move(s string, from positions) positions {
	return step(from, func(i int) bool {
		for _, r := range m.ranges {
			if r.lo <= s[i] && s[i] <= r.hi {
				return !m.not
			}
		}
		return m.not && s[i] != '/'
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

func (m star) move(s string, from positions) positions {
	to := make(positions, len(from))
	in := false
	for i := range from {
		if i > 0 && s[i-1] == '/' && !m.slash {
			in = false
		}
		in = in || from[i]
		to[i] = in
	}
	return to
}

func (m repeat) move(s string, from positions) positions {
	switch m.op {
	case '!':
		return m.none(s, from)
	case '@':
		return m.body.move(s, from)
	}
	to := make(positions, len(from))
	if m.op != '+' {
		to.add(from)
	}
	for next := m.body.move(s, from); to.add(next) && m.op != '?'; {
		next = m.body.move(s, next)
	}
	return to
}

// none moves from each position to every later one of the same element, but
// not over what the body matches.
func (m repeat) none(s string, from positions) positions {
	to := make(positions, len(from))
	for i, ok := range from {
		if !ok {
			continue
		}
		start := make(positions, len(from))
		start[i] = true
		matched := m.body.move(s, start)
		for j := i; j < len(from); j++ {
			if !matched[j] {
				to[j] = true
			}
			if j < len(s) && s[j] == '/' {
				break
			}
		}
	}
	return to
}
