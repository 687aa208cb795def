package tree

import "strings"

// Found is what stands at a path. Both are set where a file and a directory
// have one name without being noticed.
type Found struct {
	File    *Entry
	FileKey string // from the root
	Dir     *Entry
	DirKey  string
}

// Find looks up the path whose key, without a slash at the end, is given; the
// empty key is the root. datum "" accepts every file.
func Find(src Source, root Dir, key, datum string) (Found, error) {
	var f Found
	if key == "" {
		if root.Root != 0 {
			f.Dir = &Entry{IsDir: true, Dir: root}
		}
		return f, nil
	}
	prefix, name := "", key
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		prefix, name = key[:i+1], key[i+1:]
		parent, err := Lookup(src, root, prefix)
		if err != nil || parent == nil {
			return f, err
		}
		root = parent.Dir
	}
	c, err := seek(src, root.Root, name)
	if err != nil {
		return f, err
	}
	var last *Entry
	for e := c.entry(); e != nil && strings.HasPrefix(e.Key, name); e = c.entry() {
		if collides(last, e) {
			return f, collision(src, prefix, e)
		}
		if e.IsDir || bare(e.Key) != name {
			break
		}
		if _, is := Path(e.Key); f.File == nil && (datum == "" || datum == is) {
			f.File, f.FileKey = e, prefix+e.Key
		}
		last = e
		if err := c.next(); err != nil {
			return f, err
		}
	}
	f.DirKey = prefix + name + "/"
	f.Dir, err = Lookup(src, root, name+"/")
	return f, err
}
