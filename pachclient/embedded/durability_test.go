package embedded

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"pachfs/pachclient/pfspb/pfs"
)

func slogDiscard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// childStore is the environment variable that makes the test binary write to a
// store until it is killed.
const childStore = "PACHFS_TEST_STORE"

func TestMain(m *testing.M) {
	for variable, child := range map[string]func(dir string) error{childStore: writeForever, childServer: serveForever} {
		if dir := os.Getenv(variable); dir != "" {
			fmt.Fprintln(os.Stderr, child(dir))
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForever makes one commit after the other, each of many files, and says
// so after each answer.
func writeForever(dir string) error {
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient("passthrough:memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.Dial(ctx) }))
	if err != nil {
		return err
	}
	p := &peer{t: &testing.T{}, s: s, conn: conn, APIClient: pfs.NewAPIClient(conn), ctx: context.Background()}
	infos, err := all(p.ListCommit(p.ctx, &pfs.ListCommitRequest{Repo: repoRef("r")}))
	if err != nil {
		return err
	}
	for i := len(infos); ; i++ {
		set := p.fileSet(generation(i)...)
		if err := p.modifyErr(head("r", "master"), cp("/", setRef(set), "/"), add("/log", fmt.Sprintln(i))); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// generation is the change that the i-th commit makes.
func generation(i int) []op {
	var ops []op
	for f := range 40 {
		path := fmt.Sprintf("/d%d/f%d", f%3, f)
		ops = append(ops, del(path), add(path, strings.Repeat(fmt.Sprintln(i), 200)))
	}
	return append(ops, del("/big"), add("/big", strings.Repeat(fmt.Sprintf("%7d\n", i), 1<<18)))
}

// TestKill kills a writing process again and again. What it was answered must
// be there, every commit must be whole, and nothing must be damaged.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, Options{})
	p.repo("r")
	p.stop()
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		answered := killOnce(t, dir, time.Duration(20+37*round)*time.Millisecond)
		p := start(t, dir, Options{})
		infos := p.log("r")
		if len(infos) < answered {
			t.Fatalf("round %d: %d commits, %d were answered", round, len(infos), answered)
		}
		for i, info := range infos {
			if info.Finished == nil || info.Error != "" {
				t.Errorf("round %d: %v", round, info)
			}
			wantWhole(t, p, info.Commit, len(infos)-1-i, i < 2)
		}
		p.ok(p.s.sweep(time.Now()))
		p.stop()
	}
}

// killOnce runs a writer for some time after its first answer, kills it, and
// gives how many commits it was answered in all.
func killOnce(t *testing.T, dir string, after time.Duration) int {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childStore+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	answered := 0
	for first := true; lines.Scan(); first = false {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		answered = n + 1
		if first {
			time.AfterFunc(after, func() { child.Process.Kill() })
		}
	}
	io.Copy(io.Discard, out)
	child.Wait()
	if answered == 0 {
		t.Fatal("the child did nothing")
	}
	return answered
}

// wantWhole checks that a commit holds exactly its generation.
func wantWhole(t *testing.T, p *peer, c *pfs.Commit, i int, deep bool) {
	t.Helper()
	want := ""
	for j := range i + 1 {
		want += fmt.Sprintln(j)
	}
	if got := p.get(c, "/log"); got != want {
		t.Fatalf("commit %d has the log %q", i, got)
	}
	if !deep {
		return
	}
	for _, o := range generation(i) {
		if f := o.GetAddFile(); f != nil && p.get(c, f.Path) != string(f.GetRaw().GetValue()) {
			t.Errorf("commit %d: wrong content of %s", i, f.Path)
		}
	}
}

// TestDamageIsFound removes and changes what lies on disk.
func TestDamageIsFound(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := &peer{t: t, s: s, ctx: context.Background()}
	conn, err := grpc.NewClient("passthrough:memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.Dial(ctx) }))
	p.ok(err)
	defer conn.Close()
	p.APIClient = pfs.NewAPIClient(conn)
	p.repo("r")
	p.modify(head("r", "master"), add("/a", "hello"))
	p.ok(s.Check(p.ctx))
	names, err := os.ReadDir(dir + "/blobs")
	p.ok(err)
	blob := dir + "/blobs/" + names[0].Name()
	p.ok(os.WriteFile(blob, []byte("jello"), 0o600))
	if err := s.Check(p.ctx); err == nil || !strings.Contains(err.Error(), "file a:") {
		t.Errorf("changed blob: %v", err)
	}
	p.ok(os.Remove(blob))
	if err := s.Check(p.ctx); err == nil || !strings.Contains(err.Error(), "no blob") {
		t.Errorf("missing blob: %v", err)
	}
	p.ok(s.update(p.ctx, func(t *tx) error {
		return t.scan(bucketCommits, "", func(key string, _ []byte) error { return t.del(bucketCommits, key) })
	}))
	if err := s.Check(p.ctx); err == nil || !strings.Contains(err.Error(), "branch default/r@master: no head") {
		t.Errorf("missing commit: %v", err)
	}
}
