package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"pachfs/pachclient/embedded"
)

func newServe(s streams) *cobra.Command {
	var store, listen, level, format string
	var likePachd bool
	c := &cobra.Command{
		Use:   "serve --store DIR [--listen ADDRESS]",
		Short: "Serve an embedded Pachyderm to pachfs, pachctl and other clients",
		Long: `Serves the Pachyderm in a directory over gRPC. The first line on stdout is its
address, once it answers.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if store == "" {
				return usage("--store says where the data are to be kept")
			}
			log, err := newLogger(s.err, level, format)
			if err != nil {
				return err
			}
			srv, err := embedded.Open(store, embedded.Options{LikePachd: likePachd, Logger: log})
			if err != nil {
				return err
			}
			return errors.Join(serve(c.Context(), srv, listen, s), srv.Close())
		},
	}
	c.Flags().StringVar(&store, "store", "", "directory of the data")
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:30650", "host:port, or unix:/path; port 0 takes a free one")
	c.Flags().BoolVar(&likePachd, "like-pachd", false, "cut messages as a real pachd does, up to 19 MiB")
	c.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	c.Flags().StringVar(&format, "log-format", "text", "text or json")
	return c
}

// serve answers until SIGTERM or SIGINT.
func serve(ctx context.Context, srv *embedded.Server, listen string, s streams) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	network, address := "tcp", strings.TrimPrefix(listen, "grpc://")
	if path, ok := strings.CutPrefix(listen, "unix:"); ok {
		network, address = "unix", "/"+strings.TrimLeft(path, "/")
	}
	if network == "unix" {
		removeStale(address)
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	if network == "unix" {
		fmt.Fprintf(s.out, "unix:%s\n", address)
	} else {
		fmt.Fprintf(s.out, "grpc://%s\n", l.Addr())
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return nil
	}
}

// removeStale takes away the socket of a server that died: nobody listens on it.
func removeStale(path string) {
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		os.Remove(path)
	}
}
