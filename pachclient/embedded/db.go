package embedded

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"pachfs/pachclient/embedded/internal/content"
	"pachfs/pachclient/embedded/internal/tree"
)

// format is the version of what is on disk.
const format = "1"

var (
	bucketMeta     = []byte("meta")
	bucketProjects = []byte("projects")
	bucketRepos    = []byte("repos")
	bucketBranches = []byte("branches")
	bucketCommits  = []byte("commits")
	bucketOrder    = []byte("order")
	bucketSets     = []byte("sets")
	bucketFileSets = []byte("filesets")
	bucketPending  = []byte("pending")
	bucketNodes    = []byte("nodes")

	buckets = [][]byte{bucketMeta, bucketProjects, bucketRepos, bucketBranches, bucketCommits,
		bucketOrder, bucketSets, bucketFileSets, bucketPending, bucketNodes}
)

// openDB opens the database. The lock of the store keeps others out; the
// timeout is for the moment in which a dying process still has the file. The
// mapping is large from the start, since growing it waits for readers.
func openDB(path string) (*bolt.DB, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout:         5 * time.Second,
		NoFreelistSync:  true,
		FreelistType:    bolt.FreelistMapType,
		InitialMmapSize: 1 << 30,
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}

// initialize makes the buckets of a new store, with the project "default",
// and refuses a store of another format.
func (s *Server) initialize() error {
	return s.update(context.Background(), func(t *tx) error {
		for _, name := range buckets {
			if _, err := t.b.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		meta := t.b.Bucket(bucketMeta)
		s.dirty.set(meta.Get([]byte("clean")) == nil)
		if err := meta.Delete([]byte("clean")); err != nil {
			return err
		}
		switch have := meta.Get([]byte("format")); {
		case string(have) == format:
			return nil
		case have != nil:
			return fmt.Errorf("the store has format %s, this program knows %s", have, format)
		}
		t.b.OnCommit(func() { s.log.Info("a new store was made", "dir", filepath.Dir(s.db.Path())) })
		for key, value := range map[string]string{"format": format, "deployment": newID(), "cluster": newID()} {
			if err := meta.Put([]byte(key), []byte(value)); err != nil {
				return err
			}
		}
		return t.putProject(&projectRec{Name: defaultProject, Created: t.now})
	})
}

// markClean says that nothing was left behind, so that the next Open need not
// look for it.
func (s *Server) markClean() error {
	if s.dirty.get() {
		return nil
	}
	return s.db.Update(func(b *bolt.Tx) error {
		return b.Bucket(bucketMeta).Put([]byte("clean"), []byte("1"))
	})
}

// A tx is one transaction on the database.
type tx struct {
	b   *bolt.Tx
	s   *Server
	now time.Time
	ctx context.Context // its end ends long work

	writers []*content.Writer
}

// newWriter gives a writer of contents. When the transaction fails, nothing
// refers to what it wrote.
func (t *tx) newWriter() *content.Writer {
	w := t.s.content.NewWriter()
	t.writers = append(t.writers, w)
	return w
}

// leaves says that nothing will refer to something any more, once the
// transaction is committed. Not before: a collection that saw the store as it
// was would forget about it.
func (t *tx) leaves() { t.b.OnCommit(func() { t.s.dirty.set(true) }) }

// giveUp cleans up after a transaction that failed.
func (t *tx) giveUp() {
	for _, w := range t.writers {
		w.Sync() // whatever comes of it: nothing may go on behind its back
		t.s.dirty.set(true)
	}
}

// view runs fn on what is committed. It must be short: a reader that stays
// keeps the database from growing.
func (s *Server) view(fn func(*tx) error) error {
	return s.db.View(func(b *bolt.Tx) error { return fn(&tx{b: b, s: s, now: time.Now(), ctx: noDeadline}) })
}

// update runs fn and commits, unless fn fails or ctx has ended: what is not
// answered in time must not happen later. Whoever waits for a change is woken.
func (s *Server) update(ctx context.Context, fn func(*tx) error) error {
	err := s.db.Update(func(b *bolt.Tx) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		t := &tx{b: b, s: s, now: time.Now(), ctx: ctx}
		err := fn(t)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			t.giveUp()
		}
		return err
	})
	if err == nil {
		s.changes.fire()
	}
	return err
}

// get reads a record. fs.ErrNotExist: there is none.
func (t *tx) get(bucket []byte, key string, rec any) error {
	data := t.b.Bucket(bucket).Get([]byte(key))
	if data == nil {
		return fs.ErrNotExist
	}
	return decodeRecord(bucket, key, data, rec)
}

func decodeRecord(bucket []byte, key string, data []byte, rec any) error {
	if err := json.Unmarshal(data, rec); err != nil {
		return fmt.Errorf("record %s/%s: %w", bucket, key, err)
	}
	return nil
}

func (t *tx) put(bucket []byte, key string, rec any) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return t.b.Bucket(bucket).Put([]byte(key), data)
}

func (t *tx) del(bucket []byte, key string) error { return t.b.Bucket(bucket).Delete([]byte(key)) }

// errStop ends a scan early.
var errStop = errors.New("stop")

// scan calls fn with the keys that begin with prefix, without it, in order.
func (t *tx) scan(bucket []byte, prefix string, fn func(rest string, data []byte) error) error {
	c := t.b.Bucket(bucket).Cursor()
	for k, v := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); k, v = c.Next() {
		if err := fn(string(k[len(prefix):]), v); err != nil {
			if err == errStop {
				return nil
			}
			return err
		}
	}
	return nil
}

func number(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

// Node reads a tree node in the transaction.
func (t *tx) Node(id tree.ID, fn func([]byte) error) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	data := t.b.Bucket(bucketNodes).Get([]byte(number(uint64(id))))
	if data == nil {
		return fs.ErrNotExist
	}
	return fn(data)
}

// Put stores a tree node.
func (t *tx) Put(data []byte) (tree.ID, error) {
	nodes := t.b.Bucket(bucketNodes)
	nodes.FillPercent = 0.95 // numbers only grow
	id, err := nodes.NextSequence()
	if err != nil {
		return 0, err
	}
	return tree.ID(id), nodes.Put([]byte(number(id)), data)
}

// nodes reads tree nodes outside of a transaction: each in a short one of its
// own. They never change, and the gate keeps the collector away. When ctx ends
// there are no more: however long a walk is, nobody goes on with it in vain.
type nodes struct {
	ctx context.Context
	s   *Server
}

func (n nodes) Node(id tree.ID, fn func([]byte) error) error {
	if err := n.ctx.Err(); err != nil {
		return err
	}
	return n.s.view(func(t *tx) error { return t.Node(id, fn) })
}

// A broadcast wakes all who wait for a change.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

// next gives a channel that is closed by the next change.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) fire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// await runs check now and after each change, until it says done, ctx ends or
// the server closes.
func (s *Server) await(ctx context.Context, check func() (done bool, err error)) error {
	for {
		changed := s.changes.next()
		if done, err := check(); done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return errClosing
		}
	}
}
