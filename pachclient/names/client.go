package names

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"iter"
	"strings"

	"pachfs/pachclient"
)

// A Client shows the paths of another Client decoded. It lies on top of the
// cache, which keeps stored names.
type Client struct{ pachclient.Client }

// New puts a Client before next, which it owns from now on: Close closes it.
func New(next pachclient.Client) *Client { return &Client{next} }

// At reads a commit with its names decoded.
func (c *Client) At(commit pachclient.Commit) pachclient.Reader { return c.reader(commit) }

func (c *Client) reader(commit pachclient.Commit) *reader { return &reader{c.Client.At(commit)} }

// Upload stores changes under encoded names.
func (c *Client) Upload(ctx context.Context, changes iter.Seq2[pachclient.Change, error]) (pachclient.FileSet, error) {
	return c.Client.Upload(ctx, func(yield func(pachclient.Change, error) bool) {
		for ch, err := range changes {
			if err == nil {
				ch.Path = Encode(ch.Path)
				ch.From, err = c.source(ctx, ch.From)
			}
			if !yield(ch, err) {
				return
			}
		}
	})
}

// source gives the stored source of a copy. A missing one copies nothing, here as there.
func (c *Client) source(ctx context.Context, from *pachclient.Source) (*pachclient.Source, error) {
	if from == nil {
		return nil, nil
	}
	stored, err := c.reader(from.Commit).stored(ctx, from.Path)
	return &pachclient.Source{Commit: from.Commit, Path: stored}, err
}

// Land deletes under encoded names. What nobody can delete is refused here: a
// commit that leaves it standing would never be recognized as ours.
func (c *Client) Land(ctx context.Context, b pachclient.Branch, s pachclient.FileSet, deletes []string) error {
	encoded := make([]string, len(deletes))
	var head *reader
	for i, p := range deletes {
		encoded[i] = Encode(p)
		if !special(p) {
			continue
		}
		if head == nil {
			info, err := c.Client.Head(ctx, b)
			if err != nil && !errors.Is(err, iofs.ErrNotExist) {
				return err
			}
			head = c.reader(info.Commit)
		}
		stored, err := head.stored(ctx, strings.TrimSuffix(p, "/"))
		if err != nil {
			return err
		}
		if special(stored) {
			return fmt.Errorf("delete %q: a copy made this name, and no call deletes it: %w", stored, pachclient.ErrBadName)
		}
	}
	return c.Client.Land(ctx, b, s, encoded)
}

// Add hands what has landed to a cache below; without one it does nothing.
func (c *Client) Add(h pachclient.Hash, size int64, r io.ReaderAt) error {
	cache, ok := c.Client.(interface {
		Add(h pachclient.Hash, size int64, r io.ReaderAt) error
	})
	if !ok {
		return nil
	}
	return cache.Add(h, size, r)
}
