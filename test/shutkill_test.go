package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

// SIGKILL at each of these moments: the process is gone at once, the next mount
// takes the place of the dead one and has everything, and who was inside has
// ENOTCONN until it goes there anew.
func TestShutdownKilled(t *testing.T) {
	s := harness.Serve(t)
	landing := moments[1]
	landing.name = "landing at the end, pachd hangs"
	landing.begin = func(t *testing.T, l *leaving) {
		stageSome(t, l)
		l.p.Hold()
		l.m.Signal(t, syscall.SIGTERM)
		harness.Eventually(t, 20*time.Second, "the last commit is under way", func() bool { return strings.Contains(l.m.Log(), "landing") })
	}
	for i, moment := range append(moments[:len(moments):len(moments)], landing) {
		t.Run(moment.name, func(t *testing.T) {
			l := leave(t, s, fmt.Sprintf("k%d", i))
			there := filepath.Join(t.TempDir(), "there")
			holder := harness.Start(t, "holder", shell(l.m.Path(l.ref), `echo in; until [ -e `+there+` ]; do sleep 0.05; done; ls . 2>&1; cd "$PWD" && cat d/y`))
			holder.FirstLine(t, 20*time.Second)
			moment.begin(t, l)
			start := time.Now()
			l.m.Kill(t)
			took := time.Since(start)
			t.Logf("gone %v after SIGKILL", took.Round(time.Millisecond))
			if took > 10*time.Second {
				t.Errorf("it took %v to die", took)
			}
			for _, p := range l.inside {
				if !p.Within(ended) {
					t.Errorf("%s (pid %d) waits for a mount that was killed", p.Name, p.Pid())
				}
			}
			l.rest()
			l.p.Release()
			again := afterKill(t, l.m)
			ok(t, os.WriteFile(there, nil, 0o600))
			holder.Exit(t, 20*time.Second, 0)
			if out := holder.Out(); !strings.Contains(out, "not connected") || !strings.HasSuffix(out, "\ny") {
				t.Errorf("the process that was inside says %q", out)
			}
			if b := read(t, "/proc/self/mountinfo"); strings.Count(b, " "+l.m.Dir+" ") != 1 {
				t.Errorf("not one mount on %s:\n%s", l.m.Dir, b)
			}
			l.goOn(t, again)
			noZombies(t, l.m.Pid())
		})
	}
}

// SIGKILL while the head moves as fast as it can and the kernel is told what to
// forget, with readers at it: this is what once left a daemon in D state.
func TestShutdownKilledInvalidating(t *testing.T) {
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	s := harness.Serve(t)
	ref := s.Ref("hot@master")
	s.Peer.Create(t, s.Ref("hot"))
	s.Peer.PutWait(t, ref, map[string]string{"/foreign/0-0": "0"})
	stop := fastHead(t, s, ref)
	defer stop()
	m := s.Mount(t)
	r := random(t)
	for range rounds {
		var readers []*harness.Proc
		for range 3 {
			readers = append(readers, harness.Start(t, "reader", shell("/", `while ls -lR `+m.Path(ref)+` >/dev/null 2>&1 && cat `+m.Path(ref, "foreign")+`/* >/dev/null 2>&1; do stat `+m.Path(ref, "foreign/none")+` 2>/dev/null; done`)))
		}
		time.Sleep(500*time.Millisecond + time.Duration(r.IntN(500))*time.Millisecond)
		start := time.Now()
		m.Kill(t)
		t.Logf("gone %v after SIGKILL", time.Since(start).Round(time.Millisecond))
		for _, p := range readers {
			if !p.Within(ended) {
				t.Errorf("a reader (pid %d) hangs after the kill", p.Pid())
			}
		}
		m = afterKill(t, m)
	}
	stop()
	m.Stop(t, 0)
}

// afterKill mounts the same with another cache directory: what a killed process
// was about to write to the old one stays there for an hour.
func afterKill(t *testing.T, m *harness.Mount) *harness.Mount {
	t.Helper()
	spec := m.Spec
	spec.Cache = ""
	return harness.MountSpec(t, spec)
}
