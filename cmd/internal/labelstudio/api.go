package labelstudio

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A Client speaks to one Label Studio as its user.
type Client struct {
	URL   string
	token string
	http  http.Client
}

// NewClient makes a client; nothing is sent yet.
func NewClient(url, token string) *Client {
	return &Client{URL: url, token: token, http: http.Client{Timeout: 5 * time.Minute}}
}

// A StatusError is an answer that is no success.
type StatusError struct {
	Call string
	Code int
	Body string
}

func (e *StatusError) Error() string { return fmt.Sprintf("%s: %d: %.400s", e.Call, e.Code, e.Body) }

// Call sends in as JSON and reads the answer into out; nil for either is none.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return &StatusError{method + " " + path, resp.StatusCode, string(b)}
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s %s: %w in %.200s", method, path, err, b)
	}
	return nil
}

// Do sends a request as the user.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	req.Header.Set("Authorization", "Token "+c.token)
	return c.http.Do(req)
}
