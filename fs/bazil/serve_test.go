package bazil

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bazil.org/fuse"

	"pachfs/fs"
)

// A panic in one request is EIO for that request, is logged with its stack, and
// takes nothing else down.
func TestPanicIsEIO(t *testing.T) {
	var log bytes.Buffer
	s := &server{log: slog.New(slog.NewTextHandler(&log, nil))} // no tree: every request panics
	reply, err := s.handle(context.Background(), &fuse.LookupRequest{Name: "x"})
	if reply != nil || !errors.Is(err, syscall.EIO) {
		t.Fatalf("answer %v, error %v", reply != nil, err)
	}
	if !strings.Contains(log.String(), "LookupRequest") || !strings.Contains(log.String(), "serve_test.go") {
		t.Errorf("the log says %s", log.String())
	}
}

// Directories are answered in pages: each cookie leads to the entry after it.
func TestDirentPages(t *testing.T) {
	var entries []fs.Dirent
	for i := range 1000 {
		entries = append(entries, fs.Dirent{Name: strings.Repeat("n", i%250+1), Ino: fs.Ino(i % 3), Type: fs.Type(i % 2)})
	}
	seen, from := 0, uint64(0)
	for {
		page := packDirents(entries[from:], from, 4096)
		if len(page) == 0 {
			break
		}
		if len(page) > 4096 || len(page)%8 != 0 {
			t.Fatalf("a page of %d bytes", len(page))
		}
		for len(page) > 0 {
			ino, off := binary.NativeEndian.Uint64(page), binary.NativeEndian.Uint64(page[8:])
			n := int(binary.NativeEndian.Uint32(page[16:]))
			e := entries[seen]
			if string(page[24:24+n]) != e.Name || off != uint64(seen)+1 || ino == 0 {
				t.Fatalf("entry %d: ino %d, cookie %d, %d bytes of name", seen, ino, off, n)
			}
			seen, from = seen+1, off
			page = page[(24+n+7)&^7:]
		}
	}
	if seen != len(entries) {
		t.Fatalf("%d of %d entries", seen, len(entries))
	}
}

// An interrupt ends a wait for a commit at once; any other request only when
// its thread is being killed, also when that comes later.
func TestInterrupts(t *testing.T) {
	var in interrupts
	if in.interrupt(7) {
		t.Error("an interrupt that overtook its request was taken")
	}
	ctx, done := in.begin(1, 5, uint32(os.Getpid()), true)
	if !in.interrupt(1) || ctx.Err() == nil {
		t.Error("a trigger goes on waiting")
	}
	if !in.busy(5) || in.busy(6) {
		t.Error("which node is busy is not known")
	}
	done()
	if in.busy(5) {
		t.Error("an answered request keeps its node busy")
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, done = in.begin(2, 5, uint32(child.Process.Pid), false)
	defer done()
	if !in.interrupt(2) || ctx.Err() != nil {
		t.Error("a request of a living thread was given up")
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Error("a request of a killed thread goes on")
	}
}

func TestUnescape(t *testing.T) {
	for s, want := range map[string]string{`/a\040b`: "/a b", `/\134`: `/\`, `/x\`: `/x\`, "/plain": "/plain"} {
		if got := unescape(s); got != want {
			t.Errorf("%s: %q", s, got)
		}
	}
}

// What can be foreseen is refused with words that say what to do.
func TestPreflight(t *testing.T) {
	dir := t.TempDir()
	file := dir + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for where, words := range map[string]string{dir + "/none": "mkdir -p", file: "not a directory", dir: "not empty", "/proc": "in use"} {
		_, err := Preflight(where, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), where) {
			t.Errorf("%s: %v", where, err)
		}
	}
}

// Every request type that the library gives has a name for the log.
func TestOpNames(t *testing.T) {
	for _, r := range []fuse.Request{&fuse.LookupRequest{}, &fuse.FAllocateRequest{}, &fuse.UnrecognizedRequest{}} {
		if n := op(r); n == "" || strings.Contains(n, "*") {
			t.Error(fmt.Sprintf("%T", r), n)
		}
	}
}

// Conn.Close while requests are being read blocks every answer (it waits for the
// readers, and answers wait for it): it is called in one place, before anybody reads.
func TestConnIsNotClosedWhileServing(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		calls += strings.Count(string(b), "conn.Close()")
		if name == "mount.go" && !strings.Contains(string(b), "return nil, errors.Join(err, conn.Close())") {
			t.Error("the one call is not where a mount that was not found fails")
		}
	}
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}
