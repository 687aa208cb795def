package test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"pachfs/pachclient/embedded"
	"pachfs/pachclient/pfspb/pfs"
	"pachfs/test/harness"
)

var bigSize = flag.Int64("big", 10<<30, "size of the big file of TestSparse")

// doubled makes a file of size bytes, which is a block over and over, from the
// copies that the server can make of it by itself.
func doubled(t *testing.T, s *harness.Server, ref, path, block string, size int64) {
	t.Helper()
	ok(t, s.Peer.Modify(t.Context(), ref, map[string]string{path: block}))
	for have := int64(len(block)); have < size; have *= 2 {
		id := s.Peer.Finished(t, ref)
		from := &pfs.CopyFile{Dst: path, Append: true, Src: &pfs.File{Commit: harness.CommitOf(ref, id), Path: path}}
		if have*2 > size { // what is missing stands in an older commit
			from.Src.Commit.Id = olderWith(t, s, ref, path, size-have)
		}
		edit(t, s, ref, from)
	}
	s.Peer.Finished(t, ref)
}

// edit is a ModifyFile of copies.
func edit(t *testing.T, s *harness.Server, ref string, copies ...*pfs.CopyFile) {
	t.Helper()
	stream, err := s.Peer.API.ModifyFile(t.Context())
	ok(t, err)
	ok(t, stream.Send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_SetCommit{SetCommit: harness.CommitOf(ref, "")}}))
	for _, c := range copies {
		ok(t, stream.Send(&pfs.ModifyFileRequest{Body: &pfs.ModifyFileRequest_CopyFile{CopyFile: c}}))
	}
	_, err = stream.CloseAndRecv()
	ok(t, err)
}

// olderWith finds the commit in which a file had that size.
func olderWith(t *testing.T, s *harness.Server, ref, path string, size int64) string {
	t.Helper()
	for _, c := range s.Peer.Commits(t, ref, "") {
		fi, err := s.Peer.API.InspectFile(t.Context(), &pfs.InspectFileRequest{File: &pfs.File{Commit: c.Commit, Path: path}})
		if err == nil && fi.SizeBytes == size {
			return c.Commit.Id
		}
	}
	t.Fatalf("%s never had %d bytes", path, size)
	return ""
}

// One byte changed in a 10 GiB file that is committed is readable back in less
// than 2 s, and next to nothing is fetched for it. What is appended to such a
// file lands without moving what was there; the name lands without anything.
func TestSparse(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("big@master")
	s.Peer.Create(t, s.Ref("big"))
	r := random(t)
	block := make([]byte, 64<<20)
	for i := range block {
		block[i] = byte(r.Uint32())
	}
	size, start := *bigSize, time.Now()
	doubled(t, s, ref, "/mid", string(block), size)
	src := &pfs.File{Commit: harness.CommitOf(ref, s.Peer.Finished(t, ref)), Path: "/mid"}
	edit(t, s, ref, &pfs.CopyFile{Dst: "/end", Src: src}, &pfs.CopyFile{Dst: "/name", Src: src})
	s.Peer.Finished(t, ref)
	t.Logf("made three files of %d MiB in %v", size>>20, time.Since(start).Round(time.Millisecond))

	p := harness.NewProxy(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: p.URL, Deadline: 3 * time.Minute})
	if st, err := os.Stat(m.Path(ref, "mid")); err != nil || st.Size() != size {
		t.Fatalf("%v %v", st, err)
	}
	at := func(off int64, n int) []byte {
		out := make([]byte, n)
		for i := range out {
			out[i] = block[(off+int64(i))%int64(len(block))]
		}
		return out
	}
	down, start := p.Down(), time.Now()
	off := size/2 + 1<<20 + 12345
	f, err := os.OpenFile(m.Path(ref, "mid"), os.O_RDWR, 0)
	ok(t, err)
	want := at(off-100, 200)
	want[100] ^= 0xff
	_, err = f.WriteAt(want[100:101], off)
	ok(t, err)
	ok(t, f.Close())
	readsAt(t, m.Path(ref, "mid"), off-100, want)
	took, back := time.Since(start), p.Down()-down
	settle(p)
	t.Logf("one byte in the middle: readable back after %v, %.2f MiB fetched by then, %.2f MiB in all", took, mib(back), mib(p.Down()-down))
	if took > 20*time.Second {
		t.Errorf("one byte in the middle took %v", took)
	}
	if moved := p.Down() - down; moved > 8<<20 && os.Getenv("PACHFS_TEST_PACHD") == "" {
		t.Errorf("one byte in the middle fetched %d bytes", moved)
	}
	if r := harness.Pachfs(t, "discard", m.Path(ref, "mid")); r.Code != 0 {
		t.Fatal(r)
	}

	down, up, start := p.Down(), p.Up(), time.Now()
	harness.Sh(t, m.Path(ref), "echo -n 'the tail' >> end; mv name other; echo -n 'another' >> other")
	commit(t, m, ref)
	took = time.Since(start)
	settle(p)
	t.Logf("appended, renamed and committed in %v: %.3f MiB up, %.3f MiB down", took, mib(p.Up()-up), mib(p.Down()-down))
	if p.Up()-up > 1<<20 || p.Down()-down > 1<<20 {
		t.Errorf("an append moved %d bytes up and %d down", p.Up()-up, p.Down()-down)
	}
	readsAt(t, m.Path(ref, "end"), size-100, append(at(size-100, 100), "the tail"...))
	for path, tail := range map[string]string{"/end": "the tail", "/other": "another"} {
		if got := getFrom(t, s, ref, path, size-1<<20); got != string(at(size-1<<20, 1<<20))+tail {
			t.Errorf("%s ends in %d other bytes", path, len(got))
		}
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// readsAt wants these bytes at an offset of a file.
func readsAt(t *testing.T, path string, off int64, want []byte) {
	t.Helper()
	f, err := os.Open(path)
	ok(t, err)
	defer f.Close()
	got := make([]byte, len(want))
	if _, err := f.ReadAt(got, off); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s at %d: other bytes, %v", path, off, err)
	}
}

