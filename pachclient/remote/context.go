package remote

import (
	"bytes"
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
	V1 *configContext `json:"v1"`
	V2 *configV2      `json:"v2"`
}

type configV2 struct {
	ActiveContext string                    `json:"active_context"`
	Contexts      map[string]*configContext `json:"contexts"`
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
// /pachctl/config.json or ~/.pachyderm/config.json; the context is $PACH_CONTEXT
// or the active one, and $PACHD_ADDRESS overrides its address and CA. A name
// comes from the command line, and beats both. fs.ErrNotExist: there is nothing
// of all that.
func LoadContext(name string, getenv func(string) string) (Context, error) {
	override := getenv("PACHD_ADDRESS")
	if name != "" {
		override = ""
	}
	path, err := configPath(getenv)
	if err != nil {
		return Context{}, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, iofs.ErrNotExist) {
		if override != "" {
			c := Context{Address: override, Project: pachclient.DefaultProject}
			return c, c.check("PACHD_ADDRESS")
		}
		return Context{}, fmt.Errorf("there is no pachctl configuration at %s: %w", path, iofs.ErrNotExist)
	} else if err != nil {
		return Context{}, err
	}
	f, err := parseConfig(b)
	if err != nil {
		return Context{}, fmt.Errorf("%s: %w", path, err)
	}
	c, err := f.choose(name, getenv("PACH_CONTEXT"), path)
	if err != nil {
		return c, err
	}
	from := fmt.Sprintf("context %q in %s", c.Name, path)
	if override != "" {
		c.Address, c.ServerCAs, from = override, nil, "PACHD_ADDRESS"
	}
	if c.Address == "" {
		return c, fmt.Errorf("%s has no pachd_address (try: pachctl config update context %s --pachd-address ADDRESS): %w", from, c.Name, iofs.ErrNotExist)
	}
	return c, c.check(from)
}

// check finds out now what Dial would refuse, when it can still be said where
// it stands.
func (c Context) check(from string) error {
	a, err := parseAddress(c.Address)
	if err == nil {
		_, err = transport(a, c.ServerCAs)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return nil
}

// parseConfig reads the file. Before it had contexts it was one of them, which
// pachctl calls "default".
func parseConfig(b []byte) (*configFile, error) {
	var f configFile
	if err := json.Unmarshal(b, &f); err != nil {
		var at *json.SyntaxError
		if errors.As(err, &at) {
			return nil, fmt.Errorf("line %d: %w", 1+bytes.Count(b[:min(at.Offset, int64(len(b)))], []byte("\n")), err)
		}
		return nil, err
	}
	if f.V2 == nil {
		f.V2 = &configV2{}
		if f.V1 != nil {
			f.V2.ActiveContext, f.V2.Contexts = "default", map[string]*configContext{"default": f.V1}
		}
	}
	return &f, nil
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
	asked := "--context"
	switch {
	case name != "":
	case env != "":
		name, asked = env, "PACH_CONTEXT"
	default:
		name, asked = f.V2.ActiveContext, "active_context"
	}
	if name == "" {
		return Context{}, fmt.Errorf("%s has no active context (try: pachctl config set active-context NAME): %w", path, iofs.ErrNotExist)
	}
	m := f.V2.Contexts[name]
	if m == nil {
		return Context{}, fmt.Errorf("%s has no context %q, which %s names (it has: %s): %w", path, name, asked, strings.Join(f.names(), ", "), iofs.ErrNotExist)
	}
	cas, err := base64.StdEncoding.DecodeString(m.ServerCAs)
	if err != nil {
		return Context{}, fmt.Errorf("%s: server_cas of context %q: %w", path, name, err)
	}
	c := Context{Name: name, Address: m.Address, ServerCAs: cas, Token: m.Token, Project: m.Project, Deployment: m.Deployment, Path: path}
	if c.Address == "" && len(cas) == 0 && m.PortForwarders["pachd"] != 0 {
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
