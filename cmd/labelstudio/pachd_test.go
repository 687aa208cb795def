package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"

	"pachfs/pachclient/embedded"
	"pachfs/pachclient/remote"
)

// A pachd is a Pachyderm in this process that wants a token, and the
// configuration of a pachctl that is logged in there.
type pachd struct {
	store, config, listen, token string
	server                       *embedded.Server
}

// newPachd starts one with an empty store, and names it in the environment.
func newPachd(t *testing.T) *pachd {
	t.Helper()
	p := &pachd{store: t.TempDir(), config: filepath.Join(t.TempDir(), "config.json"), listen: "127.0.0.1:0"}
	p.open(t, "the first token")
	p.login(t)
	t.Setenv("PACH_CONFIG", p.config)
	t.Cleanup(func() { p.server.Close() })
	return p
}

// open serves the store to whoever has the token.
func (p *pachd) open(t *testing.T, token string) {
	t.Helper()
	var err error
	p.server, err = embedded.Open(p.store, embedded.Options{Token: token})
	must(t, err)
	l, err := net.Listen("tcp", p.listen)
	must(t, err)
	p.listen, p.token = l.Addr().String(), token
	go p.server.Serve(l)
}

// expire makes the token that everybody has worthless.
func (p *pachd) expire(t *testing.T) {
	t.Helper()
	must(t, p.server.Close())
	p.open(t, "the next token")
}

// login is `pachctl auth login`, with another file in place of the old one as pachctl does it.
func (p *pachd) login(t *testing.T) {
	t.Helper()
	b, err := json.Marshal(map[string]any{"v2": map[string]any{"contexts": map[string]any{"failures": map[string]string{
		"pachd_address": "grpc://" + p.listen, "session_token": p.token}}}})
	must(t, err)
	must(t, os.WriteFile(p.config+".tmp", b, 0o600))
	must(t, os.Rename(p.config+".tmp", p.config))
}

// conf is what another client needs.
func (p *pachd) conf() remote.Config {
	return remote.Config{Address: "grpc://" + p.listen, Token: p.token}
}

// labels gives what is committed: how many commits labels@master has, and the
// files of its head.
func (p *pachd) labels(t *testing.T) (commits int, files map[string]string) {
	t.Helper()
	c := dial(t, p.conf())
	return history(t, c, "labels"), committed(t, c, head(t, c, "labels"))
}
