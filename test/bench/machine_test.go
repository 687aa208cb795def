//go:build bench

package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"pachfs/test/harness"
)

// machine says on what this runs.
func machine() string {
	var u syscall.Utsname
	release := ""
	if syscall.Uname(&u) == nil {
		for _, c := range u.Release {
			if c == 0 {
				break
			}
			release += string(rune(c))
		}
	}
	model := ""
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				model = strings.TrimLeft(strings.TrimSpace(name), ": \t")
				break
			}
		}
	}
	return fmt.Sprintf("%d CPUs (%s), Linux %s, %s", runtime.NumCPU(), model, release, runtime.Version())
}

// mount gives a mount with an empty cache; what it began with is not measured.
func (e *env) mount(flags ...string) *harness.Mount {
	e.Helper()
	return harness.MountSpec(e, harness.Spec{URL: e.s.URL, Flags: flags, Deadline: 30 * time.Minute})
}

// unmount ends a mount and gives back its room at once: there will be many.
func (e *env) unmount(m *harness.Mount) {
	e.Helper()
	m.Stop(e, 0)
	e.must(errors.Join(os.RemoveAll(m.State), os.RemoveAll(m.Cache)))
}

// cold measures fn in a mount of its own with an empty cache.
func (e *env) cold(name string, fn func(m *harness.Mount)) measured {
	return measured{name, func() time.Duration {
		m := e.mount()
		defer e.unmount(m)
		return timed(func() { fn(m) })
	}}
}

// sh runs a shell script as a user would.
func (e *env) sh(dir, script string) {
	e.Helper()
	c := exec.Command("sh", "-ec", script)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		e.Fatalf("%s: %v: %s", script, err, out)
	}
}
