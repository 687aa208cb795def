package bazil

import (
	"context"
	"os"
	"syscall"
	"time"

	"bazil.org/fuse"

	"pachfs/fs"
	"pachfs/staging"
)

// dispatch calls the one method of the tree that a request stands for. The
// answer is sent by calling what it returns.
func (s *server) dispatch(ctx context.Context, req fuse.Request) (func(), error) {
	switch r := req.(type) {
	case *fuse.LookupRequest:
		e, err := s.tree.Lookup(ctx, fs.Ino(r.Node), r.Name)
		return func() { r.Respond(packEntry(e)) }, err
	case *fuse.GetattrRequest:
		a, err := s.tree.Getattr(ctx, fs.Ino(r.Node))
		return func() { r.Respond(&fuse.GetattrResponse{Attr: packAttr(a)}) }, err
	case *fuse.SetattrRequest:
		return s.setattr(ctx, r)
	case *fuse.ReadlinkRequest:
		target, err := s.tree.Readlink(fs.Ino(r.Node))
		return func() { r.Respond(target) }, err
	case *fuse.MkdirRequest:
		e, err := s.tree.Mkdir(ctx, fs.Ino(r.Node), r.Name, made(r.Header, r.Mode))
		return func() { r.Respond(&fuse.MkdirResponse{LookupResponse: *packEntry(e)}) }, err
	case *fuse.RemoveRequest:
		remove := s.tree.Unlink
		if r.Dir {
			remove = s.tree.Rmdir
		}
		return r.Respond, remove(ctx, fs.Ino(r.Node), r.Name)
	case *fuse.RenameRequest:
		return r.Respond, s.tree.Rename(ctx, fs.Ino(r.Node), r.OldName, fs.Ino(r.NewDir), r.NewName)
	case *fuse.StatfsRequest:
		return s.statfs(r)
	case *fuse.AccessRequest: // default_permissions: the kernel checks by itself
		return nil, syscall.ENOSYS
	case *fuse.SymlinkRequest, *fuse.LinkRequest, *fuse.MknodRequest:
		return nil, syscall.EPERM
	case *fuse.GetxattrRequest, *fuse.ListxattrRequest, *fuse.SetxattrRequest, *fuse.RemovexattrRequest:
		return nil, syscall.ENOSYS // there are none, and the kernel need not ask again
	case *fuse.DestroyRequest:
		return r.Respond, nil
	}
	return s.dispatchHandle(ctx, req)
}

// dispatchHandle does the same for requests on open files and directories.
func (s *server) dispatchHandle(ctx context.Context, req fuse.Request) (func(), error) {
	switch r := req.(type) {
	case *fuse.CreateRequest:
		e, h, err := s.tree.Create(ctx, fs.Ino(r.Node), r.Name, made(r.Header, r.Mode), r.Flags&fuse.OpenExclusive != 0)
		resp := &fuse.CreateResponse{LookupResponse: *packEntry(e)}
		resp.Handle, resp.OpenResponse.Flags = fuse.HandleID(h), fuse.OpenKeepCache
		return func() { r.Respond(resp) }, err
	case *fuse.OpenRequest:
		return s.open(ctx, r)
	case *fuse.ReadRequest:
		if r.Dir {
			return s.readdir(r)
		}
		return s.readFile(ctx, r)
	case *fuse.WriteRequest:
		n, err := s.tree.Write(ctx, fs.Handle(r.Handle), r.Data, r.Offset)
		return func() { r.Respond(&fuse.WriteResponse{Size: n}) }, err
	case *fuse.FlushRequest:
		return r.Respond, s.tree.Flush(fs.Handle(r.Handle))
	case *fuse.FsyncRequest:
		if r.Dir { // a directory's changes are in the journal
			return r.Respond, s.tree.SyncDir(fs.Ino(r.Node))
		}
		return r.Respond, s.tree.Fsync(fs.Handle(r.Handle))
	case *fuse.ReleaseRequest:
		if r.Dir {
			s.tree.ReleaseDir(fs.Handle(r.Handle))
			return r.Respond, nil
		}
		return r.Respond, s.tree.Release(fs.Handle(r.Handle))
	}
	return nil, syscall.ENOSYS
}

