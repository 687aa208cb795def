package embedded

import (
	"bufio"
	"context"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"pachfs/pachclient/pfspb/pfs"
)

var killRounds = flag.Int("kill-rounds", 8, "how often TestKillInACall kills a server in each call")

// childServer is the environment variable that makes the test binary a server
// on a store, until it is killed or its standard input ends.
const childServer = "PACHFS_TEST_SERVER"

func socket(dir string) string { return filepath.Join(dir, "socket") }

func serveForever(dir string) error {
	s, err := Open(dir, Options{FinishDelay: time.Millisecond})
	if err != nil {
		return err
	}
	os.Remove(socket(dir))
	l, err := net.Listen("unix", socket(dir))
	if err != nil {
		return err
	}
	go func() { // the test is gone
		os.Stdin.Read(make([]byte, 1))
		os.Exit(1)
	}()
	os.Stdout.WriteString("ready\n")
	return s.Serve(l)
}

// serveChild starts a server process and gives a peer that speaks to it.
func serveChild(t *testing.T, dir string) (*peer, *exec.Cmd) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childServer+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := child.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { child.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	conn, err := grpc.NewClient("unix:"+socket(dir), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(func() {
		cancel()
		conn.Close()
	})
	return &peer{t: t, conn: conn, APIClient: pfs.NewAPIClient(conn), ctx: ctx}, child
}

// A victim is a call in which the server is killed. Its round writes
// generation i over generation was.
type victim struct {
	*peer
	i, was int
	commit *pfs.Commit
	set    string
}

// A fatal call says what comes before it, what it is, and what must hold when
// the server is there again.
type fatalCall struct {
	prepare func(v *victim)
	call    func(v *victim) error
	after   func(v *victim, answered bool)
}

// TestKillInACall kills the server again and again, at any instant of a call.
// If it was answered it has happened, if not then wholly or not at all, and
// nothing is damaged or left behind.
func TestKillInACall(t *testing.T) {
	within, all := 0, true
	for name, c := range fatalCalls {
		all = t.Run(name, func(t *testing.T) { within += c.kill(t) }) && all
	}
	if all && within == 0 && !testing.Short() {
		t.Error("no kill came before its call's answer")
	}
}

// kill gives how many calls were not answered.
func (c fatalCall) kill(t *testing.T) (unanswered int) {
	r := newSeed(t)
	dir := t.TempDir()
	p := start(t, dir, Options{})
	p.repo("r")
	p.modify(head("r", "master"), generation(0)...)
	p.stop()
	rounds := *killRounds
	if testing.Short() {
		rounds = 2
	}
	typical, answers, happened := time.Duration(0), 0, 0
	v := &victim{}
	for v.i = 1; v.i <= rounds; v.i++ {
		after := time.Duration(r.Int64N(int64(typical*5/4) + 1)) // the first time at the answer
		answered, took := c.killOnce(t, dir, v, after)
		v.peer = start(t, dir, Options{})
		v.ok(v.s.Check(v.ctx))
		c.after(v, answered)
		now := v.generationOf(head("r", "master"))
		switch {
		case answered:
			answers, typical = answers+1, took
		case now == v.i:
			unanswered, happened = unanswered+1, happened+1
		default:
			unanswered, typical = unanswered+1, typical*4/3
		}
		v.was = now
		v.collected()
		v.closed()
	}
	start(t, dir, Options{}).stop()
	t.Logf("%d answered (some %v), %d not answered, of which %d show", answers, typical, unanswered, happened)
	return unanswered
}

// closed ends a server without another check: the next one follows.
func (p *peer) closed() {
	p.t.Helper()
	p.conn.Close()
	p.conn = nil
	p.ok(p.s.Close())
}

// killOnce makes the call and kills the server some time after it began, or
// after 0 as soon as it was answered.
func (c fatalCall) killOnce(t *testing.T, dir string, v *victim, after time.Duration) (bool, time.Duration) {
	t.Helper()
	var child *exec.Cmd
	v.peer, child = serveChild(t, dir)
	v.inspect(head("r", "master"), 0) // now it is connected
	if c.prepare != nil {
		c.prepare(v)
	}
	begin := time.Now()
	if after > 0 {
		time.AfterFunc(after, func() { child.Process.Kill() })
	}
	err := c.call(v)
	took := time.Since(begin)
	if after == 0 {
		child.Process.Kill()
	}
	child.Wait()
	v.conn.Close()
	return err == nil, took
}
