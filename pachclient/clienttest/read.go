package clienttest

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"slices"
	"strings"

	"pachfs/pachclient"
)

func init() {
	add("list in order", func(f *fixture) {
		c := f.commit(nil, file("/a0", "x"), file("/a/x", "x"), file("/a.txt", "x"), file("/a-b", "x"), file("/B", "x"))
		r := f.c.At(c.Commit)
		if got, want := f.list(r, "/"), []string{"/B", "/a-b", "/a.txt", "/a", "/a0"}; !slices.Equal(got, want) {
			f.Errorf("%q, want %q", got, want)
		}
		if got := f.list(r, "/a"); !slices.Equal(got, []string{"/a/x"}) {
			f.Errorf("/a lists %q", got)
		}
		if got := f.list(r, "/nope"); got != nil {
			f.Errorf("a missing directory lists %q", got)
		}
		f.is(r.List(f.ctx, "/B", func(pachclient.FileInfo) error { return nil }), pachclient.ErrNotDir)
	})
	add("listing ends with the caller's error", func(f *fixture) {
		c := f.commit(nil, file("/a", "x"), file("/b", "x"))
		mine, calls := errors.New("mine"), 0
		err := f.c.At(c.Commit).List(f.ctx, "/", func(pachclient.FileInfo) error { calls++; return mine })
		if f.is(err, mine); calls != 1 {
			f.Errorf("%d calls", calls)
		}
	})
	add("walk", func(f *fixture) {
		c := f.commit(nil, file("/d/e/f", "x"), file("/d/g", "x"), file("/h", "x"))
		for dir, want := range map[string][]string{"/": {"/d", "/d/e", "/d/e/f", "/d/g", "/h"}, "/d": {"/d/e", "/d/e/f", "/d/g"}, "/nope": nil} {
			var got []string
			f.must(f.c.At(c.Commit).Walk(f.ctx, dir, func(fi pachclient.FileInfo) error { got = append(got, fi.Path); return nil }))
			if !slices.Equal(got, want) {
				f.Errorf("walk of %s: %q, want %q", dir, got, want)
			}
		}
	})
	add("stat", func(f *fixture) {
		c := f.commit(nil, file("/d/a", "12345"), file("/empty", ""))
		r := f.c.At(c.Commit)
		fi, err := r.Stat(f.ctx, "/d/a")
		if f.must(err); fi.Path != "/d/a" || fi.Dir || fi.Size != 5 || fi.Hash.Zero() || fi.ModTime.IsZero() {
			f.Errorf("%+v", fi)
		}
		fi, err = r.Stat(f.ctx, "/d")
		if f.must(err); fi.Path != "/d" || !fi.Dir {
			f.Errorf("%+v", fi)
		}
		fi, err = r.Stat(f.ctx, "/empty")
		if f.must(err); fi.Size != 0 || fi.Dir || f.read(r, fi) != "" {
			f.Errorf("%+v", fi)
		}
		fi, err = r.Stat(f.ctx, "/")
		if f.must(err); fi.Path != "/" || !fi.Dir {
			f.Errorf("%+v", fi)
		}
		for _, p := range []string{"/nope", "/d/nope", "/nope/a", "/d/a/b", "/no\xffpe", "/no(pe)"} {
			_, err := r.Stat(f.ctx, p)
			f.is(err, iofs.ErrNotExist)
		}
	})
	add("equal hash means equal bytes", func(f *fixture) {
		big := strings.Repeat("0123456789abcdef", 5<<16) // 5 MiB
		one := f.commit(nil, file("/a", "x"), file("/b", "y"), file("/big", big))
		two := f.commit(nil, file("/c", "x"))
		stat := func(c pachclient.Commit, p string) pachclient.FileInfo {
			fi, err := f.c.At(c).Stat(f.ctx, p)
			f.must(err)
			return fi
		}
		if stat(one.Commit, "/a").Hash != stat(two.Commit, "/c").Hash || stat(one.Commit, "/a").Hash == stat(one.Commit, "/b").Hash {
			f.Error("hashes do not follow the bytes")
		}
		if fi := stat(two.Commit, "/big"); fi.Size != int64(len(big)) || fi.Hash != stat(one.Commit, "/big").Hash || f.read(f.c.At(two.Commit), fi) != big {
			f.Error("a large file changed without a change")
		}
	})
	add("read anywhere", func(f *fixture) {
		content := strings.Repeat("abcdefghij", 300_000) // 3 MB
		c := f.commit(nil, file("/f", content))
		r := f.c.At(c.Commit)
		fi, err := r.Stat(f.ctx, "/f")
		f.must(err)
		size := int64(len(content))
		for _, at := range [][2]int64{{0, 1}, {0, size}, {5, 100}, {1 << 20, 1 << 20}, {size - 3, 3}, {size - 3, 10}, {size, 1}, {size + 5, 1}, {7, 0}} {
			p := make([]byte, at[1])
			n, err := r.ReadAt(f.ctx, fi, p, at[0])
			want := content[min(at[0], size):min(at[0]+at[1], size)]
			if string(p[:n]) != want {
				f.Errorf("%d bytes at %d: got %d that differ", at[1], at[0], n)
			}
			if short := int64(n) < at[1]; short != errors.Is(err, io.EOF) || !short && err != nil && err != io.EOF {
				f.Errorf("%d bytes at %d: %d, %v", at[1], at[0], n, err)
			}
		}
		for _, off := range []int64{0, 1, 1_500_000, size} {
			s, err := r.Open(f.ctx, fi, off)
			f.must(err)
			b, err := io.ReadAll(s)
			if f.must(err); string(b) != content[off:] {
				f.Errorf("the stream from %d has %d bytes", off, len(b))
			}
			f.must(s.Close())
		}
	})
	add("names are literal", func(f *fixture) {
		want := map[string]string{}
		var cs []pachclient.Change
		for _, name := range []string{`/back\slash`, "/with space", "/t~#%&=", "/,comma", `/d"q/it's`, "/.hidden", "/a..b", "/...", `/d\e/f,g|h`, "/x$y`z", "/-"} {
			want[name] = name
			cs = append(cs, file(name, name))
		}
		f.sameTree(f.commit(nil, cs...).Commit, want)
	})
	add("an empty tree", func(f *fixture) {
		for _, c := range []pachclient.Commit{{Branch: f.branch}, f.head().Commit} {
			r := f.c.At(c)
			if got := f.list(r, "/"); got != nil {
				f.Errorf("lists %q", got)
			}
			fi, err := r.Stat(f.ctx, "/")
			if f.must(err); !fi.Dir {
				f.Errorf("%+v", fi)
			}
			_, err = r.Stat(f.ctx, "/a")
			f.is(err, iofs.ErrNotExist)
		}
	})
	add("diff", func(f *fixture) {
		one := f.commit(nil, file("/same", "s"), file("/d/changed", "1"), file("/gone", "g"))
		two := f.commit([]string{"/gone"}, file("/d/changed", "2"), file("/new", "n"))
		diff := func(from, to pachclient.Commit) map[string]string {
			out := map[string]string{}
			f.must(f.c.At(to).Diff(f.ctx, from, func(d pachclient.Diff) error {
				if !d.Dir() {
					out[d.Path()] = map[bool]string{true: "-"}[d.Old.Path != ""] + map[bool]string{true: "+"}[d.New.Path != ""]
				}
				return nil
			}))
			return out
		}
		check := func(from, to pachclient.Commit, want string) {
			var got []string
			for p, s := range diff(from, to) {
				got = append(got, s+p)
			}
			slices.Sort(got)
			if strings.Join(got, " ") != want {
				f.Errorf("diff: %q, want %q", got, want)
			}
		}
		zero := pachclient.Commit{Branch: f.branch}
		check(one.Commit, two.Commit, "+/new -+/d/changed -/gone")
		check(two.Commit, two.Commit, "")
		check(zero, one.Commit, "+/d/changed +/gone +/same")
		check(one.Commit, zero, "-/d/changed -/gone -/same")
	})
	add("an ended context ends a call", func(f *fixture) {
		c := f.commit(nil, file("/a", "x"))
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		_, err := f.c.Branch(ctx, f.branch)
		f.is(err, context.Canceled)
		fi, err := f.c.At(c.Commit).Stat(f.ctx, "/a")
		f.must(err)
		s, err := f.c.At(c.Commit).Open(ctx, fi, 0)
		if err == nil {
			_, err = io.ReadAll(s)
			s.Close()
		}
		f.is(err, context.Canceled)
	})
}
