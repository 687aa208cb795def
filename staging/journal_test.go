package staging

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// journalOf writes a journal of these records, and says where each ends.
func journalOf(t *testing.T, rs ...record) (name string, ends []int64) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "layer")
	j, err := createJournal(osDisk{}, name)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rs {
		if err := j.append(r); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, j.end)
	}
	if err := errors.Join(j.sync(), j.close()); err != nil {
		t.Fatal(err)
	}
	return name, ends
}

// replayed opens a journal, closes it and gives its records.
func replayed(t *testing.T, name string) ([]record, error) {
	t.Helper()
	var out []record
	j, err := openJournal(osDisk{}, name, func(r record) error { out = append(out, r); return nil })
	if err != nil {
		return out, err
	}
	if st, err := j.f.Stat(); err != nil || st.Size() != j.end {
		t.Fatalf("%d bytes, %v, and the next record goes to %d", st.Size(), err, j.end)
	}
	return out, j.close()
}

func records() []record {
	return []record{{Op: opOpen, Text: "boot"}, {Op: opCreate, File: 1, Path: "/a"},
		{Op: opExtent, File: 1, Content: 1, End: 9}, fullRecord()}
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustWrite(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestJournalRoundTrip(t *testing.T) {
	name, _ := journalOf(t, records()...)
	got, err := replayed(t, name)
	if err != nil || !slices.Equal(got, records()) {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := createJournal(osDisk{}, name); !errors.Is(err, os.ErrExist) {
		t.Fatalf("made over an old one: %v", err)
	}
}

// TestJournalTornTail cuts the last record at every byte, and leaves garbage
// or zeros in its place. It is gone; those before stay; the next one is found.
func TestJournalTornTail(t *testing.T) {
	name, ends := journalOf(t, records()...)
	whole, n := mustRead(t, name), len(records())
	for cut := ends[n-2]; cut < ends[n-1]; cut++ {
		for _, tail := range [][]byte{nil, make([]byte, 40), bytes.Repeat([]byte{0xa5}, 40)} {
			mustWrite(t, name, append(bytes.Clone(whole[:cut]), tail...))
			got, err := replayed(t, name)
			if err != nil || !slices.Equal(got, records()[:n-1]) {
				t.Fatalf("cut at %d: %+v, %v", cut, got, err)
			}
			if !bytes.Equal(mustRead(t, name), whole[:ends[n-2]]) {
				t.Fatalf("cut at %d: the tail is still there", cut)
			}
		}
	}
	j, err := openJournal(osDisk{}, name, func(record) error { return nil })
	if err == nil {
		err = errors.Join(j.append(records()[n-1]), j.close())
	}
	if err != nil || !bytes.Equal(mustRead(t, name), whole) {
		t.Fatalf("appending after a torn tail: %v", err)
	}
}

// TestJournalBadCRC flips one bit anywhere in the last record.
func TestJournalBadCRC(t *testing.T) {
	name, ends := journalOf(t, records()...)
	whole, n := mustRead(t, name), len(records())
	for at := ends[n-2]; at < ends[n-1]; at++ {
		b := bytes.Clone(whole)
		b[at] ^= 0x10
		mustWrite(t, name, b)
		got, err := replayed(t, name)
		if err != nil || !slices.Equal(got, records()[:n-1]) {
			t.Fatalf("flipped at %d: %+v, %v", at, got, err)
		}
	}
}

// TestJournalNewerFormatUntouched: what a newer pachfs wrote is refused, and stays
// as it is, torn tail and all.
func TestJournalNewerFormatUntouched(t *testing.T) {
	field := append(record{Op: opCreate}.encode(nil), tagHash+1, 1)
	_, err := decode(field)
	if !errors.Is(err, ErrNewerFormat) {
		t.Fatal(err)
	}
	name, _ := journalOf(t, records()...)
	whole := mustRead(t, name)
	newer := bytes.Replace(whole, []byte(" 2\n"), []byte(" 3\n"), 1)
	mustWrite(t, name, append(newer, 1, 2, 3))
	if _, err := replayed(t, name); !errors.Is(err, ErrNewerFormat) {
		t.Fatalf("format 3: %v", err)
	}
	if !bytes.Equal(mustRead(t, name), append(newer, 1, 2, 3)) {
		t.Fatal("it was changed")
	}

	mustWrite(t, name, append(bytes.Clone(whole), 1, 2, 3))
	fail := func(r record) error { return newLayer(1).apply(record{Op: 99}, &fileTable{}) }
	if _, err := openJournal(osDisk{}, name, fail); !errors.Is(err, ErrNewerFormat) {
		t.Fatalf("an unknown op: %v", err)
	}
	if !bytes.Equal(mustRead(t, name), append(bytes.Clone(whole), 1, 2, 3)) {
		t.Fatal("it was changed")
	}

	for _, b := range []string{"", "pachfs-jour", "something else entirely"} {
		mustWrite(t, name, []byte(b))
		if _, err := replayed(t, name); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%q: %v", b, err)
		}
	}
}
