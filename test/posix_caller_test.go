package test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A caller does system calls in a directory, one a line ("rename a b"), as
// whatever user, and notes what each gave. It lives on a thread of its own, that has a
// working directory, a umask and a user of its own and ends with it.
type caller struct {
	fds   map[string]int
	times map[string][2]unix.Timespec
	out   []string
}

// calls does the lines of a script in dir and gives "line: result" for each.
// At a line "--" it calls between.
func calls(dir, script string, between func()) []string {
	done := make(chan []string)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		c := &caller{fds: map[string]int{}, times: map[string][2]unix.Timespec{}}
		defer func() { done <- c.out }()
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			c.out = append(c.out, "unshare: "+err.Error())
			return
		}
		if err := unix.Chdir(dir); err != nil {
			c.out = append(c.out, "chdir: "+err.Error())
			return
		}
		unix.Umask(0)
		for line := range strings.Lines(script) {
			if line = strings.TrimSpace(line); line == "--" {
				between()
			} else if line != "" {
				c.out = append(c.out, line+": "+c.call(strings.Fields(line)))
			}
		}
		for _, fd := range c.fds {
			unix.Close(fd)
		}
		become("0:0")
		unix.Chdir("/") // the first thread of a process does not end: it must not stand on a mount
	}()
	return <-done
}

// become makes this thread another user's; 0 stays the saved one, to come back.
func become(who string) error {
	u, g, _ := strings.Cut(who, ":")
	uid, gid := number(u), number(g)
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, 0, 0, 0); e != 0 {
		return e
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); e != 0 {
		return e
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, 0); e != 0 {
		return e
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, 0); e != 0 {
		return e
	}
	return nil
}

func number(s string) uintptr {
	n, err := strconv.ParseInt(s, 0, 64) // -1 is one; modes are octal with their 0
	if err != nil {
		panic(err)
	}
	return uintptr(n)
}

// long stands for what is tedious to write: a name of n bytes, or a path longer than any.
func long(s string) string {
	s = strings.ReplaceAll(s, "{255}", strings.Repeat("n", 255))
	s = strings.ReplaceAll(s, "{256}", strings.Repeat("n", 256))
	return strings.ReplaceAll(s, "{path}", strings.Repeat("./", 2048)+"f")
}

func result(err error) string {
	if e, ok := err.(syscall.Errno); ok {
		return unix.ErrnoName(e)
	} else if err != nil {
		return err.Error()
	}
	return "ok"
}

func (c *caller) call(a []string) string {
	op := a[0]
	for i := range a {
		a[i] = long(a[i])
	}
	if name, ok := strings.CutPrefix(a[min(1, len(a)-1)], "@"); ok && op != "open" {
		fd, known := c.fds[name]
		if !known {
			return "EBADF"
		}
		if op == "close" {
			delete(c.fds, name)
		}
		return c.onHandle(op, fd, a[2:])
	}
	if arg := a[1:]; len(arg) > 0 {
		if do := onPath[op]; do != nil {
			return result(do(arg))
		}
		if say := aboutPath[op]; say != nil {
			return say(c, arg)
		}
	}
	return "no such step"
}

