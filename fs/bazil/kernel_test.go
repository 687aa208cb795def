package bazil

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"bazil.org/fuse"
)

// stillWaits is how long something is watched that must not go on.
const stillWaits = 300 * time.Millisecond

// An entry can't be invalidated while a LOOKUP in its directory waits, which is
// why forgetEntry waits for a directory that nobody asks about; a node can.
func TestKernelEntryLock(t *testing.T) {
	y := newToy(t)
	y.sh(`stat $DIR/f`)
	release := y.hold("Lookup slow")
	y.start(`stat $DIR/slow`)
	y.until("the lookup waits", func() bool { return y.count("Lookup slow") == 1 })
	entry := make(chan error, 1)
	go func() { entry <- y.conn.InvalidateEntry(fuse.RootID, "f") }()
	if err := y.conn.InvalidateNode(fileNode, -1, 0); err != nil {
		t.Errorf("a node: %v", err)
	}
	select {
	case err := <-entry:
		t.Errorf("the entry was invalidated beside a lookup: %v", err)
	case <-time.After(stillWaits):
	}
	release()
	if err := <-entry; err != nil {
		t.Error(err)
	}
}

// InvalidateNode with -1 drops attributes, with 0 the pages.
func TestKernelInvalidateNode(t *testing.T) {
	y := newToy(t)
	y.set(func() { y.open = fuse.OpenKeepCache })
	y.sh(`cat $DIR/f; stat $DIR/f`)
	y.clear()
	y.sh(`cat $DIR/f; stat $DIR/f`)
	y.saw("cached", "Read", 0)
	y.saw("cached", "Getattr handle=false", 0)
	if err := y.conn.InvalidateNode(fileNode, -1, 0); err != nil {
		t.Fatal(err)
	}
	y.sh(`stat $DIR/f; cat $DIR/f`)
	y.saw("attributes only", "Read", 0)
	y.saw("attributes only", "Getattr handle=false", 1)
	if err := y.conn.InvalidateNode(fileNode, 0, 0); err != nil {
		t.Fatal(err)
	}
	y.sh(`cat $DIR/f`)
	y.saw("pages", "Read", 1)
}

// ESTALE makes the kernel look the path up again and go on with what it finds.
func TestKernelStale(t *testing.T) {
	for what, script := range map[string]string{
		"Open": `cat $DIR/f`, "Getattr handle=false": `stat $DIR/f`,
		"Setattr size=true handle=false": `python3 -c 'import os; os.truncate(os.environ["DIR"] + "/f", 1)'`, "Setattr size=false handle=false": `python3 -c 'import os; os.utime(os.environ["DIR"] + "/f")'`,
	} {
		t.Run(what, func(t *testing.T) {
			y := newToy(t)
			y.sh(`stat $DIR/f`)
			if err := y.conn.InvalidateNode(fileNode, -1, 0); err != nil {
				t.Fatal(err)
			}
			y.clear()
			y.set(func() {
				y.nodes["f"] = 12
				y.on = func(req fuse.Request) bool {
					stale := req.Hdr().Node == fileNode && say(req) == what
					if stale {
						req.RespondError(fuse.Errno(syscall.ESTALE))
					}
					return stale
				}
			})
			y.sh(script)
			if y.count(what) < 1 || y.count("Lookup f") < 1 {
				t.Errorf("the path was not looked up again: %q", y.asked)
			}
		})
	}
}

// fstat, futimens and the truncation of an open with O_TRUNC name no handle;
// ftruncate does.
func TestKernelHandleless(t *testing.T) {
	y := newToy(t)
	y.sh(`python3 -c '
import os
fd = os.open(os.environ["DIR"] + "/f", os.O_RDWR)
os.utime(fd)
os.close(os.open(os.environ["DIR"] + "/f", os.O_WRONLY|os.O_TRUNC))
'`)
	y.saw("futimens", "Setattr size=false handle=false", 1)
	y.saw("O_TRUNC", "Setattr size=true handle=false", 1)
	y.sh(`python3 -c '
import os
fd = os.open(os.environ["DIR"] + "/f", os.O_RDWR)
os.ftruncate(fd, 1)
'`)
	y.saw("ftruncate", "Setattr size=true handle=true", 1)
	if err := y.conn.InvalidateNode(fileNode, -1, 0); err != nil {
		t.Fatal(err)
	}
	y.clear()
	y.sh(`python3 -c '
import os
os.fstat(os.open(os.environ["DIR"] + "/f", os.O_RDWR))
'`)
	y.saw("fstat", "Getattr handle=false", 1)
	y.saw("fstat", "Getattr handle=true", 0)
}

// An entry of a directory that is invalidated takes the working directory away
// from whoever stands in it.
func TestKernelDirectoryEntry(t *testing.T) {
	y := newToy(t)
	cmd := y.start(`cd $DIR/d && exec sleep 60`)
	cwd := func() string {
		s, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", cmd.Process.Pid))
		return s
	}
	y.until("it stands inside", func() bool { return cwd() == y.dir+"/d" })
	if err := y.conn.InvalidateNode(dirNode, 0, 0); err != nil || cwd() != y.dir+"/d" {
		t.Errorf("after its node: %v, %s", err, cwd())
	}
	if err := y.conn.InvalidateEntry(fuse.RootID, "d"); err != nil || !strings.HasSuffix(cwd(), "(deleted)") {
		t.Errorf("after its entry: %v, %s", err, cwd())
	}
}

