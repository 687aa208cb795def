package harness

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Proxy stands between a mount and its server.
type Proxy struct {
	URL string

	down, up atomic.Int64 // bytes from and to the server
	held     atomic.Bool  // nothing is passed on
	pause    atomic.Int64 // nanoseconds before each piece that is passed on
	refuse   atomic.Bool
	limit    atomic.Int64 // bytes from the server after which a connection breaks; 0: any number
	half     atomic.Bool  // only that half of it
	broken   atomic.Int64 // connections that broke at the limit

	strand   atomic.Int64 // connections up to this one pass nothing any more
	accepted atomic.Int64

	to    string
	mu    sync.Mutex
	conns map[net.Conn]bool
}

// NewProxy listens for what should go to a server.
func NewProxy(t testing.TB, s *Server) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{URL: "grpc://" + l.Addr().String(), to: s.Addr(), conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Add(1)
			go func() { defer wg.Done(); p.serve(c) }()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		p.Release()
		p.Cut()
		wg.Wait()
	})
	return p
}

func (p *Proxy) serve(c net.Conn) {
	defer c.Close()
	if p.refuse.Load() {
		return
	}
	s, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer s.Close()
	number := p.accepted.Add(1)
	p.track(c, true)
	p.track(s, true)
	defer p.track(c, false)
	defer p.track(s, false)
	done := make(chan bool, 2)
	go func() { p.pass(s, c, number, &p.up, nil); s.Close(); c.Close(); done <- true }()
	go func() {
		if p.pass(c, s, number, &p.down, &p.limit); p.half.Load() {
			c.(*net.TCPConn).CloseWrite() // the client notices, and closes the other half
		} else {
			s.Close()
			c.Close()
		}
		done <- true
	}()
	<-done
	<-done
}

func (p *Proxy) track(c net.Conn, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if on {
		p.conns[c] = true
	} else {
		delete(p.conns, c)
	}
}

func (p *Proxy) pass(to io.Writer, from io.Reader, number int64, count, limit *atomic.Int64) {
	buf := make([]byte, 64<<10)
	for passed := int64(0); ; {
		n, err := from.Read(buf)
		for p.held.Load() || err == nil && p.strand.Load() >= number {
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Duration(p.pause.Load()))
		breaks := false
		if limit != nil && limit.Load() > 0 && passed+int64(n) > limit.Load() {
			breaks, n = true, int(max(0, limit.Load()-passed))
			p.broken.Add(1)
		}
		passed += int64(n)
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
			count.Add(int64(n))
		}
		if err != nil || breaks {
			return
		}
	}
}

// Down is how many bytes came from the server.
func (p *Proxy) Down() int64 { return p.down.Load() }

// Up is how many bytes went to the server.
func (p *Proxy) Up() int64 { return p.up.Load() }

// Hold lets nothing through, Release lets it go on: a server that hangs.
func (p *Proxy) Hold() { p.held.Store(true) }

// Strand lets nothing more through on the connections there are, and breaks
// none: a gateway that forgot them. New ones work. Release ends it.
func (p *Proxy) Strand() { p.strand.Store(p.accepted.Load()) }

// Release lets everything through again.
func (p *Proxy) Release() {
	p.held.Store(false)
	p.refuse.Store(false)
	p.strand.Store(0)
	p.CutEvery(0, false)
}

// Slow waits before each piece that is passed on.
func (p *Proxy) Slow(d time.Duration) { p.pause.Store(int64(d)) }

// CutEvery breaks each connection when n bytes have come from the server; with
// half, the client's end can still send. 0: no more.
func (p *Proxy) CutEvery(n int64, half bool) { p.half.Store(half); p.limit.Store(n) }

// Broken is how many connections broke so.
func (p *Proxy) Broken() int64 { return p.broken.Load() }

// Cut breaks all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Refuse breaks all connections and takes no new ones, until Release.
func (p *Proxy) Refuse() { p.refuse.Store(true); p.Cut() }
