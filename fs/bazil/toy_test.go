package bazil

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bazil.org/fuse"
)

// A toy is a small mount whose answers a test chooses: it shows what the kernel
// does, which the shell and package fs rely on. Only children look into it.
type toy struct {
	t    *testing.T
	dir  string
	conn *fuse.Conn
	done chan struct{} // closed when nothing is read any more

	mu      sync.Mutex
	asked   []string // the requests, as say gives them
	names   map[fuse.RequestID]string
	nodes   map[string]fuse.NodeID
	listing []string
	open    fuse.OpenResponseFlags // of files
	openDir fuse.OpenResponseFlags
	on      func(fuse.Request) bool // may answer a request itself, and says so
}

// The nodes that a toy begins with: a file and a directory.
const (
	fileNode fuse.NodeID = 2
	dirNode  fuse.NodeID = 3
)

const toyContent = "hello"

func newToy(t *testing.T) *toy {
	t.Helper()
	y := &toy{t: t, dir: t.TempDir(), done: make(chan struct{}), names: map[fuse.RequestID]string{}, nodes: map[string]fuse.NodeID{"f": fileNode, "d": dirNode}, listing: []string{"f", "d"}}
	var err error
	if y.conn, err = fuse.Mount(y.dir, fuse.FSName("toy"), fuse.AsyncRead()); err != nil {
		t.Fatalf("mount (root, or fuse3 and /dev/fuse are needed): %v", err)
	}
	entry, err := findMount(y.dir)
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(y.serve)
	}
	go func() { readers.Wait(); close(y.done) }()
	t.Cleanup(func() {
		syscall.Unmount(y.dir, syscall.MNT_FORCE) // ends whatever waits
		if _, err := findMount(y.dir); err == nil {
			fusermount(y.dir, true)
			os.WriteFile(fmt.Sprintf("/sys/fs/fuse/connections/%d/abort", entry.minor), []byte("1"), 0)
		}
		select {
		case <-y.done:
		case <-time.After(20 * time.Second):
			t.Error("the toy's connection does not end")
		}
	})
	return y
}

func (y *toy) serve() {
	for {
		req, err := y.conn.ReadRequest()
		if err != nil {
			return
		}
		y.mu.Lock()
		what := say(req)
		if r, ok := req.(*fuse.InterruptRequest); ok {
			what += " " + y.names[r.IntrID]
		}
		y.names[req.Hdr().ID] = what
		y.asked = append(y.asked, what)
		on := y.on
		y.mu.Unlock()
		go func() {
			if on == nil || !on(req) {
				y.answer(req)
			}
		}()
	}
}

// say names a request, with what the tests look at.
func say(req fuse.Request) string {
	s := strings.TrimSuffix(op(req), "Request")
	switch r := req.(type) {
	case *fuse.LookupRequest:
		return s + " " + r.Name
	case *fuse.ReadRequest:
		if r.Dir {
			return "Readdir"
		}
	case *fuse.GetattrRequest:
		return fmt.Sprintf("%s handle=%v", s, r.Flags&fuse.GetattrFh != 0)
	case *fuse.SetattrRequest:
		return fmt.Sprintf("%s size=%v handle=%v", s, r.Valid.Size(), r.Valid.Handle())
	}
	return s
}

func (y *toy) attr(n fuse.NodeID) fuse.Attr {
	a := fuse.Attr{Valid: time.Hour, Inode: uint64(n), Size: uint64(len(toyContent)), Mode: 0o666, Nlink: 1, Mtime: time.Unix(1, 0)}
	if n == fuse.RootID || n == dirNode {
		a.Size, a.Mode, a.Nlink = 0, os.ModeDir|0o777, 2
	}
	return a
}

func (y *toy) answer(req fuse.Request) {
	y.mu.Lock()
	defer y.mu.Unlock()
	switch r := req.(type) {
	case *fuse.LookupRequest:
		n, ok := y.nodes[r.Name]
		if !ok {
			r.RespondError(fuse.Errno(syscall.ENOENT))
			return
		}
		r.Respond(&fuse.LookupResponse{Node: n, EntryValid: time.Hour, Attr: y.attr(n)})
	case *fuse.GetattrRequest:
		r.Respond(&fuse.GetattrResponse{Attr: y.attr(r.Node)})
	case *fuse.SetattrRequest:
		r.Respond(&fuse.SetattrResponse{Attr: y.attr(r.Node)})
	case *fuse.OpenRequest:
		flags := y.open
		if r.Dir {
			flags = y.openDir
		}
		r.Respond(&fuse.OpenResponse{Handle: 1, Flags: flags})
	case *fuse.ReadRequest:
		data := []byte(toyContent)
		if r.Dir {
			data = nil
			for _, name := range append([]string{".", ".."}, y.listing...) {
				data = fuse.AppendDirent(data, fuse.Dirent{Inode: uint64(y.nodes[name]) + 100, Name: name})
			}
		}
		data = data[min(int(r.Offset), len(data)):]
		r.Respond(&fuse.ReadResponse{Data: data[:min(len(data), r.Size)]})
	case *fuse.FlushRequest:
		r.Respond()
	case *fuse.ReleaseRequest:
		r.Respond()
	case *fuse.ForgetRequest:
		r.Respond()
	case *fuse.BatchForgetRequest:
		r.Respond()
	case *fuse.InterruptRequest:
		r.Respond()
	default:
		req.RespondError(fuse.Errno(syscall.ENOSYS))
	}
}

// set changes the toy between requests.
func (y *toy) set(change func()) {
	y.mu.Lock()
	defer y.mu.Unlock()
	change()
}

// count says how many requests of a name there were since the last clear.
func (y *toy) count(what string) int {
	y.mu.Lock()
	defer y.mu.Unlock()
	n := 0
	for _, s := range y.asked {
		if s == what {
			n++
		}
	}
	return n
}

func (y *toy) clear() { y.set(func() { y.asked = nil }) }

// saw wants requests since the last clear to have come just so often.
func (y *toy) saw(when, what string, want int) {
	y.t.Helper()
	if got := y.count(what); got != want {
		y.t.Errorf("%s: %d times %s, want %d; all of them: %q", when, got, what, want, slices.Clone(y.asked))
	}
}

// sh runs a script in the toy, in a child, and wants it to succeed.
func (y *toy) sh(script string) string {
	y.t.Helper()
	out, err := y.child(script).CombinedOutput()
	if err != nil {
		y.t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

func (y *toy) child(script string) *exec.Cmd {
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = append(os.Environ(), "DIR="+y.dir)
	return cmd
}

// start starts a script and kills it at the end of the test.
func (y *toy) start(script string) *exec.Cmd {
	y.t.Helper()
	cmd := y.child(script)
	if err := cmd.Start(); err != nil {
		y.t.Fatal(err)
	}
	y.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// until waits for something to be so.
func (y *toy) until(what string, so func() bool) {
	y.t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			y.t.Fatalf("never: %s", what)
		}
	}
}

// hold keeps requests of a name waiting until the function that it returns is called.
func (y *toy) hold(what string) (release func()) {
	wait := make(chan struct{})
	y.set(func() {
		y.on = func(req fuse.Request) bool {
			if say(req) == what {
				<-wait
			}
			return false
		}
	})
	release = sync.OnceFunc(func() { close(wait) })
	y.t.Cleanup(release)
	return release
}
