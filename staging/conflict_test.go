package staging_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/clienttest"
	"pachfs/staging"
)

// Others' commits to other paths are no obstacle, and ours holds nothing of theirs.
func TestOthersElsewhere(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/a": "a", "/theirs": "1"}))
	b.write("/a", "mine")
	b.told()
	c := b.foreign(tree{"/theirs": "2", "/more": "m"})
	b.follows(c)
	if told := b.told(); !slices.Equal(told, []string{"/more", "/theirs"}) {
		t.Fatalf("told of %v", told)
	}
	b.reads("/theirs", "2")
	b.foreign(tree{"/theirs": "3"}) // not followed yet
	mine := b.lands()
	b.holds(tree{"/a": "mine", "/theirs": "3", "/more": "m"})
	var touched []string
	info, err := b.client.Commit(t.Context(), mine)
	b.must(err)
	b.must(b.client.At(mine).Diff(t.Context(), info.Parent, func(d pachclient.Diff) error {
		if !d.New.Dir && !d.Old.Dir {
			touched = append(touched, d.New.Path)
		}
		return nil
	}))
	if !slices.Equal(touched, []string{"/a"}) {
		t.Fatalf("our commit touches %v", touched)
	}
}

// What is staged over conflictStart, what others do meanwhile, and what that
// comes to. /other is staged too, and stands in no one's way.
var conflictStart = tree{"/a": "a", "/d/1": "d1", "/d/2": "d2"}

var conflictCases = []struct {
	name  string
	stage func(b *bench)
	them  tree
	gone  []string
	paths []string // in conflict
	ours  tree     // what lands with Ours, /other apart
}{
	{"both changed", func(b *bench) { b.write("/a", "mine") }, tree{"/a": "theirs"}, nil, []string{"/a"},
		tree{"/a": "mine", "/d/1": "d1", "/d/2": "d2"}},
	{"both created", func(b *bench) { b.write("/n", "mine") }, tree{"/n": "theirs"}, nil, []string{"/n"},
		tree{"/a": "a", "/n": "mine", "/d/1": "d1", "/d/2": "d2"}},
	{"changed, they deleted", func(b *bench) { b.write("/a", "mine") }, nil, []string{"/a"}, []string{"/a"},
		tree{"/a": "mine", "/d/1": "d1", "/d/2": "d2"}},
	{"deleted, they changed", func(b *bench) { b.rm("/a") }, tree{"/a": "theirs"}, nil, []string{"/a"},
		tree{"/d/1": "d1", "/d/2": "d2"}},
	{"directory deleted, they added", func(b *bench) { b.rmAll("/d") }, tree{"/d/n": "theirs"}, nil, []string{"/d/n"},
		tree{"/a": "a"}},
	{"directory moved, they changed", func(b *bench) { b.mv("/d", "/e") }, tree{"/d/1": "theirs"}, nil, []string{"/d/1"},
		tree{"/a": "a", "/e/1": "d1", "/e/2": "d2"}},
	{"file moved, they made its name", func(b *bench) { b.mv("/a", "/n") }, tree{"/n": "theirs"}, nil, []string{"/n"},
		tree{"/n": "a", "/d/1": "d1", "/d/2": "d2"}},
	{"file where they made a directory", func(b *bench) { b.write("/n", "mine") }, tree{"/n/x": "theirs"}, nil, []string{"/n/x"},
		tree{"/a": "a", "/n": "mine", "/d/1": "d1", "/d/2": "d2"}},
	{"directory where they made a file", func(b *bench) { b.write("/n/x", "mine") }, tree{"/n": "theirs"}, nil, []string{"/n"},
		tree{"/a": "a", "/n/x": "mine", "/d/1": "d1", "/d/2": "d2"}},
	{"changed in part", func(b *bench) { b.over("/d/1", "X", 1) }, tree{"/d/1": "theirs"}, nil, []string{"/d/1"},
		tree{"/a": "a", "/d/1": "dX", "/d/2": "d2"}},
	{"appended to", func(b *bench) { b.add("/d/1", "more") }, tree{"/d/1": "t"}, nil, []string{"/d/1"},
		tree{"/a": "a", "/d/1": "d1more", "/d/2": "d2"}},
	{"changed in part, they deleted", func(b *bench) { b.over("/d/1", "X", 1) }, nil, []string{"/d/1"}, []string{"/d/1"},
		tree{"/a": "a", "/d/1": "dX", "/d/2": "d2"}},
	{"file moved, they changed it", func(b *bench) { b.mv("/a", "/n") }, tree{"/a": "theirs"}, nil, []string{"/a"},
		tree{"/n": "a", "/d/1": "d1", "/d/2": "d2"}},
	{"directory moved, they added", func(b *bench) { b.mv("/d", "/e") }, tree{"/d/n": "theirs", "/d/m/n": "theirs"}, nil, []string{"/d/m/n", "/d/n"},
		tree{"/a": "a", "/e/1": "d1", "/e/2": "d2"}},
	{"directory moved, they deleted", func(b *bench) { b.mv("/d", "/e") }, nil, []string{"/d/1"}, []string{"/d/1"},
		tree{"/a": "a", "/e/1": "d1", "/e/2": "d2"}},
	{"directory moved and changed in part, they changed both", func(b *bench) { b.mv("/d", "/e"); b.over("/e/1", "X", 1) },
		tree{"/d/1": "theirs", "/d/2": "theirs"}, nil, []string{"/d/1", "/d/2"},
		tree{"/a": "a", "/e/1": "dX", "/e/2": "d2"}},
	{"directory moved, they made it a file", func(b *bench) { b.mv("/d", "/e") }, tree{"/d": "theirs"}, []string{"/d/"}, []string{"/d", "/d/1", "/d/2"},
		tree{"/a": "a", "/e/1": "d1", "/e/2": "d2"}},
}

