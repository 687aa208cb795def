package harness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Proc is a child of the test. Its output is kept, and its tail shown when
// the test fails.
type Proc struct {
	Name string
	Cmd  *exec.Cmd

	first  chan string   // the first line of stdout
	exited chan struct{} // closed when it was reaped
	err    error         // of Wait, after exited

	mu  sync.Mutex
	out []string // stdout
	log []string // stderr
}

// Start starts a command. It is killed when the test ends, at the latest.
func Start(t testing.TB, name string, cmd *exec.Cmd) *Proc {
	t.Helper()
	p := &Proc{Name: name, Cmd: cmd, first: make(chan string, 1), exited: make(chan struct{})}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	var readers sync.WaitGroup
	readers.Add(2)
	go func() { defer readers.Done(); p.collect(stdout, &p.out, p.first) }()
	go func() { defer readers.Done(); p.collect(stderr, &p.log, nil) }()
	go func() {
		readers.Wait()
		p.err = cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		if !p.Exited() {
			p.Cmd.Process.Signal(syscall.SIGCONT)
			p.Cmd.Process.Kill()
			if !p.Within(20 * time.Second) {
				t.Errorf("%s (pid %d) survives SIGKILL", p.Name, p.Pid())
			}
		}
		p.inspect(t)
	})
	return p
}

func (p *Proc) collect(r io.Reader, to *[]string, first chan<- string) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			p.mu.Lock()
			*to = append(*to, strings.TrimSuffix(line, "\n"))
			p.mu.Unlock()
			if first != nil {
				first <- strings.TrimSuffix(line, "\n")
				first = nil
			}
		}
		if err != nil {
			return
		}
	}
}

// inspect looks at what the process said: a panic or a race is a failure,
// whatever the test thinks; and a failure shows the tail.
func (p *Proc) inspect(t testing.TB) {
	for _, bad := range []string{"DATA RACE", "panic:", "a request panicked", "fatal error:"} {
		if strings.Contains(p.Log(), bad) {
			t.Errorf("%s: its log holds %q", p.Name, bad)
			break
		}
	}
	if !t.Failed() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	tail := p.log[max(0, len(p.log)-60):]
	t.Logf("%s (pid %d): stdout %q; the end of its log:\n%s", p.Name, p.Pid(), p.out, strings.Join(tail, "\n"))
}

// FirstLine waits for the first line of stdout.
func (p *Proc) FirstLine(t testing.TB, within time.Duration) string {
	t.Helper()
	select {
	case line := <-p.first:
		return line
	case <-p.exited:
		select {
		case line := <-p.first: // it said it and went
			return line
		default:
		}
		t.Fatalf("%s: exit %d before its first line:\n%s", p.Name, p.Code(), p.Log())
	case <-time.After(within):
		t.Fatalf("%s: no line within %v:\n%s", p.Name, within, p.Log())
	}
	return ""
}

// Pid is the process id.
func (p *Proc) Pid() int { return p.Cmd.Process.Pid }

// Log gives what it wrote to stderr so far, Out to stdout.
func (p *Proc) Log() string { return p.text(&p.log) }

// Out gives what it wrote to stdout so far.
func (p *Proc) Out() string { return p.text(&p.out) }

func (p *Proc) text(from *[]string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(*from, "\n")
}

// Signal sends a signal.
func (p *Proc) Signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.Cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("%v to %s: %v", s, p.Name, err)
	}
}

// Exited says whether the process has ended.
func (p *Proc) Exited() bool { return p.Within(0) }

// Within says whether the process ends in that time.
func (p *Proc) Within(d time.Duration) bool {
	if d == 0 {
		select {
		case <-p.exited:
			return true
		default:
			return false
		}
	}
	select {
	case <-p.exited:
		return true
	case <-time.After(d):
		return false
	}
}

// Code is the exit status of an ended process; 128+n for signal n.
func (p *Proc) Code() int {
	<-p.exited
	ws, _ := p.Cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// Exit waits for the end and wants an exit status.
func (p *Proc) Exit(t testing.TB, within time.Duration, want int) {
	t.Helper()
	if !p.Within(within) {
		t.Fatalf("%s still runs after %v", p.Name, within)
	}
	if got := p.Code(); got != want {
		t.Errorf("%s: exit %d, want %d; stderr:\n%s", p.Name, got, want, p.Log())
	}
}

// Kill is SIGKILL, and waits for the end.
func (p *Proc) Kill(t testing.TB) {
	t.Helper()
	p.Cmd.Process.Signal(syscall.SIGCONT)
	p.Cmd.Process.Kill()
	if !p.Within(20 * time.Second) {
		t.Fatalf("%s (pid %d) survives SIGKILL", p.Name, p.Pid())
	}
}

// A Result is how a short command went.
type Result struct {
	Code     int
	Out, Err string
	Took     time.Duration
}

func (r Result) String() string {
	return fmt.Sprintf("exit %d after %v\nstdout: %s\nstderr: %s", r.Code, r.Took.Round(time.Millisecond), r.Out, r.Err)
}

// shellDeadline is how long a short command may take.
const shellDeadline = 90 * time.Second // a landing that was killed may wait for its call's deadline, 30 s

// patience stretches a deadline where the server is a pachd that was there
// before: it takes up to a second for each commit of a test.
func patience(d time.Duration) time.Duration {
	if os.Getenv("PACHFS_TEST_PACHD") != "" {
		d *= 4
	}
	return d
}

// Try runs a short command to its end, whatever that is.
func Try(t testing.TB, cmd ...string) Result { t.Helper(); return TryIn(t, "", cmd...) }

// TryIn is Try with a working directory.
func TryIn(t testing.TB, dir string, cmd ...string) Result {
	t.Helper()
	r, err := Run(dir, cmd...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Run is TryIn for where a test may not be ended: a goroutine that is not its own.
func Run(dir string, cmd ...string) (Result, error) {
	limit := patience(shellDeadline)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, cmd[0], cmd[1:]...)
	var out, errs bytes.Buffer
	c.Dir, c.Stdout, c.Stderr, c.WaitDelay = dir, &out, &errs, 5*time.Second
	start := time.Now()
	err := c.Run()
	r := Result{Out: out.String(), Err: errs.String(), Took: time.Since(start)}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return r, fmt.Errorf("%q did not end within %v", cmd, limit)
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		return r, fmt.Errorf("%q: %w (is it installed? see test/packages.txt)", cmd, err)
	}
	return r, nil
}

// Sh runs a shell script that must succeed, and gives its stdout.
func Sh(t testing.TB, dir, script string) string {
	t.Helper()
	r := TryIn(t, dir, "bash", "-c", "set -e -o pipefail; "+script)
	if r.Code != 0 {
		t.Fatalf("%s\n%v", script, r)
	}
	return r.Out
}

// Eventually waits until fn says true.
func Eventually(t testing.TB, within time.Duration, what string, fn func() bool) {
	t.Helper()
	end := time.Now().Add(within)
	for !fn() {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
