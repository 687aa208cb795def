package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"pachfs/pachclient/embedded/internal/content"
)

// memory is a Sink.
type memory struct{ nodes [][]byte }

func (m *memory) Put(b []byte) (ID, error) {
	m.nodes = append(m.nodes, b)
	return ID(len(m.nodes)), nil
}

func (m *memory) Node(id ID, fn func([]byte) error) error {
	if id == 0 || int(id) > len(m.nodes) {
		return fs.ErrNotExist
	}
	return fn(m.nodes[id-1])
}

func file(s string) *content.File {
	return &content.File{Size: int64(len(s)), Hash: content.Sum([]byte(s)),
		Chunks: []content.Chunk{content.At(content.Hash{}, content.Sum([]byte(s)), 7, int64(len(s)))}}
}

func apply(t *testing.T, m *memory, base Dir, changes ...Change) Dir {
	t.Helper()
	sort.Slice(changes, func(i, j int) bool { return changes[i].Key < changes[j].Key })
	d, _, err := Apply(m, base, changes)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(m, d, make(map[Dir]bool)); err != nil {
		t.Fatal(err)
	}
	return d
}

func put(key, s string) Change { return Change{Key: key, Del: true, File: file(s)} }

func del(key string) Change { return Change{Key: key, Del: true} }