// Whoever touched a path that is staged here is not overwritten: the commit
// fails and names the paths, everything stays staged, and a discard resolves it.
func TestConflict(t *testing.T) {
	for _, c := range conflictCases {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.follows(b.foreign(conflictStart))
			c.stage(b)
			b.write("/other", "mine")
			shown := b.mounted()
			b.foreign(c.them, c.gone...)
			theirs := b.committed()
			n := len(b.ids())
			for range 2 {
				_, err := b.o.Commit(t.Context(), "")
				b.is(err, staging.ErrConflict)
				for _, p := range c.paths {
					if !strings.Contains(err.Error(), p) {
						t.Fatalf("%s is not named: %v", p, err)
					}
				}
				b.reopen()
			}
			b.same("head", b.committed(), theirs)
			b.same("mount", b.mounted(), shown)
			b.must(b.o.Follow(t.Context()))
			if s := b.o.Status(); len(b.ids()) != n || s.State != staging.Conflict || !slices.Equal(s.Conflicts, c.paths) {
				t.Fatalf("%d new commits, status %+v", len(b.ids())-n, s)
			}
			other := func(d staging.DiffLine) bool { return d.Path != "/other" }
			for i := 0; i >= 0; i = slices.IndexFunc(b.o.Diff(), other) { // a rename goes as a whole
				if d := b.o.Diff()[i]; other(d) {
					b.must(b.o.Discard(d.Path))
				}
			}
			b.must(b.o.Follow(t.Context()))
			b.lands()
			theirs["/other"] = "mine"
			b.holds(theirs)
		})
	}
}

