package remote_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"pachfs/pachclient"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/remote"
)

// The first call after a connection was lost makes the next one: when another
// cluster is there by then, it gets nothing, and not only are its answers refused.
func TestNothingIsSentToAnotherCluster(t *testing.T) {
	for op, call := range map[string]func(context.Context, *remote.Client) error{
		"Upload": func(ctx context.Context, c *remote.Client) error {
			_, err := c.Upload(ctx, seq(add("/x", strings.Repeat("secret", 1000))))
			return err
		},
		"Create": func(ctx context.Context, c *remote.Client) error { return c.CreateBranch(ctx, images) },
		"Renew":  func(ctx context.Context, c *remote.Client) error { return c.Renew(ctx, "0123456789abcdef", 0) },
	} {
		var h house
		h.move(t, t.TempDir(), embedded.Options{})
		c := dialTo(t, remote.Config{Address: h.at})
		who, err := c.Cluster(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.Pin(who.Deployment)
		if _, err := c.Repos(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		h.leave()
		s, err := embedded.Open(t.TempDir(), embedded.Options{})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", h.at)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		h.leave = func() {
			if err := errors.Join(s.Close(), <-done); err != nil {
				t.Error(err)
			}
		}
		if err := call(soon(t), c); !errors.Is(err, pachclient.ErrUnavailable) {
			t.Errorf("%s on another cluster: %v", op, err)
		}
		for method, n := range s.Stats().Calls {
			if strings.HasPrefix(method, "/pfs_v2.") {
				t.Errorf("%s: %s reached the other cluster %d times", op, method, n)
			}
		}
	}
}
