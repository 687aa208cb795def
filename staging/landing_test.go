package staging_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// One commit holds exactly the change, and the mount goes on as it was.
func TestLand(t *testing.T) {
	b := newBench(t)
	b.write("/a", "1")
	b.write("/d/e/f", "2")
	b.write("/empty", "")
	b.lands()
	b.holds(tree{"/a": "1", "/d/e/f": "2", "/empty": ""})
	b.write("/a", "11")
	b.lands()
	b.holds(tree{"/a": "11", "/d/e/f": "2", "/empty": ""})
	b.rm("/d/e/f")
	b.write("/d/g", "3")
	b.lands()
	b.holds(tree{"/a": "11", "/d/g": "3", "/empty": ""})
	b.reopen()
	b.clean()
	b.holds(tree{"/a": "11", "/d/g": "3", "/empty": ""})
}

// What makes no difference makes no commit.
func TestLandNothing(t *testing.T) {
	b := newBench(t)
	b.landsNothing()
	b.foreign(tree{"/a": "same", "/d/f": "x"})
	b.landsNothing()
	b.must(b.o.Follow(t.Context()))
	t.Run("equal bytes", func(t *testing.T) {
		b.write("/a", "same")
		b.landsNothing()
	})
	t.Run("created and removed", func(t *testing.T) {
		b.write("/n", "x")
		b.rm("/n")
		b.mkdir("/nd")
		b.rmdir("/nd")
		b.landsNothing()
	})
	t.Run("moved and back", func(t *testing.T) {
		b.mv("/a", "/b")
		b.mv("/b", "/a")
		b.mv("/d", "/e")
		b.mv("/e", "/d")
		b.landsNothing()
	})
	t.Run("removed and made again", func(t *testing.T) {
		b.rm("/a")
		b.write("/a", "same")
		b.rmAll("/d")
		b.write("/d/f", "x")
		b.landsNothing()
	})
	t.Run("opened for writing", func(t *testing.T) {
		f := b.openFile("/a", true)
		b.landsNothing()
		b.must(f.Close(true))
		b.landsNothing()
	})
	b.holds(tree{"/a": "same", "/d/f": "x"})
	if log, err := b.o.Log(); err != nil || len(log) != 0 {
		t.Fatal(log, err)
	}
}