// A directory that is met under a second name moves there.
func TestKernelSecondName(t *testing.T) {
	y := newToy(t)
	y.set(func() { y.nodes["other"] = dirNode })
	cmd := y.start(`cd $DIR/d && exec sleep 60`)
	link := fmt.Sprintf("/proc/%d/cwd", cmd.Process.Pid)
	y.until("it stands inside", func() bool { s, _ := os.Readlink(link); return s == y.dir+"/d" })
	y.sh(`stat $DIR/other`)
	if s, err := os.Readlink(link); s != y.dir+"/other" {
		t.Errorf("who stood in d stands in %s (%v)", s, err)
	}
}

// Listings stay only with both flags; an entry that the kernel does not hold
// can't be invalidated, and takes no listing along; the directory's node does.
func TestKernelListingCache(t *testing.T) {
	y := newToy(t)
	for flags, kept := range map[fuse.OpenResponseFlags]bool{fuse.OpenKeepCache: false, fuse.OpenCacheDir: false, fuse.OpenKeepCache | fuse.OpenCacheDir: true} {
		y.conn.InvalidateNode(fuse.RootID, 0, 0)
		y.set(func() { y.openDir = flags })
		y.sh(`ls $DIR`)
		y.clear()
		y.sh(`ls $DIR`)
		if again := y.count("Readdir") > 0; again == kept {
			t.Errorf("flags %v: read again: %v", flags, again)
		}
	}
	y.set(func() { y.openDir = fuse.OpenKeepCache | fuse.OpenCacheDir })
	y.sh(`ls $DIR`)
	y.set(func() { y.listing = []string{"d", "f", "new"} })
	if err := y.conn.InvalidateEntry(fuse.RootID, "never"); !errors.Is(err, fuse.ErrNotCached) {
		t.Errorf("an entry that nobody looked up: %v", err)
	}
	if got := y.sh(`ls $DIR`); strings.Contains(got, "new") {
		t.Errorf("the listing was read again: %s", got)
	}
	if err := y.conn.InvalidateNode(fuse.RootID, 0, 0); err != nil {
		t.Error(err)
	}
	if got := y.sh(`ls $DIR`); !strings.Contains(got, "new") {
		t.Errorf("the listing stays: %s", got)
	}
}

// FOPEN_NOFLUSH saves the FLUSH.
func TestKernelNoFlush(t *testing.T) {
	y := newToy(t)
	y.sh(`cat $DIR/f`)
	y.saw("as usual", "Flush", 1)
	y.set(func() { y.open = openNoFlush })
	y.sh(`cat $DIR/f`)
	y.saw("with the flag", "Flush", 1)
}

// A killed reader of the page cache shows as a FLUSH and not as an INTERRUPT,
// and its RELEASE comes after the answer to its READ.
func TestKernelKilledReader(t *testing.T) {
	y := newToy(t)
	release := y.hold("Read")
	cmd := y.start(`exec cat $DIR/f`)
	y.until("it reads", func() bool { return y.count("Read") == 1 })
	cmd.Process.Kill()
	cmd.Wait()
	y.until("a flush", func() bool { return y.count("Flush") == 1 })
	time.Sleep(stillWaits)
	y.saw("while the read waits", "Interrupt Read", 0)
	y.saw("while the read waits", "Release", 0)
	release()
	y.until("a release", func() bool { return y.count("Release") == 1 })
}

// EAGAIN to an INTERRUPT makes the kernel send it again.
func TestKernelInterruptAgain(t *testing.T) {
	y := newToy(t)
	release := y.hold("Lookup slow")
	held := y.on
	first := make(chan fuse.RequestID, 1)
	y.set(func() {
		y.on = func(req fuse.Request) bool {
			r, ok := req.(*fuse.InterruptRequest)
			if !ok {
				return held(req)
			}
			select {
			case first <- r.IntrID:
				r.RespondError(fuse.Errno(syscall.EAGAIN))
				return true
			default:
				return false
			}
		}
	})
	cmd := y.start(`exec perl -e '$SIG{ALRM} = sub {}; stat("$ENV{DIR}/slow")'`)
	y.until("the lookup waits", func() bool { return y.count("Lookup slow") == 1 })
	cmd.Process.Signal(syscall.SIGALRM)
	y.until("the interrupt comes twice", func() bool { return y.count("Interrupt Lookup slow") == 2 })
	release()
}

// Nothing is said when a mount goes: the next read of a request is the end.
func TestKernelUnmountSaysNothing(t *testing.T) {
	y := newToy(t)
	y.sh(`cat $DIR/f`)
	if err := fusermount(y.dir, false); err != nil {
		t.Fatal(err)
	}
	select {
	case <-y.done:
	case <-time.After(20 * time.Second):
		t.Fatal("the reader goes on")
	}
	y.saw("after the unmount", "Destroy", 0)
}

// Names that are too long arrive: to refuse them is up to us.
func TestKernelLongNames(t *testing.T) {
	y := newToy(t)
	name := strings.Repeat("n", 300)
	y.sh(`! stat $DIR/` + name)
	y.saw("300 bytes", "Lookup "+name, 1)
}
