package staging

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"pachfs/pachclient"
)

// A residue is what Pachyderm does not store of a branch and the mount goes on
// showing: empty directories, and when each file's bytes changed. It also
// knows the commit that was the base last. One bbolt file; losing it loses times.
//
//	meta   "base"      JSON of baseMeta
//	meta   "format"    its version; none: 1
//	dirs   PATH        empty
//	times  DIR\0NAME   mtime (8 bytes, Unix ns), hash of the bytes it belongs to
type residue struct {
	db   *bolt.DB // nil: it is looked at, and there is none
	look bool     // nothing is written

	mu    sync.RWMutex
	dirs  map[string]bool // every remembered directory
	meta  baseMeta
	timed bool // there are times at all
}

type baseMeta struct {
	Base  string    `json:"base"`  // commit ID; "": the branch had none
	Time  time.Time `json:"time"`  // when Base was finished
	Since time.Time `json:"since"` // the time of every path without one of its own
	Known bool      `json:"known"` // false in a new state

	// While a layer is landing, Base is its commit and Prev what it lies on:
	// which of the two counts is said by the layer's `landed`.
	Layer uint64    `json:"layer,omitempty"`
	Prev  *baseMeta `json:"prev,omitempty"`
}

// settle goes back to the base before when the layer that was landing has not.
func (r *residue) settle(landed func(layer uint64) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.meta; m.Prev != nil && !landed(m.Layer) {
		r.meta = *m.Prev
	}
}

var bucketMeta, bucketDirs, bucketTimes = []byte("meta"), []byte("dirs"), []byte("times")

func openResidue(name string) (*residue, error) {
	db, err := openBolt(name, false)
	if err != nil {
		return nil, err
	}
	err = db.View(knownResidue)
	if err == nil {
		err = db.Update(func(tx *bolt.Tx) error {
			for _, name := range [][]byte{bucketMeta, bucketDirs, bucketTimes} {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			return nil
		})
	}
	r := &residue{db: db, dirs: map[string]bool{}}
	if err == nil {
		err = db.View(r.read)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), db.Close())
	}
	return r, nil
}

// lookResidue reads what is remembered, and changes nothing from then on.
func lookResidue(name string) (*residue, error) {
	r := &residue{look: true, dirs: map[string]bool{}}
	if st, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) || err == nil && st.Size() == 0 {
		return r, nil
	}
	var err error
	if r.db, err = openBolt(name, true); err != nil {
		return nil, err
	}
	err = r.db.View(func(tx *bolt.Tx) error {
		if err := knownResidue(tx); err != nil || tx.Bucket(bucketDirs) == nil || tx.Bucket(bucketTimes) == nil {
			return err // nothing is remembered yet
		}
		return r.read(tx)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), r.db.Close())
	}
	return r, nil
}

// checkResidueFormat fails when a newer pachfs wrote the file. Nothing is changed.
func checkResidueFormat(name string) error {
	r, err := lookResidue(name)
	if err != nil {
		return err
	}
	return r.close()
}

func openBolt(name string, look bool) (*bolt.DB, error) {
	db, err := bolt.Open(name, 0o600, &bolt.Options{Timeout: 5 * time.Second, NoFreelistSync: true, ReadOnly: look})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return db, nil
}

// knownResidue fails when the version is a newer one.
func knownResidue(tx *bolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return nil
	}
	v := meta.Get([]byte("format"))
	if v == nil {
		return nil
	}
	if n, err := strconv.Atoi(string(v)); err != nil || n > residueFormat {
		return fmt.Errorf("format %q, and this pachfs knows up to %d: %w", v, residueFormat, ErrNewerFormat)
	}
	return nil
}

// read takes over all but the times.
func (r *residue) read(tx *bolt.Tx) error {
	k, _ := tx.Bucket(bucketTimes).Cursor().First()
	r.timed = k != nil
	if b := tx.Bucket(bucketMeta).Get([]byte("base")); b != nil {
		if err := json.Unmarshal(b, &r.meta); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketDirs).ForEach(func(k, _ []byte) error {
		r.dirs[string(k)] = true
		return nil
	})
}

func (r *residue) close() error {
	if r.db == nil {
		return nil
	}
	return r.db.Close()
}

func (r *residue) base() baseMeta {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.meta
}

func (r *residue) since() time.Time {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.meta.Since
}

