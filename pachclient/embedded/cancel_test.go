package embedded

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"pachfs/pachclient/pfspb/pfs"
)

// A call that its client gave up ends on the server as well, even one that
// finds nothing to send and has still far to go.
func TestCancelEndsASearch(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, manyFiles("/d", 3000, "x")...)
	slow := "/**" + strings.Repeat("a*", 100_000) + "!" // some milliseconds for each of the files
	for _, call := range []func(ctx context.Context) error{
		func(ctx context.Context) error {
			_, err := all(p.GlobFile(ctx, &pfs.GlobFileRequest{Commit: h, Pattern: slow}))
			return err
		},
		func(ctx context.Context) error {
			_, err := all(p.GetFile(ctx, &pfs.GetFileRequest{File: &pfs.File{Commit: h, Path: slow}}))
			return err
		},
		func(ctx context.Context) error {
			_, err := all(p.GetFileTAR(ctx, &pfs.GetFileRequest{File: &pfs.File{Commit: h, Path: slow}}))
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(p.ctx, 50*time.Millisecond)
		p.fails(call(ctx), codes.DeadlineExceeded, "")
		cancel()
		begin := time.Now()
		p.idle(5 * time.Second)
		t.Logf("the handler ended after %v", time.Since(begin))
	}
}

// What reads or writes trees stops at the next node when its context ends.
func TestAnEndedContextReadsNoTrees(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	h := head("r", "master")
	p.modify(h, add("/a", "1"), add("/d/x", "2"))
	c := p.open("r", "side")
	set := p.fileSet(add("/a", "3"))
	ctx, cancel := context.WithCancel(p.ctx)
	cancel()
	file := &pfs.File{Commit: h, Path: "/"}
	for name, call := range map[string]func() error{
		"inspect": func() error { _, err := p.s.InspectFile(ctx, &pfs.InspectFileRequest{File: file}); return err },
		"list":    func() error { return p.s.ListFile(&pfs.ListFileRequest{File: file}, sink[pfs.FileInfo]{ctx: ctx}) },
		"walk": func() error {
			return p.s.WalkFile(&pfs.WalkFileRequest{File: file, Reverse: true, Number: 9}, sink[pfs.FileInfo]{ctx: ctx})
		},
		"glob": func() error {
			return p.s.GlobFile(&pfs.GlobFileRequest{Commit: h, Pattern: "/*"}, sink[pfs.FileInfo]{ctx: ctx})
		},
		"diff": func() error {
			return p.s.DiffFile(&pfs.DiffFileRequest{NewFile: file}, sink[pfs.DiffFileResponse]{ctx: ctx})
		},
		"find": func() error {
			return p.s.FindCommits(&pfs.FindCommitsRequest{Start: h, FilePath: "/a"}, sink[pfs.FindCommitsResponse]{ctx: ctx})
		},
		"shard": func() error { _, err := p.s.ShardFileSet(ctx, &pfs.ShardFileSetRequest{FileSetId: set}); return err },
		"compose": func() error {
			_, err := p.s.ComposeFileSet(ctx, &pfs.ComposeFileSetRequest{FileSetIds: []string{set, set}})
			return err
		},
		"add": func() error {
			_, err := p.s.AddFileSet(ctx, &pfs.AddFileSetRequest{Commit: c, FileSetId: set})
			return err
		},
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.wantTree(c)
	p.finish(c, "")
}

// A sink is a stream on which nothing may be sent.
type sink[M any] struct {
	grpc.ServerStreamingServer[M]
	ctx context.Context
}

func (s sink[M]) Context() context.Context { return s.ctx }

func (s sink[M]) Send(m *M) error { return fmt.Errorf("sent %v", m) }

// Whoever waits hears at once that he need not, and leaves nothing behind.
func TestCancelEndsAWait(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.repo("r")
	c := p.open("r", "master")
	for name, wait := range map[string]func(ctx context.Context) error{
		"inspect": func(ctx context.Context) error {
			_, err := p.InspectCommit(ctx, &pfs.InspectCommitRequest{Commit: c, Wait: pfs.CommitState_FINISHED})
			return err
		},
		"set": func(ctx context.Context) error {
			_, err := all(p.InspectCommitSet(ctx, &pfs.InspectCommitSetRequest{CommitSet: &pfs.CommitSet{Id: c.Id}, Wait: true}))
			return err
		},
		"subscribe": func(ctx context.Context) error {
			_, err := all(p.SubscribeCommit(ctx, &pfs.SubscribeCommitRequest{Repo: repoRef("r"), State: pfs.CommitState_FINISHED}))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &peer{t: t, s: p.s, conn: p.conn, APIClient: p.APIClient, ctx: p.ctx}
			before := p.waiting()
			ctx, cancel := context.WithCancel(p.ctx)
			done := make(chan error, 1)
			go func() { done <- wait(ctx) }()
			waitFor(t, func() bool { return p.waiting() == before+1 })
			cancel()
			p.fails(<-done, codes.Canceled, "")
			waitFor(t, func() bool { return p.waiting() == before })
		})
	}
	p.finish(c, "")
}

// waiting counts the handlers that wait for a change.
func (p *peer) waiting() int { return strings.Count(goroutines(), "embedded.(*Server).await(") }
