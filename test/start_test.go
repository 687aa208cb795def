package test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"pachfs/test/harness"
)

// stuckStart starts a mount whose server stops answering when the mount is
// there and its root is about to be listed for the first time.
func stuckStart(t *testing.T) *harness.Mount {
	t.Helper()
	s := harness.Serve(t)
	relay := harness.NewRelay(t, s)
	m := harness.StartMount(t, harness.Spec{URL: relay.URL})
	for end := time.Now().Add(20 * time.Second); relay.Calls("ListRepo") == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not ask who answers")
		}
	}
	relay.Set(&harness.Trap{Method: "ListRepo", Point: harness.Arriving, Times: 1000, Delay: time.Minute})
	harness.Eventually(t, 20*time.Second, "the first listing hangs", func() bool { return relay.Struck() > 0 })
	return m
}

// A mount that is killed while it lists its root for the first time is gone at
// once. It asks itself and not the kernel: a thread of a daemon that waits in
// its own mount keeps the connection, and with it itself, for ever.
func TestStartKilled(t *testing.T) {
	m := stuckStart(t)
	time.Sleep(100 * time.Millisecond)
	start := time.Now()
	m.Kill(t)
	t.Logf("gone %v after SIGKILL", time.Since(start).Round(time.Millisecond))
}

// SIGTERM ends a mount that waits for its server before it can be used.
func TestStartStopped(t *testing.T) {
	m := stuckStart(t)
	start := time.Now()
	m.Signal(t, syscall.SIGTERM)
	m.Exit(t, 20*time.Second, 1)
	t.Logf("ended %v after SIGTERM", time.Since(start).Round(time.Millisecond))
	if !strings.Contains(m.Log(), "terminated") {
		t.Errorf("it does not say why: %s", m.Log())
	}
}
