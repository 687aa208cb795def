package remote

import (
	"encoding/base64"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sampleConfig = `{"user_id":"u","v2":{"active_context":"prod","metrics":true,"contexts":{
 "prod":{"source":"IMPORTED","pachd_address":"grpcs://pach.example:443","server_cas":"Y2E=","session_token":"secret","project":"vision","cluster_deployment_id":"d1"},
 "local":{"port_forwarders":{"pachd":30651}},
 "empty":{}}}}`

// pachctl's rules, one by one.
func TestLoadContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(sampleConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, name string
		env        map[string]string
		want       Context
	}{
		{"the active one", "", nil, Context{Name: "prod", Address: "grpcs://pach.example:443", ServerCAs: []byte("ca"), Token: "secret", Project: "vision", Deployment: "d1"}},
		{"by name", "local", nil, Context{Name: "local", Address: "grpc://localhost:30651", Project: "default"}},
		{"by environment", "", map[string]string{"PACH_CONTEXT": "local"}, Context{Name: "local", Address: "grpc://localhost:30651", Project: "default"}},
		{"a name beats the environment", "prod", map[string]string{"PACH_CONTEXT": "local"}, Context{Name: "prod", Address: "grpcs://pach.example:443", ServerCAs: []byte("ca"), Token: "secret", Project: "vision", Deployment: "d1"}},
		{"another address, without its CA", "", map[string]string{"PACHD_ADDRESS": "grpc://other"}, Context{Name: "prod", Address: "grpc://other", Token: "secret", Project: "vision", Deployment: "d1"}},
	} {
		got, err := LoadContext(c.name, func(k string) string {
			if k == "PACH_CONFIG" {
				return path
			}
			return c.env[k]
		})
		c.want.Path = path
		if err != nil || got.Name != c.want.Name || got.Address != c.want.Address || string(got.ServerCAs) != string(c.want.ServerCAs) ||
			got.Token != c.want.Token || got.Project != c.want.Project || got.Deployment != c.want.Deployment || got.Path != c.want.Path {
			t.Errorf("%s: %+v, %v", c.what, got, err)
		}
	}
}

// What is wrong is said with the file and what it has.
func TestLoadContextErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	if err := os.WriteFile(path, []byte(sampleConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(p string) func(string) string {
		return func(k string) string { return map[string]string{"PACH_CONFIG": p}[k] }
	}
	_, err := LoadContext("nope", env(path))
	if !errors.Is(err, iofs.ErrNotExist) || !strings.Contains(err.Error(), "empty, local, prod") {
		t.Errorf("an unknown context: %v", err)
	}
	_, err = LoadContext("empty", env(path))
	if !errors.Is(err, iofs.ErrNotExist) || !strings.Contains(err.Error(), "pachctl config update context") {
		t.Errorf("a context without an address: %v", err)
	}
	_, err = LoadContext("", env(filepath.Join(dir, "none.json")))
	if !errors.Is(err, iofs.ErrNotExist) || !strings.Contains(err.Error(), "none.json") {
		t.Errorf("no file: %v", err)
	}
	c, err := LoadContext("", func(k string) string {
		return map[string]string{"PACH_CONFIG": filepath.Join(dir, "none.json"), "PACHD_ADDRESS": "grpc://only"}[k]
	})
	if err != nil || c.Address != "grpc://only" || c.Project != "default" {
		t.Errorf("only PACHD_ADDRESS: %+v, %v", c, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(sampleConfig, base64.StdEncoding.EncodeToString([]byte("ca")), "***", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadContext("", env(path)); err == nil || !strings.Contains(err.Error(), "server_cas") {
		t.Errorf("a broken CA: %v", err)
	}
}

// The forms of an address that pachctl takes.
func TestParseAddress(t *testing.T) {
	for s, want := range map[string]address{
		"grpc://h:1":    {"dns:///h:1", "h", false},
		"http://h":      {"dns:///h:30650", "h", false},
		"h":             {"dns:///h:30650", "h", false},
		"h:7":           {"dns:///h:7", "h", false},
		"[::1]:7":       {"dns:///[::1]:7", "::1", false},
		"https://h":     {"dns:///h:30650", "h", true},
		"grpcs://h:443": {"dns:///h:443", "h", true},
		"unix:///a/b":   {"unix:///a/b", "", false},
		"unix:/a/b":     {"unix:///a/b", "", false},
	} {
		if got, err := parseAddress(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "grpc://", "ftp://h", "grpc://h/", "grpc://u@h", "grpc://h?x", "unix:"} {
		if got, err := parseAddress(s); err == nil || !strings.Contains(err.Error(), "grpc://host:port") {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
}
