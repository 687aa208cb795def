package test

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// onHandle does a step on an open descriptor: "read @f".
func (c *caller) onHandle(op string, fd int, a []string) string {
	var st unix.Stat_t
	switch op {
	case "stat":
		return described(unix.Fstat(fd, &st), &st)
	case "read":
		if _, err := unix.Seek(fd, 0, 0); err != nil {
			return result(err)
		}
		return readAll(fd)
	case "write":
		_, err := unix.Write(fd, []byte(a[0]))
		return result(err)
	case "pwrite":
		_, err := unix.Pwrite(fd, []byte(a[0]), int64(number(a[1])))
		return result(err)
	case "truncate":
		return result(unix.Ftruncate(fd, int64(number(a[0]))))
	case "chmod":
		return result(unix.Fchmod(fd, uint32(number(a[0]))))
	case "chown":
		return result(unix.Fchown(fd, int(number(a[0])), int(number(a[1]))))
	case "fsync":
		return result(unix.Fsync(fd))
	case "seek": // seek @f data|hole offset
		whence := map[string]int{"data": unix.SEEK_DATA, "hole": unix.SEEK_HOLE, "end": unix.SEEK_END}[a[0]]
		at, err := unix.Seek(fd, int64(number(a[1])), whence)
		return fmt.Sprint(result(err), " ", at)
	case "mkdirat":
		return result(unix.Mkdirat(fd, a[0], 0o755))
	case "createat":
		f, err := unix.Openat(fd, a[0], unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644)
		if err == nil {
			err = unix.Close(f)
		}
		return result(err)
	case "fchdir":
		return result(unix.Fchdir(fd))
	case "close":
		return result(unix.Close(fd))
	}
	return "no such step"
}

// described is what stat shows that does not depend on the file system: sizes
// and links of directories do.
func described(err error, st *unix.Stat_t) string {
	if err != nil {
		return result(err)
	}
	kind := map[uint32]string{unix.S_IFDIR: "dir", unix.S_IFREG: "file", unix.S_IFLNK: "link", unix.S_IFIFO: "fifo", unix.S_IFCHR: "device", unix.S_IFSOCK: "socket"}[st.Mode&unix.S_IFMT]
	s := fmt.Sprintf("%s %04o %d:%d", kind, st.Mode&0o7777, st.Uid, st.Gid)
	if kind == "file" {
		s += fmt.Sprintf(" %d bytes, links %d", st.Size, st.Nlink)
	}
	return s
}

func readAll(fd int) string {
	var out strings.Builder
	for buf := make([]byte, 4096); ; {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return result(err)
		}
		if n == 0 {
			return fmt.Sprintf("%q", out.String())
		}
		out.Write(buf[:n])
	}
}

var flagNames = map[string]int{
	"r": unix.O_RDONLY, "w": unix.O_WRONLY, "rw": unix.O_RDWR, "creat": unix.O_CREAT, "excl": unix.O_EXCL, "trunc": unix.O_TRUNC,
	"append": unix.O_APPEND, "dir": unix.O_DIRECTORY, "nofollow": unix.O_NOFOLLOW, "path": unix.O_PATH, "tmpfile": unix.O_TMPFILE, "direct": unix.O_DIRECT,
}

func openFlags(s string) (flags int) {
	for _, name := range strings.Split(s, "|") {
		f, ok := flagNames[name]
		if !ok {
			panic("no flag " + name)
		}
		flags |= f
	}
	return flags
}
