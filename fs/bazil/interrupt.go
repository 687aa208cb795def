package bazil

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"bazil.org/fuse"
)

// interrupts knows the requests that may be interrupted.
type interrupts struct {
	mu      sync.Mutex
	pending map[fuse.RequestID]*waiting
}

// A waiting is a request under way.
type waiting struct {
	cancel  context.CancelFunc
	node    fuse.NodeID
	tid     uint32 // the thread that waits
	trigger bool   // it may wait for a commit: any interrupt ends that
}

// begin notes a request; done must be called before it is answered.
func (s *interrupts) begin(id fuse.RequestID, node fuse.NodeID, tid uint32, trigger bool) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	if s.pending == nil {
		s.pending = map[fuse.RequestID]*waiting{}
	}
	s.pending[id] = &waiting{cancel, node, tid, trigger}
	s.mu.Unlock()
	return ctx, func() {
		s.mu.Lock()
		delete(s.pending, id)
		s.mu.Unlock()
		cancel()
	}
}

// busy says whether a request of a node is under way.
func (s *interrupts) busy(node fuse.NodeID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.pending {
		if w.node == node {
			return true
		}
	}
	return false
}

// interrupt deals with an interrupt of a request, and says whether it knows it.
func (s *interrupts) interrupt(id fuse.RequestID) bool {
	s.mu.Lock()
	w := s.pending[id]
	s.mu.Unlock()
	if w == nil {
		return false
	}
	if w.trigger || killed(w.tid) {
		w.cancel()
	} else {
		// The kernel interrupts a request once. A SIGKILL that comes later is
		// seen only by looking.
		go s.watch(id, w)
	}
	return true
}

func (s *interrupts) watch(id fuse.RequestID, w *waiting) {
	for range time.Tick(100 * time.Millisecond) {
		s.mu.Lock()
		still := s.pending[id] == w
		s.mu.Unlock()
		if !still {
			return
		}
		if killed(w.tid) {
			w.cancel()
			return
		}
	}
}

// killed says whether SIGKILL is pending for a thread.
func killed(tid uint32) bool {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return true // it is gone
	}
	defer f.Close()
	const sigkill = 1 << 8
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if name != "SigPnd" && name != "ShdPnd" {
			continue
		}
		if mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64); err == nil && mask&sigkill != 0 {
			return true
		}
	}
	return false
}
