package staging_test

import (
	"errors"
	"strings"
	"testing"

	"pachfs/pachclient"
	"pachfs/pachclient/names"
	"pachfs/staging"
)

// A name that can't be stored is refused when it is made, and the status says
// what the function said that knows (promise 12).
func TestNamesAreAskedFor(t *testing.T) {
	b := newBench(t, func(o *staging.Options) {
		o.ValidName = func(name string) error {
			if strings.Contains(name, "no") {
				return errors.Join(pachclient.ErrBadName, errors.New("but try --this"))
			}
			return nil
		}
	})
	b.write("/good", "x")
	_, err := b.o.Create(t.Context(), "/no", staging.Attr{})
	b.is(err, pachclient.ErrBadName)
	b.is(b.o.Mkdir(t.Context(), "/no", staging.Attr{}), pachclient.ErrBadName)
	b.is(b.o.Rename(t.Context(), "/good", "/no"), pachclient.ErrBadName)
	b.reads("/good", "x")
	if st := b.o.Status(); st.LastError == nil || !strings.Contains(st.LastError.Message, "but try --this") {
		t.Errorf("last error %+v", st.LastError)
	}
	b.lands()
	if st := b.o.Status(); st.LastError != nil {
		t.Errorf("after a commit, last error %+v", st.LastError)
	}
}

// What was staged under one naming would land under other names: it is not
// opened under the other one, and is there again under its own.
func TestStagedUnderAnotherNaming(t *testing.T) {
	for name, tune := range map[string][2]func(*staging.Options){
		"encoded, then not": {encoded, plain}, "plain, then encoded": {plain, encoded},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, tune[0])
			b.follows(b.foreign(tree{"/%28": "theirs"}))
			b.write("/%28", "ours")
			b.must(b.stage.Close())
			tune[1](&b.opts)
			other, err := staging.Open(b.stage.Dir(), withClient(b))
			b.must(err)
			_, err = other.Overlay(t.Context(), b.branch)
			b.is(err, staging.ErrOtherNaming)
			b.must(other.Close())
			tune[0](&b.opts)
			b.open(b.stage.Dir())
			b.lands()
			b.holds(tree{"/%28": "ours"})
		})
	}
}

func plain(o *staging.Options) { o.ValidName, o.Naming = nil, "" }

func withClient(b *bench) staging.Options {
	o := b.opts
	o.Client = b.named(b.dial())
	return o
}

// With nothing staged the naming may change. The times of other files stay,
// and so do empty directories, unless nothing in them could land.
func TestNamingChangesWhenNothingIsStaged(t *testing.T) {
	b := newBench(t, encoded)
	b.write("/plain", "x")
	b.write("/ö", "y")
	b.mkdir("/empty/(1)")
	b.mkdir("/also/empty")
	b.lands()
	mtime := b.stat("/plain").ModTime
	b.must(b.stage.Close())
	plain(&b.opts)
	b.client = b.dial()
	b.open(b.stage.Dir())
	b.same("mount", b.mounted(), tree{"/plain": "x", "/%C3%B6": "y", "/also/": "", "/also/empty/": "", "/empty/": ""})
	if got := b.stat("/plain").ModTime; !got.Equal(mtime) {
		t.Errorf("the time of a file became %v, it was %v", got, mtime)
	}
	b.write("/%C3%B6", "z")
	b.reopen() // it is of this naming now
	b.lands()
	b.must(b.stage.Close())
	encoded(&b.opts)
	b.client = names.New(b.client)
	b.open(b.stage.Dir())
	b.same("mount", b.mounted(), tree{"/plain": "x", "/ö": "z", "/also/": "", "/also/empty/": "", "/empty/": ""})
}

// What nobody can delete makes the commit fail with words, not without an end.
func TestARawNameCannotBeDeleted(t *testing.T) {
	b := newBench(t, encoded, short)
	b.follows(b.foreign(tree{"/f": "x"}))
	raw := b.dial()
	set, err := raw.Upload(t.Context(), func(yield func(pachclient.Change, error) bool) {
		yield(pachclient.Change{Path: "/raw(1)", From: &pachclient.Source{Commit: b.o.Base().Commit, Path: "/f"}}, nil)
	})
	b.must(err)
	b.must(raw.Land(t.Context(), b.branch, set, nil))
	b.until("the copy is shown", func() bool { _, err := b.o.Stat(t.Context(), "/raw(1)"); return err == nil })
	b.reads("/raw(1)", "x")
	b.rm("/raw(1)")
	b.write("/g", "y")
	before := len(b.ids())
	_, err = b.o.Commit(t.Context(), "")
	b.is(err, pachclient.ErrBadName)
	if n := len(b.ids()); n != before {
		t.Errorf("%d commits were made", n-before)
	}
	b.must(b.o.Discard("/raw(1)"))
	b.lands()
	b.reads("/raw(1)", "x")
}