// Deletes, replacements and renames, over a tree that was committed before,
// each as one commit, without sending bytes that the server has.
func TestLandShapes(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 4096)
	start := tree{"/a": "A" + big, "/b": "B" + big, "/d/1": "d1" + big, "/d/2": "d2" + big, "/d/s/3": "d3" + big, "/e/1": "e1" + big, "/k": "keep"}
	for _, c := range []struct {
		name string
		do   func(b *bench)
		want func(w tree)
		sent int64 // at most
	}{
		{"delete", func(b *bench) { b.rm("/a") }, func(w tree) { delete(w, "/a") }, 0},
		{"delete dir", func(b *bench) { b.rmAll("/d") }, func(w tree) { w.cut("/d") }, 0},
		{"delete all", func(b *bench) { b.rmAll("/d"); b.rmAll("/e"); b.rm("/a"); b.rm("/b"); b.rm("/k") }, func(w tree) { clear(w) }, 0},
		{"file by dir", func(b *bench) { b.rm("/a"); b.write("/a/x", "in") }, func(w tree) { delete(w, "/a"); w["/a/x"] = "in" }, 2},
		{"file by dir that moved", func(b *bench) { b.rm("/a"); b.mv("/d", "/a") }, func(w tree) { delete(w, "/a"); w.mv("/d", "/a") }, 0},
		{"dir by file", func(b *bench) { b.rmAll("/d"); b.write("/d", "file") }, func(w tree) { w.cut("/d"); w["/d"] = "file" }, 4},
		{"dir by file that moved", func(b *bench) { b.rmAll("/d"); b.mv("/a", "/d") }, func(w tree) { w.cut("/d"); w.mv("/a", "/d") }, 0},
		{"rename", func(b *bench) { b.mv("/a", "/z") }, func(w tree) { w.mv("/a", "/z") }, 0},
		{"rename over", func(b *bench) { b.mv("/a", "/b") }, func(w tree) { w.mv("/a", "/b") }, 0},
		{"rename twice", func(b *bench) { b.mv("/a", "/y"); b.mv("/y", "/e/z") }, func(w tree) { w.mv("/a", "/e/z") }, 0},
		{"swap files", func(b *bench) { b.mv("/a", "/t"); b.mv("/b", "/a"); b.mv("/t", "/b") }, func(w tree) { w["/a"], w["/b"] = w["/b"], w["/a"] }, 0},
		{"rename and append", func(b *bench) {
			b.mv("/a", "/z")
			f := b.openFile("/z", true)
			_, err := f.Append([]byte("more"))
			b.must(err)
			b.must(f.Close(true))
		}, func(w tree) { w.mv("/a", "/z"); w["/z"] += "more" }, 4},
		{"rename dir", func(b *bench) { b.mv("/d", "/n") }, func(w tree) { w.mv("/d", "/n") }, 0},
		{"rename dir into another", func(b *bench) { b.mv("/d", "/e/n") }, func(w tree) { w.mv("/d", "/e/n") }, 0},
		{"swap dirs", func(b *bench) { b.mv("/d", "/t"); b.mv("/e", "/d"); b.mv("/t", "/e") },
			func(w tree) { w.mv("/d", "/t"); w.mv("/e", "/d"); w.mv("/t", "/e") }, 0},
		{"rename dir, edit below", func(b *bench) { b.mv("/d", "/n"); b.write("/n/1", "new"); b.rm("/n/s/3"); b.write("/n/s/4", "four") },
			func(w tree) { w.mv("/d", "/n"); w["/n/1"], w["/n/s/4"] = "new", "four"; delete(w, "/n/s/3") }, 7},
		{"edit below, rename dir", func(b *bench) { b.write("/d/1", "new"); b.rm("/d/2"); b.mv("/d", "/n") },
			func(w tree) { w["/d/1"] = "new"; delete(w, "/d/2"); w.mv("/d", "/n") }, 3},
		{"rename dir, remove it", func(b *bench) { b.mv("/d", "/n"); b.rmAll("/n") }, func(w tree) { w.cut("/d") }, 0},
		{"rename dir, old name anew", func(b *bench) { b.mv("/d", "/n"); b.write("/d/1", "one") }, func(w tree) { w.mv("/d", "/n"); w["/d/1"] = "one" }, 3},
		{"rename below a rename", func(b *bench) { b.mv("/d", "/n"); b.mv("/n/s", "/s"); b.mv("/n/1", "/one") },
			func(w tree) { w.mv("/d", "/n"); w.mv("/n/s", "/s"); w.mv("/n/1", "/one") }, 0},
		{"turn a dir inside out", func(b *bench) { b.mv("/d/s", "/t"); b.mv("/d", "/t/d"); b.mv("/t", "/d") },
			func(w tree) { w.mv("/d/s", "/t"); w.mv("/d", "/t/d"); w.mv("/t", "/d") }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			want := tree{}
			for p, content := range start {
				want[p] = content
			}
			b.follows(b.foreign(start))
			sent := b.server.Stats().BytesReceived
			c.do(b)
			c.want(want)
			b.same("before", b.mounted().files(), want)
			b.lands()
			b.holds(want)
			if n := b.server.Stats().BytesReceived - sent; n > c.sent {
				t.Fatalf("%d bytes were sent, at most %d are new", n, c.sent)
			}
			b.reopen()
			b.holds(want)
			b.clean()
		})
	}
}

// cut takes a directory out of the tree.
func (t tree) cut(dir string) {
	for p := range t {
		if strings.HasPrefix(p, dir+"/") {
			delete(t, p)
		}
	}
}