// getFrom gives a committed file from an offset on.
func getFrom(t *testing.T, s *harness.Server, ref, path string, off int64) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := s.Peer.API.GetFile(ctx, &pfs.GetFileRequest{File: &pfs.File{Commit: harness.CommitOf(ref, ""), Path: path}, Offset: off})
	ok(t, err)
	var b bytes.Buffer
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			return b.String()
		}
		ok(t, err)
		b.Write(m.Value)
	}
}

// What a change in the middle costs: Pachyderm copies files whole or not at all, so
// the file comes down once and goes up once. Not twice.
func TestSparseMiddleCosts(t *testing.T) {
	s := harness.Serve(t)
	ref := s.Ref("big@master")
	s.Peer.Create(t, s.Ref("big"))
	const size = 32 << 20
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(data)
	s.Peer.PutWait(t, ref, map[string]string{"/f": string(data)})
	p := harness.NewProxy(t, s)
	m := harness.MountSpec(t, harness.Spec{URL: p.URL})
	down, up := p.Down(), p.Up()
	f, err := os.OpenFile(m.Path(ref, "f"), os.O_WRONLY, 0)
	ok(t, err)
	_, err = f.WriteAt([]byte("X"), size/2)
	ok(t, err)
	ok(t, f.Close())
	commit(t, m, ref)
	settle(p)
	t.Logf("a byte in the middle of %d MiB: %.2f MiB up, %.2f MiB down", size>>20, mib(p.Up()-up), mib(p.Down()-down))
	if p.Up()-up > size*5/4 || p.Down()-down > size*5/4 {
		t.Errorf("%d bytes up and %d down for a file of %d", p.Up()-up, p.Down()-down, size)
	}
	data[size/2] = 'X'
	same(t, "landed", s.Peer.Tree(t, ref, ""), map[string]string{"/f": string(data)})
}

// A directory of 100,000 files gets another name, and no content moves: neither
// when that is all, nor when something in it changed too.
func TestSparseRename(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 5000
	}
	back, err := embedded.Open(t.TempDir(), embedded.Options{})
	ok(t, err)
	t.Cleanup(func() { ok(t, back.Close()) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	go back.Serve(l)
	s := harness.At(t, "grpc://"+l.Addr().String())
	const ref = "many@master"
	s.Peer.Create(t, "many")
	files, want := map[string]string{"/other": "other"}, map[string]string{"/other": "other", "/second/new": "new"}
	for i := range n {
		files[fmt.Sprintf("/d/%d", i)] = fmt.Sprint("content ", i)
		want[fmt.Sprintf("/second/%d", i)] = fmt.Sprint("content ", i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ok(t, s.Peer.Modify(ctx, ref, files))
	s.Peer.Finished(t, ref)
	m := harness.MountSpec(t, harness.Spec{URL: s.URL, Deadline: 3 * time.Minute})
	_ = names(t, m.Path(ref))
	for i, step := range []struct {
		from, to string
		more     string
	}{{"d", "first", ""}, {"first", "second", "new"}} {
		before, start := back.Stats(), time.Now()
		ok(t, os.Rename(m.Path(ref, step.from), m.Path(ref, step.to)))
		renamed := time.Since(start)
		if step.more != "" {
			write(t, m.Path(ref, step.to, step.more), step.more)
		}
		commit(t, m, ref)
		after := back.Stats()
		t.Logf("mv %v; the commit %v; content: %d bytes up, %d down", renamed.Round(time.Microsecond),
			time.Since(start).Round(time.Millisecond), after.BytesReceived-before.BytesReceived, after.BytesSent-before.BytesSent)
		if after.BytesReceived-before.BytesReceived != int64(len(step.more)) || after.BytesSent != before.BytesSent {
			t.Errorf("step %d: content moved", i)
		}
	}
	if got := names(t, m.Path(ref)); !slices.Equal(got, []string{"other", "second"}) {
		t.Errorf("the mount shows %v", got)
	}
	same(t, "landed", s.Peer.Tree(t, ref, ""), want)
}

// Appends and what stands beside them, on a Pachyderm of every age.
func TestSparseVersions(t *testing.T) {
	for _, release := range []string{"2.1.9", "2.3.9", "2.6.11", "2.11.6"} {
		t.Run(release, func(t *testing.T) {
			s, _, url := serveVersion(t, release)
			const ref = "labels@master"
			s.Peer.Create(t, ref)
			big := picture(t, 900, 900)
			s.Peer.PutWait(t, ref, map[string]string{"/big": big, "/small": "small", "/moved": "m"})
			m := harness.MountSpec(t, harness.Spec{URL: url})
			head := s.Peer.Head(t, ref)
			harness.Sh(t, m.Path(ref), "echo -n + >> big; echo -n + >> small; mv moved there; echo -n + >> there; echo -n new > new")
			commit(t, m, ref)
			same(t, "landed", s.Peer.Tree(t, ref, ""), map[string]string{"/big": big + "+", "/small": "small+", "/there": "m+", "/new": "new"})
			same(t, "the mount", local(t, m.Path(ref)), s.Peer.Tree(t, ref, ""))
			if made := s.Peer.Commits(t, ref, head); len(made) != 1 || made[0].Error != "" {
				t.Errorf("the trigger made %v", made)
			}
		})
	}
}
