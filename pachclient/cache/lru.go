package cache

// A chunkKey names a chunk file: half of the content hash is enough to tell
// contents apart, and the file itself has all of it.
type chunkKey struct {
	hash  [16]byte
	index uint32
}

// A chunkNode is a chunk on disk in order of use. The links are indices, and
// the whole is packed: a big cache of small files has hundreds of thousands.
type chunkNode struct {
	key        chunkKey
	prev, next int32
	length     int32 // of the file
	stamp      int32 // minute of use that the file's time of modification tells
}

// nodeBytes is what a node and its place in the map weigh, generously.
const nodeBytes = 96

// lru is the index of the disk. nodes[0] is the ring's anchor: its next is the
// chunk that was used last, its prev the one to evict.
type lru struct {
	nodes []chunkNode
	free  []int32
	where map[chunkKey]int32
}

func newLRU() *lru {
	return &lru{nodes: make([]chunkNode, 1), where: map[chunkKey]int32{}}
}

func (l *lru) len() int { return len(l.where) }

// insert puts a new key first.
func (l *lru) insert(k chunkKey, length, stamp int32) {
	i := int32(len(l.nodes))
	if n := len(l.free); n > 0 {
		i, l.free = l.free[n-1], l.free[:n-1]
	} else {
		l.nodes = append(l.nodes, chunkNode{})
	}
	l.nodes[i] = chunkNode{key: k, length: length, stamp: stamp}
	l.where[k] = i
	l.pushFront(i)
}

// touch makes a key the last one to go, and gives its node until the next
// insert, or nil.
func (l *lru) touch(k chunkKey) *chunkNode {
	i, ok := l.where[k]
	if !ok {
		return nil
	}
	l.unlink(i)
	l.pushFront(i)
	return &l.nodes[i]
}

// remove takes a key out and says how long its file was.
func (l *lru) remove(k chunkKey) (length int32, ok bool) {
	i, ok := l.where[k]
	if !ok {
		return 0, false
	}
	l.unlink(i)
	delete(l.where, k)
	l.free = append(l.free, i)
	return l.nodes[i].length, true
}

// oldest is the key to evict. There must be one.
func (l *lru) oldest() chunkKey { return l.nodes[l.nodes[0].prev].key }

func (l *lru) pushFront(i int32) {
	next := l.nodes[0].next
	l.nodes[i].prev, l.nodes[i].next = 0, next
	l.nodes[0].next, l.nodes[next].prev = i, i
}

func (l *lru) unlink(i int32) {
	n := l.nodes[i]
	l.nodes[n.prev].next, l.nodes[n.next].prev = n.next, n.prev
}
