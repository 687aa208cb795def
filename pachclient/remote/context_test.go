package remote_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pachfs/pachclient/remote"
)

const sampleConfig = `{"user_id":"u","v2":{"active_context":"prod","metrics":true,"max_shell_completions":"64","contexts":{
 "prod":{"source":"IMPORTED","pachd_address":"grpcs://pach.example:443","server_cas":"CA","session_token":"secret","project":"vision","cluster_deployment_id":"d1"},
 "local":{"port_forwarders":{"pachd":30651,"dash":30652}},
 "bare":{"pachd_address":"pach.example","source":3},
 "both":{"pachd_address":"grpc://h:1","port_forwarders":{"pachd":30651}},
 "socket":{"pachd_address":"unix:///run/pachd.sock","session_token":"t"},
 "plain":{"pachd_address":"grpc://h:1","server_cas":"CA"},
 "forwarded":{"server_cas":"CA","port_forwarders":{"pachd":30651}},
 "notpem":{"pachd_address":"grpcs://h","server_cas":"Y2E="},
 "notbase64":{"pachd_address":"grpcs://h","server_cas":"***"},
 "ftp":{"pachd_address":"ftp://h","session_token":"secret"},
 "null":null,
 "empty":{}}}}`

// config writes a configuration, with a CA where one is meant, and gives the
// environment that names it.
func config(t *testing.T, text string, env map[string]string) (ca []byte, getenv func(string) string) {
	t.Helper()
	_, ca = selfSigned(t)
	path := filepath.Join(t.TempDir(), "config.json")
	text = strings.ReplaceAll(text, `"CA"`, `"`+base64.StdEncoding.EncodeToString(ca)+`"`)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return ca, func(key string) string {
		if key == "PACH_CONFIG" {
			return path
		}
		return env[key]
	}
}

// pachctl's rules, one by one.
func TestLoadContext(t *testing.T) {
	prod := remote.Context{Name: "prod", Address: "grpcs://pach.example:443", ServerCAs: []byte("CA"), Token: "secret", Project: "vision", Deployment: "d1"}
	override := prod
	override.Address, override.ServerCAs = "grpc://other", nil
	local := remote.Context{Name: "local", Address: "grpc://localhost:30651", Project: "default"}
	for _, c := range []struct {
		what, name, text string
		env              map[string]string
		want             remote.Context
	}{
		{"the active one", "", sampleConfig, nil, prod},
		{"by name", "local", sampleConfig, nil, local},
		{"by environment", "", sampleConfig, map[string]string{"PACH_CONTEXT": "local"}, local},
		{"a name beats the environment", "prod", sampleConfig, map[string]string{"PACH_CONTEXT": "local", "PACHD_ADDRESS": "grpc://other"}, prod},
		{"another address, without its CA", "", sampleConfig, map[string]string{"PACHD_ADDRESS": "grpc://other"}, override},
		{"an address beats a forwarded port", "both", sampleConfig, nil, remote.Context{Name: "both", Address: "grpc://h:1", Project: "default"}},
		{"no scheme, no port", "bare", sampleConfig, nil, remote.Context{Name: "bare", Address: "pach.example", Project: "default"}},
		{"a socket", "socket", sampleConfig, nil, remote.Context{Name: "socket", Address: "unix:///run/pachd.sock", Token: "t", Project: "default"}},
		{"a file from before there were contexts", "", `{"v1":{"pachd_address":"grpcs://old","server_cas":"CA","session_token":"t"}}`, nil,
			remote.Context{Name: "default", Address: "grpcs://old", ServerCAs: []byte("CA"), Token: "t", Project: "default"}},
		{"contexts beat what was before them", "", `{"v1":{"pachd_address":"grpc://old"},"v2":{"active_context":"x","contexts":{"x":{"pachd_address":"grpc://new"}}}}`, nil,
			remote.Context{Name: "x", Address: "grpc://new", Project: "default"}},
	} {
		ca, getenv := config(t, c.text, c.env)
		c.want.Path = getenv("PACH_CONFIG")
		if string(c.want.ServerCAs) == "CA" {
			c.want.ServerCAs = ca
		}
		got, err := remote.LoadContext(c.name, getenv)
		if len(got.ServerCAs) == 0 {
			got.ServerCAs = nil
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", c.what, got, err, c.want)
		}
	}
}