// The calls that take paths and give nothing but an error.
var onPath = map[string]func(a []string) error{
	"as":       func(a []string) error { return become(a[0]) },
	"umask":    func(a []string) error { unix.Umask(int(number(a[0]))); return nil },
	"mkdir":    func(a []string) error { return unix.Mkdir(a[0], uint32(number(a[1]))) },
	"rmdir":    func(a []string) error { return unix.Rmdir(a[0]) },
	"unlink":   func(a []string) error { return unix.Unlink(a[0]) },
	"rename":   func(a []string) error { return unix.Rename(a[0], a[1]) },
	"link":     func(a []string) error { return unix.Link(a[0], a[1]) },
	"symlink":  func(a []string) error { return unix.Symlink(a[0], a[1]) },
	"mkfifo":   func(a []string) error { return unix.Mkfifo(a[0], 0o644) },
	"mknod":    func(a []string) error { return unix.Mknod(a[0], unix.S_IFCHR|0o644, 0x103) },
	"mkfile":   func(a []string) error { return unix.Mknod(a[0], unix.S_IFREG|0o644, 0) },
	"mksock":   func(a []string) error { return unix.Mknod(a[0], unix.S_IFSOCK|0o644, 0) },
	"chmod":    func(a []string) error { return unix.Chmod(a[0], uint32(number(a[1]))) },
	"chown":    func(a []string) error { return unix.Chown(a[0], int(number(a[1])), int(number(a[2]))) },
	"truncate": func(a []string) error { return unix.Truncate(a[0], int64(number(a[1]))) },
	"chdir":    func(a []string) error { return unix.Chdir(a[0]) },
	"access": func(a []string) error {
		return unix.Faccessat(unix.AT_FDCWD, a[0], uint32(number(a[1])), unix.AT_EACCESS)
	},
	"exchange": func(a []string) error {
		return unix.Renameat2(unix.AT_FDCWD, a[0], unix.AT_FDCWD, a[1], unix.RENAME_EXCHANGE)
	},
	"renamenew": func(a []string) error {
		return unix.Renameat2(unix.AT_FDCWD, a[0], unix.AT_FDCWD, a[1], unix.RENAME_NOREPLACE)
	},
	"utimens": func(a []string) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, a[0], []unix.Timespec{moment(a[1]), moment(a[2])}, 0)
	},
	"gone": func(a []string) error { // takes away what a mount may have refused to make
		if unix.Unlink(a[0]) != nil {
			unix.Rmdir(a[0])
		}
		return nil
	},
	"create": func(a []string) error {
		fd, err := unix.Open(a[0], unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, uint32(number(a[1])))
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	},
	"write": func(a []string) error {
		fd, err := unix.Open(a[0], unix.O_CREAT|unix.O_TRUNC|unix.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		if _, err = unix.Write(fd, []byte(a[1])); err != nil {
			return err
		}
		return unix.Close(fd)
	},
}

// moment is seconds.nanoseconds, now or omit.
func moment(s string) unix.Timespec {
	switch s {
	case "now":
		return unix.Timespec{Nsec: unix.UTIME_NOW}
	case "omit":
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	sec, nsec, _ := strings.Cut(s, ".")
	return unix.Timespec{Sec: int64(number(sec)), Nsec: int64(number("1"+nsec)) - int64(number("1"+strings.Repeat("0", len(nsec))))}
}

// What says more than an error.
var aboutPath = map[string]func(c *caller, a []string) string{
	"open": func(c *caller, a []string) string { // open @name path flags mode, or open path flags mode
		name, keep := strings.CutPrefix(a[0], "@")
		if keep {
			a = a[1:]
		}
		fd, err := unix.Open(a[0], openFlags(a[1]), uint32(number(append(a, "0")[2])))
		if old, known := c.fds[name]; err == nil && known {
			unix.Close(old)
		}
		if err == nil && keep {
			c.fds[name] = fd
		} else if err == nil {
			err = unix.Close(fd)
		}
		return result(err)
	},
	"stat": func(c *caller, a []string) string {
		var st unix.Stat_t
		return described(unix.Lstat(a[0], &st), &st)
	},
	"mtime": func(c *caller, a []string) string {
		var st unix.Stat_t
		err := unix.Lstat(a[0], &st)
		return fmt.Sprint(result(err), " ", st.Mtim.Sec, ".", st.Mtim.Nsec)
	},
	"read": func(c *caller, a []string) string {
		fd, err := unix.Open(a[0], unix.O_RDONLY, 0)
		if err != nil {
			return result(err)
		}
		defer unix.Close(fd)
		return readAll(fd)
	},
	"list": func(c *caller, a []string) string {
		entries, err := os.ReadDir(a[0])
		if err != nil {
			return result(err.(*os.PathError).Err)
		}
		var out []string
		for _, e := range entries {
			out = append(out, e.Name())
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	},
	"times": func(c *caller, a []string) string { // remembers, for "changed"
		var st unix.Stat_t
		err := unix.Lstat(a[0], &st)
		c.times[a[0]] = [2]unix.Timespec{st.Mtim, st.Ctim}
		time.Sleep(20 * time.Millisecond)
		return result(err)
	},
	"changed": func(c *caller, a []string) string {
		var st unix.Stat_t
		err := unix.Lstat(a[0], &st)
		was := c.times[a[0]]
		return fmt.Sprintf("%s mtime %t", result(err), st.Mtim != was[0])
	},
	"ctime": func(c *caller, a []string) string {
		var st unix.Stat_t
		err := unix.Lstat(a[0], &st)
		return fmt.Sprintf("%s changed %t", result(err), st.Ctim != c.times[a[0]][1])
	},
}
