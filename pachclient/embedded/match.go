package embedded

import (
	"path"
	"strings"

	"pachfs/pachclient/embedded/internal/glob"
	"pachfs/pachclient/embedded/internal/tree"
	"pachfs/pachclient/pfspb/pfs"
)

// A match finds what a pattern means in a snapshot.
type match struct {
	n       *snapshot
	glob    *glob.Glob
	pattern string
	depth   int // elements that a match has at most; -1: any number
	inRange func(path string) bool
}

// match reads a pattern, which is a path like any other if nothing in it is
// special.
func (n *snapshot) match(pattern string, limits *pfs.PathRange) (*match, error) {
	m := &match{n: n, pattern: cleanPattern(pattern), depth: -1}
	var err error
	if m.glob, err = glob.Compile(m.pattern); err != nil {
		return nil, unknown("%v", err)
	}
	if !strings.Contains(m.pattern, "**") && !strings.Contains(m.pattern, "(") {
		m.depth = strings.Count(m.pattern, "/")
	}
	m.inRange = func(p string) bool {
		return limits == nil || p >= limits.Lower && (limits.Upper == "" || p < limits.Upper)
	}
	return m, nil
}

func cleanPattern(p string) string { return path.Clean("/" + p) }

// each calls fn with what matches, in path order. With deep it also calls it
// with all that is below a directory that matches.
func (m *match) each(deep bool, fn tree.Visit) error {
	src := m.n.src
	if m.pattern == "/" && m.n.tree.Root != 0 && m.inRange("/") {
		if err := fn("", &tree.Entry{IsDir: true, Dir: m.n.tree}); err != nil || !deep {
			return err
		}
		return tree.Walk(src, m.n.tree, "", "", fn)
	}
	if glob.Literal(m.pattern) {
		return m.literal(deep, fn)
	}
	inside := "" // the directory that matched last
	err := tree.Walk(src, m.n.tree, "", "", func(key string, e *tree.Entry) error {
		if err := src.ctx.Err(); err != nil { // a long pattern takes its time for each path
			return err
		}
		p, _ := tree.Path(key)
		prefix := m.glob.Prefix()
		if !strings.HasPrefix(p, prefix) && !strings.HasPrefix(prefix, p) {
			if p > prefix {
				return errStop
			}
			return skip(e)
		}
		below := inside != "" && strings.HasPrefix(p, inside)
		if !m.inRange(p) {
			return nil
		}
		hit := below
		if !hit {
			var err error
			if hit, err = m.glob.Match(strings.TrimSuffix(p, "/")); err != nil {
				return unknown("glob %q: %v", m.pattern, err)
			}
		}
		if hit {
			if err := fn(key, e); err != nil {
				return err
			}
			if deep && e.IsDir && !below {
				inside = p
			}
		}
		if m.depth >= 0 && !(deep && hit) && strings.Count(strings.TrimSuffix(p, "/"), "/") >= m.depth {
			return skip(e)
		}
		return nil
	})
	if err == errStop {
		return nil
	}
	return err
}

func skip(e *tree.Entry) error {
	if e.IsDir {
		return tree.ErrSkipDir
	}
	return nil
}

func (m *match) literal(deep bool, fn tree.Visit) error {
	f, err := m.n.find(m.pattern, "")
	if err != nil {
		return err
	}
	if f.File != nil && m.inRange(m.pattern) {
		if err := fn(f.FileKey, f.File); err != nil {
			return err
		}
	}
	if f.Dir == nil || !m.inRange(m.pattern+"/") {
		return nil
	}
	if err := fn(f.DirKey, f.Dir); err != nil || !deep {
		return err
	}
	return tree.Walk(m.n.src, f.Dir.Dir, f.DirKey, "", func(key string, e *tree.Entry) error {
		if p, _ := tree.Path(key); !m.inRange(p) {
			return nil
		}
		return fn(key, e)
	})
}
