package staging

import (
	"errors"
	"math"
	"reflect"
	"testing"
)

// fullRecord has every field set, each to another value.
func fullRecord() record {
	r := record{Op: opRename, File: 1, Content: math.MaxUint64, Path: "/a/b", To: "/ü\n\xff", Text: "why",
		Off: math.MaxInt64, End: -1, Size: 1 << 40, Lower: 3, Time: -62135596800000000,
		Mode: 0o7777, UID: math.MaxUint32, GID: 1000, Flags: flagDir | flagTime}
	for i := range r.Hash {
		r.Hash[i] = byte(i)
	}
	return r
}

// TestRecordRoundTrip writes and reads every field alone, and all of them.
func TestRecordRoundTrip(t *testing.T) {
	full := fullRecord()
	try := func(r record) {
		t.Helper()
		got, err := decode(r.encode(nil))
		if err != nil || got != r {
			t.Errorf("%+v came back as %+v, %v", r, got, err)
		}
	}
	try(full)
	try(record{Op: opOpen})
	v := reflect.ValueOf(full)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not tried", v.Type().Field(i).Name)
		}
		one := record{Op: opSynced}
		reflect.ValueOf(&one).Elem().Field(i).Set(v.Field(i))
		try(one)
	}
	b := full.encode([]byte("before"))
	if got, err := decode(b[len("before"):]); string(b[:6]) != "before" || err != nil || got != full {
		t.Error("encode does not append")
	}
}

func TestRecordDamaged(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"empty":           {nil, ErrCorrupt},
		"field cut":       {[]byte{byte(opCreate), tagFile}, ErrCorrupt},
		"varint cut":      {[]byte{byte(opCreate), tagFile, 0x80}, ErrCorrupt},
		"varint too long": {[]byte{byte(opCreate), tagFile, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, ErrCorrupt},
		"string too long": {[]byte{byte(opCreate), tagPath, 3, '/', 'a'}, ErrCorrupt},
		"huge string":     {[]byte{byte(opCreate), tagPath, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, ErrCorrupt},
		"short hash":      {[]byte{byte(opCreate), tagHash, 2, 1, 2}, ErrCorrupt},
		"unknown field":   {[]byte{byte(opCreate), tagHash + 1, 1}, ErrNewerFormat},
		"unknown flag":    {[]byte{byte(opCreate), tagFlags, 0x80, 0x02}, ErrNewerFormat},
	} {
		if _, err := decode(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestKnownOps: whether a record is known is said in two places.
func TestKnownOps(t *testing.T) {
	for i := range 256 {
		l := newLayer(1)
		err := l.apply(record{Op: op(i), Path: "/d/f", To: "/d/g", File: 1}, &fileTable{o: &Overlay{}, byID: map[uint64]*File{}})
		if known := !errors.Is(err, ErrNewerFormat); known != op(i).known() {
			t.Errorf("op %d: replayed %v, known %v", i, known, op(i).known())
		}
	}
}

// FuzzDecode: whatever is read is written back so that it reads the same.
func FuzzDecode(f *testing.F) {
	f.Add(fullRecord().encode(nil))
	f.Add(record{Op: opExtent, File: 3, Content: 4, Off: 5, End: 6}.encode(nil))
	f.Add([]byte{})
	f.Add([]byte{byte(opCreate), tagPath, 3, '/', 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewerFormat) {
				t.Fatal(err)
			}
			return
		}
		if got, err := decode(r.encode(nil)); err != nil || got != r {
			t.Fatalf("%+v came back as %+v, %v", r, got, err)
		}
	})
}
