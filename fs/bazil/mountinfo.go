package bazil

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A mountEntry is a line of /proc/self/mountinfo.
type mountEntry struct {
	id     string // of the mount
	minor  uint32 // of its device, which for FUSE is the connection's number
	dir    string
	fstype string
}

// mounts reads the list of mounts.
func mounts() ([]mountEntry, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []mountEntry
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		front, back, ok := strings.Cut(lines.Text(), " - ")
		fields, rest := strings.Fields(front), strings.Fields(back)
		if !ok || len(fields) < 5 || len(rest) < 1 {
			continue
		}
		_, minor, _ := strings.Cut(fields[2], ":")
		n, _ := strconv.ParseUint(minor, 10, 32)
		out = append(out, mountEntry{fields[0], uint32(n), unescape(fields[4]), rest[0]})
	}
	return out, lines.Err()
}

// unescape turns the octal escapes of mountinfo into bytes.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// findMount gives the topmost mount on a directory.
func findMount(dir string) (mountEntry, error) {
	list, err := mounts()
	if err != nil {
		return mountEntry{}, err
	}
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].dir == dir {
			return list[i], nil
		}
	}
	return mountEntry{}, fmt.Errorf("nothing is mounted on %s", dir)
}

// there says whether the mount still exists in this namespace.
func (e mountEntry) there() (bool, error) {
	list, err := mounts()
	if err != nil {
		return false, err
	}
	for _, x := range list {
		if x.id == e.id && x.minor == e.minor {
			return true, nil
		}
	}
	return false, nil
}
