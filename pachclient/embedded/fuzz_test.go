package embedded

import (
	"context"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

var (
	fuzzSeed  = flag.Uint64("fuzz-seed", 0, "the seed of the random requests (0: a new one)")
	fuzzCalls = flag.Int("fuzz-calls", 0, "how many random requests each method gets (0: some)")
)

func newSeed(t testing.TB) *rand.Rand {
	seed := *fuzzSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-fuzz-seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Every method of every service answers whatever it is asked, and leaves the
// store in order.
func TestRandomRequests(t *testing.T) {
	r := newSeed(t)
	rounds := 60
	if testing.Short() {
		rounds = 8
	}
	if *fuzzCalls > 0 {
		rounds = *fuzzCalls
	}
	dir := t.TempDir()
	p := start(t, dir, Options{})
	p.ctx = context.Background()
	served := methods(t, p.s)
	answers := make(map[string]map[string]int)
	for round := range rounds {
		w := newSpeaker(p, r)
		r.Shuffle(len(served), func(i, j int) { served[i], served[j] = served[j], served[i] })
		for _, m := range served {
			if strings.HasPrefix(m.stream.StreamName, "DeleteRepo") && round%5 > 0 {
				continue // let there be something for the others
			}
			code, err := m.raw(p.ctx, p.conn, w.requests(m))
			p.ok(err)
			if answers[m.name] == nil {
				answers[m.name] = make(map[string]int)
			}
			answers[m.name][code.String()]++
		}
		if round%10 == 9 {
			p.settled()
			p.collected()
		}
	}
	for _, m := range served {
		if len(answers[m.name]) == 0 {
			t.Errorf("%s was not called", m.name)
		}
		t.Log(m.name, answers[m.name])
	}
	p.stop()
	start(t, dir, Options{}) // it opens, and is checked at the end
}

// mutate makes something else of a message.
func mutate(r *rand.Rand, b []byte) []byte {
	b = append([]byte(nil), b...)
	for range 1 + r.IntN(4) {
		i := r.IntN(len(b) + 1)
		switch {
		case r.IntN(4) == 0:
			b = append(b[:i:i], append([]byte{byte(r.Uint32())}, b[i:]...)...)
		case len(b) == 0:
		case r.IntN(8) == 0:
			b = b[:i]
		case r.IntN(4) == 0:
			b = append(b, b[i:]...)
		default:
			b[i%len(b)] ^= 1 << r.IntN(8)
		}
	}
	return b[:min(len(b), 1<<20)]
}

// encoded gives the requests of a step as they are on the wire.
func (s step) encoded(t testing.TB, g *golden, m method) (all [][]byte) {
	for _, r := range s.Request {
		b, err := json.Marshal(g.fill(r))
		if err != nil {
			t.Fatal(err)
		}
		in := m.in.New().Interface()
		if err := protojson.Unmarshal(b, in); err != nil {
			t.Fatal(err)
		}
		if b, err = proto.Marshal(in); err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// The recorded calls, each after some that are nearly the same.
func TestMutatedTranscript(t *testing.T) {
	r := newSeed(t)
	p := start(t, t.TempDir(), Options{})
	p.ctx = context.Background()
	g := &golden{bound: map[string]string{}}
	mutants, every := 3, 1
	if testing.Short() {
		mutants, every = 1, 4
	}
	for i, s := range transcript(t) {
		m, err := methodOf(s.Method)
		p.ok(err)
		real := s.encoded(t, g, m)
		for range mutants {
			if i%every != 0 || len(real) == 0 {
				break
			}
			fake := append([][]byte(nil), real...)
			at := r.IntN(len(fake))
			fake[at] = mutate(r, fake[at])
			_, err := m.raw(p.ctx, p.conn, fake)
			p.ok(err)
		}
		if m.waits() {
			s.TimeoutMs = 100 // what it waits for a mutant may have undone
		}
		if a, err := g.call(p.conn, s); err == nil && len(a.message) > 6 && a.message[:6] == "panic:" {
			t.Fatal(s.Step, a.message)
		}
		if i%150 == 149 {
			p.settled()
		}
	}
}

// cut takes messages off, each behind its length.
func cut(data []byte) (messages [][]byte) {
	for len(data) > 0 {
		b, size := protowire.ConsumeBytes(data)
		if size < 0 {
			b, size = data, len(data)
		}
		messages, data = append(messages, b), data[size:]
	}
	return messages
}

// FuzzCall calls any method with any bytes: the first argument chooses the
// method, the second has its messages, each behind its length.
func FuzzCall(f *testing.F) {
	p := start(f, f.TempDir(), Options{})
	p.ctx = context.Background()
	served := methods(f, p.s)
	w := newSpeaker(p, rand.New(rand.NewPCG(1, 1)))
	seeds := make(map[string][][][]byte)
	for _, s := range transcript(f) {
		if m, err := methodOf(s.Method); err == nil && len(seeds[m.name]) < 3 {
			seeds[m.name] = append(seeds[m.name], s.encoded(f, &golden{}, m))
		}
	}
	for i, m := range served {
		for _, messages := range append(seeds[m.name], nil, w.requests(m), w.requests(m)) {
			var data []byte
			for _, b := range messages {
				data = protowire.AppendBytes(data, b)
			}
			f.Add(uint16(i), data)
		}
	}
	calls := 0
	f.Fuzz(func(t *testing.T, n uint16, data []byte) {
		p := &peer{t: t, s: p.s, conn: p.conn, APIClient: p.APIClient, ctx: context.Background()}
		if calls++; calls%200 == 0 {
			p.settled()
			newSpeaker(p, w.Rand)
		}
		m := served[int(n)%len(served)]
		messages := cut(data)
		if !m.stream.ClientStreams && len(messages) != 1 {
			messages = [][]byte{data}
		}
		_, err := m.raw(p.ctx, p.conn, messages)
		p.ok(err)
	})
}
