package embedded

import (
	"context"
	"fmt"
	"strings"

	"pachfs/pachclient/embedded/internal/tree"
	"pachfs/pachclient/pfspb/pfs"
)

func (s *Server) addFile(ctx context.Context, g *stage, req *pfs.AddFile) error {
	path, err := writePath(req.GetPath())
	if err != nil {
		return err
	}
	if path == "/" {
		return unknown("path (%s) invalid: the root is not a file", req.Path)
	}
	key := tree.Key(path, cleanDatum(req.Datum))
	if from, ok := req.Source.(*pfs.AddFile_Url); ok {
		return s.addURL(ctx, g, key, from.Url)
	}
	_, err = appender{s, g, key}.Write(req.GetRaw().GetValue())
	return err
}

// cleanDatum makes a datum fit for a key: NUL separates it from the name.
func cleanDatum(datum string) string { return strings.ReplaceAll(datum, "\x00", "") }

func (s *Server) deleteFile(ctx context.Context, g *stage, to target, req *pfs.DeleteFile) error {
	path, err := writePath(req.GetPath())
	if err != nil {
		return err
	}
	if !strings.HasSuffix(req.Path, "/") {
		g.delete(tree.Key(path, cleanDatum(req.Datum)))
		return nil
	}
	prefix := strings.TrimPrefix(path+"/", "/")
	if path == "/" {
		prefix = ""
	}
	keys, err := s.below(ctx, to, prefix)
	if err != nil {
		return err
	}
	g.deleteDir(prefix, keys)
	return nil
}

// below gives the keys of all files in a directory of the target, as it stands
// now. A file set has no target: nothing is there.
func (s *Server) below(ctx context.Context, to target, prefix string) ([]string, error) {
	var base tree.Dir
	err := s.view(func(t *tx) error {
		c := to.commit
		if c == nil {
			b, err := t.branch(to.branch)
			if err != nil || b == nil {
				return err
			}
			if c, err = t.commit(b.Branch.Repo, b.Head); err != nil || c == nil {
				return err
			}
			if !c.open() {
				base = c.Base
				return nil
			}
		}
		now, err := t.commit(c.Repo, c.ID)
		if err != nil || now == nil {
			return err
		}
		base = now.Tree
		return t.checkBase(now)
	})
	if err != nil {
		return nil, err
	}
	dir := &tree.Entry{IsDir: true, Dir: base}
	if prefix != "" {
		if dir, err = tree.Lookup(nodes{ctx, s}, base, prefix); err != nil || dir == nil {
			return nil, err
		}
	}
	var keys []string
	err = tree.Walk(nodes{ctx, s}, dir.Dir, prefix, "", func(key string, e *tree.Entry) error {
		if !e.IsDir {
			keys = append(keys, key)
		}
		return nil
	})
	return keys, err
}

// checkBase refuses to read an open commit whose parent is not finished.
func (t *tx) checkBase(c *commitRec) error {
	if !c.open() || c.Parent == "" {
		return nil
	}
	p, err := t.commit(c.Repo, c.Parent)
	if err == nil && p != nil && p.Finished.IsZero() {
		err = unknown("base commit %s for commit %s unfinished", p, c)
	}
	return err
}

// copyFile puts files that exist elsewhere, by reference.
func (s *Server) copyFile(ctx context.Context, g *stage, req *pfs.CopyFile) error {
	dst, err := copyPath(req.GetDst())
	if err != nil {
		return err
	}
	if req.Src == nil {
		return required("CopyFile.Src")
	}
	from, err := s.snapshot(ctx, req.Src.Commit)
	if err != nil {
		return prefixed("inspect commitHandle", err)
	}
	put := func(path string, e *tree.Entry) error {
		if path, err = checkLength(path); err != nil {
			return err
		}
		if path == "/" {
			return unknown("path (%s) invalid: the root is not a file", req.Dst)
		}
		return g.copy(tree.Key(path, cleanDatum(req.Datum)), e.File, req.Append)
	}
	found, err := from.find(cleanPath(req.Src.Path), req.Src.Datum)
	if err != nil {
		return err
	}
	if found.File != nil {
		if err := put(dst, found.File); err != nil {
			return err
		}
	}
	if found.Dir == nil {
		return nil
	}
	return tree.Walk(from.src, found.Dir.Dir, "", "", func(key string, e *tree.Entry) error {
		if e.IsDir {
			return nil
		}
		name, _ := tree.Path(key)
		return put(strings.TrimSuffix(dst, "/")+name, e)
	})
}

func prefixed(words string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", words, err)
}
