package embedded

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"pachfs/pachclient/pfspb/pfs"
)

func (p *peer) list(req *pfs.ListFileRequest) []string {
	p.t.Helper()
	stream, err := p.ListFile(p.ctx, req)
	infos, err := all(stream, err)
	p.ok(err)
	return paths(infos)
}

func (p *peer) wantPaths(got, want []string) {
	p.t.Helper()
	if !slices.Equal(got, want) {
		p.t.Errorf("got %q, want %q", got, want)
	}
}

func TestListing(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, add("/B", "1"), add("/a-b", "2"), add("/a.txt", "3"), add("/a/x", "4"), add("/a/y/z", "5"), add("/a0", "6"))
	file := func(path string) *pfs.File { return &pfs.File{Commit: h, Path: path} }
	root := []string{"/B", "/a-b", "/a.txt", "/a/", "/a0"}
	p.wantPaths(p.list(&pfs.ListFileRequest{File: file("")}), root)
	p.wantPaths(p.list(&pfs.ListFileRequest{File: file("a/")}), []string{"/a/x", "/a/y/"})
	p.wantPaths(p.list(&pfs.ListFileRequest{File: file("/a/x")}), []string{"/a/x"})
	p.wantPaths(p.list(&pfs.ListFileRequest{File: file("/none")}), nil)
	for i, marker := range root {
		m := &pfs.File{Path: marker}
		p.wantPaths(p.list(&pfs.ListFileRequest{File: file("/"), PaginationMarker: m}), root[i+1:])
		p.wantPaths(p.list(&pfs.ListFileRequest{File: file("/"), PaginationMarker: m, Number: 2}), root[i+1:min(i+3, len(root))])
		back := slices.Clone(root[max(0, i-2):i])
		slices.Reverse(back)
		p.wantPaths(p.list(&pfs.ListFileRequest{File: file("/"), PaginationMarker: m, Number: 2, Reverse: true}), back)
	}
	p.wantPaths(p.list(&pfs.ListFileRequest{File: file("/"), Number: 100, Reverse: true}), []string{"/a0", "/a/", "/a.txt", "/a-b", "/B"})
	_, err := all(p.ListFile(p.ctx, &pfs.ListFileRequest{File: file("/"), Number: 100_001}))
	p.fails(err, codes.Unknown, "cannot return more than 100000 files at a time")

	walk := func(path, marker string, n int64) []string {
		infos, err := all(p.WalkFile(p.ctx, &pfs.WalkFileRequest{File: file(path), PaginationMarker: &pfs.File{Path: marker}, Number: n}))
		p.ok(err)
		return paths(infos)
	}
	p.wantPaths(walk("/", "", 0), []string{"/", "/B", "/a-b", "/a.txt", "/a/", "/a/x", "/a/y/", "/a/y/z", "/a0"})
	p.wantPaths(walk("/", "/a/", 3), []string{"/a/x", "/a/y/", "/a/y/z"})
	p.wantPaths(walk("/a", "", 0), []string{"/a/", "/a/x", "/a/y/", "/a/y/z"})
	_, err = all(p.WalkFile(p.ctx, &pfs.WalkFileRequest{File: file("/none")}))
	p.fails(err, codes.NotFound, "does not contain item: (/none)")

	info, err := p.InspectFile(p.ctx, &pfs.InspectFileRequest{File: file("a")})
	p.ok(err)
	if info.File.Path != "/a/" || info.SizeBytes != 2 || info.FileType != pfs.FileType_DIR || info.Committed == nil {
		t.Errorf("%v", info)
	}
	_, err = p.InspectFile(p.ctx, &pfs.InspectFileRequest{File: file("/none")})
	p.fails(err, codes.NotFound, "file /none not found in repo default/r at commit ")
}

func TestBigDirectory(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	const n = 5000
	p.modify(h, manyFiles("/d", n, "x")...)
	p.modify(h, del("/d/0002500.jpg"), add("/d/0002500.jpg", "y"))
	marker, got := "", 0
	for {
		page := p.list(&pfs.ListFileRequest{File: &pfs.File{Commit: h, Path: "/d"}, PaginationMarker: &pfs.File{Path: marker}, Number: 777})
		if len(page) == 0 {
			break
		}
		got += len(page)
		marker = page[len(page)-1]
	}
	if got != n {
		t.Errorf("%d files in pages", got)
	}
	diff, err := all(p.DiffFile(p.ctx, &pfs.DiffFileRequest{NewFile: &pfs.File{Commit: h, Path: "/"}}))
	p.ok(err)
	if len(diff) != 3 || diff[2].NewFile.File.Path != "/d/0002500.jpg" {
		t.Errorf("%d differences", len(diff))
	}
}

