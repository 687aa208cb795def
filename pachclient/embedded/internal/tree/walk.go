package tree

import (
	"errors"
	"fmt"
	"strings"
)

// ErrSkipDir, returned for a directory, leaves out what is below it.
var ErrSkipDir = errors.New("skip this directory")

// A Visit is called with an entry and its key from the root of the walk.
type Visit func(key string, e *Entry) error

// A Collision is a path that is both a file and a directory, or a file that
// was written under two datums. Pachyderm notices it when the two stand side
// by side in a listing; whoever reads across it fails.
type Collision struct {
	Path  string
	Datum bool
}

func (c *Collision) Error() string {
	if c.Datum {
		return fmt.Sprintf("duplicate path output by different datums (%s)", c.Path)
	}
	return fmt.Sprintf("file / directory path collision (%s)", c.Path)
}

// collides says whether two neighbours are one name.
func collides(a, b *Entry) bool {
	if a == nil || a.IsDir || !strings.HasPrefix(b.Key, bare(a.Key)) {
		return false
	}
	rest := b.Key[len(bare(a.Key)):]
	return rest == "/" || strings.HasPrefix(rest, "\x00")
}

// bare is a file's name without its datum.
func bare(key string) string {
	name, _, _ := strings.Cut(key, "\x00")
	return name
}

// collision describes two colliding neighbours of the directory prefix.
func collision(src Source, prefix string, b *Entry) error {
	if !b.IsDir {
		path, _ := Path(prefix + b.Key)
		return &Collision{Path: path, Datum: true}
	}
	first, err := firstFile(src, b.Dir)
	if err != nil {
		return err
	}
	path, _ := Path(prefix + b.Key + first)
	return &Collision{Path: path}
}

func firstFile(src Source, d Dir) (string, error) {
	key := ""
	for {
		c, err := seek(src, d.Root, "")
		if err != nil {
			return "", err
		}
		e := c.entry()
		if e == nil {
			return key, nil
		}
		key += e.Key
		if !e.IsDir {
			return key, nil
		}
		d = e.Dir
	}
}

// List visits the entries of one directory that come after the key after, in
// order. prefix is the key of the directory.
func List(src Source, d Dir, prefix, after string, fn Visit) error {
	c, err := seek(src, d.Root, after)
	if err != nil {
		return err
	}
	var last *Entry
	for e := c.entry(); e != nil; e = c.entry() {
		if collides(last, e) {
			return collision(src, prefix, e)
		}
		last = e
		if after == "" || e.Key > after {
			if err := fn(prefix+e.Key, e); err != nil {
				return err
			}
		}
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}

// Walk visits everything below a directory that comes after the key after
// (which counts from there, as those of the visits count from prefix), parents
// before children.
func Walk(src Source, d Dir, prefix, after string, fn Visit) error {
	first, rest := split(after)
	c, err := seek(src, d.Root, first)
	if err != nil {
		return err
	}
	var last *Entry
	for e := c.entry(); e != nil; e = c.entry() {
		if collides(last, e) {
			return collision(src, prefix, e)
		}
		last = e
		below := ""
		err := error(nil)
		if after != "" && e.Key == first {
			below = rest // the marker is this entry, or below it
		} else {
			err = fn(prefix+e.Key, e)
		}
		if e.IsDir && err == nil {
			err = Walk(src, e.Dir, prefix+e.Key, below, fn)
		}
		if err != nil && !(e.IsDir && err == ErrSkipDir) {
			return err
		}
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}

// A Pair is called with a key that is in one of two trees or in both, and its
// entries; nil where there is none.
type Pair func(key string, a, b *Entry) error

// Diff visits, in order, what two directories do not share. It leaves out
// subtrees that are the same nodes; the visitor must compare the rest.
func Diff(src Source, a, b Dir, prefix string, fn Pair) error {
	if a.Root == b.Root {
		return nil
	}
	ca, err := seek(src, a.Root, "")
	if err != nil {
		return err
	}
	cb, err := seek(src, b.Root, "")
	if err != nil {
		return err
	}
	var lastA, lastB *Entry
	for {
		ea, eb := ca.entry(), cb.entry()
		if ea == nil && eb == nil {
			return nil
		}
		if ea != nil && eb != nil && ea.Key != eb.Key {
			if ea.Key < eb.Key {
				eb = nil
			} else {
				ea = nil
			}
		}
		if ea != nil {
			if collides(lastA, ea) {
				return collision(src, prefix, ea)
			}
			lastA = ea
		}
		if eb != nil {
			if collides(lastB, eb) {
				return collision(src, prefix, eb)
			}
			lastB = eb
		}
		if err := diffEntry(src, ea, eb, prefix, fn); err != nil {
			return err
		}
		if ea != nil {
			if err := ca.next(); err != nil {
				return err
			}
		}
		if eb != nil {
			if err := cb.next(); err != nil {
				return err
			}
		}
	}
}

func diffEntry(src Source, ea, eb *Entry, prefix string, fn Pair) error {
	some, da, db := ea, Dir{}, Dir{}
	if ea != nil {
		da = ea.Dir
	}
	if eb != nil {
		some, db = eb, eb.Dir
	}
	if some.IsDir && da.Root == db.Root {
		return nil
	}
	if err := fn(prefix+some.Key, ea, eb); err != nil {
		return err
	}
	if some.IsDir {
		return Diff(src, da, db, prefix+some.Key, fn)
	}
	return nil
}
