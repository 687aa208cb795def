package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"pachfs/pachclient/pfspb/pfs"
)

const mib = 1 << 20

// noise gives bytes that neither compress nor repeat.
func noise(n int, seed byte) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return string(b)
}

// A message may be as large as pachd takes it; one byte more is refused, and
// nothing of its stream happens.
func TestTheLargestMessage(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	rest := proto.Size(add("/big", noise(maxReceive-100, 1))) - (maxReceive - 100)
	fits := noise(maxReceive-rest, 1)
	p.modify(h, add("/big", fits))
	if got := p.get(h, "/big"); got != fits {
		t.Errorf("%d bytes came back of %d", len(got), len(fits))
	}
	p.fails(p.modifyErr(h, add("/small", "s"), add("/big", fits+"x")), codes.ResourceExhausted, "received message larger than max")
	stream, err := p.CreateFileSet(p.ctx)
	_, err = send[pfs.CreateFileSetResponse](stream, err, []op{add("/big", fits+"x")})
	p.fails(err, codes.ResourceExhausted, "received message larger than max")
	if n := len(p.log("r")); n != 1 {
		t.Errorf("%d commits", n)
	}
	p.collected()
}

// File contents come in messages of pachd's size, or in small ones, whole and
// without a gap.
func TestMessagesOfAFile(t *testing.T) {
	want := noise(21*mib+7, 2)
	for size, o := range map[int]Options{message: {}, 19_922_944: {LikePachd: true}} {
		p := start(t, t.TempDir(), o)
		p.repo("r")
		h := head("r", "master")
		p.modify(h, writes("/big", want, 2*mib)...)
		messages, err := all(p.GetFile(p.ctx, &pfs.GetFileRequest{File: &pfs.File{Commit: h, Path: "/big"}}))
		p.ok(err)
		var got bytes.Buffer
		for i, m := range messages {
			got.Write(m.Value)
			if len(m.Value) != size && i < len(messages)-1 {
				t.Errorf("message %d has %d bytes, want %d", i, len(m.Value), size)
			}
		}
		if got.String() != want {
			t.Errorf("%d bytes came back of %d, or others", got.Len(), len(want))
		}
	}
}

// writes cuts a file into messages as clients do.
func writes(path, data string, size int) []op {
	ops := []op{del(path)}
	for len(data) > size {
		ops, data = append(ops, add(path, data[:size])), data[size:]
	}
	return append(ops, add(path, data))
}

// However a file was cut into writes, it is the same file.
func TestTheCutOfWritesDoesNotMatter(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	data := noise(11*mib+12345, 3)
	hashes := make(map[string]int)
	for _, size := range []int{2 * mib, 2*mib - 1, 64 << 10, 11*mib + 12345} {
		h := head("r", fmt.Sprint("by-", size))
		p.modify(h, writes("/big", data, size)...)
		info, err := p.InspectFile(p.ctx, &pfs.InspectFileRequest{File: &pfs.File{Commit: h, Path: "/big"}})
		p.ok(err)
		hashes[string(info.Hash)]++
		if got := p.get(h, "/big"); got != data {
			t.Errorf("by %d: %d bytes came back, or others", size, len(got))
		}
	}
	if len(hashes) != 1 {
		t.Errorf("%d hashes of one content", len(hashes))
	}
}

// A client that does not read what it asked for gets no more than what fits
// into the windows, and is in nobody's way on its connection.
func TestASlowReaderHoldsNobodyUp(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	data := noise(40*mib, 4)
	p.modify(h, writes("/big", data, 2*mib)...)
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	slow, err := p.GetFile(ctx, &pfs.GetFileRequest{File: &pfs.File{Commit: h, Path: "/big"}})
	p.ok(err)
	first, err := slow.Recv()
	p.ok(err)
	for i := range 5 {
		p.modify(h, add(fmt.Sprint("/", i), "x"))
		if p.get(h, fmt.Sprint("/", i)) != "x" {
			t.Error("wrong content")
		}
	}
	if sent := p.s.Stats().BytesSent; sent > 24*mib {
		t.Errorf("%d MiB were sent to somebody who does not read", sent/mib)
	}
	got := bytes.NewBuffer(bytes.Clone(first.Value))
	for {
		m, err := slow.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		p.ok(err)
		got.Write(m.Value)
	}
	if got.String() != data {
		t.Errorf("%d bytes came back, or others", got.Len())
	}
}