// With a policy the commit lands: what is staged is laid over what others did,
// and named with the commit where theirs stays readable; or it is given up where
// others did something, a rename as a whole, and the rest lands.
func TestOnConflict(t *testing.T) {
	for _, c := range conflictCases {
		for _, policy := range []staging.Policy{staging.Ours, staging.Theirs} {
			t.Run(c.name+", "+string(policy), func(t *testing.T) {
				b := newBench(t)
				b.follows(b.foreign(conflictStart))
				c.stage(b)
				b.write("/other", "mine")
				theirs := b.foreign(c.them, c.gone...)
				want := c.ours
				if policy == staging.Theirs {
					want = b.committed()
				}
				n := len(b.ids())
				_, err := b.o.Commit(t.Context(), "") // by default it fails
				b.is(err, staging.ErrConflict)
				_, err = b.o.CommitBy(t.Context(), "", policy)
				b.must(err)
				b.clean()
				if got := len(b.ids()) - n; got != 1 {
					t.Fatalf("%d commits", got)
				}
				want = maps.Clone(want)
				want["/other"] = "mine"
				b.holds(want)
				over := []staging.Overwritten{}
				for _, p := range c.paths {
					if policy == staging.Ours {
						over = append(over, staging.Overwritten{Path: pachclient.Path(p), Commit: theirs.ID})
					}
				}
				st := b.o.Status()
				slices.SortFunc(st.Overwritten, func(x, y staging.Overwritten) int { return strings.Compare(string(x.Path), string(y.Path)) })
				if !slices.Equal(st.Overwritten, over) || len(st.Conflicts) != 0 {
					t.Errorf("overwritten %v, want %v; conflicts %v", st.Overwritten, over, st.Conflicts)
				}
				b.reopen()
				b.holds(want)
			})
		}
	}
}

// The same while a landing is under way, whose end moves the base past their
// change: what is staged goes on to stand on what its user saw, also after a
// kill, until it lands over theirs, or is given up.
func TestConflictAboveALanding(t *testing.T) {
	for _, c := range conflictCases {
		for _, how := range []string{"ours", "theirs", "discard"} {
			t.Run(c.name+", "+how, func(t *testing.T) {
				b := newBench(t, staging.NoLooks)
				b.follows(b.foreign(conflictStart))
				b.write("/first", "mine")
				gate := b.stop("Land")
				l := b.begin("")
				<-gate.at
				c.stage(b)
				b.write("/other", "mine")
				shown := b.mounted()
				b.foreign(c.them, c.gone...)
				gate.release()
				l.end()
				inConflict := func() {
					t.Helper()
					b.same("mount", b.mounted(), shown)
					if s := b.o.Status(); !slices.Equal(s.Conflicts, c.paths) {
						t.Fatalf("in conflict: %v, want %v", s.Conflicts, c.paths)
					}
				}
				inConflict()
				_, err := b.o.Commit(t.Context(), "")
				b.is(err, staging.ErrConflict)
				b.kill()
				inConflict()
				want := maps.Clone(c.ours)
				if how != "ours" {
					want = b.committed()
				}
				want["/first"], want["/other"] = "mine", "mine"
				switch how {
				case "discard":
					for _, d := range b.o.Diff() {
						if p := strings.TrimSuffix(d.Path, "/"); p != "/other" {
							if err := b.o.Discard(p); !errors.Is(err, fs.ErrNotExist) { // a rename went as a whole
								b.must(err)
							}
						}
					}
					b.same("after the discard", b.mounted().files(), want)
					b.lands()
				default:
					_, err := b.o.CommitBy(t.Context(), "", staging.Policy(how))
					b.must(err)
					b.clean()
				}
				b.holds(want)
			})
		}
	}
}

// A broken commit of somebody else stands where ours would be, which never
// arrived: it is not ours to drop, and ours is sent again.
func TestBrokenCommitOfOthersStays(t *testing.T) {
	b := newBench(t, short)
	b.follows(b.foreign(tree{"/x": "x"}))
	b.write("/mine", "mine")
	var broken pachclient.Commit
	b.first("Land", func() {
		set, err := b.client.Upload(t.Context(), changesOf(tree{"/x/b": "collides with /x"}))
		if err == nil {
			err = b.client.Land(t.Context(), b.branch, set, nil)
		}
		br, brErr := b.client.Branch(t.Context(), b.branch)
		if info, err := b.client.Wait(t.Context(), br.Head); errors.Join(brErr, err) != nil || info.Error == "" {
			t.Errorf("no broken commit: %+v, %v", info, err)
		}
		broken = br.Head
		if err != nil {
			t.Error(err)
		}
	})
	b.Fail("Land", clienttest.Before, 1, pachclient.ErrUnavailable)
	_, err := b.o.Commit(t.Context(), "")
	b.must(err)
	if _, err := b.client.Commit(t.Context(), broken); err != nil {
		t.Errorf("the commit of somebody else is gone: %v", err)
	}
	b.holds(tree{"/x": "x", "/mine": "mine"})
}

