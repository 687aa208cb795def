package staging

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A disk is the few calls to the file system under the state directory that
// this package makes. It is an interface so that a test can pull the plug.
type disk interface {
	MkdirAll(dir string) error
	Open(name string) (diskFile, error)   // for reading and writing
	Create(name string) (diskFile, error) // fails when it exists
	Rename(from, to string) error
	Remove(name string) error
	RemoveAll(name string) error
	ReadDir(dir string) ([]string, error) // names, sorted; none when dir is missing
	SyncDir(dir string) error
	SyncAll(dir string) error // everything of the file system that dir is on

	Allocate(name string, size int64) error          // a file that takes up so much room
	Space(dir string) (total, free int64, err error) // of the file system, in bytes

	Boot() string // another one after the machine went down
}

// A diskFile is an open file of a disk.
type diskFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error // content and length are on disk when it returns
	Stat() (fs.FileInfo, error)
}

// osDisk is the disk of this machine.
type osDisk struct{}

type osFile struct{ *os.File }

// Sync leaves out what is not needed to read the bytes back: the times.
func (f osFile) Sync() error { return unix.Fdatasync(int(f.Fd())) }

func (osDisk) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

func (osDisk) Open(name string) (diskFile, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	return osFile{f}, err
}

func (osDisk) Create(name string) (diskFile, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	return osFile{f}, err
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) Remove(name string) error     { return os.Remove(name) }
func (osDisk) RemoveAll(name string) error  { return os.RemoveAll(name) }

func (osDisk) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

func (osDisk) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (osDisk) SyncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

func (osDisk) Allocate(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	if err != nil {
		err = &fs.PathError{Op: "allocate", Path: name, Err: err}
	}
	return errors.Join(err, f.Close())
}

// Space counts what is kept for root as free only for root.
func (osDisk) Space(dir string) (total, free int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	blocks := st.Bavail
	if os.Geteuid() == 0 {
		blocks = st.Bfree
	}
	return int64(st.Blocks) * st.Bsize, int64(blocks) * st.Bsize, nil
}

func (osDisk) Boot() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return trimNewline(b)
}

// writeDurably replaces a small file so that a crash at any point leaves the
// old content or the new one: write beside it, sync, rename, sync the directory.
func writeDurably(d disk, name string, content []byte) error {
	tmp := name + ".new"
	if err := d.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := d.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := d.Rename(tmp, name); err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(name))
}

// readAll reads a small file; fs.ErrNotExist when it is missing.
func readAll(d disk, name string) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, st.Size())
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

// lookTime is how long a lock waits for those who only look.
const lookTime = 3 * time.Second

// lockFile takes the state directory for this process. It waits a while for
// those who only look, and not for one who has it.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lookTime); ; time.Sleep(20 * time.Millisecond) {
		switch err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return f, nil
		case unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil:
			return nil, errors.Join(heldBy(f), f.Close())
		case time.Now().After(end):
			return nil, errors.Join(fmt.Errorf("%s: another process looks at it: %w", filepath.Dir(name), ErrLocked), f.Close())
		}
		unix.Flock(int(f.Fd()), unix.LOCK_UN)
	}
}

// lookLock keeps everybody from taking the state directory while it is looked
// at. nil when nobody ever took it.
func lookLock(name string) (*os.File, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		return nil, errors.Join(heldBy(f), f.Close())
	}
	return f, nil
}

func heldBy(lock *os.File) error {
	holder, _ := io.ReadAll(io.LimitReader(lock, 20))
	return fmt.Errorf("%s: held by process %s: %w", filepath.Dir(lock.Name()), trimNewline(holder), ErrLocked)
}

// signLock writes into a lock who holds it.
func signLock(f *os.File) error {
	err := f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	return err
}

func trimNewline(b []byte) string {
	for len(b) > 0 && b[len(b)-1] == '\n' {
		b = b[:len(b)-1]
	}
	return string(b)
}
