package test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

// A leftover is what a mount had staged when it was killed, on two branches.
type leftover struct {
	t             *testing.T
	s             *harness.Server
	m             *harness.Mount
	home          string // has the state directory where a mount has it by default
	labels, notes string
	base          map[string]string // committed in labels
	want          map[string]string // what the mount showed of labels
}

// wrote is the time that a staged file was given.
var wrote = time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)

// leftBehind stages changes of every kind, and kills the mount.
func leftBehind(t *testing.T) *leftover {
	t.Helper()
	l := mountedLabels(t)
	m, labels := l.m, l.labels
	write(t, m.Path(l.notes, "n"), "a note")
	write(t, m.Path(labels, "new.json"), "new")
	ok(t, os.Chmod(m.Path(labels, "new.json"), 0o640))
	ok(t, os.Chtimes(m.Path(labels, "new.json"), wrote, wrote))
	ok(t, os.Remove(m.Path(labels, "gone")))
	ok(t, os.Rename(m.Path(labels, "dir"), m.Path(labels, "moved")))
	ok(t, os.Rename(m.Path(labels, "old"), m.Path(labels, "renamed")))
	ok(t, os.MkdirAll(m.Path(labels, "made/deep"), 0o755))
	write(t, m.Path(labels, "moved/added"), "added")
	f, err := os.OpenFile(m.Path(labels, "big"), os.O_WRONLY, 0)
	ok(t, err)
	_, err = f.WriteAt([]byte("CHANGED"), 150_000)
	ok(t, err)
	ok(t, f.Close())
	half, err := os.Create(m.Path(labels, "half"))
	ok(t, err)
	_, err = half.WriteString("never closed")
	ok(t, err)
	l.want = local(t, m.Path(labels))
	m.Kill(t)
	half.Close()
	m.Close(t)
	return l
}

// mountedLabels mounts with the state directory where it is by default.
func mountedLabels(t *testing.T) *leftover {
	t.Helper()
	s := harness.ServeOwn(t)
	l := &leftover{t: t, s: s, home: t.TempDir(), labels: s.Ref("labels@master"), notes: s.Ref("notes@main")}
	s.Peer.Create(t, s.Ref("labels"), s.Ref("notes"))
	l.base = map[string]string{"/keep": "keep", "/gone": "gone", "/dir/x": "x", "/dir/y": "y", "/old": "old", "/big": strings.Repeat("0123456789", 30_000)}
	s.Peer.PutWait(t, l.labels, l.base)
	s.Peer.PutWait(t, l.notes, map[string]string{"/first": "1"})
	dir := filepath.Join(l.home, "mnt")
	ok(t, os.Mkdir(dir, 0o755))
	l.m = harness.MountSpec(t, harness.Spec{URL: s.URL, Dir: dir, State: filepath.Join(l.home, "pachfs", strings.ReplaceAll(dir[1:], "/", "-"))})
	return l
}

// state runs `pachfs state` and wants an exit status, and words on either output.
func (l *leftover) state(code int, args []string, words ...string) harness.Result {
	l.t.Helper()
	r := l.run(args...)
	if r.Code != code {
		l.t.Errorf("state %q: %v\nwant %d", args, r, code)
	}
	for _, w := range words {
		if !strings.Contains(r.Out+r.Err, w) {
			l.t.Errorf("state %q says nothing of %q: %v", args, w, r)
		}
	}
	return r
}

func (l *leftover) run(args ...string) harness.Result {
	l.t.Helper()
	cmd := []string{"env", "XDG_STATE_HOME=" + l.home, "PACH_CONFIG=" + l.home + "/none.json", harness.Binary(l.t), "state"}
	return harness.Try(l.t, append(cmd, args...)...)
}

// unchanged fails if what fn does changes a byte in the state directory.
func (l *leftover) unchanged(fn func()) {
	l.t.Helper()
	before := l.bytes()
	fn()
	same(l.t, "the state directory", l.bytes(), before)
}

func (l *leftover) bytes() map[string]string {
	l.t.Helper()
	out := map[string]string{}
	ok(l.t, filepath.WalkDir(l.m.State, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() { // not the socket
			out[p] = fmt.Sprintf("%x", sha256.Sum256([]byte(read(l.t, p))))
		}
		return err
	}))
	return out
}

