package embedded

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"pachfs/pachclient/pfspb/pfs"
)

// collected runs a sweep as it comes every minute, and wants that it left
// nothing for one that looks everywhere.
func (p *peer) collected() {
	p.t.Helper()
	now := time.Now() // for both: what has expired meanwhile is not meant
	p.swept(now)
	nodes, blobs := stored(p.s), p.blobs()
	p.s.dirty.set(true)
	p.swept(now)
	if n, b := stored(p.s), p.blobs(); n != nodes || b != blobs {
		p.t.Errorf("a sweep left %d nodes and %d blobs that nothing refers to", nodes-n, blobs-b)
	}
}

// swept sweeps until nobody was in the way: neither a handler that has not
// quite ended, nor the sweep that comes after the start.
func (p *peer) swept(now time.Time) {
	p.t.Helper()
	waitFor(p.t, func() bool {
		p.idle(10 * time.Second)
		p.ok(p.s.sweep(now))
		return !p.s.dirty.get()
	})
	p.idle(10 * time.Second)
}

func (p *peer) blobs() (n int) {
	p.t.Helper()
	p.ok(p.s.content.Blobs(func(string, int64) error {
		n++
		return nil
	}))
	return n
}

// Whatever leaves something behind says so: the next sweep removes it, though
// it looks only when there may be something.
func TestNothingIsLeftBehind(t *testing.T) {
	big := func(b byte) string { return strings.Repeat(string(b), 5<<20) } // a blob of its own
	for name, do := range map[string]func(p *peer, h *pfs.Commit){
		"dropped in the stream":  func(p *peer, h *pfs.Commit) { p.modify(h, add("/a", big('a')), del("/a"), add("/b", "b")) },
		"replaced in the stream": func(p *peer, h *pfs.Commit) { p.modify(h, add("/a", big('a')), cp("/a", h, "/old")) },
		"directory in the stream": func(p *peer, h *pfs.Commit) {
			p.modify(h, add("/d/a", big('a')), del("/d/"), add("/b", "b"))
		},
		"file set overwritten in its stream": func(p *peer, h *pfs.Commit) { p.fileSet(add("/a", big('a')), del("/a")) },
		"mixed files": func(p *peer, h *pfs.Commit) {
			var ops []op
			for range 3 { // each is closed and continued
				for _, name := range []string{"/1", "/2", "/3", "/4", "/5", "/6"} {
					ops = append(ops, add(name, strings.Repeat(name, 1<<20)))
				}
			}
			p.modify(h, ops...)
		},
		"open commit written twice": func(p *peer, h *pfs.Commit) {
			c := p.open("r", "master")
			p.modify(c, add("/a", big('a')))
			p.modify(c, del("/a"), add("/a", big('b')))
			p.finish(c, "")
		},
		"file set added twice": func(p *peer, h *pfs.Commit) {
			set := p.fileSet(add("/old", big('a')))
			c := p.open("r", "master")
			for range 2 {
				_, err := p.AddFileSet(p.ctx, &pfs.AddFileSetRequest{Commit: c, FileSetId: set})
				p.ok(err)
			}
			p.finish(c, "")
		},
		"composed of three": func(p *peer, h *pfs.Commit) {
			p.compose(p.fileSet(add("/a", "1")), p.fileSet(add("/a", "2")), p.fileSet(add("/a", "3")))
		},
		"composed in vain": func(p *peer, h *pfs.Commit) {
			one, two := p.fileSet(add("/a", "1")), p.fileSet(add("/a", "2"))
			_, err := p.ComposeFileSet(p.ctx, &pfs.ComposeFileSetRequest{FileSetIds: []string{one, two, newID()}})
			p.fails(err, codes.Unknown, "dangling")
		},
		"cleared": func(p *peer, h *pfs.Commit) {
			c := p.open("r", "master")
			p.modify(c, add("/a", big('a')))
			_, err := p.ClearCommit(p.ctx, &pfs.ClearCommitRequest{Commit: c})
			p.ok(err)
		},
		"squashed": func(p *peer, h *pfs.Commit) {
			p.modify(h, add("/old", big('a')))
			p.modify(h, add("/old", big('b')))
			_, err := p.SquashCommit(p.ctx, &pfs.SquashCommitRequest{Commit: at("r", "master^")})
			p.ok(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, t.TempDir(), Options{})
			p.repo("r")
			h := head("r", "master")
			p.modify(h, add("/old", "o"))
			p.swept(time.Now())
			do(p, h)
			p.collected()
		})
	}
}

// What a transaction leaves behind counts when it is committed: a collection
// that ran before would not see it, and forget.
func TestLeavingsCountAfterTheCommit(t *testing.T) {
	p := start(t, t.TempDir(), Options{})
	p.swept(time.Now())
	p.ok(p.s.update(p.ctx, func(t *tx) error {
		t.leaves()
		if p.s.dirty.get() {
			p.t.Error("it counts before")
		}
		return nil
	}))
	if !p.s.dirty.get() {
		t.Error("it does not count after")
	}
	p.s.dirty.set(false)
	p.fails(p.s.update(p.ctx, func(t *tx) error {
		t.leaves()
		return unknown("no")
	}), codes.Unknown, "no")
	if p.s.dirty.get() {
		t.Error("it counts though nothing happened")
	}
}
