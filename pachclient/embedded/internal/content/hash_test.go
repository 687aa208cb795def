package content

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// recorded is testdata/hashes.json: what a real server said.
type recorded struct {
	Files []struct {
		Path    string
		Content struct {
			Kind   string
			Seed   uint64
			Length int
			Text   string
		}
		Writes       []int
		OneWriteHash string `json:"one_write_hash"`
	}
	Directories []struct {
		Path     string
		Children []string
		Hash     string
	}
}

// generated remembers the longest content of each kind: all shorter ones are
// its beginning, and generating is slow under the race detector.
var generated = make(map[string][]byte)

func generate(kind string, seed uint64, length int, text string) []byte {
	if kind == "literal" {
		return []byte(text)
	}
	key := fmt.Sprint(kind, seed)
	if len(generated[key]) < length {
		generated[key] = generateNew(kind, seed, max(length, 5_000_000))
	}
	return generated[key][:length]
}

func generateNew(kind string, seed uint64, length int) []byte {
	p := make([]byte, 0, length+32)
	switch kind {
	case "gen":
		for i := range length {
			p = append(p, byte(i*31+int(seed)*17+(i>>8)))
		}
	case "lcg":
		x := seed
		for range length {
			x = x*6364136223846793005 + 1442695040888963407
			p = append(p, byte(x>>56))
		}
	case "text":
		for i := 0; len(p) < length; i++ {
			p = fmt.Appendf(p, "line %d\n", i)
		}
	}
	return p[:length]
}

func TestHashesOfARealServer(t *testing.T) {
	data, err := os.ReadFile("testdata/hashes.json")
	if err != nil {
		t.Fatal(err)
	}
	var rec recorded
	if err := json.Unmarshal(data, &rec); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rec.Files {
		if testing.Short() && f.Content.Length > 6_000_000 {
			continue
		}
		want := generate(f.Content.Kind, f.Content.Seed, f.Content.Length, f.Content.Text)
		t.Run(f.Path, func(t *testing.T) {
			t.Parallel()
			w := s.NewWriter()
			var file File
			rest := want
			for _, n := range f.Writes { // every write reopens what the last one ended
				b := w.Build()
				if err := b.Append(file); err != nil {
					t.Fatal(err)
				}
				for part := rest[:n]; len(part) > 0; {
					m := min(len(part), 300_000)
					if _, err := b.Write(part[:m]); err != nil {
						t.Fatal(err)
					}
					part = part[m:]
				}
				rest = rest[n:]
				ended, err := b.File()
				if err != nil {
					t.Fatal(err)
				}
				file = ended
			}
			if err := w.Sync(); err != nil {
				t.Fatal(err)
			}
			if got := file.Hash.String(); got != f.OneWriteHash {
				t.Errorf("hash %s, want %s (%d chunks)", got, f.OneWriteHash, len(file.Chunks))
			}
			if got := read(t, s, file, 0); !bytes.Equal(got, want) {
				t.Errorf("read back %d bytes, not what was written", len(got))
			}
		})
	}
}

func TestDirectoryHashes(t *testing.T) {
	data, err := os.ReadFile("testdata/hashes.json")
	if err != nil {
		t.Fatal(err)
	}
	var rec struct {
		recorded
		Files []struct{ Path, Hash string }
	}
	if err := json.Unmarshal(data, &rec); err != nil {
		t.Fatal(err)
	}
	hashes := make(map[string]string)
	for _, f := range rec.Files {
		hashes[f.Path] = f.Hash
	}
	for _, d := range rec.Directories {
		hashes[d.Path] = d.Hash
	}
	compared := 0
	for _, d := range rec.Directories {
		var chunks []Chunk
		for _, c := range d.Children {
			raw, err := hex.DecodeString(hashes[c])
			if err != nil || len(raw) != len(Hash{}) {
				break // not all of the root's directories are recorded
			}
			chunks = append(chunks, Chunk{Hash: Hash(raw)})
		}
		if len(chunks) < len(d.Children) {
			continue
		}
		compared++
		if got := sumChunks(chunks).String(); got != d.Hash {
			t.Errorf("%s: %s, want %s", d.Path, got, d.Hash)
		}
	}
	if compared < 5 {
		t.Errorf("only %d directories compared", compared)
	}
}

func read(t *testing.T, s *Store, f File, off int64) []byte {
	t.Helper()
	r := s.NewReader()
	defer r.Close()
	var got []byte
	err := r.Stream(f, off, make([]byte, 700_001), func(p []byte) error {
		got = append(got, p...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
