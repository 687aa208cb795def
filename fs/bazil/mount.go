package bazil

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"bazil.org/fuse"

	"pachfs/fs"
)

// Options say how to mount.
type Options struct {
	AllowOther bool
	ReadOnly   bool
	Source     string // what mount(8) shows in the first column
	Logger     *slog.Logger
}

// A Mounted is a mount that this process serves.
type Mounted struct {
	dir  string
	conn *fuse.Conn
	s    *server
	id   mountEntry
	gone chan struct{}
	stop chan struct{}
	once sync.Once
}

// maxReadahead is how much the kernel may read ahead of a sequential reader,
// and maxBackground how many such reads it may have under way.
const (
	maxReadahead  = 1 << 20
	maxBackground = 64
)

// Mount mounts the tree on a directory that exists and is empty. A mount of a
// pachfs that died there is taken away first.
func Mount(dir string, t *fs.Tree, o Options) (*Mounted, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := Preflight(dir, o.Logger)
	if err != nil {
		return nil, err
	}
	opts := []fuse.MountOption{fuse.Subtype("pachfs"), fuse.FSName(o.Source), fuse.DefaultPermissions(),
		fuse.MaxReadahead(maxReadahead), fuse.AsyncRead(), fuse.MaxBackground(maxBackground), fuse.CongestionThreshold(maxBackground * 3 / 4)}
	if o.AllowOther {
		opts = append(opts, fuse.AllowOther())
	}
	if o.ReadOnly {
		opts = append(opts, fuse.ReadOnly())
	}
	conn, err := mountQuietly(dir, opts)
	if err != nil {
		return nil, explain(dir, o, err)
	}
	id, err := findMount(dir)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	m := &Mounted{dir: dir, conn: conn, id: id, gone: make(chan struct{}), stop: make(chan struct{}),
		s: &server{conn: conn, tree: t, log: o.Logger}}
	go m.watch()
	go m.s.notify(m.stop)
	return m, nil
}

// mountQuietly keeps what fusermount3 says out of the standard logger, which
// is where the library puts it, and makes it part of the error.
func mountQuietly(dir string, opts []fuse.MountOption) (*fuse.Conn, error) {
	var said strings.Builder
	log.SetOutput(&said)
	defer log.SetOutput(os.Stderr)
	conn, err := fuse.Mount(dir, opts...)
	if err != nil && said.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return conn, err
}

// explain adds what to do about a mount that failed.
func explain(dir string, o Options, err error) error {
	switch {
	case strings.Contains(err.Error(), "user_allow_other"):
		return fmt.Errorf("mount %s: --allow-other needs the line user_allow_other in /etc/fuse.conf, or root: %w", dir, err)
	case strings.Contains(err.Error(), "not permitted"), strings.Contains(err.Error(), "Permission denied"):
		return fmt.Errorf("mount %s: this user may not mount there (own the directory; in a container add --device /dev/fuse --cap-add SYS_ADMIN): %w", dir, err)
	}
	return fmt.Errorf("mount %s: %w", dir, err)
}

// Preflight refuses what can be foreseen: a mountpoint that is missing, in use
// or not empty, no /dev/fuse, no fusermount3. It takes away the mount of a pachfs that
// died there, and gives the path as the kernel will show it.
func Preflight(dir string, log *slog.Logger) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := clearDead(dir, log); err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return "", fmt.Errorf("mountpoint %s does not exist (try: mkdir -p %s)", dir, dir)
	case err != nil:
		return "", fmt.Errorf("mountpoint: %w", err)
	case !st.IsDir():
		return "", fmt.Errorf("mountpoint %s is not a directory", dir)
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", fmt.Errorf("mountpoint: %w", err)
	}
	defer f.Close()
	if names, err := f.Readdirnames(1); err == nil {
		return "", fmt.Errorf("mountpoint %s is not empty (it holds %s): mounting would hide what is there", dir, names[0])
	} else if !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("mountpoint: %w", err)
	}
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); errors.Is(err, iofs.ErrPermission) { // fusermount3 opens it as the user, too
		return "", fmt.Errorf("%w (try, as root: chmod 666 /dev/fuse; in a container: --device /dev/fuse)", err)
	} else if err != nil {
		return "", fmt.Errorf("%w (try: modprobe fuse; in a container: --device /dev/fuse)", err)
	} else {
		f.Close()
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return "", fmt.Errorf("%w (try: apt-get install fuse3)", err)
	}
	return dir, nil
}