// A new file that was renamed came from nowhere: theirs counts at its name, or
// passes by it.
func TestTheirsBesideARenamedNewFile(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/old": "old", "/k": "k"}))
	b.write("/tmp", "mine")
	b.mv("/tmp", "/old")
	b.write("/tmp", "mine")
	b.mv("/tmp", "/new")
	b.foreign(tree{"/old": "theirs"})
	_, err := b.o.CommitBy(t.Context(), "", staging.Theirs)
	b.must(err)
	b.holds(tree{"/old": "theirs", "/k": "k", "/new": "mine"})
}

// A path in conflict since an earlier landing that others then changed once
// more is one path: with Theirs it alone is given up, and the rest lands.
func TestTheirsTwiceOnOnePath(t *testing.T) {
	b := newBench(t, staging.NoLooks)
	b.follows(b.foreign(tree{"/a": "a", "/b": "b"}))
	b.write("/a", "mine")
	gate := b.stop("Land")
	l := b.begin("")
	<-gate.at
	b.write("/b", "mine")
	b.write("/other", "mine")
	b.foreign(tree{"/b": "theirs"})
	gate.release()
	l.end()
	if c := b.o.Status().Conflicts; !slices.Equal(c, []string{"/b"}) {
		t.Fatalf("in conflict: %q", c)
	}
	b.foreign(tree{"/b": "theirs again"})
	_, err := b.o.Commit(t.Context(), "")
	b.is(err, staging.ErrConflict)
	if c := b.o.Status().Conflicts; !slices.Equal(c, []string{"/b"}) {
		t.Fatalf("in conflict: %q", c)
	}
	_, err = b.o.CommitBy(t.Context(), "", staging.Theirs)
	b.must(err)
	b.clean()
	b.holds(tree{"/a": "mine", "/b": "theirs again", "/other": "mine"})
}

// Two stages on one branch: the second one to land a path is told so.
func TestTwoStages(t *testing.T) {
	b := newBench(t)
	x := b.other()
	b.write("/b", "b")
	x.write("/x", "x")
	b.write("/both", "b")
	x.write("/both", "x")
	b.lands()
	_, err := x.o.Commit(t.Context(), "")
	x.is(err, staging.ErrConflict)
	x.reads("/both", "x")
	x.missing("/b")
	b.must(x.o.Discard("/both"))
	x.follows(b.o.Base().Commit)
	x.lands()
	x.holds(tree{"/b": "b", "/x": "x", "/both": "b"})
	b.until("the first one follows", func() bool {
		b.must(b.o.Follow(t.Context()))
		_, err := b.o.Stat(t.Context(), "/x")
		return err == nil
	})
}

var errOther = errors.New("something else")

// A fault at any call of a landing: one commit, or an error and none. After
// the fault one trigger makes it one, never two.
func TestFaults(t *testing.T) {
	for _, f := range []struct {
		name string
		when clienttest.When
		kind error
	}{
		{"refused", clienttest.Before, errOther},
		{"unavailable", clienttest.Before, pachclient.ErrUnavailable},
		{"answer lost", clienttest.After, pachclient.ErrUnavailable},
		{"hangs", clienttest.Hang, nil},
	} {
		for _, op := range []string{"Branch", "Upload", "Walk", "Land", "Commit", "Wait", "Diff", "Annotate"} {
			if testing.Short() && f.when == clienttest.Hang {
				continue // that takes seconds
			}
			t.Run(op+" "+f.name, func(t *testing.T) {
				b := newBench(t, short)
				b.follows(b.foreign(beforeAll))
				before := len(b.ids())
				want := b.changeAll()
				b.Fail(op, f.when, 1, f.kind)
				_, err := b.o.Commit(t.Context(), "")
				if n := len(b.ids()) - before; err == nil && n != 1 || n > 1 {
					t.Fatalf("%d commits, error %v", n, err)
				}
				b.Heal()
				_, err = b.o.Commit(t.Context(), "")
				b.must(err)
				b.clean()
				if n := len(b.ids()) - before; n != 1 {
					t.Fatalf("%d commits in the end", n)
				}
				b.holds(want)
			})
		}
	}
}