// A listed is what `state list --json` tells of a directory.
type listed struct {
	Dir, Mountpoint, Problem string
	PID                      int
	Branches                 []struct {
		Project, Branch, Deployment, Base, State, Problem string
		Staged                                            struct {
			Files, Deleted int
			Bytes          int64
			Oldest         *time.Time
		}
		Writing []string
		Sealed  int
		Sent    bool
	}
}

// list gives what is told of the leftover's directory.
func (l *leftover) list(args ...string) listed {
	l.t.Helper()
	r := l.run(append([]string{"list", "--json"}, args...)...)
	if len(args) > 0 && r.Code != 0 { // without, other tests' mounts are listed too
		l.t.Errorf("list %q: %v", args, r)
	}
	var all []listed
	if err := json.Unmarshal([]byte(r.Out), &all); err != nil {
		l.t.Fatalf("%v: %v", err, r)
	}
	for _, i := range all {
		if i.Dir == l.m.State {
			return i
		}
	}
	l.t.Fatalf("%s is not listed: %s", l.m.State, r.Out)
	return listed{}
}

// What a killed mount has left is listed, checked and exported with no server
// there and without a byte of it changing.
func TestStateOfAKilledMount(t *testing.T) {
	l := leftBehind(t)
	ok(t, os.Remove(l.m.Dir)) // the mountpoint is gone too
	l.s.Kill(t)
	l.unchanged(func() {
		i := l.list()
		if i.Mountpoint != l.m.Dir || i.PID != 0 || i.Problem != "" || len(i.Branches) != 2 {
			t.Fatalf("listed as %+v", i)
		}
		b := i.Branches[0]
		if b.Branch != l.labels || b.Project != "default" || len(b.Deployment) != 32 || len(b.Base) != 32 || b.State != "staged" ||
			b.Staged.Files != 6 || b.Staged.Deleted != 3 || b.Staged.Bytes != int64(len("new"+"added"+"CHANGED"+"never closed")) ||
			b.Staged.Oldest == nil || !b.Staged.Oldest.Equal(wrote) || !slices.Equal(b.Writing, []string{"/half"}) || b.Sealed != 0 || b.Sent {
			t.Errorf("listed as %+v", b)
		}
		l.state(0, []string{"list", l.m.Dir}, l.m.State, "not mounted", l.labels, "6 changed", "3 deleted", "/half", l.notes)
		l.state(0, []string{"check", l.m.Dir}, l.labels+": sound", l.notes+": sound")
		l.exportOffline()
		l.state(2, []string{"discard", l.m.State}, "- "+l.labels+"/gone", "+ "+l.notes+"/n", "--yes")
		l.state(2, []string{"list", l.home}, "no state directory")
		l.state(3, []string{"land", l.m.Dir, "--pachd", l.s.URL}, "can't be reached", l.m.State)
	})
}

func (l *leftover) exportOffline() {
	t := l.t
	out := filepath.Join(l.home, "out")
	l.state(3, []string{"export", l.m.Dir, out}, "not exported")
	same(t, "exported", local(t, out), map[string]string{
		"/" + l.labels + "/new.json": "new", "/" + l.labels + "/moved/added": "added", "/" + l.labels + "/half": "never closed",
		"/" + l.notes + "/n": "a note", "/" + l.labels + ".writing": "half\n",
		"/" + l.labels + ".deleted": "dir/\ngone\nold\n",
		"/" + l.labels + ".missing": read(t, out+"/"+l.labels+".missing"),
	})
	var missing []string
	for line := range strings.Lines(read(t, out+"/"+l.labels+".missing")) {
		name, why, _ := strings.Cut(line, "\t")
		missing = append(missing, name)
		if !strings.Contains(why, "no server") {
			t.Errorf("no reason: %q", line)
		}
	}
	if !slices.Equal(missing, []string{"big", "moved/", "renamed"}) {
		t.Errorf("missing: %q", missing)
	}
	st, err := os.Stat(out + "/" + l.labels + "/new.json")
	ok(t, err)
	if st.Mode() != 0o640 || !st.ModTime().Equal(wrote) {
		t.Errorf("new.json is exported with %v, %v", st.Mode(), st.ModTime())
	}
	if got := names(t, out+"/"+l.labels+"/made"); !slices.Equal(got, []string{"deep"}) {
		t.Errorf("made holds %q", got)
	}
	before := local(t, out)
	l.state(2, []string{"export", l.m.Dir, out}, "there already")
	same(t, "the first export", local(t, out), before)
}

