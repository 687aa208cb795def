package staging_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"pachfs/pachclient"
	"pachfs/pachclient/clienttest"
	"pachfs/staging"
)

var writeFormat = flag.Bool("write-format", false, "make testdata/format/N anew, by what this code writes")

// fixtures are state directories as each format left them, made at the boot
// "fixture", with what they read as beside them: state/, kill.txt (the machine
// stayed up), power.txt (it didn't).
const fixtures = "testdata/format"

// newestFormat is the one that this code writes.
const newestFormat = "2"

// A state directory of every format that there ever was opens, and reads as
// what was written down when it was made.
func TestOlderFormatsOpen(t *testing.T) {
	if *writeFormat {
		makeFixture(t, filepath.Join(fixtures, newestFormat))
	}
	formats, err := os.ReadDir(fixtures)
	ok(t, err)
	if len(formats) == 0 || formats[len(formats)-1].Name() != newestFormat {
		t.Fatalf("no directory of format %s: -write-format makes it", newestFormat)
	}
	for _, f := range formats {
		for view, boot := range map[string]string{"kill": "fixture", "power": "another"} {
			t.Run(f.Name()+"/"+view, func(t *testing.T) {
				dir := copyFixture(t, f.Name())
				before := hashes(t, dir)
				want, err := os.ReadFile(filepath.Join(fixtures, f.Name(), view+".txt"))
				ok(t, err)
				sameText(t, "looked at", tell(t, boot, dir), string(want))
				sameText(t, "the files", hashes(t, dir), before)

				s, err := staging.OpenBooted(boot, dir, staging.Options{Client: pachclient.Offline{}})
				ok(t, err)
				defer s.Close()
				kept, err := s.Kept()
				ok(t, err)
				for _, b := range kept {
					_, err := s.Overlay(t.Context(), b)
					ok(t, err)
				}
				ok(t, s.Check())
				ok(t, s.Close())
				sameText(t, "opened and closed", tell(t, boot, dir), string(want))
			})
		}
	}
}

// What a newer pachfs wrote is refused, by whoever opens it or looks at it, and
// not a byte of the directory is another then: torn tails, a journal that was
// being made, contents that nobody needs and all.
func TestNewerFormatsAreRefusedUntouched(t *testing.T) {
	const branch = "branches/default+labels@master"
	for name, wound := range map[string]func(t *testing.T, dir string){
		"layout":         func(t *testing.T, dir string) { put(t, dir+"/format", "pachfs-state 2\n") },
		"another layout": func(t *testing.T, dir string) { put(t, dir+"/format", "pachfs-state 10 with more\n") },
		"journal": func(t *testing.T, dir string) {
			name := lastJournal(t, dir+"/"+branch)
			b, err := os.ReadFile(name)
			ok(t, err)
			put(t, name, strings.Replace(string(b), " 2\n", " 3\n", 1))
		},
		"record": func(t *testing.T, dir string) {
			ok(t, staging.AppendRecord(lastJournal(t, dir+"/"+branch), 99))
		},
		"field": func(t *testing.T, dir string) {
			ok(t, staging.AppendRecord(lastJournal(t, dir+"/"+branch), 5, 40, 1))
		},
		"flag": func(t *testing.T, dir string) {
			ok(t, staging.AppendRecord(lastJournal(t, dir+"/"+branch), 5, 14, 0x80, 0x02))
		},
		"residue": func(t *testing.T, dir string) {
			db, err := bolt.Open(dir+"/"+branch+"/residue.db", 0o600, nil)
			ok(t, err)
			ok(t, db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte("2")) }))
			ok(t, db.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyFixture(t, newestFormat)
			wound(t, dir)
			put(t, dir+"/lock", "12345\n")
			put(t, dir+"/"+branch+"/layer-99999999", "pachfs-jo")
			ok(t, os.MkdirAll(dir+"/"+branch+"/content/77", 0o700))
			put(t, dir+"/"+branch+"/content/77/4477", "nobody's")
			torn, err := os.OpenFile(dir+"/"+branch+"/layer-00000002", os.O_WRONLY|os.O_APPEND, 0)
			ok(t, err)
			_, err = torn.WriteString("torn")
			ok(t, errors.Join(err, torn.Close()))
			before := hashes(t, dir)
			if _, err := staging.Open(dir, staging.Options{Client: pachclient.Offline{}}); !errors.Is(err, staging.ErrNewerFormat) {
				t.Errorf("open: %v", err)
			}
			if _, err := staging.Inspect(dir, staging.Only(pachclient.Offline{})); !errors.Is(err, staging.ErrNewerFormat) {
				t.Errorf("inspect: %v", err)
			}
			sameText(t, "the files", hashes(t, dir), before)
		})
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, name, content string) {
	t.Helper()
	ok(t, os.WriteFile(name, []byte(content), 0o600))
}

