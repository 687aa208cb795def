package pachclient_test

import (
	"encoding/json"
	"testing"

	"pachfs/pachclient"
)

// A path of any bytes comes back from JSON, and looks there as Python expects it.
func TestPathInJSON(t *testing.T) {
	for p, want := range map[string]string{
		"":                  `""`,
		"/a":                `"/a"`,
		"/ö\U0001f600":      `"/ö😀"`,
		"/k\xf6ln":          `"/k\udcf6ln"`,
		"\xff\xfe\"\\\n":    `"\udcff\udcfe\"\\\n"`,
		"\xf0\x9f":          `"\udcf0\udc9f"`,
		`/\udcf6`:           `"/\\udcf6"`,
		"/\ufffd is a rune": `"/` + "\ufffd" + ` is a rune"`,
	} {
		b, err := json.Marshal(pachclient.Paths{p})
		if err != nil || string(b) != "["+want+"]" {
			t.Errorf("%q becomes %s, want %s (%v)", p, b, want, err)
		}
		var back pachclient.Paths
		if err := json.Unmarshal(b, &back); err != nil || len(back) != 1 || back[0] != p {
			t.Errorf("%q comes back as %q (%v)", p, back, err)
		}
	}
	var pair pachclient.Path
	if err := json.Unmarshal([]byte(`"\ud83d\ude00\ud83d\udcf6\u00f6\udc41"`), &pair); err != nil || pair != "😀📶ö\ufffd" {
		t.Errorf("pairs: %q, %v", pair, err)
	}
	if err := json.Unmarshal([]byte(`5`), &pair); err == nil {
		t.Error("a number is taken for a path")
	}
}

func FuzzPathInJSON(f *testing.F) {
	f.Add("/a\xff\\udcf6")
	f.Fuzz(func(t *testing.T, p string) {
		b, err := json.Marshal(pachclient.Path(p))
		var back pachclient.Path
		if err == nil {
			err = json.Unmarshal(b, &back)
		}
		if err != nil || string(back) != p {
			t.Errorf("%q becomes %s and comes back as %q (%v)", p, b, back, err)
		}
	})
}

func TestPathOnOneLine(t *testing.T) {
	for p, want := range map[string]string{
		"a b": "a b", "ö": "ö", "k\xf6ln": "k\xf6ln", `a"b`: `a"b`,
		"a\nb": `"a\nb"`, "\x07": `"\a"`, `"q"`: `"\"q\""`, "\x7f\xff": `"\x7f\xff"`, "\u009b": `"\u009b"`,
	} {
		if got := pachclient.Path(p).Line(); got != want {
			t.Errorf("%q is %s on a line, want %s", p, got, want)
		}
	}
}
