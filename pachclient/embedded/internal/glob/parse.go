package glob

import (
	"errors"
	"strings"
)

// maxDepth bounds how deep a pattern may nest.
const maxDepth = 100

var (
	errEnd  = errors.New("unexpected end of input")
	errDeep = errors.New("the pattern nests too deep")
)

type parser struct {
	s     string
	i     int
	depth int
}

func (p *parser) more() bool { return p.i < len(p.s) }

// sequence reads up to one of the bytes in end, which it leaves, or to the end.
func (p *parser) sequence(end string) (seq, error) {
	var m seq
	for p.more() && strings.IndexByte(end, p.s[p.i]) < 0 {
		x, err := p.one()
		if err != nil {
			return nil, err
		}
		m = m.with(x)
	}
	if end != "" && !p.more() {
		return nil, errEnd
	}
	return m, nil
}

// with appends a matcher; a run of literals becomes one.
func (m seq) with(x matcher) seq {
	if next, ok := x.(literal); ok && len(m) > 0 {
		if last, ok := m[len(m)-1].(literal); ok {
			m[len(m)-1] = last + next
			return m
		}
	}
	return append(m, x)
}

func (p *parser) one() (matcher, error) {
	c := p.s[p.i]
	p.i++
	if strings.IndexByte("@+?*!", c) >= 0 && p.more() && p.s[p.i] == '(' {
		p.i++
		body, err := p.alternatives('|', ')')
		return &repeat{c, body}, err
	}
	switch c {
	case '\\':
		if !p.more() {
			return nil, errEnd
		}
		p.i++
		return literal(p.s[p.i-1 : p.i]), nil
	case '*':
		deep := false
		for p.more() && p.s[p.i] == '*' {
			deep = true
			p.i++
		}
		return star{slash: deep}, nil
	case '?':
		return any1{}, nil
	case '[':
		return p.class()
	case '{':
		return p.alternatives(',', '}')
	}
	return literal(p.s[p.i-1 : p.i]), nil
}

func (p *parser) alternatives(sep, end byte) (either, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, errDeep
	}
	defer func() { p.depth-- }()
	var m either
	for {
		x, err := p.sequence(string([]byte{sep, end}))
		if err != nil {
			return nil, err
		}
		m = append(m, x)
		p.i++
		if p.s[p.i-1] == end {
			return m, nil
		}
	}
}

func (p *parser) class() (matcher, error) {
	var m class
	if p.more() && (p.s[p.i] == '!' || p.s[p.i] == '^') {
		m.not = true
		p.i++
	}
	for first := true; ; first = false {
		if !p.more() {
			return nil, errEnd
		}
		if p.s[p.i] == ']' && !first {
			p.i++
			return m, nil
		}
		lo, err := p.classByte()
		if err != nil {
			return nil, err
		}
		hi := lo
		if p.i+1 < len(p.s) && p.s[p.i] == '-' && p.s[p.i+1] != ']' {
			p.i++
			if hi, err = p.classByte(); err != nil {
				return nil, err
			}
		}
		m.ranges = append(m.ranges, byteRange{lo, hi})
	}
}

func (p *parser) classByte() (byte, error) {
	if p.s[p.i] == '\\' {
		p.i++
	}
	if !p.more() {
		return 0, errEnd
	}
	p.i++
	return p.s[p.i-1], nil
}
