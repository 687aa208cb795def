package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pachfs/pachclient/embedded/internal/content"
	"pachfs/pachclient/embedded/internal/tree"
)

// Check verifies every invariant of the store: that records refer to what
// exists and agree with each other, that trees are well formed, and that every
// byte that they refer to is there and has its hash. It reads everything and
// gives all that is wrong, joined.
func (s *Server) Check(ctx context.Context) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	c := &checker{s: s, blobs: make(map[string]bool), trees: make(map[tree.Dir]bool), nodes: make(map[tree.ID]bool)}
	err := s.content.Blobs(func(blob string, _ int64) error {
		c.blobs[blob] = true
		if err := s.content.Verify(blob); err != nil {
			c.bad(err)
		}
		return ctx.Err()
	})
	if err == nil {
		err = s.view(c.records)
	}
	if err == nil {
		err = c.contents(ctx)
	}
	return errors.Join(append(c.wrong, err)...)
}

type checker struct {
	s     *Server
	wrong []error
	blobs map[string]bool
	trees map[tree.Dir]bool
	nodes map[tree.ID]bool
	roots []tree.Dir
}

func (c *checker) bad(err error) { c.wrong = append(c.wrong, err) }

func (c *checker) badf(format string, args ...any) { c.bad(fmt.Errorf(format, args...)) }

// records checks what the database says of names and commits.
func (c *checker) records(t *tx) error {
	repos, err := t.repos("", "")
	if err != nil {
		return err
	}
	known := make(map[string]bool)
	for _, r := range repos {
		known[r.Repo.key()] = true
		if p, err := t.project(r.Repo.Project); err != nil || p == nil {
			c.badf("repo %s: no such project (%v)", r.Repo, err)
		}
	}
	branches, err := t.branches(repoName{})
	if err != nil {
		return err
	}
	for _, b := range branches {
		if head, err := t.commit(b.Branch.Repo, b.Head); err != nil || head == nil {
			c.badf("branch %s: no head %s (%v)", b.Branch, b.Head, err)
		}
		if !known[b.Branch.Repo.key()] {
			c.badf("branch %s: no such repo", b.Branch)
		}
		for _, p := range b.Provenance {
			if from, err := t.branch(p); err != nil || from == nil {
				c.badf("branch %s: no branch %s of its provenance (%v)", b.Branch, p, err)
			}
		}
	}
	commits := 0
	err = t.scan(bucketCommits, "", func(key string, data []byte) error {
		commits++
		rec := new(commitRec)
		if err := decodeRecord(bucketCommits, key, data, rec); err != nil {
			return err
		}
		if !known[rec.Repo.key()] || rec.key() != key {
			c.badf("commit %s: no such repo, or not its key", key)
		}
		return c.commit(t, rec)
	})
	if err != nil {
		return err
	}
	if err := c.indexes(t, commits); err != nil {
		return err
	}
	return t.roots(func(what string, d tree.Dir) error {
		if err := tree.Verify(t, d, c.trees); err != nil {
			c.badf("%s: %w", what, err)
		}
		c.roots = append(c.roots, d)
		return nil
	})
}

// commit checks one commit and its links.
func (c *checker) commit(t *tx, rec *commitRec) error {
	if rec.Parent != "" {
		p, err := t.commit(rec.Repo, rec.Parent)
		if err != nil {
			return err
		}
		switch {
		case p == nil:
			c.badf("commit %s: no parent %s", rec, rec.Parent)
		case !slices.Contains(p.Children, rec.ID):
			c.badf("commit %s: its parent %s does not know it", rec, rec.Parent)
		case p.open():
			c.badf("commit %s: its parent %s is open", rec, rec.Parent)
		}
	}
	for _, id := range rec.Children {
		if child, err := t.commit(rec.Repo, id); err != nil || child == nil || child.Parent != rec.ID {
			c.badf("commit %s: %s is not its child (%v)", rec, id, err)
		}
	}
	if rec.open() && !rec.Finished.IsZero() {
		c.badf("commit %s: finished before it was finishing", rec)
	}
	if !rec.open() && rec.Error == "" && rec.Tree != rec.Base {
		c.badf("commit %s: descendants build on another tree", rec)
	}
	if pending := t.b.Bucket(bucketPending).Get([]byte(rec.key())) != nil; pending != (!rec.open() && rec.Finished.IsZero()) {
		c.badf("commit %s: pending is %v", rec, pending)
	}
	if string(t.b.Bucket(bucketOrder).Get([]byte(rec.Repo.key()+"@"+number(rec.Seq)))) != rec.ID {
		c.badf("commit %s: not in the order of its repo", rec)
	}
	if k, _ := t.b.Bucket(bucketSets).Cursor().Seek([]byte(rec.ID + "@" + rec.Repo.key())); string(k) != rec.ID+"@"+rec.Repo.key() {
		c.badf("commit %s: not in its commit set", rec)
	}
	return nil
}

// indexes checks that the indexes know nothing but the commits, each of which
// was found in them.
func (c *checker) indexes(t *tx, commits int) error {
	for _, bucket := range [][]byte{bucketOrder, bucketSets} {
		count := 0
		err := t.scan(bucket, "", func(string, []byte) error {
			count++
			return nil
		})
		if err != nil {
			return err
		}
		if count != commits {
			c.badf("index %s has %d entries for %d commits", bucket, count, commits)
		}
	}
	return nil
}

// contents reads every file of every tree, once for each node that has it.
func (c *checker) contents(ctx context.Context) error {
	r := c.s.content.NewReader()
	defer r.Close()
	for _, d := range c.roots {
		err := tree.Nodes(nodes{ctx, c.s}, d, c.nodes, func(e *tree.Entry) error {
			if err := c.file(r, e); err != nil {
				name, _, _ := strings.Cut(e.Key, "\x00")
				c.badf("file %s: %w", name, err)
			}
			return ctx.Err()
		})
		if err := ctx.Err(); err != nil {
			return err
		}
		if err != nil {
			c.bad(err)
		}
	}
	return nil
}

func (c *checker) file(r *content.Reader, e *tree.Entry) error {
	for _, chunk := range e.File.Chunks {
		if chunk.Len > 0 && !c.blobs[chunk.Blob().String()] {
			return fmt.Errorf("no blob %s", chunk.Blob())
		}
	}
	return r.Verify(e.File)
}