// mv renames a file or a directory of the tree.
func (t tree) mv(from, to string) {
	add := tree{}
	for p, c := range t {
		if p == from || strings.HasPrefix(p, from+"/") {
			add[to+strings.TrimPrefix(p, from)] = c
			delete(t, p)
		}
	}
	for p, c := range add {
		t[p] = c
	}
}

func TestLandMany(t *testing.T) {
	b := newBench(t)
	n := 1000
	if testing.Short() {
		n = 200
	}
	want := tree{}
	b.mkdir("/m")
	for i := range n {
		p := fmt.Sprintf("/m/%04d", i)
		want[p] = fmt.Sprint(i)
		f := b.create(p)
		b.put(f, want[p], 0)
		b.must(f.Close(true))
	}
	b.lands()
	b.same("head", b.committed(), want)
	b.rmAll("/m")
	b.lands()
	b.holds(tree{})
}

// Pachyderm has no empty directories; the mount goes on showing them.
func TestLandEmptyDirs(t *testing.T) {
	b := newBench(t)
	b.foreign(tree{"/full/only": "x", "/full/sub/only": "y", "/mv/s/f": "z"})
	b.must(b.o.Follow(t.Context()))
	b.mkdir("/new/deep/er")
	b.rm("/full/only")
	b.rm("/full/sub/only")
	b.mv("/mv/s", "/mv2")
	b.lands()
	want := tree{"/new/": "", "/new/deep/": "", "/new/deep/er/": "", "/full/": "", "/full/sub/": "", "/mv/": "", "/mv2/": "", "/mv2/f": "z"}
	b.same("landed", b.mounted(), want)
	b.reopen()
	b.same("opened again", b.mounted(), want)
	b.write("/new/deep/f", "1")
	b.mv("/full", "/bare")
	b.rmdir("/mv")
	delete(want, "/mv/")
	want.mv("/full", "/bare")
	want["/new/deep/f"] = "1"
	b.same("changed", b.mounted(), want)
	b.lands()
	b.same("landed again", b.mounted(), want)
	b.reopen()
	b.same("opened again", b.mounted(), want)
}

// An empty directory alone is nothing to commit, and stays nonetheless.
func TestLandOnlyEmptyDir(t *testing.T) {
	b := newBench(t)
	b.mkdir("/e/f")
	b.landsNothing()
	b.same("mount", b.mounted(), tree{"/e/": "", "/e/f/": ""})
	b.reopen()
	b.same("mount", b.mounted(), tree{"/e/": "", "/e/f/": ""})
	b.rmdir("/e/f")
	b.rmdir("/e")
	b.landsNothing()
	b.reopen()
	b.same("mount", b.mounted(), tree{})
}

func TestLandMessage(t *testing.T) {
	b := newBench(t)
	b.foreign(tree{"/gone": "x"})
	b.must(b.o.Follow(t.Context()))
	b.write("/a", "1")
	b.write("/b", "2")
	b.rm("/gone")
	c, err := b.o.Commit(t.Context(), "the first")
	b.must(err)
	info, err := b.client.Commit(t.Context(), c)
	b.must(err)
	if m := info.Metadata; m["pachfs.message"] != "the first" || m["pachfs.host"] != "bench" {
		t.Fatalf("metadata %v", m)
	}
	b.write("/a", "3")
	d := b.lands()
	for range 2 {
		log, err := b.o.Log()
		b.must(err)
		if len(log) != 2 || log[0].Commit != d.ID || log[1].Commit != c.ID || log[1].Message != "the first" ||
			log[1].Files != 2 || log[1].Deleted != 1 || log[0].Message != "" || log[0].Time.IsZero() {
			t.Fatalf("log %+v", log)
		}
		if s := b.o.Status(); s.Base != d.ID || s.Head != d.ID || s.State != "clean" {
			t.Fatalf("status %+v", s)
		}
		b.reopen()
	}
	if !slices.Equal(b.ids()[:2], []string{d.ID, c.ID}) {
		t.Fatal(b.ids())
	}
}
