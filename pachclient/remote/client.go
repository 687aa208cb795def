package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"pachfs/pachclient"
	"pachfs/pachclient/pfspb/admin"
	pbmeta "pachfs/pachclient/pfspb/metadata"
	"pachfs/pachclient/pfspb/pfs"
)

// Config says which Pachyderm, and as whom.
type Config struct {
	Address   string                                      // grpc://h:p, grpcs://h:p, http(s)://, h, h:p, unix:///path
	ServerCAs []byte                                      // PEM; replaces the system's roots
	Token     string                                      // "": not logged in
	Login     string                                      // the command that gets another token, for the words of a refusal
	Dialer    func(ctx context.Context) (net.Conn, error) // instead of Address, for a server in this process
	Logger    *slog.Logger
}

// Limits of a message. A real pachd sends up to 20 MiB and takes as much, but
// its clients send pieces of 2 MiB.
const (
	maxMessage = 64 << 20
	maxPiece   = 2 << 20
)

// window is how much a stream may have under way before it is read: what a
// read that ends early has moved for nothing. A message that is waited for may be
// larger; gRPC widens the window for it.
const window = 512 << 10

// retryFor is for how long a call is tried again while the server is away,
// unless its context says otherwise.
const retryFor = 10 * time.Second

// A Client is a pachclient.Client over one connection.
type Client struct {
	log      *slog.Logger
	retryFor time.Duration

	mu         sync.RWMutex // guards what follows; not held through a call
	link       *link
	conf       Config // what link was made of, and the token
	closed     bool
	deployment string   // the only cluster that may answer; "": any
	trouble    error    // why the last call was refused; nil: it was not
	server     *release // who answers on link; nil while that is not known
}

var _ pachclient.Client = (*Client)(nil)

// Dial prepares a client. Nothing is sent before its first call; Cluster is a
// good one to find out whether address and token are right.
func Dial(_ context.Context, c Config) (*Client, error) {
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	client := &Client{log: log, retryFor: retryFor, conf: c}
	var err error
	client.link, err = client.connect(c)
	return client, err
}

func (client *Client) connect(c Config) (*link, error) {
	l := &link{c: client}
	opts := []grpc.DialOption{
		grpc.WithDisableServiceConfig(),
		grpc.WithStatsHandler(l),
		grpc.WithUnaryInterceptor(l.unary),
		grpc.WithStreamInterceptor(l.stream),
		grpc.WithInitialWindowSize(window),
		grpc.WithInitialConnWindowSize(4 * window),
		grpc.WithReadBufferSize(256 << 10),
		grpc.WithWriteBufferSize(256 << 10),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 15 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 5 * time.Second,
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}}),
	}
	a := address{target: "passthrough:///embedded"}
	if c.Dialer != nil {
		opts = append(opts, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return c.Dialer(ctx) }))
	} else {
		var err error
		if a, err = parseAddress(c.Address); err != nil {
			return nil, err
		}
	}
	creds, err := transport(a, c.ServerCAs)
	if err != nil {
		return nil, err
	}
	l.conn, err = grpc.NewClient(a.target, append(opts, grpc.WithTransportCredentials(creds))...)
	return l, err
}

func transport(a address, cas []byte) (credentials.TransportCredentials, error) {
	if !a.tls {
		if len(cas) > 0 {
			return nil, fmt.Errorf("a CA is given, but the address %s has no TLS (use grpcs://)", a.target)
		}
		return insecure.NewCredentials(), nil
	}
	conf := &tls.Config{ServerName: a.host, MinVersion: tls.VersionTLS12}
	if len(cas) > 0 {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(cas) {
			return nil, errors.New("the server CA is not a PEM certificate")
		}
	}
	return credentials.NewTLS(conf), nil
}

// Reconfigure takes up another address, CA or token. A new token alone breaks
// nothing. Calls under way on an old connection fail as if the server had gone,
// and are made again where that is harmless.
func (c *Client) Reconfigure(conf Config) error {
	c.mu.Lock()
	if c.conf.sameServer(conf) {
		c.conf = conf
		c.mu.Unlock()
		return nil
	}
	c.mu.Unlock()
	l, err := c.connect(conf)
	if err != nil {
		return err
	}
	c.mu.Lock()
	old := c.link
	c.link, c.conf, c.server = l, conf, nil
	c.mu.Unlock()
	return old.conn.Close()
}

func (c Config) sameServer(d Config) bool {
	return c.Dialer == nil && d.Dialer == nil && c.Address == d.Address && bytes.Equal(c.ServerCAs, d.ServerCAs)
}

// Close ends what is under way.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return c.link.conn.Close()
}

func (c *Client) connection() *grpc.ClientConn {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.link.conn
}

func (c *Client) pfs() pfs.APIClient         { return pfs.NewAPIClient(c.connection()) }
func (c *Client) admin() admin.APIClient     { return admin.NewAPIClient(c.connection()) }
func (c *Client) metadata() pbmeta.APIClient { return pbmeta.NewAPIClient(c.connection()) }

// auth puts the token on a call.
func (c *Client) auth(ctx context.Context) context.Context {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.conf.Token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authn-token", c.conf.Token)
}
