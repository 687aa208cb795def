package content

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func build(t *testing.T, w *Writer, p []byte) File {
	t.Helper()
	b := w.Build()
	if _, err := b.Write(p); err != nil {
		t.Fatal(err)
	}
	f, err := b.File()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSmallFilesShareABlob(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := s.NewWriter()
	files := make([]File, 1000)
	for i := range files {
		files[i] = build(t, w, bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 500))
	}
	if got := read(t, s, files[3], 0); got[0] != 3 { // still in memory
		t.Errorf("read %d", got[0])
	}
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("%d blobs, %v", len(names), err)
	}
	for i, f := range files {
		if got := read(t, s, f, 998); !bytes.Equal(got, []byte{byte(i), byte(i >> 8)}) {
			t.Fatalf("file %d ends in %v", i, got)
		}
	}
}

func TestTheSameBigChunkIsStoredOnce(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := generate("lcg", 2, 5_000_000, "")
	for range 3 {
		w := s.NewWriter()
		build(t, w, p)
		if err := w.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("%d blobs, %v", len(names), err)
	}
}

// Appending a file to another must refer to the chunks of both where it can.
func TestAppendByReference(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := s.NewWriter()
	p := generate("lcg", 4, 25_000_000, "")
	whole := build(t, w, p)
	head, rest := build(t, w, p[:1234]), build(t, w, p[1234:])
	b := w.Build()
	for _, f := range []File{head, rest} {
		if err := b.Append(f); err != nil {
			t.Fatal(err)
		}
	}
	joined, err := b.File()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	if joined.Hash != whole.Hash {
		t.Errorf("hash %s, want %s", joined.Hash, whole.Hash)
	}
	r := s.NewReader()
	defer r.Close()
	if err := r.Verify(joined); err != nil {
		t.Error(err)
	}
	last := len(joined.Chunks) - 1
	if joined.Chunks[last].Blob() != rest.Chunks[len(rest.Chunks)-1].Blob() {
		t.Error("the last chunk was written again")
	}
}

func TestLeftoversAndDamage(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := s.NewWriter()
	f := build(t, w, []byte("hello"))
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, tempPrefix+"1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Fatalf("%v, %v", names, err)
	}
	blob := names[0].Name()
	if err := s.Verify(blob); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, blob), []byte("jello"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.NewReader()
	defer r.Close()
	if s.Verify(blob) == nil || r.Verify(f) == nil {
		t.Error("damage is not noticed")
	}
}
