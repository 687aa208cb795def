package cache

import (
	"context"
	"sync"

	"pachfs/pachclient"
)

// A group is the goroutines that work for the cache and not for one caller.
type group struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

func newGroup() *group {
	g := &group{}
	// What is under way goes on for as long as a caller waits for it.
	g.ctx, g.cancel = context.WithCancel(pachclient.Patient(context.Background()))
	return g
}

// spawn runs f, unless the group is closed. f ends soon after g.ctx does.
func (g *group) spawn(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.wg.Go(f)
	return true
}

// close ends all of them, and returns when they are gone.
func (g *group) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.cancel()
	g.wg.Wait()
}
