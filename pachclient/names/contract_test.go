package names_test

import (
	"testing"

	"pachfs/pachclient"
	"pachfs/pachclient/cache"
	"pachfs/pachclient/clienttest"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/names"
	"pachfs/pachclient/remote"
)

// open gives a client that encodes names, on top of one that remembers, on one
// that speaks to a server, as in a mount; and the one at the bottom.
func open(t *testing.T) (*names.Client, pachclient.Client) {
	t.Helper()
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
	n := names.New(c)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n, r
}

// A client that encodes names keeps the same contract.
func TestContract(t *testing.T) {
	clienttest.Run(t, func(t *testing.T) pachclient.Client { n, _ := open(t); return n })
}
