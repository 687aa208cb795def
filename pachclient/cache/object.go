package cache

import (
	"slices"

	"pachfs/pachclient"
)

// maxObjects is how many contents are remembered for how they are read; an
// object weighs some 300 bytes.
const maxObjects = 2048

// An objectKey is a content. The size is part of it, as a guard: no two
// contents of different size may ever be mixed, whatever a server says.
type objectKey struct {
	hash pachclient.Hash
	size int64
}

// An object is a content that is being read, or was lately. contents.mu guards
// all of it.
type object struct {
	key     objectKey
	streams []*stream
	ends    ring // where reads ended
	misses  ring // chunks of which a part was fetched
}

// A ring remembers the last few numbers that were put in, plus one each, so
// that zero is none.
type ring struct {
	slots [8]int64
	next  int
}

func (r *ring) add(n int64) {
	r.slots[r.next] = n + 1
	r.next = (r.next + 1) % len(r.slots)
}

func (r *ring) has(n int64) bool { return slices.Contains(r.slots[:], n+1) }

// visit finds the object of a content, and notes a read of it. goesOn: the
// read begins where another ended.
func (c *contents) visit(f pachclient.FileInfo, off, n int64) (o *object, goesOn bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := objectKey{f.Hash, f.Size}
	e := c.objects[k]
	if e == nil {
		e = c.recent.PushFront(&object{key: k})
		c.objects[k] = e
		c.forgetObjects()
	}
	c.recent.MoveToFront(e)
	o = e.Value.(*object)
	goesOn = o.ends.has(off)
	o.ends.add(off + n)
	return o, goesOn
}

// forgetObjects drops the objects that were not read for longest. One with
// streams stays, or they would not be found.
func (c *contents) forgetObjects() {
	for e := c.recent.Back(); c.recent.Len() > maxObjects && e != nil; {
		prev := e.Prev()
		if o := e.Value.(*object); len(o.streams) == 0 {
			c.recent.Remove(e)
			delete(c.objects, o.key)
		}
		e = prev
	}
}

// find looks for a stream that has the byte at off, or comes to it when it
// reads at most skip further.
func (o *object) find(off, skip int64) *stream {
	for _, s := range o.streams {
		if s.covers(off, skip) {
			return s
		}
	}
	return nil
}

// choose decides how to fetch what nobody has. What fits into one chunk comes
// as a whole. Who reads from the start, or on from where a read ended, will
// probably read on. Others get just what they ask for; but where chunks are
// kept, one that is asked for twice comes as a whole, and so does the next one
// of a reader who finds all streams busy.
func (c *contents) choose(r *request) how {
	o := r.object
	if o.key.size <= chunkSize {
		return wholeChunk
	}
	readsOn := r.off == 0 || r.goesOn
	switch {
	case readsOn && c.makeRoom(&c.streams, 0):
		return sequential
	case c.disk != nil && (readsOn || o.misses.has(r.chunk())):
		return wholeChunk
	}
	return exactly
}

// missed notes that a part of a chunk had to be fetched.
func (o *object) missed(chunk int64) {
	if !o.misses.has(chunk) {
		o.misses.add(chunk)
	}
}
