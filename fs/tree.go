package fs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"pachfs/pachclient"
	"pachfs/staging"
)

// A Config says what a Tree shows.
type Config struct {
	Client   pachclient.Client
	Stage    *staging.Stage
	Project  string
	Only     func(pachclient.Branch) bool // nil: all branches
	UID, GID uint32                       // owner of what nobody made here
	Umask    uint32
	ReadOnly bool // nothing may be made, not even a branch
	// How long a request may wait for the server before it fails with EIO, a
	// commit apart; 0: for as long as its process lives.
	IOTimeout time.Duration
	Logger    *slog.Logger
}

// A Tree is a mount without its kernel. A method is one kind of request; all
// may be called at once from many goroutines. Their errors become numbers
// through Errno. Methods with a context may wait for the network or for a
// commit; the others do not.
type Tree struct {
	c       Config
	log     *slog.Logger
	started time.Time
	repos   repoCache
	frozen  atomic.Bool
	notices chan struct{} // something is in pending

	mu         sync.Mutex
	inodes     map[Ino]*inode
	lastIno    Ino
	handles    map[Handle]any // *openFile or *openDir
	lastHandle Handle
	pending    []Notice
}

// New makes the tree of a stage.
func New(c Config) *Tree {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Project == "" {
		c.Project = pachclient.DefaultProject
	}
	t := &Tree{c: c, log: c.Logger, started: time.Now(), notices: make(chan struct{}, 1),
		inodes: map[Ino]*inode{}, handles: map[Handle]any{}, lastIno: Root}
	t.inodes[Root] = &inode{ino: Root, kind: rootDir, dir: true}
	return t
}

// Limit gives a request the time that it has to wait for the server. Every
// request but a trigger is to run in such a context: below, the server is asked
// until that ends, and nobody else counts the time.
func (t *Tree) Limit(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = pachclient.Patient(ctx)
	if t.c.IOTimeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, t.c.IOTimeout, fmt.Errorf("no answer for %v (--io-timeout)", t.c.IOTimeout))
}

// Freeze makes every later change fail: what a process does in a mount that
// was taken away under it can't land any more.
func (t *Tree) Freeze() { t.frozen.Store(true) }

// writable fails where nothing may be changed.
func (t *Tree) writable(n *inode) error {
	if t.frozen.Load() {
		return staging.ErrClosed
	}
	if t.c.ReadOnly || n.o != nil && n.o.ReadOnly() {
		return staging.ErrReadOnly
	}
	return nil
}

// CommitAll lands every branch with staged changes, one after the other, and
// tells of all that failed.
func (t *Tree) CommitAll(ctx context.Context, message string) error {
	var errs []error
	for _, o := range t.c.Stage.Overlays() {
		if o.Dirty() {
			_, err := o.Commit(ctx, message)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// overlay gives the overlay that an inode is in; a branch is opened when
// somebody looks into it for the first time.
func (t *Tree) overlay(ctx context.Context, n *inode) (*staging.Overlay, error) {
	t.mu.Lock()
	o := n.o
	t.mu.Unlock()
	if o != nil || n.kind != branchDir {
		return o, nil
	}
	o, err := t.c.Stage.Overlay(ctx, n.branch)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n.o = o
	return o, nil
}

// at gives what a request on a directory needs: its inode, its overlay, and
// the path of name in it.
func (t *Tree) at(ctx context.Context, ino Ino, name string) (*inode, *staging.Overlay, string, error) {
	n, err := t.get(ino)
	if err != nil {
		return nil, nil, "", err
	}
	o, err := t.overlay(ctx, n)
	if err != nil {
		return nil, nil, "", err
	}
	if len(name) > 255 {
		return nil, nil, "", errNameTooLong
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case n.last != nil: // a process stands in a directory that was removed
		return nil, nil, "", syscall.ENOENT
	case n.stale:
		return nil, nil, "", errStale
	}
	return n, o, childPath(n.path(), name), nil
}

func childPath(dir, name string) string {
	if name == "" {
		return dir
	}
	if dir == "/" {
		return dir + name
	}
	return dir + "/" + name
}
