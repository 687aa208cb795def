package cache

import (
	"fmt"
	"io"
	"log/slog"

	"pachfs/pachclient"
)

// Sizes that Options give when they are zero, and the least that works: one
// stream, one fetch and a few listings.
const (
	defaultMemory = 64 << 20
	defaultDisk   = 10 << 30
	leastMemory   = 8 << 20
)

// Options say how much may be remembered, and where.
type Options struct {
	Dir         string // of the disk cache; "" = contents are not kept
	DiskBytes   int64  // cap of all files in Dir, in blocks as the disk counts them; 0 = 10 GiB
	MemoryBytes int64  // cap of listings, stream buffers and the disk's index; 0 = 64 MiB, at least 8 MiB
	Logger      *slog.Logger
}

// A Client answers from memory and disk what it can, and asks another Client
// for the rest. What can change (heads, branches, metadata) and what is not
// worth keeping (Walk) goes straight through.
type Client struct {
	pachclient.Client

	group    *group
	stats    *counters
	memory   *memory
	dirs     *dirs
	disk     *disk // nil: none
	contents *contents
}

// New puts a cache before next, which it owns from now on: Close closes it.
// It fails when Dir can't be used at all; what goes wrong there later is
// logged, and costs speed only.
func New(next pachclient.Client, o Options) (*Client, error) {
	o = o.withDefaults()
	c := &Client{Client: next, group: newGroup(), stats: &counters{}}
	c.memory = &memory{limit: o.MemoryBytes}
	c.dirs = newDirs(c.group, c.memory, c.stats)
	c.memory.trim = c.dirs.trim
	if o.Dir != "" {
		d, err := openDisk(o, c.group, c.memory, c.stats)
		if err != nil {
			return nil, fmt.Errorf("cache: %w", err)
		}
		c.disk = d
	}
	c.contents = newContents(o.MemoryBytes/2, c.group, c.memory, c.disk, c.stats)
	return c, nil
}

func (o Options) withDefaults() Options {
	if o.DiskBytes <= 0 {
		o.DiskBytes = defaultDisk
	}
	if o.MemoryBytes == 0 {
		o.MemoryBytes = defaultMemory
	}
	o.MemoryBytes = max(o.MemoryBytes, leastMemory)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// At reads a commit through the cache. What may still change (a file set
// expires, an ancestry suffix moves) is read uncached.
func (c *Client) At(commit pachclient.Commit) pachclient.Reader {
	next := c.Client.At(commit)
	switch {
	case commit.Zero():
		return emptyReader{next}
	case commit.Branch.Repo == pachclient.FileSetRepo, !pachclient.IsCommitID(commit.ID):
		return next
	}
	return &reader{Reader: next, client: c}
}

// Add stores content that has just landed, so that it is not fetched again.
// It fails only if r does. Nothing happens without a disk cache, when the hash
// is unknown, or for what is larger than the whole cache.
func (c *Client) Add(h pachclient.Hash, size int64, r io.ReaderAt) error {
	if c.disk == nil || h.Zero() || size <= 0 || size > c.disk.limit {
		return nil
	}
	buf := newBuffer(min(size, chunkSize))
	defer freeBuffer(buf)
	for off := int64(0); off < size; off += chunkSize {
		p := buf[:min(size-off, chunkSize)]
		if n, err := r.ReadAt(p, off); n < len(p) {
			return fmt.Errorf("cache: add %v: %w", h, err)
		}
		c.disk.put(h, off/chunkSize, p)
	}
	return nil
}

// Close ends what is under way, waits until it has ended, and closes the
// Client below.
func (c *Client) Close() error {
	c.group.close()
	c.contents.close()
	return c.Client.Close()
}
