package staging

import "testing"

func TestPathSet(t *testing.T) {
	s := newPathSet([]string{"/b/c", "/a", "/b/c-d", "/x/y/z"})
	for p, want := range map[string]bool{"/": true, "/a": true, "/a/deep": true, "/ab": false, "/b": true,
		"/b/c": true, "/b/c/d": true, "/b/d": false, "/b/c-d": true, "/b/c-": false, "/x/y": true,
		"/x/y/z/0": true, "/x/yz": false, "/c": false} {
		if got := s.overlaps(p); got != want {
			t.Errorf("overlaps(%s) is %v", p, got)
		}
	}
	if newPathSet(nil).overlaps("/") {
		t.Error("an empty set overlaps")
	}
	if !newPathSet([]string{"/"}).overlaps("/a/b") {
		t.Error("the root does not overlap what is below it")
	}
}

func TestWithinAndSplit(t *testing.T) {
	for _, c := range []struct {
		p, dir string
		want   bool
	}{{"/a", "/", true}, {"/", "/", true}, {"/a/b", "/a", true}, {"/ab", "/a", false}, {"/a", "/a/b", false}} {
		if got := within(c.p, c.dir); got != c.want {
			t.Errorf("within(%s, %s) is %v", c.p, c.dir, got)
		}
	}
	for p, want := range map[string][2]string{"/": {"/", ""}, "/a": {"/", "a"}, "/a/b": {"/a", "b"}} {
		if dir, name := split(p); dir != want[0] || name != want[1] {
			t.Errorf("split(%s) is %q, %q", p, dir, name)
		}
	}
}