// walk gives the keys of a tree in the order of Walk.
func walk(t *testing.T, m *memory, d Dir, after string) []string {
	t.Helper()
	var keys []string
	err := Walk(m, d, "", after, func(key string, _ *Entry) error {
		keys = append(keys, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestModel does random changes to a tree and to a map, and compares them.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	m := &memory{}
	var d Dir
	model := make(map[string]content.Hash)
	rounds := 60
	if testing.Short() {
		rounds = 20
	}
	for round := range rounds {
		changes := make(map[string]Change)
		next, known := maps.Clone(model), slices.Sorted(maps.Keys(model)) // in an order that the seed gives, too
		shrink := round%7 >= 4                                            // some rounds mostly delete, so that nodes are joined
		for range random.IntN(600) + 1 {
			key := randomKey(random)
			if shrink && random.IntN(8) > 0 && len(model) > 0 {
				key = known[random.IntN(len(known))]
				changes[key] = del(key)
				delete(next, key)
				continue
			}
			s := fmt.Sprint(random.IntN(1000))
			changes[key] = put(key, s)
			next[key] = file(s).Hash
		}
		old, was := d, model
		d, model = apply(t, m, d, slices.Collect(maps.Values(changes))...), next
		compare(t, m, d, model)
		compare(t, m, old, was) // what was made before never changes
		compareDiff(t, m, old, d, was, model)
	}
}

func randomKey(random *rand.Rand) string {
	parts := make([]string, 1+random.IntN(3))
	for i := range parts {
		parts[i] = fmt.Sprintf("d%d", random.IntN(4))
	}
	return strings.Join(parts, "/") + fmt.Sprintf("/f%03d", random.IntN(500))
}

func compare(t *testing.T, m *memory, d Dir, model map[string]content.Hash) {
	t.Helper()
	got := make(map[string]content.Hash)
	last := ""
	err := Walk(m, d, "", "", func(key string, e *Entry) error {
		if key <= last && last != "" {
			t.Fatalf("%q after %q", key, last)
		}
		if last = key; !e.IsDir {
			got[key] = e.File.Hash
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, model) {
		t.Fatalf("%d files, want %d", len(got), len(model))
	}
	if int(d.Files) != len(model) {
		t.Fatalf("counts %d files, has %d", d.Files, len(model))
	}
	for key := range model {
		if e, err := Lookup(m, d, key); err != nil || e == nil || e.File.Hash != model[key] {
			t.Fatalf("lookup of %s: %v, %v", key, e, err)
		}
		break
	}
}

func compareDiff(t *testing.T, m *memory, a, b Dir, was, now map[string]content.Hash) {
	t.Helper()
	want := make(map[string]bool)
	for key, h := range was {
		want[key] = want[key] || now[key] != h
	}
	for key, h := range now {
		want[key] = want[key] || was[key] != h
	}
	maps.DeleteFunc(want, func(_ string, differs bool) bool { return !differs })
	got := make(map[string]bool)
	err := Diff(m, a, b, "", func(key string, ea, eb *Entry) error {
		if ea != nil && ea.IsDir || eb != nil && eb.IsDir || ea != nil && eb != nil && ea.File.Hash == eb.File.Hash {
			return nil
		}
		got[key] = true
		return nil
	})
	if err != nil || !maps.Equal(got, want) {
		t.Fatalf("diff has %d keys, want %d (%v)", len(got), len(want), err)
	}
}

func TestOrderAndMarkers(t *testing.T) {
	m := &memory{}
	d := apply(t, m, Dir{}, put("B", "1"), put("a-b", "2"), put("a.txt", "3"), put("a/x", "4"), put("a/y/z", "5"), put("a0", "6"))
	want := []string{"B", "a-b", "a.txt", "a/", "a/x", "a/y/", "a/y/z", "a0"}
	if got := walk(t, m, d, ""); !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
	for i, marker := range want {
		if got := walk(t, m, d, marker); !slices.Equal(got, want[i+1:]) {
			t.Errorf("after %s: %q", marker, got)
		}
	}
	if got := walk(t, m, d, "a/nothing"); !slices.Equal(got, []string{"a/x", "a/y/", "a/y/z", "a0"}) {
		t.Errorf("after a/nothing: %q", got)
	}
}

func TestChangeCostsWhatItChanges(t *testing.T) {
	m := &memory{}
	var changes []Change
	for i := range 50_000 {
		changes = append(changes, put(fmt.Sprintf("dir/%06d", i), "x"))
	}
	d := apply(t, m, Dir{}, changes...)
	before := len(m.nodes)
	d = apply(t, m, d, put("dir/025000", "y"))
	if n := len(m.nodes) - before; n > 6 {
		t.Errorf("one change made %d nodes", n)
	}
	size := 0
	for _, n := range m.nodes[before:] {
		size += len(n)
	}
	if size > 8*maxWeight {
		t.Errorf("one change wrote %d bytes", size)
	}
	var gone []Change // all but every hundredth
	for i, c := range changes {
		if i%100 != 0 {
			gone = append(gone, del(c.Key))
		}
	}
	d = apply(t, m, d, gone...)
	live := make(map[ID]bool)
	if err := Nodes(m, d, live, nil); err != nil {
		t.Fatal(err)
	}
	if len(live) > 40 { // 500 files of 110 bytes
		t.Errorf("%d nodes are left for %d files", len(live), d.Files)
	}
}

func TestCollisions(t *testing.T) {
	for _, c := range []struct {
		base, keys []string
		want       string
	}{
		{nil, []string{"a", "a/b"}, "/a/b"},
		{[]string{"d/x"}, []string{"d"}, "/d/x"},
		{[]string{"f"}, []string{"f/s/t"}, "/f/s/t"},
		{[]string{"q/f"}, []string{"q/f/s", "z", "z/1"}, "/q/f/s"},
		{nil, []string{"a", "a.txt", "a/b"}, ""}, // not side by side: not noticed
		{nil, []string{"t", "t\x00tag"}, "/t"},
		{[]string{"t\x00a"}, []string{"t\x00b"}, "/t"},
		{nil, []string{"ab", "a/b"}, ""},
	} {
		m := &memory{}
		var base, changes []Change
		for _, k := range c.base {
			base = append(base, put(k, "1"))
		}
		for _, k := range c.keys {
			changes = append(changes, put(k, "2"))
		}
		d := apply(t, m, Dir{}, base...)
		d, found, err := Apply(m, d, changes)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if found != nil {
			got = found.Path
		}
		if got != c.want {
			t.Errorf("%q on %q: %q, want %q", c.keys, c.base, got, c.want)
		}
		err = Walk(m, d, "", "", func(string, *Entry) error { return nil })
		var met *Collision
		if errors.As(err, &met); (met == nil) != (c.want == "") {
			t.Errorf("%q on %q: walk says %v", c.keys, c.base, err)
		}
	}
}

func TestDamageIsNoticed(t *testing.T) {
	m := &memory{}
	d := apply(t, m, Dir{}, put("a/b", "1"), put("c", "2"))
	for id := range m.nodes {
		for i := range m.nodes[id] {
			m.nodes[id][i] ^= 0x10
			if err := Verify(m, d, make(map[Dir]bool)); err == nil {
				t.Fatalf("byte %d of node %d: not noticed", i, id+1)
			}
			m.nodes[id][i] ^= 0x10
		}
	}
}

func FuzzDecode(f *testing.F) {
	m := &memory{}
	Apply(m, Dir{}, []Change{put("a/b", "1"), put("c", "2")})
	for _, n := range m.nodes {
		f.Add(n[:len(n)-4])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sealed := binary.LittleEndian.AppendUint32(slices.Clone(body), crc32.Checksum(body, castagnoli))
		n, err := decode(sealed)
		if err != nil {
			return
		}
		if again, err := decode(n.encode()); err != nil || len(again.entries) != len(n.entries) || len(again.children) != len(n.children) {
			t.Errorf("%v after %v (%v)", again, n, err)
		}
	})
}