// A server that is away for good: the trigger fails within its timeout and
// says so; what is staged stays, and lands when the server is back.
func TestServerAway(t *testing.T) {
	b := newBench(t, short)
	b.write("/a", "1")
	for _, op := range calls {
		b.Fail(op, clienttest.Before, -1, pachclient.ErrUnavailable)
	}
	start := time.Now()
	_, err := b.o.Commit(t.Context(), "")
	b.is(err, pachclient.ErrUnavailable)
	if d := time.Since(start); d > 10*b.opts.CommitTimeout {
		t.Fatalf("it took %v", d)
	}
	b.write("/a", "2")
	b.reads("/a", "2")
	b.Heal()
	b.lands()
	b.holds(tree{"/a": "2"})
}

// Commits that fail again and again leave no pile of layers, whatever was
// staged between them, and in the end one commit has it all.
func TestKeptLayersDoNotPileUp(t *testing.T) {
	b := newBench(t, func(o *staging.Options) { o.CommitTimeout = time.Second })
	b.follows(b.foreign(tree{"/a": "a"}))
	n := len(b.ids())
	want := tree{"/a": "mine", "/b": "mine"}
	fails := func(kind error) {
		t.Helper()
		for i := range 4 {
			p := fmt.Sprintf("/%v/%d", kind == staging.ErrConflict, i)
			want[p] = "new"
			b.write(p, "new")
			_, err := b.o.Commit(t.Context(), "")
			b.is(err, kind)
			layers, err := fs.Glob(os.DirFS(b.stage.Dir()), filepath.Join(b.o.BranchDir(), "layer-*"))
			b.must(err)
			if len(layers) > 3 {
				t.Fatalf("%d layers after %d failures", len(layers), i+1)
			}
		}
	}
	b.write("/b", "mine")
	for _, op := range []string{"Cluster", "Branch", "Head", "Upload", "Land"} { // what a cache has no answer to
		b.Fail(op, clienttest.Before, -1, pachclient.ErrUnavailable)
	}
	fails(pachclient.ErrUnavailable)
	b.Heal()
	b.write("/a", "mine")
	b.foreign(tree{"/a": "theirs"})
	fails(staging.ErrConflict)
	_, err := b.o.CommitBy(t.Context(), "", staging.Ours)
	b.must(err)
	b.clean()
	if got := len(b.ids()) - n; got != 2 { // theirs and ours
		t.Fatalf("%d commits", got)
	}
	b.holds(want)
}

// Nor does a server that takes what is staged for no good: whatever it refuses,
// for however long, the trigger after that makes one commit of all; or two where it
// refused only the last call, of more than a few layers.
func TestKeptLayersOfARefusal(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails map[string]error
		most  int // layers
		made  int // commits in the end
	}{
		{"upload", map[string]error{"Upload": fs.ErrPermission}, 2, 1},
		{"expired", map[string]error{"Branch": errOther, "Renew": fs.ErrNotExist}, 2, 1},
		{"landing", map[string]error{"Land": fs.ErrPermission}, 8, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, staging.NoLooks)
			b.follows(b.foreign(tree{"/a": "a"}))
			before, want := len(b.ids()), tree{"/a": "a"}
			for op, err := range c.fails {
				b.Fail(op, clienttest.Before, -1, err)
			}
			for i := range 12 {
				p := fmt.Sprintf("/%d", i)
				b.write(p, p)
				want[p] = p
				if _, err := b.o.Commit(t.Context(), ""); err == nil {
					t.Fatal("the commit succeeds")
				}
				if n := b.o.Layers() - 1; n > c.most {
					t.Fatalf("%d layers are kept after %d failures", n, i+1)
				}
			}
			b.same("mount", b.mounted(), want)
			b.Heal()
			_, err := b.o.Commit(t.Context(), "")
			b.must(err)
			b.clean()
			if got := len(b.ids()) - before; got != c.made {
				t.Errorf("%d commits", got)
			}
			b.holds(want)
		})
	}
}