// With the server an export is whole.
func TestStateExportWithTheServer(t *testing.T) {
	l := leftBehind(t)
	out := filepath.Join(l.home, "out")
	l.unchanged(func() { l.state(0, []string{"export", l.m.State, out, "--pachd", l.s.URL}) })
	want := map[string]string{}
	for p, data := range l.want {
		if p != "/keep" && !strings.HasPrefix(filepath.Base(p), ".") {
			want[p] = data
		}
	}
	same(t, "exported", local(t, out+"/"+l.labels), want)
	if got := read(t, out+"/"+l.labels+".deleted"); got != "dir/\ngone\nold\n" {
		t.Errorf("deleted: %q", got)
	}
	if _, err := os.Stat(out + "/" + l.labels + ".missing"); !os.IsNotExist(err) {
		t.Errorf("a list of what is missing: %v", err)
	}
	other := harness.ServeOwn(t)
	l.state(1, []string{"export", l.m.State, out + "2", "--pachd", other.URL}, "another Pachyderm")
}

// Damage is found, each with its words, and nothing is changed by looking.
func TestStateCheckFindsDamage(t *testing.T) {
	l := leftBehind(t)
	cut := 0
	for _, name := range l.m.Staged(t) {
		if b := read(t, name); b == "new" || b == "added" {
			ok(t, os.Truncate(name, 1))
			cut++
		} else if b == "a note" {
			ok(t, os.Remove(name))
			cut++
		}
	}
	if cut != 3 {
		t.Fatalf("%d of 3 contents found", cut)
	}
	l.unchanged(func() {
		l.state(1, []string{"check", l.m.Dir}, l.labels+": /new.json", l.labels+": /moved/added", "too short", l.notes+": ", "missing", "findings: 3")
		l.state(1, []string{"list", l.m.Dir}, "is missing", "not everything can be read")
		l.state(2, []string{"discard", l.m.Dir, l.notes}, l.notes+", whatever is staged there")
		l.state(1, []string{"discard", l.m.Dir, l.notes + ":/n", "--yes"}, "only the whole branch")
		l.state(1, []string{"export", l.m.Dir, l.home + "/out", "--pachd", l.s.URL}, "is missing")
	})
	if got := read(t, l.home+"/out/"+l.labels+"/renamed"); got != "old" {
		t.Errorf("what is sound is exported as %q", got)
	}
	l.state(0, []string{"discard", l.m.Dir, l.notes, "--yes"})
	if i := l.list(l.m.Dir); len(i.Branches) != 1 {
		t.Errorf("the damaged branch is still there: %+v", i)
	}
}

// Landing without a mount makes one commit a branch, on the right Pachyderm
// only; what was being written stays until somebody gives it up.
func TestStateLand(t *testing.T) {
	l := leftBehind(t)
	other := harness.ServeOwn(t)
	other.Peer.Create(t, "labels")
	l.state(3, []string{"land", l.m.Dir, "--pachd", other.URL}, "another Pachyderm", l.m.State)
	l.state(2, []string{"land", l.m.Dir}, "--pachd")
	l.state(2, []string{"land", l.m.Dir, "--pachd", l.s.URL, "--on-conflict", "maybe"}, "maybe")
	labels, notes := l.s.Peer.Head(t, l.labels), l.s.Peer.Head(t, l.notes)

	r := l.state(3, []string{"land", l.m.Dir, "--pachd", l.s.URL, "-m", "rescued"}, "half", "stay staged", "landing "+l.labels)
	made := map[string]string{}
	for line := range strings.Lines(r.Out) {
		branch, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		made[branch] = id
	}
	for ref, before := range map[string]string{l.labels: labels, l.notes: notes} {
		commits := l.s.Peer.Commits(t, ref, before)
		if len(commits) != 1 || commits[0].Commit.Id != made[ref] {
			t.Errorf("%s: %d commits, and %q was printed", ref, len(commits), made[ref])
		}
	}
	want := map[string]string{"/keep": "keep", "/moved/x": "x", "/moved/y": "y", "/moved/added": "added", "/renamed": "old", "/new.json": "new",
		"/big": l.base["/big"][:150_000] + "CHANGED" + l.base["/big"][150_007:]}
	same(t, "landed", l.s.Peer.Tree(t, l.labels, ""), want)
	same(t, "landed", l.s.Peer.Tree(t, l.notes, ""), map[string]string{"/first": "1", "/n": "a note"})

	l.state(3, []string{"land", l.m.Dir, "--pachd", l.s.URL}, "half")
	l.state(2, []string{"discard", l.m.Dir, l.labels + ":/nothere", "--yes"}, "nothing is staged there")
	l.state(0, []string{"discard", l.m.Dir, l.labels + ":/half", "--yes"})
	l.state(0, []string{"land", l.m.Dir, "--pachd", l.s.URL}, "nothing to land")
	again := l.m.Again(t)
	if st := again.Status(t, l.labels); st.State != "clean" || st.Base != made[l.labels] {
		t.Errorf("the next mount: %+v", st)
	}
	again.Stop(t, 0)
}

