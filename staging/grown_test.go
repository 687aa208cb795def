package staging_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/staging"
)

// add appends to a file, as a logger does.
func (b *bench) add(p, more string) {
	b.t.Helper()
	f := b.openFile(p, true)
	_, err := f.Append([]byte(more))
	b.must(err)
	b.must(f.Close(true))
}

// over writes inside a file.
func (b *bench) over(p, part string, off int64) {
	b.t.Helper()
	f := b.openFile(p, true)
	b.put(f, part, off)
	b.must(f.Close(true))
}

func (b *bench) cutTo(p string, size int64) {
	b.t.Helper()
	f := b.openFile(p, true)
	b.must(f.Truncate(size))
	b.must(f.Close(true))
}

const grownSize = 64 << 10

// What was appended to a committed file is all that is sent, however it came
// about, and nothing is fetched for it. A change anywhere else sends the whole
// file: the API has no more.
func TestLandGrown(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", grownSize/16)
	start := tree{"/a": "A" + big, "/b": "B" + big, "/d/1": "d1" + big, "/nil": ""}
	const whole, cut = grownSize + 1, "append to a kept cut" // what was left of that is read
	kept := func(b *bench) {                                 // a commit that fails leaves a layer
		b.Fail("Branch", 0, 1, pachclient.ErrUnsupported)
		_, err := b.o.Commit(b.t.Context(), "")
		b.is(err, pachclient.ErrUnsupported)
		b.Heal()
	}
	for _, c := range []struct {
		name string
		do   func(b *bench)
		want func(w tree)
		sent int64 // exactly
	}{
		{"append", func(b *bench) { b.add("/a", "more") }, func(w tree) { w["/a"] += "more" }, 4},
		{"append to many", func(b *bench) { b.add("/a", "more"); b.add("/b", "MORE"); b.add("/d/1", "5"); b.write("/n", "new") },
			func(w tree) { w["/a"] += "more"; w["/b"] += "MORE"; w["/d/1"] += "5"; w["/n"] = "new" }, 12},
		{"append twice", func(b *bench) { b.add("/a", "more"); b.add("/a", "MORE") }, func(w tree) { w["/a"] += "moreMORE" }, 8},
		{"append and change the tail", func(b *bench) { b.add("/a", "more"); b.over("/a", "XX", grownSize+2) },
			func(w tree) { w["/a"] += "mXXe" }, 4},
		{"append and take it back", func(b *bench) { b.add("/a", "more"); b.cutTo("/a", grownSize+1); b.write("/n", "n") }, func(w tree) { w["/n"] = "n" }, 1},
		{"grow by zeros", func(b *bench) { b.cutTo("/a", grownSize+4) }, func(w tree) { w["/a"] += "\x00\x00\x00" }, 3},
		{"grow by a hole", func(b *bench) { b.over("/a", "z", grownSize+11) }, func(w tree) { w["/a"] += strings.Repeat("\x00", 10) + "z" }, 11},
		{"append to an empty one", func(b *bench) { b.add("/nil", "more") }, func(w tree) { w["/nil"] = "more" }, 4},
		{"append, rename", func(b *bench) { b.add("/a", "more"); b.mv("/a", "/d/z") }, func(w tree) { w.mv("/a", "/d/z"); w["/d/z"] += "more" }, 4},
		{"rename, append", func(b *bench) { b.mv("/a", "/d/z"); b.add("/d/z", "more") }, func(w tree) { w.mv("/a", "/d/z"); w["/d/z"] += "more" }, 4},
		{"swap, append to both", func(b *bench) {
			b.mv("/a", "/t")
			b.mv("/b", "/a")
			b.mv("/t", "/b")
			b.add("/a", "1")
			b.add("/b", "2")
		},
			func(w tree) { w["/a"], w["/b"] = w["/b"]+"1", w["/a"]+"2" }, 2},
		{"rename its directory, append", func(b *bench) { b.mv("/d", "/e"); b.add("/e/1", "more") }, func(w tree) { w.mv("/d", "/e"); w["/e/1"] += "more" }, 4},
		{"append, rename its directory", func(b *bench) { b.add("/d/1", "more"); b.mv("/d", "/e") }, func(w tree) { w.mv("/d", "/e"); w["/e/1"] += "more" }, 4},
		{"append, in its place a directory", func(b *bench) { b.add("/a", "more"); b.mv("/a", "/t"); b.mkdir("/a"); b.mv("/t", "/a/in") },
			func(w tree) { w.mv("/a", "/a/in"); w["/a/in"] += "more" }, 4},
		{"append in a kept layer", func(b *bench) { b.add("/a", "more"); kept(b); b.add("/b", "B") }, func(w tree) { w["/a"] += "more"; w["/b"] += "B" }, 5},
		{"append above a kept append", func(b *bench) { b.add("/a", "more"); kept(b); b.add("/a", "MORE") }, func(w tree) { w["/a"] += "moreMORE" }, 8},
		{"append above a kept rename", func(b *bench) { b.mv("/a", "/z"); kept(b); b.add("/z", "MORE") }, func(w tree) { w.mv("/a", "/z"); w["/z"] += "MORE" }, 4},
		{"rename above a kept append", func(b *bench) { b.add("/a", "more"); kept(b); b.mv("/a", "/z") }, func(w tree) { w.mv("/a", "/z"); w["/z"] += "more" }, 4},
		{"append to a new file in a kept layer", func(b *bench) { b.write("/n", "new"); kept(b); b.add("/n", "MORE") }, func(w tree) { w["/n"] = "newMORE" }, 7},
		{"append to a kept rewrite", func(b *bench) { b.write("/a", "new"); kept(b); b.add("/a", "MORE") }, func(w tree) { w["/a"] = "newMORE" }, 7},
		{cut, func(b *bench) { b.cutTo("/a", 5); kept(b); b.add("/a", "MORE") }, func(w tree) { w["/a"] = w["/a"][:5] + "MORE" }, 9},
		{"a byte in the middle", func(b *bench) { b.over("/a", "X", 100) }, func(w tree) { w["/a"] = w["/a"][:100] + "X" + w["/a"][101:] }, whole},
		{"a byte in the middle of a kept append", func(b *bench) { b.add("/a", "more"); kept(b); b.over("/a", "X", 100) },
			func(w tree) { w["/a"] = w["/a"][:100] + "X" + w["/a"][101:] + "more" }, whole + 4},
		{"append, a byte in the middle", func(b *bench) { b.add("/a", "more"); b.over("/a", "X", grownSize) },
			func(w tree) { w["/a"] = w["/a"][:grownSize] + "Xmore" }, whole + 4},
		{"cut, append", func(b *bench) { b.cutTo("/a", grownSize); b.add("/a", "more") }, func(w tree) { w["/a"] = w["/a"][:grownSize] + "more" }, whole + 3},
		{"rewritten, longer", func(b *bench) { b.write("/a", "A"+big+"more") }, func(w tree) { w["/a"] += "more" }, whole + 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			want := tree{}
			for p, content := range start {
				want[p] = content
			}
			b.follows(b.foreign(start))
			c.do(b)
			c.want(want)
			sent, read := b.server.Stats().BytesReceived, b.Calls("ReadAt")+b.Calls("Open")
			b.lands()
			if n := b.server.Stats().BytesReceived - sent; n != c.sent {
				t.Errorf("%d bytes were sent, want %d", n, c.sent)
			}
			if n := b.Calls("ReadAt") + b.Calls("Open") - read; n > 0 && c.sent < grownSize && c.name != cut {
				t.Errorf("%d reads of what is committed", n)
			}
			b.holds(want)
			b.reopen()
			b.holds(want)
			b.clean()
		})
	}
}

