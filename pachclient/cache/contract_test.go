package cache_test

import (
	"testing"

	"pachfs/pachclient"
	"pachfs/pachclient/cache"
	"pachfs/pachclient/clienttest"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/remote"
)

// A client that remembers keeps the same contract, over a real connection.
func TestContract(t *testing.T) {
	clienttest.Run(t, func(t *testing.T) pachclient.Client {
		s, err := embedded.Open(t.TempDir(), embedded.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		r, err := remote.Dial(t.Context(), remote.Config{Dialer: s.Dial})
		if err != nil {
			t.Fatal(err)
		}
		c, err := cache.New(r, cache.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		return c
	})
}
