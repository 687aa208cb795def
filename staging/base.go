package staging

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"pachfs/pachclient"
)

// A base is the commit that the layers lie on, with what Pachyderm does not
// keep of it: empty directories, and the times of what landed here.
type base struct {
	info CommitInfo
	r    pachclient.Reader
	res  *residue // nil: nothing is remembered (a commit that is read by its ID)
}

// CommitInfo is pachclient's; the name is used a lot here.
type CommitInfo = pachclient.CommitInfo

// Info describes a file or a directory of an overlay.
type Info struct {
	Name    string // last element of the path
	Dir     bool
	Size    int64
	ModTime time.Time
	Staged  bool            // it differs from the base, or may
	Hash    pachclient.Hash // of a committed file without a change
	attr
}

// Perm gives the permission bits, where somebody set them here.
func (i Info) Perm() (uint32, bool) { return i.mode, i.hasMode }

// Owner gives the owner, where somebody set one here.
func (i Info) Owner() (uid, gid uint32, ok bool) { return i.uid, i.gid, i.hasOwner }

// An Attr is what a caller sets of a file: nil fields stay as they are.
type Attr struct {
	Mode     *uint32
	UID, GID *uint32
	ModTime  *time.Time
}

func (a Attr) record(r record) record {
	if a.Mode != nil {
		r.Mode, r.Flags = *a.Mode, r.Flags|flagMode
	}
	if a.UID != nil && a.GID != nil {
		r.UID, r.GID, r.Flags = *a.UID, *a.GID, r.Flags|flagOwner
	}
	if a.ModTime != nil {
		r.Time, r.Flags = a.ModTime.UnixNano(), r.Flags|flagTime
	}
	return r
}

// describe turns what the commit says of a file into what the mount shows.
func (b *base) describe(fi pachclient.FileInfo) Info {
	i := Info{Name: path.Base(fi.Path), Dir: fi.Dir, Size: fi.Size, Hash: fi.Hash}
	if fi.Dir {
		i.Size = 0
	}
	i.mtime = b.since().UnixNano()
	if b.res == nil {
		i.mtime = fi.ModTime.UnixNano()
	} else if t, ok := b.res.time(fi.Path, fi.Hash, fi.Dir); ok {
		i.mtime = t
	}
	i.ModTime = time.Unix(0, i.mtime)
	return i
}

// since is the time of what was there when the branch was first seen here.
func (b *base) since() time.Time {
	if b.res != nil {
		return b.res.since()
	}
	return b.info.Finished
}

// stat describes a path of the base. The root always exists, and is looked at
// after each change: nobody needs to be asked.
func (b *base) stat(ctx context.Context, p string) (Info, error) {
	if p == "/" {
		return b.describe(pachclient.FileInfo{Path: p, Dir: true, ModTime: b.info.Finished}), nil
	}
	fi, err := b.r.Stat(ctx, p)
	if err == nil {
		return b.describe(fi), nil
	}
	if errors.Is(err, fs.ErrNotExist) && b.res != nil && b.res.hasDir(p) && !b.inFile(ctx, p) {
		return b.describe(pachclient.FileInfo{Path: p, Dir: true}), nil
	}
	return Info{}, err
}

// inFile says whether something above the path is a file: others may have put
// one where a directory is remembered.
func (b *base) inFile(ctx context.Context, p string) bool {
	for dir, _ := split(p); dir != "/"; dir, _ = split(dir) {
		if fi, err := b.r.Stat(ctx, dir); err == nil {
			return !fi.Dir
		}
	}
	return false
}

// list gives the children of a directory of the base.
func (b *base) list(ctx context.Context, p string) ([]Info, error) {
	var out []Info
	var empty map[string]bool // remembered, where the commit has nothing
	if b.res != nil && b.res.hasDirs() {
		empty = b.res.dirsIn(p)
	}
	err := b.r.List(ctx, p, func(fi pachclient.FileInfo) error {
		if len(empty) > 0 {
			delete(empty, path.Base(fi.Path))
		}
		out = append(out, b.describe(fi))
		return nil
	})
	if err == nil {
		for _, name := range slices.Sorted(maps.Keys(empty)) {
			out = append(out, b.describe(pachclient.FileInfo{Path: join(p, name), Dir: true}))
		}
	}
	return out, err
}
