package remote_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/remote"
)

var images = pachclient.Branch{Project: "default", Repo: "images", Name: "master"}

// big lands one file and gives what is needed to read it.
func bigFile(t *testing.T, c pachclient.Client, content string) (pachclient.Reader, pachclient.FileInfo) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	must(c.CreateBranch(t.Context(), images))
	set, err := c.Upload(t.Context(), seq(add("/big", content)))
	must(err)
	must(c.Land(t.Context(), images, set, nil))
	b, err := c.Branch(t.Context(), images)
	must(err)
	_, err = c.Wait(t.Context(), b.Head)
	must(err)
	r := c.At(b.Head)
	fi, err := r.Stat(t.Context(), "/big")
	must(err)
	return r, fi
}

// A stream goes on at its offset when the server restarts in the middle.
func TestStreamSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	s, err := embedded.Open(dir, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	c := dial(t, "grpc://"+l.Addr().String())
	content := strings.Repeat("0123456789abcdef", 4<<16) // 4 MiB, more than one message
	r, fi := bigFile(t, c, content)
	// The receive window is filled and the rest has to come from the next server.
	stream, err := r.Open(t.Context(), fi, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	got := make([]byte, 100)
	if _, err := io.ReadFull(stream, got); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	go func() {
		time.Sleep(300 * time.Millisecond)
		s, err := embedded.Open(dir, embedded.Options{})
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { s.Close() })
		l, err := net.Listen("tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		s.Serve(l)
	}()
	rest, err := io.ReadAll(stream)
	if err != nil || string(got)+string(rest) != content {
		t.Fatalf("%d bytes, %v", len(got)+len(rest), err)
	}
}

// A server that is not there is ErrUnavailable, once the caller's patience ends.
func TestUnreachable(t *testing.T) {
	c := dial(t, "grpc://127.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := c.Cluster(ctx); !errors.Is(err, pachclient.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

// A token is needed where the server asks for one, and only the right one does.
func TestToken(t *testing.T) {
	s, err := embedded.Open(t.TempDir(), embedded.Options{Token: "right"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for token, want := range map[string]error{"right": nil, "wrong": pachclient.ErrUnauthenticated, "": pachclient.ErrUnauthenticated} {
		c, err := remote.Dial(t.Context(), remote.Config{Dialer: s.Dial, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Cluster(t.Context()); !errors.Is(err, want) || (err != nil && token != "" && strings.Contains(err.Error(), token)) {
			t.Errorf("token %q: %v", token, err)
		}
		if err := c.Reconfigure(remote.Config{Dialer: s.Dial, Token: "right"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Cluster(t.Context()); err != nil {
			t.Errorf("with a new token: %v", err)
		}
		c.Close()
	}
}

// TLS with a CA of one's own; without it the server is not trusted.
func TestTLS(t *testing.T) {
	cert, ca := selfSigned(t)
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	plain, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(plain)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go forward(l, plain.Addr())
	address := "grpcs://" + l.Addr().String()
	c, err := remote.Dial(t.Context(), remote.Config{Address: address, ServerCAs: ca})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Cluster(t.Context()); err != nil {
		t.Error(err)
	}
	stranger := dial(t, address)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := stranger.Cluster(ctx); err == nil {
		t.Error("a server with an unknown certificate was trusted")
	}
}

// forward carries what comes out of TLS to the server.
func forward(l net.Listener, to net.Addr) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial(to.Network(), to.String())
		if err != nil {
			in.Close()
			return
		}
		go func() { io.Copy(out, in); out.Close() }()
		go func() { io.Copy(in, out); in.Close() }()
	}
}

func selfSigned(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, ca
}
