package names

import (
	"fmt"
	"strings"

	"pachfs/pachclient"
)

// refused is F: the bytes that can't stand in a stored name, but for NUL and
// the slash, which can't stand in any.
var refused = func() (f [256]bool) {
	for b := 1; b < 256; b++ {
		f[b] = b != '/' && pachclient.ValidName("a"+string([]byte{byte(b)})) != nil
	}
	return f
}()

const hexDigits = "0123456789ABCDEF"

// Encode gives the stored form of a name, or of a path.
func Encode(shown string) string {
	if !strings.ContainsRune(shown, '%') && !special(shown) {
		return shown
	}
	var b strings.Builder
	for i := 0; i < len(shown); {
		c := shown[i]
		if n, _ := token(shown[i:]); n > 0 {
			b.WriteString("%25" + shown[i+1:i+n])
			i += n
			continue
		}
		if refused[c] {
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		} else {
			b.WriteByte(c)
		}
		i++
	}
	return b.String()
}

// Decode gives the name, or the path, that is shown for a stored one. An
// element that Pachyderm would not have taken is shown as it is.
func Decode(stored string) string {
	switch {
	case !strings.ContainsRune(stored, '%'):
		return stored
	case !special(stored):
		return decode(stored)
	}
	elems := strings.Split(stored, "/")
	for i, e := range elems {
		if !special(e) {
			elems[i] = decode(e)
		}
	}
	return strings.Join(elems, "/")
}

func decode(stored string) string {
	var b strings.Builder
	for i := 0; i < len(stored); {
		n, of := token(stored[i:])
		switch {
		case n == 0:
			b.WriteByte(stored[i])
			n = 1
		case n == 3:
			b.WriteByte(of)
		default:
			b.WriteString("%" + stored[i+3:i+n])
		}
		i += n
	}
	return b.String()
}

// token gives the length of the token that s begins with, and the byte that it
// stands for; 0 when there is none.
func token(s string) (n int, of byte) {
	if s == "" || s[0] != '%' {
		return 0, 0
	}
	n = 1
	for strings.HasPrefix(s[n:], "25") {
		n += 2
	}
	if len(s) < n+2 {
		return 0, 0
	}
	hi, lo := strings.IndexByte(hexDigits, s[n]), strings.IndexByte(hexDigits, s[n+1])
	if hi < 0 || lo < 0 || !refused[hi<<4|lo] {
		return 0, 0
	}
	return n + 2, byte(hi<<4 | lo)
}

// special says whether a byte of F is in s.
func special(s string) bool {
	for i := 0; i < len(s); i++ {
		if refused[s[i]] {
			return true
		}
	}
	return false
}

// ValidName is pachclient.ValidName for names that are stored encoded: nil for
// everything that a local file system takes.
func ValidName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("name %q: %w", name, pachclient.ErrBadName)
	}
	return nil
}
