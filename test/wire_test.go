package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/remote"
	"pachfs/test/harness"
)

// A wire is a client whose every call passes a relay, and what it looks at.
type wire struct {
	*remote.Client
	relay       *harness.Relay
	s           *harness.Server
	ref         string
	branch      pachclient.Branch
	first, last pachclient.Commit // of branch
	file        pachclient.FileInfo
	data        string // of file
	set         pachclient.FileSet
	made        int // repos so far
}

func newWire(t *testing.T) *wire {
	t.Helper()
	s := harness.Serve(t)
	w := &wire{s: s, relay: harness.NewRelay(t, s), ref: s.Ref("a@master")}
	repo, _, _ := strings.Cut(w.ref, "@")
	w.branch = pachclient.Branch{Project: "default", Repo: repo, Name: "master"}
	w.data = noise(random(t), 5<<20)
	s.Peer.Create(t, repo)
	w.first = pachclient.Commit{Branch: w.branch, ID: s.Peer.PutWait(t, w.ref, map[string]string{"/big": w.data, "/gone": "gone"})}
	w.last = pachclient.Commit{Branch: w.branch, ID: s.Peer.PutWait(t, w.ref, map[string]string{"/d/1": "1", "/d/2": "2", "/d/3": "3", "-/gone": ""})}
	var err error
	w.Client, err = remote.Dial(t.Context(), remote.Config{Address: w.relay.URL})
	ok(t, err)
	t.Cleanup(func() { w.Close() })
	w.file, err = w.At(w.last).Stat(t.Context(), "/big")
	ok(t, err)
	w.set = w.upload(t, "/set", "set")
	return w
}

func put(path, data string) pachclient.Change {
	return pachclient.Change{Path: path, Size: int64(len(data)), Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(data)), nil
	}}
}

