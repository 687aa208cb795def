package remote_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"pachfs/pachclient"
	"pachfs/pachclient/clienttest"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/remote"
)

// serve starts an embedded server on a listener and gives the address.
func serve(t *testing.T, network, at string) string {
	t.Helper()
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if network == "unix" {
		return "unix://" + at
	}
	return "grpc://" + l.Addr().String()
}

func dial(t *testing.T, address string) pachclient.Client {
	t.Helper()
	c, err := remote.Dial(t.Context(), remote.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// The contract, against the server that PACHFS_TEST_PACHD names, or an
// embedded one over every kind of connection.
func TestContract(t *testing.T) {
	if address := os.Getenv("PACHFS_TEST_PACHD"); address != "" {
		clienttest.Run(t, func(t *testing.T) pachclient.Client { return dial(t, address) })
		return
	}
	t.Run("memory", func(t *testing.T) {
		clienttest.Run(t, func(t *testing.T) pachclient.Client { return open(t) })
	})
	t.Run("tcp", func(t *testing.T) {
		address := serve(t, "tcp", "127.0.0.1:0")
		clienttest.Run(t, func(t *testing.T) pachclient.Client { return dial(t, address) })
	})
	t.Run("unix", func(t *testing.T) {
		address := serve(t, "unix", filepath.Join(t.TempDir(), "s"))
		clienttest.Run(t, func(t *testing.T) pachclient.Client { return dial(t, address) })
	})
}