// Somebody else changed a staged path: 4, and --on-conflict decides.
func TestStateLandInConflict(t *testing.T) {
	l := leftBehind(t)
	theirs := l.s.Peer.PutWait(t, l.labels, map[string]string{"/new.json": "theirs"})
	r := l.state(4, []string{"land", l.m.Dir, "--pachd", l.s.URL}, "/new.json")
	if !strings.Contains(r.Out, l.notes) || strings.Contains(r.Out, l.labels) {
		t.Errorf("one branch lands though the other doesn't: %v", r)
	}
	if head := l.s.Peer.Head(t, l.labels); head != theirs {
		t.Errorf("the head is %s, theirs is %s", head, theirs)
	}
	l.s.Kill(t) // and without a server there is its store
	l.state(3, []string{"land", l.m.Dir, "--store", l.s.Store(), "--on-conflict", "ours", "--json"}, l.labels, "half")
	l.s.Restart(t)
	if got := l.s.Peer.Tree(t, l.labels, "")["/new.json"]; got != "new" {
		t.Errorf("/new.json is %q", got)
	}
}

// What is discarded is gone, and only that; the mount shows what is committed.
func TestStateDiscard(t *testing.T) {
	l := leftBehind(t)
	l.s.Kill(t)
	l.state(2, []string{"discard", l.m.Dir, l.labels + ":/"}, "names no path")
	l.state(2, []string{"discard", l.m.Dir, "nobody@master", "--yes"}, "nobody@master")
	l.state(0, []string{"discard", l.m.Dir, l.labels + ":/gone", "--yes"})
	if b := l.list().Branches[0]; b.Staged.Deleted != 2 || b.Staged.Files != 6 {
		t.Errorf("after discarding one path: %+v", b)
	}
	l.state(0, []string{"discard", l.m.State, l.labels, "--yes"})
	i := l.list()
	if b := i.Branches[0]; b.Staged.Deleted+b.Staged.Files != 0 {
		t.Errorf("after discarding the branch: %+v", b)
	}
	if b := i.Branches[1]; b.Staged.Files != 1 {
		t.Errorf("the other branch: %+v", b)
	}
	l.state(0, []string{"discard", l.m.Dir, "--yes"})
	l.state(0, []string{"discard", l.m.Dir}, "nothing is staged")
	if left := l.m.Staged(t); len(left) > 0 {
		t.Errorf("contents of what was discarded: %q", left)
	}
	l.s.Restart(t)
	again := l.m.Again(t)
	got := local(t, again.Path(l.labels))
	for p := range got {
		if strings.HasPrefix(p, "/.") {
			delete(got, p)
		}
	}
	same(t, "the mount", got, l.base)
	again.Stop(t, 0)
}