func sameText(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
	}
}

func lastJournal(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(dir + "/layer-*")
	ok(t, err)
	sort.Strings(names)
	return names[len(names)-1]
}

func copyFixture(t *testing.T, format string) string {
	t.Helper()
	dir := t.TempDir()
	ok(t, os.CopyFS(dir, os.DirFS(filepath.Join(fixtures, format, "state"))))
	ok(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		return errors.Join(err, os.Chmod(p, 0o700))
	}))
	return dir
}

// hashes lists every file of a directory with the hash of its bytes.
func hashes(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	ok(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			fmt.Fprintln(&out, strings.TrimPrefix(p, dir))
			return err
		}
		b, err := os.ReadFile(p)
		fmt.Fprintf(&out, "%s %x\n", strings.TrimPrefix(p, dir), sha256.Sum256(b))
		return err
	}))
	return out.String()
}

// tell writes down what a look at the directory shows.
func tell(t *testing.T, boot, dir string) string {
	t.Helper()
	i, err := staging.InspectBooted(boot, dir, pachclient.Offline{})
	ok(t, err)
	defer i.Close()
	found, err := i.Branches(t.Context())
	ok(t, err)
	var out strings.Builder
	for _, f := range found {
		ok(t, f.Err)
		ok(t, f.Check())
		st := f.Status()
		fmt.Fprintf(&out, "%s %s of %s: sealed %d, sent %v, base %s, %s, changed %d, deleted %d, bytes %d, oldest %v\n", f.Branch.Project, f.Branch, f.Deployment,
			f.Sealed, f.Sent, st.Base, st.State, st.Staged.Files, st.Staged.Deleted, st.Staged.Bytes, st.Staged.Oldest)
		fmt.Fprintf(&out, "writing %q, conflicts %q, last commit %q\n", f.Writing(), st.Conflicts, st.LastCommit)
		for _, l := range f.Diff() {
			fmt.Fprintf(&out, "%c %s\n", l.Op, l.Path)
		}
		ok(t, f.Walk(t.Context(), func(p string, i staging.Info, err error) error {
			mode, _ := i.Perm()
			if fmt.Fprintf(&out, "%s %o %s", p, mode, i.ModTime.UTC().Format(time.RFC3339Nano)); err != nil {
				fmt.Fprintf(&out, ": %v\n", err)
			} else if i.Dir {
				fmt.Fprintln(&out, " directory")
			} else {
				fmt.Fprintf(&out, ": %s\n", pieces(t.Context(), f, p))
			}
			return nil
		}))
	}
	return out.String()
}

// pieces reads a file byte by byte, and counts those in a row that are not here.
func pieces(ctx context.Context, f *staging.Found, p string) string {
	var out strings.Builder
	away := 0
	flush := func() {
		if away > 0 {
			fmt.Fprintf(&out, "<%d>", away)
		}
		away = 0
	}
	err := f.Read(ctx, p, func(r staging.Reading) error {
		for off := range r.Size() {
			var b [1]byte
			if _, err := r.ReadAt(ctx, b[:], off); errors.Is(err, pachclient.ErrUnavailable) {
				away++
			} else if err != nil && err != io.EOF {
				return err
			} else {
				flush()
				out.Write(b[:])
			}
		}
		return nil
	})
	if flush(); err != nil {
		return err.Error()
	}
	return out.String()
}

