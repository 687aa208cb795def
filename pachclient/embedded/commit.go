package embedded

import (
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pachfs/pachclient/embedded/internal/tree"
	"pachfs/pachclient/pfspb/pfs"
)

// newCommit makes an open commit on a parent (nil: none), which has ended, and
// makes it the head of the branch.
func (t *tx) newCommit(name branchName, parent *commitRec, origin pfs.OriginKind, description string) (*commitRec, error) {
	c := &commitRec{
		Repo: name.Repo, ID: newID(), Branch: name.Name,
		Origin: origin, Description: description, Started: t.now,
	}
	var err error
	if c.Seq, err = t.nextSeq(); err != nil {
		return nil, err
	}
	if parent != nil {
		c.Parent, c.Base, c.Tree = parent.ID, parent.Base, parent.Base
		parent.Children = append(parent.Children, c.ID)
		if err := t.putCommit(parent); err != nil {
			return nil, err
		}
	}
	if err := t.b.Bucket(bucketOrder).Put([]byte(c.Repo.key()+"@"+number(c.Seq)), []byte(c.ID)); err != nil {
		return nil, err
	}
	if err := t.b.Bucket(bucketSets).Put([]byte(c.ID+"@"+c.Repo.key()), nil); err != nil {
		return nil, err
	}
	if err := t.setHead(name, c.ID); err != nil {
		return nil, err
	}
	return c, t.putCommit(c)
}

// emptyCommit makes the finished commit that a branch has before anything is
// written to it.
func (t *tx) emptyCommit(name branchName) (*commitRec, error) {
	c, err := t.newCommit(name, nil, pfs.OriginKind_AUTO, "")
	if err != nil {
		return nil, err
	}
	c.Finishing, c.Finished = t.now, t.now
	return c, t.putCommit(c)
}

// forget removes a commit's record from everywhere; seq is its key in the
// order of its repo.
func (t *tx) forget(repo repoName, id, seq string) error {
	key := repo.key() + "@"
	return errors.Join(
		t.del(bucketCommits, key+id),
		t.del(bucketOrder, key+seq),
		t.del(bucketPending, key+id),
		t.del(bucketSets, id+"@"+repo.key()))
}

// finish ends a commit. Whether its content is good is decided here and now.
func (t *tx) finish(c *commitRec, description, errText string) error {
	if !c.open() {
		return errFinished(c)
	}
	if description != "" {
		c.Description = description
	}
	c.Finishing, c.Error = t.now, errText
	if c.Error == "" && c.Invalid {
		if err := t.validate(c); err != nil {
			return err
		}
	} else {
		c.Invalid = false
	}
	if c.Error == "" {
		c.Base = c.Tree
	}
	if t.s.opts.FinishDelay <= 0 {
		c.Finished = t.now
		return t.putCommit(c)
	}
	if err := t.b.Bucket(bucketPending).Put([]byte(c.key()), nil); err != nil {
		return err
	}
	t.b.OnCommit(func() { t.s.finishLater(c.key()) })
	return t.putCommit(c)
}

// validate looks for the first collision in a commit in which some write made
// one, unless a later write undid it.
func (t *tx) validate(c *commitRec) error {
	err := tree.Walk(t, c.Tree, "", "", func(string, *tree.Entry) error { return nil })
	var found *tree.Collision
	if errors.As(err, &found) {
		c.Error = found.Error()
		return nil
	}
	c.Invalid = false
	return err
}

// finishLater turns a finishing commit into a finished one after the delay.
// When the server closes before, the next Open does it.
func (s *Server) finishLater(key string) {
	s.workers.Go(func() {
		select {
		case <-time.After(s.opts.FinishDelay):
		case <-s.done:
			return
		}
		err := s.update(noDeadline, func(t *tx) error { return t.finished(key) })
		if err != nil {
			s.log.Error("commit stays unfinished", "commit", key, "error", err)
		}
	})
}

// finished marks a finishing commit as finished; it may be gone.
func (t *tx) finished(key string) error {
	c, err := found(t.get, bucketCommits, key, new(commitRec))
	if err != nil || c == nil {
		return err
	}
	c.Finished = t.now
	return errors.Join(t.putCommit(c), t.del(bucketPending, key))
}

// finishLeftovers finishes what was finishing when the process ended.
func (s *Server) finishLeftovers() error {
	return s.update(noDeadline, func(t *tx) error {
		var keys []string
		err := t.scan(bucketPending, "", func(key string, _ []byte) error {
			keys = append(keys, key)
			return nil
		})
		for _, key := range keys {
			err = errors.Join(err, t.finished(key))
		}
		return err
	})
}

// commitInfo describes a commit.
func (t *tx) commitInfo(c *commitRec) (*pfs.CommitInfo, error) {
	info := &pfs.CommitInfo{
		Commit:      c.Repo.commit(c.ID),
		Origin:      &pfs.CommitOrigin{Kind: c.Origin},
		Description: c.Description,
		Started:     timestamppb.New(c.Started),
		CreatedAt:   timestamppb.New(c.Started),
		UpdatedAt:   timestamppb.New(c.Updated),
		Error:       c.Error,
		Metadata:    c.Metadata,
		Details:     &pfs.CommitInfo_Details{},
	}
	if c.Parent != "" {
		info.ParentCommit = c.Repo.commit(c.Parent)
	}
	if !c.Finishing.IsZero() {
		info.Finishing = timestamppb.New(c.Finishing)
	}
	if !c.Finished.IsZero() {
		info.Finished = timestamppb.New(c.Finished)
		if c.Error == "" || c.Invalid {
			info.Details.SizeBytes = c.Tree.Size
		}
	}
	for _, id := range c.Children {
		child, err := t.commit(c.Repo, id)
		if err != nil {
			return nil, err
		}
		if child != nil {
			ref := c.Repo.commit(id)
			ref.Branch = c.Repo.branch(child.Branch)
			info.ChildCommits = append(info.ChildCommits, ref)
		}
	}
	return info, nil
}