// made gives what a new file or directory starts with.
func made(h fuse.Header, mode os.FileMode) staging.Attr {
	perm, uid, gid := packPerm(mode), h.Uid, h.Gid
	return staging.Attr{Mode: &perm, UID: &uid, GID: &gid}
}

func (s *server) open(ctx context.Context, r *fuse.OpenRequest) (func(), error) {
	resp := &fuse.OpenResponse{}
	if r.Dir {
		h, cache, err := s.tree.OpenDir(ctx, fs.Ino(r.Node))
		resp.Handle = fuse.HandleID(h)
		if cache { // only both together keep a listing
			resp.Flags = fuse.OpenKeepCache | fuse.OpenCacheDir
		}
		return func() { r.Respond(resp) }, err
	}
	h, flags, err := s.tree.Open(ctx, fs.Ino(r.Node), !r.Flags.IsReadOnly())
	resp.Handle, resp.Flags = fuse.HandleID(h), packOpen(flags)
	return func() { r.Respond(resp) }, err
}

func (s *server) readFile(ctx context.Context, r *fuse.ReadRequest) (func(), error) {
	buf, _ := s.bufs.Get().(*[]byte)
	if buf == nil || cap(*buf) < r.Size {
		b := make([]byte, r.Size)
		buf = &b
	}
	p := (*buf)[:r.Size]
	n, err := s.tree.Read(ctx, fs.Handle(r.Handle), p, r.Offset)
	if err != nil {
		s.bufs.Put(buf)
		return nil, err
	}
	return func() {
		r.Respond(&fuse.ReadResponse{Data: p[:n]})
		s.bufs.Put(buf)
	}, nil
}

func (s *server) readdir(r *fuse.ReadRequest) (func(), error) {
	entries, err := s.tree.ReadDir(fs.Handle(r.Handle), uint64(r.Offset))
	if err != nil {
		return nil, err
	}
	data := packDirents(entries, uint64(r.Offset), r.Size)
	return func() { r.Respond(&fuse.ReadResponse{Data: data}) }, nil
}

func (s *server) setattr(ctx context.Context, r *fuse.SetattrRequest) (func(), error) {
	size := int64(-1)
	if r.Valid.Size() {
		size = int64(r.Size)
	}
	var h fs.Handle
	if r.Valid.Handle() {
		h = fs.Handle(r.Handle)
	}
	a, err := s.tree.Setattr(ctx, fs.Ino(r.Node), h, size, s.unpackAttr(ctx, r))
	return func() { r.Respond(&fuse.SetattrResponse{Attr: packAttr(a)}) }, err
}

// unpackAttr gives what a SETATTR sets. The kernel may name one of owner and
// group; the other stays as it is.
func (s *server) unpackAttr(ctx context.Context, r *fuse.SetattrRequest) staging.Attr {
	var a staging.Attr
	if r.Valid.Mode() {
		perm := packPerm(r.Mode)
		a.Mode = &perm
	}
	if r.Valid.Uid() || r.Valid.Gid() {
		old, err := s.tree.Getattr(ctx, fs.Ino(r.Node))
		if err == nil {
			a.UID, a.GID = &old.UID, &old.GID
		}
		if r.Valid.Uid() {
			a.UID = &r.Uid
		}
		if r.Valid.Gid() {
			a.GID = &r.Gid
		}
	}
	switch {
	case r.Valid.MtimeNow():
		now := time.Now()
		a.ModTime = &now
	case r.Valid.Mtime():
		a.ModTime = &r.Mtime
	}
	return a
}

func (s *server) statfs(r *fuse.StatfsRequest) (func(), error) {
	sp, err := s.tree.Statfs()
	return func() {
		r.Respond(&fuse.StatfsResponse{Blocks: sp.Blocks, Bfree: sp.Free, Bavail: sp.Avail,
			Files: sp.Files, Ffree: sp.FilesFree, Bsize: sp.BlockSize, Frsize: sp.BlockSize, Namelen: 255})
	}, err
}