// A log that stays open: every commit sends what came since the last.
func TestGrownWhileOpen(t *testing.T) {
	b := newBench(t)
	want := strings.Repeat("first ", 10000)
	b.follows(b.foreign(tree{"/log": want}))
	f := b.openFile("/log", true)
	for _, line := range []string{"one", "three", "fifteen letters"} {
		_, err := f.Append([]byte(line))
		b.must(err)
		b.must(f.Sync())
		want += line
		sent := b.server.Stats().BytesReceived
		b.lands()
		if n := b.server.Stats().BytesReceived - sent; n != int64(len(line)) {
			t.Errorf("%d bytes were sent for %q", n, line)
		}
		b.same("head", b.committed(), tree{"/log": want})
	}
	b.must(f.Close(true))
	b.holds(tree{"/log": want})
}

// An append that goes on while one lands.
func TestGrownWhileLanding(t *testing.T) {
	b := newBench(t)
	want := strings.Repeat("first ", 10000)
	b.follows(b.foreign(tree{"/log": want}))
	b.add("/log", "one")
	g := b.stop("Land")
	l := b.begin("")
	<-g.at
	b.add("/log", "two")
	close(g.open)
	l.end()
	b.same("head", b.committed(), tree{"/log": want + "one"})
	sent := b.server.Stats().BytesReceived
	b.lands()
	if n := b.server.Stats().BytesReceived - sent; n != 3 {
		t.Errorf("%d bytes were sent", n)
	}
	b.holds(tree{"/log": want + "onetwo"})
}

// Others: a path elsewhere does not matter, the same path is a conflict, and
// ours is the file as it was with the tail.
func TestGrownAmongOthers(t *testing.T) {
	b := newBench(t)
	old := strings.Repeat("first ", 10000)
	b.follows(b.foreign(tree{"/log": old, "/x": "x"}))
	b.add("/log", "ours")
	b.foreign(tree{"/x": "theirs"})
	sent := b.server.Stats().BytesReceived
	b.lands()
	if n := b.server.Stats().BytesReceived - sent; n != 4 {
		t.Errorf("%d bytes were sent beside a commit of somebody else", n)
	}
	b.holds(tree{"/log": old + "ours", "/x": "theirs"})

	b.add("/log", "+more")
	b.foreign(tree{"/log": old + "else"}) // as long as ours was
	_, err := b.o.Commit(t.Context(), "")
	b.is(err, staging.ErrConflict)
	b.same("mount", b.mounted(), tree{"/log": old + "ours+more", "/x": "theirs"})
	_, err = b.o.CommitBy(t.Context(), "", staging.Ours)
	b.must(err)
	b.clean()
	b.holds(tree{"/log": old + "ours+more", "/x": "theirs"})
}