// A hundred uploads and then a hundred downloads on one connection, all of
// them under way at once.
func TestAHundredStreams(t *testing.T) {
	streams, size := 100, mib+mib/8
	if testing.Short() {
		size = 3 * 64 << 10
	}
	p := start(t, t.TempDir(), Options{})
	p.ctx = context.Background() // a minute may be short on a busy machine
	p.repo("r")
	h := head("r", "master")
	path := func(i int) string { return fmt.Sprintf("/%d/f", i) }
	together(streams, func(i int, begun func()) {
		stream, err := p.ModifyFile(p.ctx)
		if err == nil {
			err = stream.Send(setCommit(h))
		}
		for j, o := range writes(path(i), noise(size, byte(i)), 64<<10) {
			if err == nil {
				err = stream.Send(o)
			}
			if j == 2 {
				begun()
			}
		}
		if err == nil {
			_, err = stream.CloseAndRecv()
		}
		if err != nil {
			t.Errorf("upload %d: %v", i, err)
		}
	})
	usage := new(unix.Rusage)
	p.ok(unix.Getrusage(unix.RUSAGE_SELF, usage))
	t.Logf("the process had up to %d MiB in memory", usage.Maxrss/1024)
	if n := len(p.log("r")); n != streams {
		t.Errorf("%d commits", n)
	}
	together(streams, func(i int, begun func()) {
		stream, err := p.GetFile(p.ctx, &pfs.GetFileRequest{File: &pfs.File{Commit: h, Path: path(i)}})
		var got []byte
		for err == nil {
			var m *wrapperspb.BytesValue
			if m, err = stream.Recv(); err == nil {
				got = append(got, m.Value...)
			}
			if len(got) <= message {
				begun()
			}
		}
		if !errors.Is(err, io.EOF) || string(got) != noise(size, byte(i)) {
			t.Errorf("download %d: %d bytes, %v", i, len(got), err)
		}
	})
}

// together runs fn n times at once; none of them comes back from begun, which
// each must call, before all have called it.
func together(n int, fn func(i int, begun func())) {
	var all, started sync.WaitGroup
	started.Add(n)
	for i := range n {
		all.Go(func() {
			begun := sync.OnceFunc(func() {
				started.Done()
				started.Wait()
			})
			defer begun()
			fn(i, begun)
		})
	}
	all.Wait()
}

// An upload whose deadline comes in its middle has not happened.
func TestADeadlineInAnUpload(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	c := p.open("r", "side")
	for _, to := range []*pfs.Commit{head("r", "master"), c, nil} {
		ctx, cancel := context.WithTimeout(p.ctx, 50*time.Millisecond)
		var stream grpc.ClientStream
		var err error
		if to == nil {
			stream, err = p.CreateFileSet(ctx)
		} else if stream, err = p.ModifyFile(ctx); err == nil {
			err = stream.SendMsg(setCommit(to))
		}
		p.ok(err)
		for i := 0; err == nil; i++ {
			err = stream.SendMsg(add("/big", noise(mib, byte(i))))
		}
		p.fails(stream.RecvMsg(new(emptypb.Empty)), codes.DeadlineExceeded, "")
		cancel()
		p.idle(5 * time.Second)
	}
	p.wantTree(c)
	if n := len(p.log("r")); n != 1 {
		t.Errorf("%d commits", n)
	}
	p.finish(c, "")
	p.collected()
	if n := p.blobs(); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}
