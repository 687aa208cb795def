package wire

import "strings"

// globMeta are the bytes that mean something in a pattern of the server's.
const globMeta = `\*?[]{}!()@+^,|`

// Literal gives a pattern that matches just this path. GetFile takes patterns,
// and uses what stands before the first glob character as a prefix without
// un-escaping it: so a name that needs escapes goes into braces whole.
func Literal(path string) string {
	if !strings.ContainsAny(path, `\*?[]{}!()@+^`) {
		return path
	}
	var b strings.Builder
	b.WriteString("/{")
	for _, c := range []byte(strings.TrimPrefix(path, "/")) {
		if strings.IndexByte(globMeta, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	b.WriteByte('}')
	return b.String()
}