// The same change made by somebody else is no conflict, also for a layer that was kept.
func TestKeptAndMadeByOthers(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/a": "a"}))
	b.write("/a", "mine")
	b.foreign(tree{"/a": "theirs"})
	_, err := b.o.Commit(t.Context(), "")
	b.is(err, staging.ErrConflict)
	b.foreign(tree{"/a": "mine"})
	n := len(b.ids())
	b.write("/b", "b")
	b.lands()
	b.holds(tree{"/a": "mine", "/b": "b"})
	if got := len(b.ids()) - n; got != 1 {
		t.Fatalf("%d commits", got)
	}
}

// Somebody else puts files as fast as they can: none of their puts fails or is
// lost, none of our commits holds a file of theirs, each trigger makes one.
func TestBesideAFastWriter(t *testing.T) {
	b := newBench(t)
	before := len(b.ids())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			if _, err := b.tryForeign(tree{fmt.Sprintf("/theirs/%d", n): fmt.Sprint(n)}); err != nil {
				t.Errorf("put %d: %v", n, err)
				break
			}
		}
		done <- n
	}()
	want := tree{}
	var ours []pachclient.Commit
	for i := range 10 {
		p := fmt.Sprintf("/ours/%d", i)
		want[p] = fmt.Sprint("our ", i)
		b.write(p, want[p])
		c, err := b.o.Commit(t.Context(), "")
		b.must(err)
		ours = append(ours, c)
	}
	cancel()
	n := <-done
	if n == 0 {
		t.Fatal("nothing was put meanwhile")
	}
	for i := range n {
		want[fmt.Sprintf("/theirs/%d", i)] = fmt.Sprint(i)
	}
	b.same("head", b.committed(), want)
	for i, c := range ours {
		info, err := b.client.Commit(t.Context(), c)
		b.must(err)
		b.must(b.client.At(c).Diff(t.Context(), info.Parent, func(d pachclient.Diff) error {
			if p := d.New.Path; !d.New.Dir && p != fmt.Sprintf("/ours/%d", i) {
				t.Errorf("our commit %d holds %s", i, p)
			}
			return nil
		}))
	}
	if got := len(b.ids()) - before; got != n+len(ours) {
		t.Fatalf("%d commits, %d puts and %d triggers", got, n, len(ours))
	}
}

// A call that never gets through is tried again, but not for ever: the commit
// fails after its timeout, though each try is over sooner.
func TestLandNeverGetsThrough(t *testing.T) {
	b := newBench(t, short)
	b.write("/a", "1")
	b.Fail("Land", clienttest.Before, -1, pachclient.ErrUnavailable)
	l := b.begin("")
	select {
	case <-l.done:
		b.is(l.err, pachclient.ErrUnavailable)
	case <-time.After(40 * time.Second): // the timeout is 4 s
		t.Fatal("the commit goes on")
	}
	b.Heal()
	b.lands()
	b.holds(tree{"/a": "1"})
}

// A trigger in conflict names every path, also when a layer was kept by a
// commit that failed before: both in its error and in the status.
func TestConflictNamesAllBesideAKeptLayer(t *testing.T) {
	b := newBench(t)
	b.follows(b.foreign(tree{"/a": "a", "/b": "b"}))
	b.write("/a", "mine")
	b.Fail("Branch", clienttest.Before, 1, errOther) // after the upload
	if _, err := b.o.Commit(t.Context(), ""); err == nil {
		t.Fatal("the commit succeeds")
	}
	b.Heal()
	b.write("/b", "mine")
	b.foreign(tree{"/a": "theirs", "/b": "theirs"})
	_, err := b.o.Commit(t.Context(), "")
	b.is(err, staging.ErrConflict)
	if c := b.o.Status().Conflicts; len(c) != 2 || !strings.Contains(err.Error(), "/b") {
		t.Fatalf("%v; the status names %v", err, c)
	}
}
