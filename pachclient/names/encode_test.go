package names_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/names"
)

// What is shown, and what is stored for it.
var table = []struct{ shown, stored string }{
	{"plain.txt", "plain.txt"},
	{"photo (1).jpg", "photo %281%29.jpg"},
	{"köln.png", "k%C3%B6ln.png"},
	{"k\xf6ln", "k%F6ln"}, // Latin-1
	{"a*b?c", "a%2Ab%3Fc"},
	{"tab\tnewline\n\x7f", "tab%09newline%0A%7F"},
	{"[x]{y}!@+^", "%5Bx%5D%7By%7D%21%40%2B%5E"},

	// What only looks encoded stays as it is.
	{"a%20b", "a%20b"},
	{"%", "%"},
	{"100%", "100%"},
	{"%%", "%%"},
	{"%25", "%25"},
	{"100%25", "100%25"},
	{"%2525", "%2525"},
	{"%41", "%41"},
	{"%c3%b6", "%c3%b6"}, // lower case
	{"%2a", "%2a"},
	{"%2", "%2"},
	{"%2F", "%2F"}, // neither a slash
	{"%00", "%00"}, // nor NUL
	{"%2E%2E", "%2E%2E"},
	{"%25%", "%25%"},

	// What would decode gets one more 25.
	{"%28", "%2528"},
	{"%2528", "%252528"},
	{"%252528", "%25252528"},
	{"%C3%B6", "%25C3%25B6"},
	{"%25%28", "%25%2528"},

	// Tokens that only come about beside one another.
	{"%(", "%%28"},
	{"%25(", "%25%28"},
	{"%2(", "%2%28"},
	{"%(28", "%%2828"},
	{"%%28", "%%2528"},
	{"%25\xc3", "%25%C3"},

	{"...", "..."},
	{"..(", "..%28"},
	{"/d (1)/ä/%28/x", "/d %281%29/%C3%A4/%2528/x"},
	{"/", "/"},
	{"", ""},
}

func TestTable(t *testing.T) {
	for _, c := range table {
		if got := names.Encode(c.shown); got != c.stored {
			t.Errorf("%q is stored as %q, want %q", c.shown, got, c.stored)
		}
		if got := names.Decode(c.stored); got != c.shown {
			t.Errorf("%q is shown as %q, want %q", c.stored, got, c.shown)
		}
	}
}

// A stored name that no encoding gave is shown as it is, and so is nothing of
// what stands beside it in a path.
func TestRawNamesAreShownAsTheyAre(t *testing.T) {
	for stored, want := range map[string]string{"a(b": "a(b", "/a(%28/%28": "/a(%28/(", "ö%C3": "ö%C3"} {
		if got := names.Decode(stored); got != want {
			t.Errorf("%q is shown as %q, want %q", stored, got, want)
		}
	}
}

func TestValidName(t *testing.T) {
	for _, bad := range []string{"", ".", "..", "a/b", "/", "a\x00"} {
		if names.ValidName(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, good := range []string{"a", "...", "(", "ö", "\xff", "\n", "%", "%00"} {
		if err := names.ValidName(good); err != nil {
			t.Error(err)
		}
	}
}

// holds checks what the encoding promises for one name.
func holds(t *testing.T, name string) {
	t.Helper()
	if names.ValidName(name) != nil {
		return
	}
	stored := names.Encode(name)
	if err := pachclient.ValidName(stored); err != nil {
		t.Errorf("%q is stored as %q, which Pachyderm refuses: %v", name, stored, err)
	}
	if got := names.Decode(stored); got != name {
		t.Errorf("%q is stored as %q and shown as %q", name, stored, got)
	}
	if len(stored) > 3*len(name) {
		t.Errorf("%q is stored as %q, more than three times as long", name, stored)
	}
	if pachclient.ValidName(name) != nil {
		return
	}
	shown := names.Decode(name) // the name as one that somebody else stored
	if err := names.ValidName(shown); err != nil {
		t.Errorf("%q is shown as %q, which is no name: %v", name, shown, err)
	}
	if got := names.Encode(shown); got != name {
		t.Errorf("%q is shown as %q, which is stored as %q", name, shown, got)
	}
}

// Every name over an alphabet that makes tokens, up to six bytes: 1.1 million.
func TestEveryShortName(t *testing.T) {
	const alphabet = "%258(C\xc3a.F"
	var extend func(prefix string, left int)
	extend = func(prefix string, left int) {
		holds(t, prefix)
		if left == 0 || t.Failed() {
			return
		}
		for i := range len(alphabet) {
			extend(prefix+alphabet[i:i+1], left-1)
		}
	}
	extend("", 6)
}

// Random names of what makes and breaks tokens, and paths of them.
func TestRandomNames(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	pieces := []string{"%", "25", "28", "2F", "00", "C3", "%25", "%28", "2", "5", "(", "ö", "\xff", "a", ".", "\n", " "}
	word := func() string {
		var b strings.Builder
		for range 1 + r.IntN(12) {
			if r.IntN(8) == 0 {
				b.WriteByte(byte(r.IntN(256)))
			} else {
				b.WriteString(pieces[r.IntN(len(pieces))])
			}
		}
		return b.String()
	}
	for range 200_000 {
		name := word()
		holds(t, name)
		if names.ValidName(name) == nil {
			dir := strings.NewReplacer("/", "_", "\x00", "_").Replace(word())
			if got, want := names.Encode("/"+dir+"/"+name), "/"+names.Encode(dir)+"/"+names.Encode(name); got != want {
				t.Errorf("the path is stored as %q, its elements as %q", got, want)
			}
		}
		if t.Failed() {
			return
		}
	}
}

func FuzzEncoding(f *testing.F) {
	for _, c := range table {
		f.Add(c.shown)
		f.Add(c.stored)
	}
	f.Fuzz(holds)
}