func TestGetFile(t *testing.T) {
	for _, o := range []Options{{}, {LikePachd: true}} {
		p := start(t, t.TempDir(), o)
		p.repo("r")
		h := head("r", "master")
		big := strings.Repeat("0123456789abcdef", 3<<16) // 3 MiB
		p.modify(h, add("/big", big), add("/small", "small"), add("/empty", ""), add(`/back\slash`, "b"), add("/d/x", "x"))
		if p.get(h, "/big") != big || p.get(h, "small") != "small" || p.get(h, "/empty") != "" {
			t.Error("wrong content")
		}
		for _, off := range []int64{1, 1 << 20, int64(len(big)) - 1, int64(len(big)), int64(len(big)) + 5} {
			got, err := p.getErr(h, "/big", off)
			p.ok(err)
			if got != big[min(int(off), len(big)):] {
				t.Errorf("%d bytes from %d", len(got), off)
			}
		}
		messages, err := all(p.GetFile(p.ctx, &pfs.GetFileRequest{File: &pfs.File{Commit: h, Path: "/big"}}))
		p.ok(err)
		if want := 1 + 2*b2i(!o.LikePachd); len(messages) != want {
			t.Errorf("%d messages, want %d", len(messages), want)
		}
		if got := p.get(h, `/{back\\slash}`); got != "b" {
			t.Errorf("%q", got)
		}
		_, err = p.getErr(h, "/d", 0)
		p.fails(err, codes.Unknown, "cannot get directory or non-regular file. Use GetFileTAR instead")
		_, err = p.getErr(h, "/*", 0)
		p.fails(err, codes.Unknown, "Use GetFileTAR instead")
		_, err = p.getErr(h, "/none", 0)
		p.fails(err, codes.NotFound, "file /none not found in repo default/r at commit ")
		if p.s.Stats().BytesSent == 0 || p.s.Stats().Calls["/pfs_v2.API/GetFile"] == 0 {
			t.Errorf("%+v", p.s.Stats())
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestGetFileTAR(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, add("/a", "1"), add("/d/x", strings.Repeat("x", 2<<20)), add("/d/"+strings.Repeat("n", 300), "long"), add("/e/y", ""))
	get := func(path string) []string {
		stream, err := p.GetFileTAR(p.ctx, &pfs.GetFileRequest{File: &pfs.File{Commit: h, Path: path}})
		messages, err := all(stream, err)
		p.ok(err)
		var joined []byte
		for _, m := range messages {
			joined = append(joined, m.Value...)
		}
		var got []string
		for r := tar.NewReader(bytes.NewReader(joined)); ; {
			hdr, err := r.Next()
			if err == io.EOF {
				return got
			}
			p.ok(err)
			n, err := io.Copy(io.Discard, r)
			p.ok(err)
			got = append(got, fmt.Sprintf("%.8s %d", hdr.Name, n))
		}
	}
	p.wantPaths(get("/"), []string{"/ 0", "/a 1", "/d/ 0", "/d/nnnnn 4", fmt.Sprint("/d/x ", 2<<20), "/e/ 0", "/e/y 0"})
	p.wantPaths(get("/{a,e}"), []string{"/a 1", "/e/ 0", "/e/y 0"})
}

func TestGlobFile(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, add("/a/1.jpg", "1"), add("/a/2.png", "2"), add("/b/1.jpg", "3"), add("/b/c/1.jpg", "4"), add("/x", "5"))
	for pattern, want := range map[string][]string{
		"/*":           {"/a/", "/b/", "/x"},
		"/*/*":         {"/a/1.jpg", "/a/2.png", "/b/1.jpg", "/b/c/"},
		"**.jpg":       {"/a/1.jpg", "/b/1.jpg", "/b/c/1.jpg"},
		"/b/**":        {"/b/1.jpg", "/b/c/", "/b/c/1.jpg"},
		"/{a,b}/1.jpg": {"/a/1.jpg", "/b/1.jpg"},
		"/":            {"/"},
		"/a":           {"/a/"},
		"/none*":       nil,
	} {
		infos, err := all(p.GlobFile(p.ctx, &pfs.GlobFileRequest{Commit: h, Pattern: pattern}))
		p.ok(err)
		p.wantPaths(paths(infos), want)
	}
	_, err := all(p.GlobFile(p.ctx, &pfs.GlobFileRequest{Commit: h, Pattern: "/[a"}))
	p.fails(err, codes.Unknown, "unexpected end of input")
}

func TestDiff(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, add("/same", "s"), add("/mod", "1"), add("/gone", "g"), add("/x/only", "o"), add("/d/same", "s"))
	first := p.inspect(h, 0).Commit
	p.modify(h, del("/mod"), add("/mod", "2"), del("/gone"), del("/x/only"), add("/y/new", "n"), del("/same"), add("/same", "s"))
	second := p.inspect(h, 0).Commit
	diff := func(now, old *pfs.Commit, path string) []string {
		req := &pfs.DiffFileRequest{NewFile: &pfs.File{Commit: now, Path: path}}
		if old != nil {
			req.OldFile = &pfs.File{Commit: old, Path: path}
		}
		all, err := all(p.DiffFile(p.ctx, req))
		p.ok(err)
		var got []string
		for _, d := range all {
			switch {
			case d.OldFile == nil:
				got = append(got, "+"+d.NewFile.File.Path)
			case d.NewFile == nil:
				got = append(got, "-"+d.OldFile.File.Path)
			default:
				got = append(got, "M"+d.NewFile.File.Path)
			}
		}
		return got
	}
	want := []string{"M/", "-/gone", "M/mod", "-/x/", "-/x/only", "+/y/", "+/y/new"}
	p.wantPaths(diff(second, nil, "/"), want)
	p.wantPaths(diff(second, first, "/"), want)
	p.wantPaths(diff(first, second, "/"), []string{"M/", "+/gone", "M/mod", "+/x/", "+/x/only", "-/y/", "-/y/new"})
	p.wantPaths(diff(first, nil, "/d"), []string{"+/d/", "+/d/same"})
	p.wantPaths(diff(second, second, "/"), nil)
	p.wantPaths(diff(second, nil, "/mod"), []string{"M/mod"})

	find, err := all(p.FindCommits(p.ctx, &pfs.FindCommitsRequest{Start: h, FilePath: "/same"}))
	p.ok(err)
	if len(find) != 3 || find[0].GetFoundCommit().GetId() != second.Id || find[1].GetFoundCommit().GetId() != first.Id || find[2].CommitsSearched != 2 {
		t.Errorf("%v", find)
	}
}
