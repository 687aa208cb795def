package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// SocketName is the socket's name in the state directory.
const SocketName = "control.sock"

// longestSocket is what fits into sockaddr_un.
const longestSocket = 100

// withSocket calls fn with a path to the socket that fits: a long one is
// reached through an open descriptor of its directory.
func withSocket[T any](dir string, fn func(path string) (T, error)) (T, error) {
	path := filepath.Join(dir, SocketName)
	if len(path) <= longestSocket {
		return fn(path)
	}
	d, err := os.Open(dir)
	if err != nil {
		var none T
		return none, err
	}
	defer d.Close()
	return fn(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), SocketName))
}

// Listen makes the socket of a state directory, which this process holds: one
// that is there was left by a daemon that died.
func Listen(dir string) (net.Listener, error) {
	return withSocket(dir, func(path string) (net.Listener, error) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		l, err := net.Listen("unix", path)
		if err != nil {
			return nil, err
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false) // the path may be through a descriptor
		return l, os.Chmod(path, 0o600)
	})
}

// Remove takes the socket of a state directory away, after Shutdown.
func Remove(dir string) error {
	if err := os.Remove(filepath.Join(dir, SocketName)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
