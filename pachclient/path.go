package pachclient

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Path is a path in a report. Paths are bytes, while reports are lines and
// JSON: a byte that is no UTF-8 is in JSON the escape \udcXX, as Python's
// os.fsdecode has it, and is read back as the byte.
type Path string

// Paths are several.
type Paths []string

// Line gives the path on one line: as it is, or, if it has control characters
// or begins with a quotation mark, in quotation marks and with escapes.
func (p Path) Line() string {
	if strings.ContainsFunc(string(p), unicode.IsControl) || strings.HasPrefix(string(p), `"`) {
		return strconv.Quote(string(p))
	}
	return string(p)
}

// Lines is Line of each.
func (ps Paths) Lines() []string {
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = Path(p).Line()
	}
	return out
}

func (p Path) MarshalJSON() ([]byte, error) {
	out := []byte{'"'}
	for rest := string(p); rest != ""; {
		n := 0
		for n < len(rest) {
			r, size := utf8.DecodeRuneInString(rest[n:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			n += size
		}
		text, err := json.Marshal(rest[:n])
		if err != nil {
			return nil, err
		}
		out = append(out, text[1:len(text)-1]...)
		if rest = rest[n:]; rest != "" {
			out = fmt.Appendf(out, `\udc%02x`, rest[0])
			rest = rest[1:]
		}
	}
	return append(out, '"'), nil
}

func (p *Path) UnmarshalJSON(b []byte) error {
	var out strings.Builder
	text := func(chunk []byte) error {
		var s string
		err := json.Unmarshal(append(append([]byte{'"'}, chunk...), '"'), &s)
		out.WriteString(s)
		return err
	}
	if len(b) < 2 || b[0] != '"' {
		return json.Unmarshal(b, (*string)(p))
	}
	b = b[1 : len(b)-1]
	from := 0
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		switch u := escaped(b[i:]); {
		case u >= 0xd800 && u < 0xdc00 && escaped(b[i+6:]) >= 0xdc00: // half of a pair
			i += 11
		case u >= 0xdc80 && u < 0xdd00:
			if err := text(b[from:i]); err != nil {
				return err
			}
			out.WriteByte(byte(u))
			from = i + 6
			i += 5
		default:
			i++ // over what is escaped
		}
	}
	err := text(b[from:])
	*p = Path(out.String())
	return err
}

// escaped gives the number of a \uXXXX that b begins with; 0 when it doesn't.
func escaped(b []byte) uint64 {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0
	}
	u, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return u
}

func (ps Paths) MarshalJSON() ([]byte, error) {
	out := make([]Path, len(ps))
	for i, p := range ps {
		out[i] = Path(p)
	}
	return json.Marshal(out)
}

func (ps *Paths) UnmarshalJSON(b []byte) error {
	var in []Path
	err := json.Unmarshal(b, &in)
	*ps = nil
	for _, p := range in {
		*ps = append(*ps, string(p))
	}
	return err
}
