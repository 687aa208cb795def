package remote

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"pachfs/pachclient"
)

// A Context is where pachctl's configuration says to go, and as whom.
type Context struct {
	Name       string
	Address    string
	ServerCAs  []byte // PEM
	Token      string
	Project    string
	Deployment string // of the cluster that pachctl met there; "": unknown
	Path       string // of the file; "": the environment said it all
}

// configFile is the part of config.json that matters here. The file is
// pachctl's; it is never written.
type configFile struct {
	V2 struct {
		ActiveContext string                   `json:"active_context"`
		Contexts      map[string]configContext `json:"contexts"`
	} `json:"v2"`
}

type configContext struct {
	Address        string            `json:"pachd_address"`
	ServerCAs      string            `json:"server_cas"`
	Token          string            `json:"session_token"`
	Project        string            `json:"project"`
	Deployment     string            `json:"cluster_deployment_id"`
	PortForwarders map[string]uint32 `json:"port_forwarders"`
}

// LoadContext finds a context by pachctl's rules: the file is $PACH_CONFIG,
// /pachctl/config.json or ~/.pachyderm/config.json; the context is name, or
// $PACH_CONTEXT, or the active one; $PACHD_ADDRESS overrides its address and
// CA. fs.ErrNotExist: there is nothing of all that.
func LoadContext(name string, getenv func(string) string) (Context, error) {
	override := getenv("PACHD_ADDRESS")
	path, err := configPath(getenv)
	if err != nil {
		return Context{}, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, iofs.ErrNotExist) {
		if override != "" && name == "" {
			return Context{Address: override, Project: pachclient.DefaultProject}, nil
		}
		return Context{}, fmt.Errorf("no pachctl configuration at %s, and PACHD_ADDRESS is not set: %w", path, iofs.ErrNotExist)
	} else if err != nil {
		return Context{}, err
	}
	var f configFile
	if err := json.Unmarshal(b, &f); err != nil {
		return Context{}, fmt.Errorf("%s: %w", path, err)
	}
	c, err := f.choose(name, getenv("PACH_CONTEXT"), path)
	if err != nil {
		return c, err
	}
	if override != "" {
		c.Address, c.ServerCAs = override, nil
	}
	if c.Address == "" {
		return c, fmt.Errorf("context %q in %s has no pachd_address (try: pachctl config update context --pachd-address ADDRESS): %w", c.Name, path, iofs.ErrNotExist)
	}
	return c, nil
}

func configPath(getenv func(string) string) (string, error) {
	if p := getenv("PACH_CONFIG"); p != "" {
		return p, nil
	}
	const inContainer = "/pachctl/config.json"
	if _, err := os.Stat(inContainer); err == nil {
		return inContainer, nil
	}
	home := getenv("HOME")
	if home == "" {
		var err error
		if home, err = os.UserHomeDir(); err != nil {
			return "", err
		}
	}
	return filepath.Join(home, ".pachyderm", "config.json"), nil
}

func (f *configFile) choose(name, env, path string) (Context, error) {
	for _, n := range []string{env, f.V2.ActiveContext} {
		if name == "" {
			name = n
		}
	}
	if name == "" {
		return Context{}, fmt.Errorf("%s has no active context: %w", path, iofs.ErrNotExist)
	}
	m, ok := f.V2.Contexts[name]
	if !ok {
		return Context{}, fmt.Errorf("%s has no context %q (it has: %s): %w", path, name, strings.Join(f.names(), ", "), iofs.ErrNotExist)
	}
	cas, err := base64.StdEncoding.DecodeString(m.ServerCAs)
	if err != nil {
		return Context{}, fmt.Errorf("%s: server_cas of context %q: %w", path, name, err)
	}
	c := Context{Name: name, Address: m.Address, ServerCAs: cas, Token: m.Token, Project: m.Project, Deployment: m.Deployment, Path: path}
	if c.Address == "" && m.PortForwarders["pachd"] != 0 {
		c.Address = fmt.Sprintf("grpc://localhost:%d", m.PortForwarders["pachd"])
	}
	if c.Project == "" {
		c.Project = pachclient.DefaultProject
	}
	return c, nil
}

func (f *configFile) names() []string {
	out := make([]string, 0, len(f.V2.Contexts))
	for n := range f.V2.Contexts {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}
