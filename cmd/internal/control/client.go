package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"pachfs/staging"
)

// A Client speaks to the daemon of one state directory.
type Client struct {
	dir  string
	http http.Client
}

// NewClient makes a client; nothing is sent yet.
func NewClient(stateDir string) *Client {
	c := &Client{dir: stateDir}
	c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return withSocket(stateDir, func(path string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		})
	}}
	return c
}

// call makes a request and reads its answer.
func call[T any](ctx context.Context, c *Client, method, path string, in any) (out T, err error) {
	b, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://pachfs"+path, bytes.NewReader(b))
	if err != nil {
		return out, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return out, fmt.Errorf("no pachfs answers in %s (is it running?): %w", c.dir, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		e := &Error{Exit: ExitFault}
		if err := json.NewDecoder(resp.Body).Decode(e); err != nil || e.Message == "" {
			e.Message = resp.Status
		}
		return out, e
	}
	return out, json.NewDecoder(resp.Body).Decode(&out)
}

// Status tells of the daemon and its branches.
func (c *Client) Status(ctx context.Context) (Info, error) {
	return call[Info](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Diff lists what is staged on a branch.
func (c *Client) Diff(ctx context.Context, branch string) ([]DiffLine, error) {
	return call[[]DiffLine](ctx, c, http.MethodGet, "/v1/diff?branch="+url.QueryEscape(branch), nil)
}

// Log lists the commits that were made on a branch here.
func (c *Client) Log(ctx context.Context, branch string) ([]staging.LogEntry, error) {
	return call[[]staging.LogEntry](ctx, c, http.MethodGet, "/v1/log?branch="+url.QueryEscape(branch), nil)
}

// Commit lands a branch, or all of them, and returns when that is done.
func (c *Client) Commit(ctx context.Context, r CommitRequest) (Commits, error) {
	return call[Commits](ctx, c, http.MethodPost, "/v1/commit", r)
}

// Discard forgets staged changes.
func (c *Client) Discard(ctx context.Context, r DiscardRequest) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/v1/discard", r)
	return err
}

// Stop unmounts and lands; it returns when the daemon is about to end.
func (c *Client) Stop(ctx context.Context) (Stopped, error) {
	return call[Stopped](ctx, c, http.MethodPost, "/v1/stop", nil)
}
