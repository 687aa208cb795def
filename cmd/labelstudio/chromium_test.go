package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// A page is the tab of a headless Chromium. It is driven as a person would:
// by what can be seen, with mouse and keys.
type page struct {
	t     *testing.T
	ctx   context.Context
	shots string // where pictures go

	mu       sync.Mutex
	requests map[string]int // by everything before the third slash
	open     map[network.RequestID]bool
	last     time.Time // when a request began or ended
}

// patience is long: a step takes a second on an idle machine.
const patience = time.Minute

// open starts Chromium with a profile of its own. It resolves no name: what is
// not on this machine cannot be reached.
func open(t *testing.T) *page {
	t.Helper()
	shots, err := filepath.Abs(shotsDir())
	must(t, err)
	must(t, os.MkdirAll(shots, 0o755))
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	p := &page{t: t, ctx: ctx, shots: shots, requests: map[string]int{}, open: map[network.RequestID]bool{}}
	must(t, chromedp.Listen(ctx, p.hear))
	p.do(chromedp.EmulateViewport(1200, 860))
	return p
}

// shotsDir is bin/shots of this checkout, or what PACHFS_E2E_SHOTS says, also
// from there.
func shotsDir() string {
	dir := os.Getenv("PACHFS_E2E_SHOTS")
	if dir == "" {
		dir = "bin/shots"
	}
	if filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join("../..", dir)
}

// hear notes whom the page talks to, and what is under way.
func (p *page) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests[origin(e.Request.URL)]++
		if strings.HasPrefix(e.Request.URL, "http") { // of a blob no end is told
			p.open[e.RequestID] = true
		}
	case *network.EventWebSocketCreated:
		p.requests[origin(e.URL)]++
	case *network.EventLoadingFinished:
		delete(p.open, e.RequestID)
	case *network.EventLoadingFailed:
		delete(p.open, e.RequestID)
	default:
		return
	}
	p.last = time.Now()
}

// origin is everything before the path; "data" for what is in the page itself.
func origin(url string) string {
	if strings.HasPrefix(url, "data:") {
		return "data"
	}
	scheme, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}

// quiet waits until the page has everything that it asked for.
func (p *page) quiet() {
	p.t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		p.mu.Lock()
		silence := time.Since(p.last)
		quiet := silence > time.Second && len(p.open) == 0 || silence > 3*time.Second // one that is given up never ends
		p.mu.Unlock()
		if quiet {
			return
		} else if time.Since(began) > patience {
			p.t.Fatal("the page goes on asking")
		}
	}
}

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	must(p.t, chromedp.Do(ctx, steps...))
}

// until waits for an expression to be true, or whatever counts as that, and gives it.
func until[T any](p *page, what, expression string) (got T) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for {
		type found struct{ Value *T }
		v, err := chromedp.Run(ctx, chromedp.Evaluate[found]("({Value: ("+expression+") || null})"))
		if err == nil && v.Value != nil {
			return *v.Value
		}
		select {
		case <-time.After(50 * time.Millisecond): // a page that is just being replaced has no answer either
		case <-ctx.Done():
			p.shot("failure")
			text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText"))
			p.t.Fatalf("waiting for %s: %v (picture: %s/failure.png)\n%s", what, err, p.shots, text)
		}
	}
}

// seen is an expression: the middle of the first element that fits, that begins
// with the text, and that a click would hit. What cannot be hit is brought into view.
func seen(css, text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(%q)].filter(e => !e.disabled && e.getClientRects().length &&
		(e.innerText || e.getAttribute("aria-label") || "").trim().startsWith(%q)).map(e => {
			const r = e.getBoundingClientRect(), x = r.x + r.width/2, y = r.y + r.height/2, hit = document.elementFromPoint(x, y)
			if (hit && (hit.contains(e) || e.contains(hit) || e.closest("label")?.contains(hit))) return {X: x, Y: y}
			e.scrollIntoView({block: "center"})
		}).find(e => e)`, css, text)
}

type point struct{ X, Y float64 }

// press clicks on what begins with the text once it stands still.
func (p *page) press(css, text string) {
	p.t.Helper()
	look := func() point { p.t.Helper(); return until[point](p, css+" "+text, seen(css, text)) }
	at := look()
	for before := (point{}); at != before; {
		time.Sleep(150 * time.Millisecond) // a dialog glides in
		before, at = at, look()
	}
	p.do(chromedp.MouseClickXY(at.X, at.Y))
}

// fill replaces what is in a field.
func (p *page) fill(css, text string) {
	p.t.Helper()
	p.press(css, "")
	p.do(chromedp.Evaluate[chromedp.Void]("document.activeElement.select()"), chromedp.SendKeys(chromedp.CSS(css), text))
}

// goTo opens an address; what the page before it asked for is given up.
func (p *page) goTo(url string) {
	p.t.Helper()
	p.mu.Lock()
	clear(p.open)
	p.mu.Unlock()
	p.do(chromedp.Navigate(url))
}

// text waits until the page says something.
func (p *page) text(words string) {
	p.t.Helper()
	until[bool](p, words, fmt.Sprintf("document.body.innerText.includes(%q)", words))
}

// shot takes a picture of a page that has come to rest.
func (p *page) shot(name string) {
	p.t.Helper()
	if name != "failure" {
		p.do(chromedp.MouseEvent(chromedp.MouseMoved, 1, 1)) // no hints
		until[bool](p, "rest", `document.fonts.status == "loaded" && [...document.images].every(i => i.complete) &&
			document.getAnimations().every(a => a.playState != "running" || a.effect.getTiming().iterations == Infinity)`)
		time.Sleep(300 * time.Millisecond)
	}
	b, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	must(p.t, err)
	must(p.t, os.WriteFile(filepath.Join(p.shots, name+".png"), b, 0o644))
}