// A commit that was sent by a pachfs that is gone: a path of its branch is kept
// until its fate is known; the whole branch can be given up.
func TestStateDiscardOfASentCommit(t *testing.T) {
	l := &leftover{t: t, home: t.TempDir(), m: &harness.Mount{}}
	l.m.State = filepath.Join(l.home, "state")
	ok(t, os.CopyFS(l.m.State, os.DirFS("../staging/testdata/format/1/state")))
	harness.Sh(t, l.home, "chmod -R u+rwX state")
	l.unchanged(func() {
		if b := l.list(l.m.State).Branches[1]; !b.Sent || b.Sealed != 2 {
			t.Errorf("listed as %+v", b)
		}
		l.state(0, []string{"list", l.m.State}, "a commit was sent")
		l.state(2, []string{"discard", l.m.State}, "a commit was sent", "- labels@master/gone")
	})
	l.state(3, []string{"discard", l.m.State, "labels@master:/one.json", "--yes"}, "state land")
	l.state(0, []string{"discard", l.m.State, "labels@master", "--yes"})
	i := l.list(l.m.State)
	if b := i.Branches[1]; b.Sent || b.Sealed != 0 || b.Staged.Files+b.Staged.Deleted != 0 {
		t.Errorf("after discarding: %+v", b)
	}
	if b := i.Branches[0]; b.Staged.Files != 1 {
		t.Errorf("the other branch: %+v", b)
	}
}

// While a mount has the directory, it tells of it, and the rest is refused.
func TestStateWhileMounted(t *testing.T) {
	l := mountedLabels(t)
	write(t, l.m.Path(l.labels, "new"), "new")
	for _, i := range []listed{l.list(), l.list(l.m.Dir), l.list(l.m.State)} {
		if i.PID != l.m.Pid() || i.Mountpoint != l.m.Dir || len(i.Branches) != 1 || i.Branches[0].Staged.Files != 1 || len(i.Branches[0].Deployment) != 32 {
			t.Errorf("listed as %+v", i)
		}
	}
	l.state(0, []string{"list", l.m.Dir}, "mounted (pid", l.labels)
	held := fmt.Sprintf("held by process %d", l.m.Pid())
	for _, args := range [][]string{
		{"check", l.m.Dir}, {"discard", l.m.Dir, "--yes"}, {"land", l.m.Dir, "--pachd", l.s.URL}, {"export", l.m.Dir, l.home + "/out"}} {
		l.state(1, args, held, "pachfs umount "+l.m.Dir)
	}
	if _, err := os.Stat(l.home + "/out"); !os.IsNotExist(err) {
		t.Errorf("the export that was refused: %v", err)
	}
	l.m.Signal(t, syscall.SIGSTOP) // it hangs: that is told, and not waited for
	l.state(1, []string{"list", l.m.State}, held, "does not answer")
	l.m.Signal(t, syscall.SIGCONT)
	commit(t, l.m, l.labels)
	l.m.Stop(t, 0)
}

// A pachfs that was killed between its commit and the answer: whether it
// happened is not known, and landing finds the commit and makes no other.
func TestStateLandOfASentCommit(t *testing.T) {
	s := harness.ServeOwn(t)
	ref := s.Ref("labels@master")
	s.Peer.Create(t, s.Ref("labels"))
	before := s.Peer.PutWait(t, ref, map[string]string{"/base": "base"})
	relay := harness.NewRelay(t, s)
	l := &leftover{t: t, s: s, home: t.TempDir(), m: harness.MountSpec(t, harness.Spec{URL: relay.URL})}
	write(t, l.m.Path(ref, "a"), "a")
	relay.Set(&harness.Trap{Method: "ModifyFile", Point: harness.Asked, Delay: time.Minute})
	toucher := harness.Start(t, "touch", shell("/", "touch "+l.m.Path(ref, ".commit")))
	harness.Eventually(t, 20*time.Second, "the commit is made", func() bool { return relay.Struck() == 1 && s.Peer.Head(t, ref) != before })
	made := s.Peer.Finished(t, ref)
	l.m.Kill(t)
	toucher.Within(20 * time.Second)
	l.m.Close(t)
	if b := l.list(l.m.State).Branches[0]; !b.Sent || b.Sealed != 1 || b.Staged.Files != 1 {
		t.Errorf("listed as %+v", b)
	}
	l.state(3, []string{"discard", l.m.State, ref + ":/a", "--yes"}, "state land")
	if r := l.state(0, []string{"land", l.m.State, "--pachd", s.URL}); r.Out != ref+" "+made+"\n" {
		t.Errorf("printed %q, the commit is %s", r.Out, made)
	}
	if n := len(s.Peer.Commits(t, ref, before)); n != 1 {
		t.Errorf("%d commits", n)
	}
	l.state(0, []string{"land", l.m.State, "--pachd", s.URL}, "nothing to land")
}