func (r *residue) hasDirs() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.dirs) > 0
}

// hasDir says whether p, or something below it, is remembered.
func (r *residue) hasDir(p string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.dirs[p] {
		return true
	}
	for d := range r.dirs {
		if within(d, p) {
			return true
		}
	}
	return false
}

// dirsIn gives the names of the remembered directories right below p.
func (r *residue) dirsIn(p string) map[string]bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	prefix := strings.TrimSuffix(p, "/") + "/"
	names := map[string]bool{}
	for d := range r.dirs {
		if rest, ok := strings.CutPrefix(d, prefix); ok {
			name, _, _ := strings.Cut(rest, "/")
			names[name] = true
		}
	}
	return names
}

func timeKey(p string) []byte {
	dir, name := path.Split(p)
	return []byte(dir + "\x00" + name)
}

// time gives the remembered mtime of a path while it has these bytes.
func (r *residue) time(p string, h pachclient.Hash, dir bool) (ns int64, ok bool) {
	r.mu.RLock()
	timed := r.timed
	r.mu.RUnlock()
	if !timed {
		return 0, false
	}
	r.db.View(func(tx *bolt.Tx) error {
		v := tx.Bucket(bucketTimes).Get(timeKey(p))
		if len(v) == 8+len(h) && (dir || pachclient.Hash(v[8:]) == h) {
			ns, ok = int64(binary.LittleEndian.Uint64(v)), true
		}
		return nil
	})
	return ns, ok
}

// A stamp is the time at which a path came to have these bytes.
type stamp struct {
	path string
	hash pachclient.Hash
	ns   int64
}

// update remembers a new base, with the times of what changed and all the
// directories that are empty there, in one transaction. nil dirs stay as they
// are. The new base counts at once, or, with a layer, once that has landed.
func (r *residue) update(info CommitInfo, stamps []stamp, dirs map[string]bool, layer uint64) error {
	if r.look {
		return nil
	}
	meta := baseMeta{Base: info.Commit.ID, Time: info.Finished, Since: r.since(), Known: true}
	if old := r.base(); layer != 0 {
		old.Prev = nil
		meta.Layer, meta.Prev = layer, &old
	}
	if meta.Since.IsZero() {
		meta.Since = firstTime(info)
	}
	b, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	err = r.db.Update(func(tx *bolt.Tx) error {
		if err := tx.Bucket(bucketMeta).Put([]byte("base"), b); err != nil {
			return err
		}
		for _, s := range stamps {
			v := append(binary.LittleEndian.AppendUint64(nil, uint64(s.ns)), s.hash[:]...)
			if err := tx.Bucket(bucketTimes).Put(timeKey(s.path), v); err != nil {
				return err
			}
		}
		return r.putDirs(tx.Bucket(bucketDirs), dirs)
	})
	if err != nil {
		return fmt.Errorf("remember the base: %w", err)
	}
	r.mu.Lock()
	r.meta, r.timed = meta, r.timed || len(stamps) > 0
	if dirs != nil {
		r.dirs = dirs
	}
	r.mu.Unlock()
	return nil
}

func (r *residue) putDirs(b *bolt.Bucket, dirs map[string]bool) error {
	if dirs == nil {
		return nil
	}
	for old := range r.dirs {
		if !dirs[old] {
			if err := b.Delete([]byte(old)); err != nil {
				return err
			}
		}
	}
	for d := range dirs {
		if !r.dirs[d] {
			if err := b.Put([]byte(d), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepDirs forgets directories whose names can't be stored any more.
func (r *residue) keepDirs(valid func(name string) error) error {
	kept := map[string]bool{}
	for d := range r.dirs {
		ok := true
		for name := range strings.SplitSeq(strings.TrimPrefix(d, "/"), "/") {
			ok = ok && valid(name) == nil
		}
		if ok {
			kept[d] = true
		}
	}
	err := r.db.Update(func(tx *bolt.Tx) error { return r.putDirs(tx.Bucket(bucketDirs), kept) })
	if err == nil {
		r.mu.Lock()
		r.dirs = kept
		r.mu.Unlock()
	}
	return err
}

// firstTime is the time of a tree that is seen for the first time.
func firstTime(info CommitInfo) time.Time {
	if info.Finished.IsZero() {
		return time.Now()
	}
	return info.Finished
}
