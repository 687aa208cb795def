package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"pachfs/pachclient/embedded/internal/tree"
)

// sweepEvery is how often file sets are looked through for expired ones.
const sweepEvery = time.Minute

// A dirtyFlag says that something may lie in the store that nothing refers to.
type dirtyFlag struct{ on atomic.Bool }

func (d *dirtyFlag) set(on bool) { d.on.Store(on) }
func (d *dirtyFlag) get() bool   { return d.on.Load() }

// maintain expires file sets and collects garbage until the server closes.
func (s *Server) maintain() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := s.sweep(time.Now()); err != nil {
			s.log.Error("collection failed", "error", err)
		}
		select {
		case <-tick.C:
		case <-s.done:
			return
		}
	}
}

// sweep removes the file sets that have expired, and then all that nothing
// refers to, if there may be any and nobody reads or writes files right now:
// otherwise the next sweep tries again.
func (s *Server) sweep(now time.Time) error {
	if err := s.expire(now); err != nil {
		return err
	}
	if !s.dirty.get() || !s.gate.TryLock() {
		return nil
	}
	defer s.gate.Unlock()
	s.dirty.set(false)
	err := s.collect()
	if err != nil {
		s.dirty.set(true)
	}
	return err
}

func (s *Server) expire(now time.Time) error {
	expired := func(t *tx) (ids []string, err error) {
		err = t.scan(bucketFileSets, "", func(id string, data []byte) error {
			var r fileSetRec
			err := decodeRecord(bucketFileSets, id, data, &r)
			if err == nil && r.expired(now) {
				ids = append(ids, id)
			}
			return err
		})
		return ids, err
	}
	var ids []string
	err := s.view(func(t *tx) (err error) {
		ids, err = expired(t)
		return err
	})
	if err != nil || len(ids) == 0 {
		return err
	}
	return s.update(noDeadline, func(t *tx) error {
		ids, err := expired(t) // again: one may have been renewed
		for _, id := range ids {
			err = errors.Join(err, t.del(bucketFileSets, id))
		}
		t.leaves()
		return err
	})
}

// roots calls fn with every tree that something refers to.
func (t *tx) roots(fn func(what string, d tree.Dir) error) error {
	err := t.scan(bucketCommits, "", func(key string, data []byte) error {
		var c commitRec
		if err := decodeRecord(bucketCommits, key, data, &c); err != nil {
			return err
		}
		return each(fn, "commit "+key, c.Tree, c.Base, c.Own.Files, c.Own.Deletes)
	})
	if err != nil {
		return err
	}
	return t.scan(bucketFileSets, "", func(id string, data []byte) error {
		var r fileSetRec
		if err := decodeRecord(bucketFileSets, id, data, &r); err != nil {
			return err
		}
		return each(fn, "file set "+id, r.Does.Files, r.Does.Deletes)
	})
}

func each(fn func(what string, d tree.Dir) error, what string, dirs ...tree.Dir) error {
	for _, d := range dirs {
		if err := fn(what, d); err != nil {
			return err
		}
	}
	return nil
}

// collect removes nodes and blobs that nothing refers to. The gate is locked:
// no new ones come meanwhile.
func (s *Server) collect() error {
	start := time.Now()
	live := make(map[tree.ID]bool)
	blobs := make(map[string]bool)
	var dead []tree.ID
	err := s.view(func(t *tx) error {
		err := t.roots(func(_ string, d tree.Dir) error {
			return tree.Nodes(t, d, live, func(e *tree.Entry) error {
				for _, c := range e.File.Chunks {
					blobs[c.Blob().String()] = true
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
		return t.scan(bucketNodes, "", func(key string, _ []byte) error {
			if id := tree.ID(binary.BigEndian.Uint64([]byte(key))); !live[id] {
				dead = append(dead, id)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if err := s.removeNodes(dead); err != nil {
		return err
	}
	removed, err := s.removeBlobs(blobs)
	s.log.Debug("collected", "nodes", len(dead), "blobs", removed, "took", time.Since(start))
	return err
}

// removeNodes deletes in several transactions, so that none is huge.
func (s *Server) removeNodes(dead []tree.ID) error {
	const batch = 20_000
	for len(dead) > 0 {
		n := min(batch, len(dead))
		err := s.update(context.Background(), func(t *tx) error {
			for _, id := range dead[:n] {
				if err := t.del(bucketNodes, number(uint64(id))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		dead = dead[n:]
	}
	s.hashes.Forget()
	return nil
}

func (s *Server) removeBlobs(live map[string]bool) (removed int, err error) {
	err = s.content.Blobs(func(blob string, _ int64) error {
		if live[blob] {
			return nil
		}
		removed++
		return s.content.Remove(blob)
	})
	return removed, err
}
