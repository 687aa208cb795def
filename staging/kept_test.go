package staging_test

import (
	"os"
	"slices"
	"testing"

	"pachfs/pachclient"
	"pachfs/staging"
)

// keptBoot is the run of the machine that testdata/kept was written in.
const keptBoot = "d21d7cf7-e283-4519-891b-7db24bd2329b"

// Before journals had `carried`, a layer was sealed by `sealed` alone. One that
// was kept then, with what was written above it, is all there.
func TestKeptLayerOfFormat1(t *testing.T) {
	dir := t.TempDir()
	ok(t, os.CopyFS(dir, os.DirFS("testdata/kept/1")))
	s, err := staging.OpenBooted(keptBoot, dir, staging.Options{Client: pachclient.Offline{}})
	ok(t, err)
	defer s.Close()
	o, err := s.Overlay(t.Context(), pachclient.Branch{Project: "default", Repo: "labels", Name: "master"})
	ok(t, err)
	for p, want := range map[string]string{"/a": "sealed by a build without carried", "/open": "open meanwhile", "/b": "written above it"} {
		f, err := o.Open(t.Context(), p, false)
		ok(t, err)
		got := make([]byte, f.Size())
		_, err = f.ReadAt(t.Context(), got, 0)
		ok(t, err)
		if string(got) != want {
			t.Errorf("%s reads %q, want %q", p, got, want)
		}
		ok(t, f.Close(false))
	}
	if w := o.Status().Writing; !slices.Equal(w, []string{"/open"}) {
		t.Errorf("being written: %v", w)
	}
	ok(t, s.Check())
}
