package test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pachfs/test/harness"
)

// A mount is taken away by a link to it too, also when its pachfs hangs or has
// died: what is behind the link is not looked at.
func TestUmountThroughALink(t *testing.T) {
	s := harness.ServeOwn(t)
	link := filepath.Join(t.TempDir(), "link")
	m := harness.MountSpec(t, harness.Spec{URL: s.URL})
	ok(t, os.Symlink(m.Dir, link))
	m.Signal(t, syscall.SIGSTOP)
	if r := harness.Pachfs(t, "state", "list", link); r.Code != 1 || !strings.Contains(r.Out, "does not answer") {
		t.Errorf("a mount that hangs, by its link: %v", r)
	}
	m.Signal(t, syscall.SIGCONT)
	m.Kill(t)
	if r := harness.Pachfs(t, "umount", link); r.Code != 3 {
		t.Errorf("a mount whose pachfs died, by its link: %v", r)
	}
	if names, err := os.ReadDir(m.Dir); err != nil || len(names) > 0 {
		t.Errorf("it is still there: %v, %v", names, err)
	}
}