// What is wrong is said with the file, what it has, and what to do; a token is
// never said.
func TestLoadContextErrors(t *testing.T) {
	for _, c := range []struct {
		what, name, text string
		env              map[string]string
		missing          bool // there is none, rather than a broken one
		words            []string
	}{
		{"an unknown context", "nope", sampleConfig, nil, true, []string{`"nope"`, "--context", "empty, forwarded, ftp, local"}},
		{"an unknown context in the environment", "", sampleConfig, map[string]string{"PACH_CONTEXT": "nope"}, true, []string{`"nope"`, "PACH_CONTEXT"}},
		{"an active context that is gone", "", `{"v2":{"active_context":"gone","contexts":{}}}`, nil, true, []string{`"gone"`, "active_context"}},
		{"a context that is null", "null", sampleConfig, nil, true, []string{`"null"`}},
		{"no active context", "", `{"v2":{"contexts":{"x":{"pachd_address":"h"}}}}`, nil, true, []string{"no active context", "pachctl config set active-context"}},
		{"an empty object", "", `{}`, nil, true, []string{"no active context"}},
		{"a context without an address", "empty", sampleConfig, nil, true, []string{"pachctl config update context empty --pachd-address"}},
		{"a CA needs an address of its own", "forwarded", sampleConfig, nil, true, []string{"no pachd_address"}},
		{"a CA without TLS", "plain", sampleConfig, nil, false, []string{`"plain"`, "grpcs://"}},
		{"a CA that is not PEM", "notpem", sampleConfig, nil, false, []string{`"notpem"`, "PEM"}},
		{"a CA that is not base64", "notbase64", sampleConfig, nil, false, []string{`"notbase64"`, "server_cas"}},
		{"an address that is none", "ftp", sampleConfig, nil, false, []string{`"ftp"`, "ftp://h", "unknown scheme"}},
		{"an override that is none", "", sampleConfig, map[string]string{"PACHD_ADDRESS": "ftp://secrets"}, false, []string{"PACHD_ADDRESS", "ftp://"}},
		{"a broken file", "", "{\"v2\":\n{\"active_context\":\"secret\",,}}", nil, false, []string{"line 2", "invalid character"}},
		{"half a file", "", sampleConfig[:300], nil, false, []string{"unexpected end"}},
		{"an empty file", "", "", nil, false, []string{"unexpected end"}},
		{"another shape", "", `{"v2":{"contexts":["secret"]}}`, nil, false, []string{"contexts"}},
	} {
		_, getenv := config(t, c.text, c.env)
		_, err := remote.LoadContext(c.name, getenv)
		if err == nil || errors.Is(err, iofs.ErrNotExist) != c.missing {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		for _, w := range append(c.words, map[bool]string{true: getenv("PACH_CONFIG"), false: ""}[c.env["PACHD_ADDRESS"] == ""]) {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v: does not say %s", c.what, err, w)
			}
		}
		if strings.Contains(err.Error(), `secret"`) {
			t.Errorf("%s: says the token: %v", c.what, err)
		}
	}
}

// Where the file is looked for, and what a missing or an unreadable one means.
func TestLoadContextFile(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none.json")
	env := func(kv map[string]string) func(string) string { return func(k string) string { return kv[k] } }
	if _, err := remote.LoadContext("", env(map[string]string{"PACH_CONFIG": none})); !errors.Is(err, iofs.ErrNotExist) || !strings.Contains(err.Error(), none) {
		t.Errorf("no file: %v", err)
	}
	c, err := remote.LoadContext("", env(map[string]string{"PACH_CONFIG": none, "PACHD_ADDRESS": "grpc://only"}))
	if err != nil || c.Address != "grpc://only" || c.Project != "default" || c.Path != "" {
		t.Errorf("only PACHD_ADDRESS: %+v, %v", c, err)
	}
	if c, err := remote.LoadContext("x", env(map[string]string{"PACH_CONFIG": none, "PACHD_ADDRESS": "grpc://only"})); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("a context of no file, beside PACHD_ADDRESS: %+v, %v", c, err)
	}
	if _, err := remote.LoadContext("", env(map[string]string{"PACH_CONFIG": dir})); err == nil || errors.Is(err, iofs.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory: %v", err)
	}
	home := filepath.Join(dir, ".pachyderm")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]any{"v2": map[string]any{"active_context": "x", "contexts": map[string]any{"x": map[string]any{"pachd_address": "h"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "config.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err = remote.LoadContext("", env(map[string]string{"HOME": dir}))
	const inContainer = "/pachctl/config.json" // goes before the one in the home directory, where there is one
	if _, gone := os.Stat(inContainer); gone != nil {
		if err != nil || c.Address != "h" || c.Path != filepath.Join(home, "config.json") {
			t.Errorf("in the home directory: %+v, %v", c, err)
		}
	} else if c.Path != inContainer && (err == nil || !strings.Contains(err.Error(), inContainer)) {
		t.Errorf("in a container: %+v, %v", c, err)
	}
}