// makeFixture leaves a state directory with everything that one can hold: a
// layer that was sent, one that was sealed, one that is open, half-written and
// synced files, a file changed in its middle, moves, deletes, modes, times, what
// an earlier commit left, and a second branch.
func makeFixture(t *testing.T, dir string) {
	b := serialBench(t, short)
	ok(t, b.stage.Close())
	tmp := t.TempDir()
	b.Faulty = clienttest.NewFaulty(b.dial())
	who, err := b.client.Cluster(t.Context())
	ok(t, err)
	other := pachclient.Branch{Project: "default", Repo: "images", Name: "main"}
	ok(t, b.client.CreateBranch(t.Context(), other))
	b.stage, err = staging.OpenBooted("fixture", tmp, staging.Options{Client: b.Faulty, Deployment: who.Deployment, CommitTimeout: 2 * time.Second, LandTimeout: 100 * time.Second})
	ok(t, err)
	stage := b.stage
	defer stage.Close()
	images, err := stage.Overlay(t.Context(), other)
	ok(t, err)
	b.o, err = stage.Overlay(t.Context(), b.branch)
	ok(t, err)

	b.write("/first.json", "landed")
	b.mkdir("/empty")
	b.lands()
	b.follows(b.foreign(tree{"/keep": "k", "/gone": "g", "/dir/a": "a", "/dir/b": "b", "/old": "o", "/half": "half of it", "/sparse": strings.Repeat("0123456789", 100)}))

	b.write("/one.json", "in the first layer")
	b.write("/again", "in the first layer")
	b.rm("/gone")
	b.OnCall("Land", b.down) // it is sent, and nobody answers from then on
	_, err = b.o.Commit(t.Context(), "the first")
	b.is(err, pachclient.ErrUnavailable)

	b.Heal()
	f := b.openFile("/sparse", true)
	b.put(f, "CHANGED", 520)
	ok(t, f.Close(true))
	b.mv("/dir", "/moved")
	b.mkdir("/made/deep")
	b.write("/again", "in the second layer")
	b.OnCall("Land", nil)
	b.down()
	_, err = b.o.Commit(t.Context(), "the second")
	b.is(err, pachclient.ErrUnavailable)

	b.Heal()
	b.write("/three.json", "in the third layer")
	b.write("/moved/c", "new in what moved")
	mode, at := uint32(0o640), time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	ok(t, b.o.SetAttr("/three.json", staging.Attr{Mode: &mode, ModTime: &at}))
	b.mv("/old", "/new")
	b.rm("/keep")
	g := b.create("/synced")
	b.put(g, "synced", 0)
	ok(t, g.Sync())
	b.put(g, " and more", 6)
	ok(t, g.Close(true))
	b.put(b.create("/unclosed"), "never closed", 0)
	b.put(b.openFile("/half", true), "HALF", 0)
	p, err := images.Create(t.Context(), "/p.png", staging.Attr{})
	ok(t, err)
	_, err = p.WriteAt([]byte("a picture"), 0)
	ok(t, errors.Join(err, p.Close(true)))

	copied := b.cp()
	ok(t, os.RemoveAll(dir))
	ok(t, os.MkdirAll(dir, 0o755))
	ok(t, os.RemoveAll(copied+"/reserve"))
	ok(t, os.Rename(copied, dir+"/state"))
	format := filepath.Base(dir)
	put(t, dir+"/kill.txt", tell(t, "fixture", copyFixture(t, format)))
	put(t, dir+"/power.txt", tell(t, "another", copyFixture(t, format)))
}

// down lets nobody answer.
func (b *bench) down() {
	for _, op := range []string{"Cluster", "Land", "Commit", "Branch", "Branches", "Head", "Log"} {
		b.Fail(op, clienttest.Before, -1, pachclient.ErrUnavailable)
	}
}
