package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pachfs/pachclient/embedded"
	"pachfs/test/harness"
)

// A pachd is a server in this process: with a token, behind TLS, moved from
// one port to another, as a test likes.
type pachd struct {
	*harness.Server
	dir   string
	leave func()
}

// startPachd serves a store of its own on a port of its own.
func startPachd(t *testing.T, o embedded.Options) *pachd {
	t.Helper()
	p := &pachd{dir: t.TempDir()}
	p.serve(t, "127.0.0.1:0", o, nil)
	t.Cleanup(p.stop)
	return p
}

// serve listens at an address, after it has left the one before.
func (p *pachd) serve(t *testing.T, at string, o embedded.Options, conf *tls.Config) {
	t.Helper()
	p.stop()
	s, err := embedded.Open(p.dir, o)
	ok(t, err)
	l, err := net.Listen("tcp", at)
	ok(t, err)
	p.Server = &harness.Server{URL: "grpc://" + l.Addr().String()}
	if conf == nil && o.Token == "" {
		p.Peer = harness.Dial(t, p.URL)
	}
	if conf != nil {
		l = tls.NewListener(l, conf)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	p.leave = func() {
		p.leave = nil
		if err := errors.Join(s.Close(), <-done); err != nil {
			t.Error(err)
		}
	}
}

// stop leaves the address to somebody else.
func (p *pachd) stop() {
	if p.leave != nil {
		p.leave()
	}
}

// A pachConfig is a configuration file of pachctl's with some contexts.
type pachConfig struct {
	Active   string                       `json:"active_context"`
	Contexts map[string]map[string]string `json:"contexts"`
}

// oneContext is a configuration with the context "x", and it is active.
func oneContext(kv ...string) pachConfig {
	c := pachConfig{"x", map[string]map[string]string{"x": {}}}
	return c.with("x", kv...)
}

// with sets keys of a context, in a copy.
func (c pachConfig) with(name string, kv ...string) pachConfig {
	out := pachConfig{c.Active, map[string]map[string]string{}}
	for n, old := range c.Contexts {
		out.Contexts[n] = map[string]string{}
		for k, v := range old {
			out.Contexts[n][k] = v
		}
	}
	if out.Contexts[name] == nil {
		out.Contexts[name] = map[string]string{}
	}
	for i := 0; i < len(kv); i += 2 {
		out.Contexts[name][kv[i]] = kv[i+1]
	}
	return out
}

func (c pachConfig) text(t testing.TB) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"user_id": "u", "v2": c})
	ok(t, err)
	return string(b)
}

// replace puts the file in place as pachctl and editors do: by a rename.
func (c pachConfig) replace(t testing.TB, path string) {
	t.Helper()
	write(t, path+".new", c.text(t))
	ok(t, os.Rename(path+".new", path))
}

// rewrite writes over the file, in two pieces.
func (c pachConfig) rewrite(t testing.TB, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	ok(t, err)
	defer f.Close()
	text := c.text(t)
	for _, half := range []string{text[:len(text)/2], text[len(text)/2:]} {
		_, err := f.WriteString(half)
		ok(t, err)
		time.Sleep(20 * time.Millisecond)
	}
}

// secret mounts the file as Kubernetes mounts a secret: dir/config.json is a
// link into dir/..data, which is a link to a directory that is never changed.
func (c pachConfig) secret(t testing.TB, path string) {
	t.Helper()
	dir := filepath.Dir(path)
	version, err := os.MkdirTemp(dir, "..v")
	ok(t, err)
	write(t, filepath.Join(version, "config.json"), c.text(t))
	data := filepath.Join(dir, "..data")
	before, _ := os.Readlink(data)
	ok(t, os.Symlink(filepath.Base(version), data+"_tmp"))
	ok(t, os.Rename(data+"_tmp", data))
	if before != "" {
		ok(t, os.RemoveAll(filepath.Join(dir, before)))
		return
	}
	ok(t, os.Symlink("..data/config.json", path))
}

// authority makes a CA and a server's certificate for 127.0.0.1 that it signed.
func authority(t *testing.T) (conf *tls.Config, serverCAs string) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
		ok(t, err)
		return k
	}
	caKey, serverKey := key(), key()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(crand.Reader, ca, ca, &caKey.PublicKey, caKey)
	ok(t, err)
	server := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(crand.Reader, server, ca, &serverKey.PublicKey, caKey)
	ok(t, err)
	conf = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: serverKey}}, NextProtos: []string{"h2"}}
	return conf, base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}))
}