// Killed at any call of a landing: exactly one commit, of the same bytes, also
// when the set has expired.
func TestGrownKilled(t *testing.T) {
	old := strings.Repeat("first ", 200_000) // more than a server hashes in one piece
	for _, op := range []string{"Upload", "Walk", "Land", "Wait", "Diff", "Annotate"} {
		for name, lost := range map[string]bool{"before ": false, "lost ": true} {
			t.Run(name+op, func(t *testing.T) {
				b := newBench(t, func(o *staging.Options) { o.LandTimeout = time.Second })
				b.follows(b.foreign(tree{"/log": old, "/old": old}))
				before := len(b.ids())
				b.add("/log", "more")
				b.mv("/old", "/new")
				b.add("/new", "More")
				want := tree{"/log": old + "more", "/new": old + "More"}
				left := b.dieAt(op, 1, lost)
				if op == "Wait" && lost {
					b.expireSets(left)
				}
				b.open(left)
				b.same("mount", b.mounted(), want)
				_, err := b.o.Commit(t.Context(), "")
				b.must(err)
				if n := len(b.ids()) - before; n != 1 {
					t.Errorf("%d commits", n)
				}
				b.clean()
				b.holds(want)
			})
		}
	}
}

// A recutter is a server that cuts a file that grew into other chunks when it finishes
// the commit: the set has another hash than the commit.
type recutter struct{ pachclient.Client }

func (c recutter) At(commit pachclient.Commit) pachclient.Reader {
	r := c.Client.At(commit)
	if commit.Branch.Repo == pachclient.FileSetRepo {
		return recut{r}
	}
	return r
}

type recut struct{ pachclient.Reader }

func (r recut) Walk(ctx context.Context, dir string, fn func(pachclient.FileInfo) error) error {
	return r.Reader.Walk(ctx, dir, func(fi pachclient.FileInfo) error {
		if strings.HasPrefix(fi.Path, "/log") {
			fi.Hash[0] ^= 1
		}
		return fn(fi)
	})
}

// Then the bytes tell: the commit is found, exactly once, keeps its time, and
// what equals the head makes none.
func TestGrownHashedOtherwise(t *testing.T) {
	b := newBench(t, short)
	old := strings.Repeat("first ", 10000)
	b.follows(b.foreign(tree{"/log": old, "/log2": old}))
	dir := b.stage.Dir()
	b.must(b.stage.Close())
	b.wrap = func(c pachclient.Client) pachclient.Client { return recutter{c} }
	b.open(dir)
	b.add("/log", "more")
	b.add("/log2", "more")
	old2 := b.stat("/log").ModTime
	b.lands()
	b.holds(tree{"/log": old + "more", "/log2": old + "more"})
	if now := b.stat("/log").ModTime; !now.Equal(old2) {
		t.Errorf("the time was %v and is %v", old2, now)
	}

	b.add("/log", "X")
	b.foreign(tree{"/log2": old + "MORE"})
	b.open(b.dieAt("Wait", 1, false))
	n := len(b.ids())
	c, err := b.o.Commit(t.Context(), "")
	b.must(err)
	if len(b.ids()) != n || c.ID != b.ids()[0] {
		t.Errorf("%v of %v after the kill", c, b.ids())
	}
	b.holds(tree{"/log": old + "moreX", "/log2": old + "MORE"})

	b.add("/log", "Y")
	b.foreign(tree{"/log": old + "moreXZ"}) // as long as ours, other bytes
	_, err = b.o.Commit(t.Context(), "")
	b.is(err, staging.ErrConflict)
	b.foreign(tree{"/log": old + "moreXY"}) // the very same change
	b.landsNothing()
	b.holds(tree{"/log": old + "moreXY", "/log2": old + "MORE"})
}

// A slow is a recutter from which a file is read, MiB by MiB, for longer than
// a commit may be without progress.
type slow struct{ recutter }

func (c slow) At(commit pachclient.Commit) pachclient.Reader {
	return slowReader{c.recutter.At(commit)}
}

type slowReader struct{ pachclient.Reader }

func (r slowReader) ReadAt(ctx context.Context, fi pachclient.FileInfo, p []byte, off int64) (int, error) {
	select {
	case <-time.After(200 * time.Millisecond):
		return r.Reader.ReadAt(ctx, fi, p, off)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// To compare a large file takes long and is progress.
func TestGrownComparedSlowly(t *testing.T) {
	b := newBench(t, staging.NoLooks, func(o *staging.Options) { o.CommitTimeout = time.Second })
	old := strings.Repeat("a MiB of", 8<<20/8)
	b.follows(b.foreign(tree{"/log": old}))
	dir := b.stage.Dir()
	b.must(b.stage.Close())
	b.wrap = func(c pachclient.Client) pachclient.Client { return slow{recutter{c}} }
	b.open(dir)
	b.add("/log", "more")
	b.lands()
	b.holds(tree{"/log": old + "more"})
}
