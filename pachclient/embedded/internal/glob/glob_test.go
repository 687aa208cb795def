package glob

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"/a", []string{"/a"}, []string{"/", "/ab", "/a/b"}},
		{"/*", []string{"/a", "/a.txt", "/"}, []string{"/a/b"}},
		{"/**", []string{"/a", "/a/b/c"}, []string{"a"}},
		{"/*/x", []string{"/a/x"}, []string{"/x", "/a/b/x"}},
		{"/**/x", []string{"/a/x", "/a/b/x"}, []string{"/a/y"}},
		{"/?", []string{"/a"}, []string{"//", "/ab", "/"}},
		{"/[a-c]1", []string{"/a1", "/c1"}, []string{"/d1", "/1"}},
		{"/[!a]", []string{"/b"}, []string{"/a", "//"}},
		{"/[^a-b]", []string{"/c"}, []string{"/a", "/b"}},
		{"/[]]", []string{"/]"}, []string{"/["}},
		{"/{a,b/c}", []string{"/a", "/b/c"}, []string{"/b", "/c"}},
		{"/{a,{b,c}d}e", []string{"/ae", "/bde", "/cde"}, []string{"/ade", "/be"}},
		{"/@(a|b)", []string{"/a", "/b"}, []string{"/", "/ab"}},
		{"/+(a|b)", []string{"/a", "/abba"}, []string{"/", "/abc"}},
		{"/?(a)b", []string{"/b", "/ab"}, []string{"/aab"}},
		{"/*(a)b", []string{"/b", "/aaab"}, []string{"/cb"}},
		{"/!(a|b)", []string{"/c", "/ab"}, []string{"/a", "/b", "/c/d"}},
		{`/{\*}`, []string{"/*"}, []string{"/a"}},
		{`/{x\\y}`, []string{`/x\y`}, []string{"/xy"}},
		{`/\*`, nil, []string{"/*", `/\*`}},
		{`/x\y`, nil, []string{`/x\y`, "/xy"}},
	} {
		g, err := Compile(c.pattern)
		if err != nil {
			t.Fatalf("%s: %v", c.pattern, err)
		}
		for _, s := range c.yes {
			if ok, err := g.Match(s); !ok || err != nil {
				t.Errorf("%s does not match %s", c.pattern, s)
			}
		}
		for _, s := range c.no {
			if ok, err := g.Match(s); ok || err != nil {
				t.Errorf("%s matches %s", c.pattern, s)
			}
		}
	}
}

func TestBadPatterns(t *testing.T) {
	for _, s := range []string{"/n/[0-", "/{a", "/{a,b", "/@(a", `/\`, "[", `[\`, "/" + strings.Repeat("{", 1000)} {
		if _, err := Compile(s); err == nil {
			t.Errorf("%s compiles", s)
		}
	}
}

func TestNoBlowUp(t *testing.T) {
	g, err := Compile("/" + strings.Repeat("**a", 50) + strings.Repeat("*(a|*(a))", 5) + "b")
	if err != nil {
		t.Fatal(err)
	}
	soon(t, func() {
		if ok, err := g.Match("/" + strings.Repeat("a", 300)); ok || err != nil {
			t.Error("matches")
		}
	})
}

// Nested repeats of every kind, each of which could start everywhere, are tried
// from every place but once.
func TestNestingDoesNotBlowUp(t *testing.T) {
	path := "/" + strings.Repeat("a", 60)
	for _, op := range []string{"!", "+", "*", "?", "@"} {
		for _, inner := range []string{"*", "?", "a", "?(a)", "+(a)"} {
			deep := "/" + strings.Repeat(op+"("+inner, maxDepth-1) + "z" + strings.Repeat(")", maxDepth-1)
			g, err := Compile(deep)
			if err != nil {
				t.Fatal(err)
			}
			soon(t, func() {
				if ok, err := g.Match(path); err != nil || ok && (op == "+" || op == "@") { // there is no z in it
					t.Errorf("%.20s... matches", deep)
				}
			})
		}
	}
}

// What would take long, and much memory, is refused: a pattern within the limits
// of its form, and a path as long as one can be.
func TestTooHard(t *testing.T) {
	g, err := Compile("/" + strings.Repeat("+(*)", 200))
	if err != nil {
		t.Fatal(err)
	}
	soon(t, func() {
		if ok, err := g.Match("/" + strings.Repeat("a", 4000)); ok || !errors.Is(err, ErrHard) {
			t.Errorf("%v, %v", ok, err)
		}
	})
}

// soon fails when fn goes on and on.
func soon(t *testing.T, fn func()) {
	t.Helper()
	begin, done := time.Now(), make(chan bool)
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
		t.Log(time.Since(begin))
	case <-time.After(10 * time.Second):
		t.Fatal("it takes for ever")
	}
}

func FuzzCompile(f *testing.F) {
	f.Add("/a*{b,[c-d]}@(x|!(y))", "/abx")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if g, err := Compile(pattern); err == nil {
			g.Match(path[:min(len(path), 64)])
		}
	})
}
