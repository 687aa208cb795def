//go:build bench

package bench

import (
	"context"
	"errors"
	"io"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"pachfs/pachclient"
	"pachfs/pachclient/pfspb/pfs"
	"pachfs/test/harness"
)

// What a bare client does: no line of ours but the generated messages.

func file(ref, path string) *pfs.File {
	return &pfs.File{Commit: harness.CommitOf(ref, ""), Path: path}
}

// rawRead reads most bytes of a file from off on; most < 0: all of it.
func (e *env) rawRead(ref, path string, off, most int64) {
	e.Helper()
	ctx, cancel := context.WithCancel(e.Context())
	defer cancel()
	stream, err := e.s.Peer.API.GetFile(ctx, &pfs.GetFileRequest{File: file(ref, path), Offset: off})
	e.must(err)
	for n := int64(0); most < 0 || n < most; {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return
		}
		e.must(err)
		n += int64(len(m.Value))
	}
}

func (e *env) rawTAR(ref, path string) {
	e.Helper()
	stream, err := e.s.Peer.API.GetFileTAR(e.Context(), &pfs.GetFileRequest{File: file(ref, path)})
	e.must(err)
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			e.Fatal(err)
		}
	}
}

// rawListAll lists a directory and all below it, directory by directory.
func (e *env) rawListAll(ref, dir string) {
	e.Helper()
	stream, err := e.s.Peer.API.ListFile(e.Context(), &pfs.ListFileRequest{File: file(ref, dir)})
	e.must(err)
	var dirs []string
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		e.must(err)
		if m.FileType == pfs.FileType_DIR {
			dirs = append(dirs, m.File.Path)
		}
	}
	for _, d := range dirs {
		e.rawListAll(ref, d)
	}
}

// A source is a file to be put.
type source struct {
	path string
	size int
}

// rawPut commits files in one ModifyFile, and waits until the commit is finished.
func (e *env) rawPut(ref string, fill func(b []byte, i int), files ...source) {
	e.Helper()
	stream, err := e.s.Peer.API.ModifyFile(e.Context())
	e.must(err)
	send := func(m *pfs.ModifyFileRequest) { e.must(stream.Send(m)) }
	send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_SetCommit{SetCommit: harness.CommitOf(ref, "")}})
	buf := make([]byte, 1<<20)
	for i, f := range files {
		for left := f.size; left > 0 || left == f.size; {
			part := buf[:min(left, len(buf))]
			fill(part, i)
			send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_AddFile{AddFile: &pfs.AddFile{
				Path: f.path, Source: &pfs.AddFile_Raw{Raw: wrapperspb.Bytes(part)}}}})
			if left -= len(part); left == 0 {
				break
			}
		}
	}
	_, err = stream.CloseAndRecv()
	e.must(err)
	e.s.Peer.Finished(e, ref)
}

// rawCommit is the least that makes one finished commit of a small file: a file
// set, and a change that adds it.
func (e *env) rawCommit(ref, path, data string) {
	e.Helper()
	set, err := e.s.Peer.API.CreateFileSet(e.Context())
	e.must(err)
	e.must(set.Send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_AddFile{AddFile: &pfs.AddFile{
		Path: path, Source: &pfs.AddFile_Raw{Raw: wrapperspb.Bytes([]byte(data))}}}}))
	made, err := set.CloseAndRecv()
	e.must(err)
	stream, err := e.s.Peer.API.ModifyFile(e.Context())
	e.must(err)
	e.must(stream.Send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_SetCommit{SetCommit: harness.CommitOf(ref, "")}}))
	e.must(stream.Send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_CopyFile{CopyFile: &pfs.CopyFile{Dst: "/",
		Src: &pfs.File{Path: "/", Commit: &pfs.Commit{Repo: &pfs.Repo{Name: pachclient.FileSetRepo}, Id: made.FileSetId}}}}}))
	_, err = stream.CloseAndRecv()
	e.must(err)
	e.s.Peer.Finished(e, ref)
}
