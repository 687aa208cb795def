package staging_test

import (
	"context"
	"sync"

	"pachfs/pachclient"
	"pachfs/staging"
)

// A landing is a Commit under way.
type landing struct {
	b    *bench
	done chan struct{}
	c    pachclient.Commit
	err  error
}

func (b *bench) begin(message string) *landing {
	l := &landing{b: b, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		l.c, l.err = b.o.Commit(context.Background(), message)
	}()
	return l
}

func (l *landing) end() pachclient.Commit {
	l.b.t.Helper()
	<-l.done
	l.b.must(l.err)
	return l.c
}

// OnCall has fn called at the start of every call of an operation; fn may end
// the test.
func (b *bench) OnCall(op string, fn func()) {
	b.Faulty.OnCall(op, func() {
		if fn != nil {
			staging.Aside(fn)
		}
	})
}

// A gate stops a call at its start until it is opened.
type gate struct {
	at, open     chan struct{}
	once, opened sync.Once
}

// release opens the gate; twice is once.
func (g *gate) release() { g.opened.Do(func() { close(g.open) }) }

// stop puts a gate before the next call of an operation.
func (b *bench) stop(op string) *gate {
	g := &gate{at: make(chan struct{}), open: make(chan struct{})}
	b.OnCall(op, func() {
		first := false
		g.once.Do(func() { first = true; close(g.at) })
		if first {
			<-g.open
		}
	})
	return g
}

// first has fn called at the first call of an operation.
func (b *bench) first(op string, fn func()) {
	var once sync.Once
	b.OnCall(op, func() { once.Do(fn) })
}
