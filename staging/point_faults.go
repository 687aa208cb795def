//go:build faults

package staging

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// PACHFS_KILL_AT=sealed:3 kills this process at the third passing of "sealed".
var (
	killAt, killNth = parseKill(os.Getenv("PACHFS_KILL_AT"))
	killPassed      atomic.Int64
)

func parseKill(s string) (string, int64) {
	name, n, _ := strings.Cut(s, ":")
	nth, err := strconv.ParseInt(n, 10, 64)
	if s != "" && (err != nil || !slices.Contains(Points, name)) {
		panic("PACHFS_KILL_AT=" + s)
	}
	return name, nth
}

// At kills this process at the point that the environment names.
func At(name string) {
	if !slices.Contains(Points, name) {
		panic("no such point: " + name)
	}
	if name != killAt || killPassed.Add(1) != killNth {
		return
	}
	fmt.Fprintf(os.Stderr, "killed at %s:%d\n", name, killNth)
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until the signal is there
}
