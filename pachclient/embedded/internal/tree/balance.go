package tree

// store gives a child that was made its number.
func (e *editor) store(c *child) error {
	if c.n == nil {
		return nil
	}
	id, err := e.Put(c.n.encode())
	if err != nil {
		return err
	}
	e.cache[id] = c.n
	c.id, c.n = id, nil
	return nil
}

// parts says into how many nodes of about the same weight to split.
func parts(total int) int { return (total + maxWeight - 1) / maxWeight }

// splitLeaf makes leaves of entries.
func splitLeaf(entries []Entry) []child {
	total := 0
	for i := range entries {
		total += entries[i].weight()
	}
	var level []child
	share := total/max(1, parts(total)) + 1
	for len(entries) > 0 {
		n, weight := 0, 0
		for n < len(entries) && weight < share {
			weight += entries[n].weight()
			n++
		}
		c := child{key: entries[0].Key, n: &node{entries: entries[:n:n]}}
		for i := range entries[:n] {
			files, size := entries[i].sums()
			c.files += files
			c.size += size
		}
		level = append(level, c)
		entries = entries[n:]
	}
	return level
}

// pack stores a level and makes the inner nodes above it.
func (e *editor) pack(below []child) ([]child, error) {
	total := 0
	for i := range below {
		if err := e.store(&below[i]); err != nil {
			return nil, err
		}
		total += below[i].weight()
	}
	var level []child
	share := max(total/max(1, parts(total))+1, below[0].weight()+1)
	for len(below) > 0 {
		n, weight := 0, 0
		for n < len(below) && weight < share {
			weight += below[n].weight()
			n++
		}
		c := child{key: below[0].key, n: &node{inner: true, children: below[:n:n]}}
		for i := range below[:n] {
			c.files += below[i].files
			c.size += below[i].size
		}
		level = append(level, c)
		below = below[n:]
	}
	return level, nil
}

func (n *node) weight() int {
	total := 0
	for i := range n.entries {
		total += n.entries[i].weight()
	}
	for i := range n.children {
		total += n.children[i].weight()
	}
	return total
}

// join merges nodes that a change has left with little into their neighbours,
// so that a directory that shrinks does not end as a chain of crumbs.
func (e *editor) join(level []child) ([]child, error) {
	for i := 0; i < len(level) && len(level) > 1; i++ {
		if level[i].n == nil || level[i].n.weight() >= minWeight {
			continue
		}
		l := max(0, i-1) // with the left neighbour; the first one with the right
		a, err := e.content(level[l])
		if err != nil {
			return nil, err
		}
		b, err := e.content(level[l+1])
		if err != nil {
			return nil, err
		}
		var made []child
		if a.inner {
			both := append(append([]child(nil), a.children...), b.children...)
			if made, err = e.pack(both); err != nil {
				return nil, err
			}
		} else {
			made = splitLeaf(append(append([]Entry(nil), a.entries...), b.entries...))
		}
		rest := append(made, level[l+2:]...)
		level = append(level[:l:l], rest...)
		i = l + len(made) - 1
	}
	return level, nil
}

func (e *editor) content(c child) (*node, error) {
	if c.n != nil {
		return c.n, nil
	}
	return load(e, c.id)
}