func changes(list ...pachclient.Change) iter.Seq2[pachclient.Change, error] {
	return func(yield func(pachclient.Change, error) bool) {
		for _, c := range list {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func (w *wire) upload(t *testing.T, path, data string) pachclient.FileSet {
	t.Helper()
	set, err := w.Upload(t.Context(), changes(put(path, data)))
	ok(t, err)
	return set
}

// lines gathers what a stream tells.
type lines []string

func (l *lines) file(f pachclient.FileInfo) error {
	*l = append(*l, fmt.Sprintf("%s %d %x", f.Path, f.Size, f.Hash))
	return nil
}

// A wireCall is a call of the client, as text that is the same each time.
type wireCall struct {
	name    string
	methods []string // that it makes, in order; the last may give a stream
	stream  bool
	do      func(ctx context.Context, w *wire) (lines, error)
}

func one(v any, err error) (lines, error) { return lines{fmt.Sprint(v)}, err }

// harmless are the calls that may be made again.
var harmless = []wireCall{
	{"Cluster", []string{"InspectCluster", "GetVersion", "WhoAmI"}, false, func(ctx context.Context, w *wire) (lines, error) { return one(w.Cluster(ctx)) }},
	{"Projects", []string{"ListProject"}, false, func(ctx context.Context, w *wire) (lines, error) { return one(w.Projects(ctx)) }},
	{"Branches", []string{"ListBranch"}, false, func(ctx context.Context, w *wire) (lines, error) { return one(w.Branches(ctx, w.branch.In())) }},
	{"Branch", []string{"InspectBranch"}, false, func(ctx context.Context, w *wire) (lines, error) { return one(w.Branch(ctx, w.branch)) }},
	{"Head", []string{"InspectBranch", "InspectCommit"}, false, func(ctx context.Context, w *wire) (lines, error) {
		info, err := w.Client.Head(ctx, w.branch)
		return lines{info.Commit.String()}, err
	}},
	{"Commit", []string{"InspectCommit"}, false, func(ctx context.Context, w *wire) (lines, error) {
		info, err := w.Client.Commit(ctx, w.last)
		return lines{info.Commit.String(), info.Parent.String()}, err
	}},
	{"Wait", []string{"InspectCommit"}, false, func(ctx context.Context, w *wire) (lines, error) {
		info, err := w.Wait(ctx, w.last)
		return lines{info.Commit.String(), info.Parent.String()}, err
	}},
	{"Stat", []string{"InspectFile"}, false, func(ctx context.Context, w *wire) (lines, error) { return one(w.At(w.last).Stat(ctx, "/d/1")) }},
	{"Renew", []string{"RenewFileSet"}, false, func(ctx context.Context, w *wire) (lines, error) { return nil, w.Renew(ctx, w.set, time.Minute) }},
	{"Annotate", []string{"EditMetadata"}, false, func(ctx context.Context, w *wire) (lines, error) {
		return nil, w.Annotate(ctx, w.last, map[string]string{"k": "v"})
	}},
	{"CreateBranch", []string{"InspectBranch", "CreateRepo", "CreateBranch"}, false, func(ctx context.Context, w *wire) (lines, error) {
		w.made++
		b := pachclient.Branch{Project: "default", Repo: fmt.Sprintf("%s-%d", w.branch.Repo, w.made), Name: "master"}
		err := w.CreateBranch(ctx, b)
		list, err2 := w.Branches(ctx, b.In())
		return lines{fmt.Sprint(len(list))}, errors.Join(err, err2)
	}},
	{"Log", []string{"ListCommit"}, true, func(ctx context.Context, w *wire) (l lines, err error) {
		err = w.Log(ctx, w.last, func(i pachclient.CommitInfo) error { l = append(l, i.Commit.ID); return nil })
		return l, err
	}},
	{"List", []string{"ListFile"}, true, func(ctx context.Context, w *wire) (l lines, err error) {
		return l, w.At(w.last).List(ctx, "/d", l.file)
	}},
	{"Walk", []string{"WalkFile"}, true, func(ctx context.Context, w *wire) (l lines, err error) {
		return l, w.At(w.last).Walk(ctx, "/", l.file)
	}},
	{"Diff", []string{"DiffFile"}, true, func(ctx context.Context, w *wire) (l lines, err error) {
		err = w.At(w.last).Diff(ctx, w.first, func(d pachclient.Diff) error { l = append(l, d.Path()); return nil })
		return l, err
	}},
	{"ReadAt", []string{"GetFile"}, false, func(ctx context.Context, w *wire) (lines, error) {
		p := make([]byte, 3<<20)
		n, err := w.At(w.last).ReadAt(ctx, w.file, p, 1<<20+7)
		if string(p[:n]) != w.data[1<<20+7:1<<20+7+n] {
			return lines{"other bytes"}, err
		}
		return lines{fmt.Sprint(n)}, err
	}},
	{"Open", []string{"GetFile"}, false, func(ctx context.Context, w *wire) (lines, error) {
		s, err := w.At(w.last).Open(ctx, w.file, 100)
		if err != nil {
			return nil, err
		}
		defer s.Close()
		b, err := io.ReadAll(s)
		return lines{fmt.Sprint(len(b), string(b) == w.data[100:])}, err
	}},
}

// faults are what happens to a call that may be made again.
var faults = []struct {
	name string
	trap harness.Trap
}{
	{"cut before", harness.Trap{Point: harness.Arriving}},
	{"cut thrice before", harness.Trap{Point: harness.Arriving, Times: 3}},
	{"cut in the request", harness.Trap{Point: harness.Asking, After: 1}},
	{"answer lost", harness.Trap{Point: harness.Asked}},
	{"cut in the answer", harness.Trap{Point: harness.Answering, After: 1}},
	{"cut after the answer", harness.Trap{Point: harness.Answered}},
	{"late", harness.Trap{Point: harness.Asked, Delay: 300 * time.Millisecond}},
	{"slow to arrive", harness.Trap{Point: harness.Arriving, Delay: 300 * time.Millisecond}},
}

// Every fault at every point of every call that may be made again: the answer
// is as without it; or, where the caller has seen part of it, that part and a
// server that is away.
func TestWireHarmless(t *testing.T) {
	w := newWire(t)
	for _, c := range harmless {
		want, err := c.do(t.Context(), w)
		ok(t, err)
		for _, f := range faults {
			for _, method := range c.methods {
				what := c.name + ": " + f.name + " of " + method
				trap := f.trap
				trap.Method = method
				w.relay.Set(&trap)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				got, err := c.do(ctx, w)
				cancel()
				struck := w.relay.Struck()
				if begun := c.stream && len(got) > 0 && struck > 0 && trap.Delay == 0; begun && err != nil {
					if !errors.Is(err, pachclient.ErrUnavailable) || len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
						t.Errorf("%s: %q, %v; want a beginning of %q", what, got, err, want)
					}
				} else if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s: %q, %v; want %q", what, got, err, want)
				}
				if n := w.relay.Calls(method); struck > 0 && n > 4+struck {
					t.Errorf("%s: called %d times", what, n)
				}
				// An answer may have one message; and who has the bytes asked for
				// hangs up, now and then before the relay has seen the end.
				early := trap.Point == harness.Answering || trap.Point == harness.Answered && c.name == "ReadAt"
				if struck == 0 && !early {
					t.Errorf("%s: the fault did not strike", what)
				}
			}
		}
	}
}

// An upload that broke has done nothing, and says that the server is away;
// what it asks for at its end is asked again.
func TestWireUpload(t *testing.T) {
	w := newWire(t)
	head := w.s.Peer.Head(t, w.ref)
	appended := pachclient.Change{Path: "/d/4", From: &pachclient.Source{Commit: w.last, Path: "/d/1"}, Size: 1, Open: put("", "!").Open}
	for _, f := range faults {
		for method, list := range map[string][]pachclient.Change{
			"CreateFileSet":  {put("/x", w.data), put("/y", "y")},
			"RenewFileSet":   {put("/x", "x")},
			"ComposeFileSet": {put("/x", "x"), appended},
		} {
			what := f.name + " of " + method
			trap := f.trap
			trap.Method = method
			w.relay.Set(&trap)
			set, err := w.Upload(t.Context(), changes(list...))
			created, struck := w.relay.Calls("CreateFileSet"), w.relay.Struck()
			w.relay.Set(nil)
			if struck == 0 && trap.Point != harness.Answering {
				t.Errorf("%s: the fault did not strike", what)
			}
			if method == "CreateFileSet" && trap.Delay == 0 && struck > 0 {
				if !errors.Is(err, pachclient.ErrUnavailable) || created > 1 {
					t.Errorf("%s: %v, %d calls", what, err, created)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			var got lines
			ok(t, w.At(set.Commit()).Walk(t.Context(), "/", got.file))
			if want := map[string]int{"CreateFileSet": 2, "RenewFileSet": 1, "ComposeFileSet": 3}[method]; len(got) != want {
				t.Errorf("%s: the set holds %q", what, got)
			}
		}
	}
	if now := w.s.Peer.Head(t, w.ref); now != head {
		t.Errorf("an upload moved the head from %s to %s", head, now)
	}
}

// Land is sent once, whatever becomes of it, and says that it may have
// happened when that is so.
func TestWireLand(t *testing.T) {
	w := newWire(t)
	for i, c := range []struct {
		name     string
		trap     harness.Trap
		happened bool
		want     error
	}{
		{"cut before", harness.Trap{Point: harness.Arriving}, false, pachclient.ErrUnavailable},
		{"cut after the first message", harness.Trap{Point: harness.Asking, After: 1}, false, pachclient.ErrUnavailable},
		{"cut before the end of the request", harness.Trap{Point: harness.Asking, After: 3}, false, pachclient.ErrUnavailable},
		{"answer lost", harness.Trap{Point: harness.Asked}, true, pachclient.ErrUnavailable},
		{"cut in the answer", harness.Trap{Point: harness.Answered}, true, pachclient.ErrUnavailable},
		{"late", harness.Trap{Point: harness.Asked, Delay: 300 * time.Millisecond}, true, nil},
		{"later than the deadline", harness.Trap{Point: harness.Asked, Delay: 4 * time.Second}, true, context.DeadlineExceeded},
	} {
		path := fmt.Sprintf("/land/%d", i)
		head := w.s.Peer.Head(t, w.ref)
		set := w.upload(t, path, c.name)
		c.trap.Method = "ModifyFile"
		w.relay.Set(&c.trap)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		err := w.Land(ctx, w.branch, set, []string{"/d/1"})
		calls, struck := w.relay.Calls("ModifyFile"), w.relay.Struck()
		<-ctx.Done() // what the call could still do, it has done
		cancel()
		w.relay.Set(nil)
		if !errors.Is(err, c.want) || calls > 1 || struck != 1 {
			t.Errorf("%s: %v after %d calls, want %v", c.name, err, calls, c.want)
		}
		made := w.s.Peer.Commits(t, w.ref, head)
		if len(made) > 1 || (len(made) == 1) != c.happened {
			t.Errorf("%s: %d commits", c.name, len(made))
		}
		w.s.Peer.Finished(t, w.ref)
		if got := w.s.Peer.Tree(t, w.ref, "")[path]; (got == c.name) != c.happened {
			t.Errorf("%s: %s reads %q", c.name, path, got)
		}
	}
}

// Drop is no failure because its first answer was lost.
func TestWireDrop(t *testing.T) {
	w := newWire(t)
	for _, f := range faults {
		w.s.Peer.PutWait(t, w.ref, map[string]string{"/drop": f.name})
		trap := f.trap
		trap.Method = "DropCommit"
		w.relay.Set(&trap)
		err := w.Drop(t.Context(), pachclient.Commit{Branch: w.branch, ID: w.s.Peer.Head(t, w.ref)})
		if w.relay.Struck() == 0 && trap.Point != harness.Answering {
			t.Errorf("%s: the fault did not strike", f.name)
		}
		if now := w.s.Peer.Head(t, w.ref); err != nil || now != w.last.ID {
			t.Errorf("%s: %v, the head is %s, want %s", f.name, err, now, w.last.ID)
		}
	}
}

// A file that comes through cuts every so many bytes has the right bytes, and
// little comes twice.
func TestWireReadThroughCuts(t *testing.T) {
	r := random(t)
	for _, likePachd := range []bool{false, true} {
		var flags []string
		if likePachd { // one message of 19 MiB, which a cut before its end loses
			flags = []string{"--like-pachd"}
		}
		s := harness.Serve(t, flags...)
		ref := s.Ref("a@master")
		s.Peer.Create(t, s.Ref("a"))
		data := noise(r, 20<<20)
		id := s.Peer.PutWait(t, ref, map[string]string{"/big": data})
		repo, _, _ := strings.Cut(ref, "@")
		commit := pachclient.Commit{Branch: pachclient.Branch{Project: "default", Repo: repo, Name: "master"}, ID: id}
		for _, half := range []bool{false, true} {
			p := harness.NewProxy(t, s)
			c, err := remote.Dial(t.Context(), remote.Config{Address: p.URL})
			ok(t, err)
			defer c.Close()
			fi, err := c.At(commit).Stat(t.Context(), "/big")
			ok(t, err)
			for _, every := range []int64{1500<<10 + r.Int64N(1<<20), 4<<20 + r.Int64N(4<<20)} {
				if likePachd {
					every = 19<<20 + 100<<10 + r.Int64N(1<<20)
				}
				p.CutEvery(every, half)
				p.Cut()
				down, broken := p.Down(), p.Broken()
				f, err := c.At(commit).Open(t.Context(), fi, 0)
				ok(t, err)
				got, err := io.ReadAll(f)
				ok(t, errors.Join(err, f.Close()))
				down, broken = p.Down()-down, p.Broken()-broken
				t.Logf("like pachd %v, half %v, every %d: %d bytes of %d came over %d connections that broke", likePachd, half, every, down, len(data), broken)
				if string(got) != data {
					t.Errorf("every %d: %d bytes, other than were put", every, len(got))
				}
				if broken == 0 && every < int64(len(data)) {
					t.Errorf("every %d: no connection broke", every)
				}
				if most := int64(len(data)) + (broken+1)*(1<<20+64<<10); !likePachd && down > most {
					t.Errorf("every %d: %d bytes moved, want at most %d", every, down, most)
				}
			}
			p.CutEvery(0, false)
		}
	}
}