// clearDead takes away the mount of a pachfs that died at dir, and refuses a
// directory on which something lives.
func clearDead(dir string, log *slog.Logger) error {
	for range 8 { // root may have stacked several
		e, err := findMount(dir)
		if err != nil {
			return nil // nothing is mounted there
		}
		if e.fstype != "fuse.pachfs" {
			return fmt.Errorf("mountpoint %s is in use: %s is mounted there", dir, e.fstype)
		}
		if !dead(dir) {
			return fmt.Errorf("mountpoint %s is in use: a pachfs is mounted there (try: pachfs umount %s)", dir, dir)
		}
		log.Warn("taking away the mount of a pachfs that died", "mountpoint", dir)
		if err := fusermount(dir, true); err != nil {
			return err
		}
	}
	return nil
}

// dead says whether nobody serves the mount any more. One that does not answer
// is not dead. It is statfs that asks: the kernel remembers attributes, and would
// answer a stat for a process that is gone.
func dead(dir string) bool {
	answer := make(chan error, 1)
	go func() {
		var st syscall.Statfs_t
		answer <- syscall.Statfs(dir, &st)
	}()
	select {
	case err := <-answer:
		return errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ECONNABORTED)
	case <-time.After(2 * time.Second):
		return false
	}
}

// Serve answers requests until the mount is gone and nobody uses it any more.
func (m *Mounted) Serve() error {
	err := m.s.serve()
	close(m.stop)
	m.disappeared()
	return err
}

// Gone is closed when the mount is not in this namespace any more, though
// somebody may still hold it: a cwd inside, or another namespace.
func (m *Mounted) Gone() <-chan struct{} { return m.gone }

func (m *Mounted) disappeared() { m.once.Do(func() { close(m.gone) }) }

// watch looks for our own mount in the list of mounts: the kernel tells a FUSE
// daemon nothing when it goes while somebody holds it.
func (m *Mounted) watch() {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-tick.C:
		}
		if there, err := m.id.there(); err == nil && !there {
			m.disappeared()
			return
		}
	}
}

// There says whether our mount is still in this namespace. It asks the list of
// mounts, for a process must never wait in its own mount.
func (m *Mounted) There() bool {
	there, err := m.id.there()
	return err == nil && there
}

// Connection is the number of the FUSE connection, under /sys/fs/fuse/connections.
func (m *Mounted) Connection() uint32 { return m.id.minor }

// Dir is the mountpoint.
func (m *Mounted) Dir() string { return m.dir }

// Unmount takes the mount away, unless somebody uses it.
func (m *Mounted) Unmount() error { return fusermount(m.dir, false) }

// Detach takes it away from the directory at once. Those who use it keep it
// until they leave, or this process ends.
func (m *Mounted) Detach() error { return fusermount(m.dir, true) }

// ClearDead takes away the mount of a pachfs that is known to have died, and
// ends whoever waits in it: something may still hold its connection, and then
// nobody would ever be answered. The path is not touched.
func ClearDead(dir string, connection uint32) error {
	e, err := findMount(dir)
	if err != nil || e.fstype != "fuse.pachfs" || e.minor != connection {
		return nil // somebody did it already
	}
	abort := fmt.Sprintf("/sys/fs/fuse/connections/%d/abort", connection)
	if err := os.WriteFile(abort, []byte("1"), 0); errors.Is(err, iofs.ErrNotExist) { // fusectl is not mounted
		err = syscall.Unmount(dir, syscall.MNT_FORCE|syscall.MNT_DETACH|umountNoFollow)
		if err == nil {
			return nil
		}
	}
	return fusermount(dir, true)
}

// umountNoFollow is UMOUNT_NOFOLLOW.
const umountNoFollow = 8

func fusermount(dir string, lazily bool) error {
	args := []string{"-u", "--", dir}
	if lazily {
		args = []string{"-u", "-z", "--", dir}
	}
	out, err := exec.Command("fusermount3", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("unmount %s: %w: %s", dir, err, strings.TrimSpace(string(out)))
	}
	return nil
}
