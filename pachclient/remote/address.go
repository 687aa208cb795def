package remote

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// defaultPort is the port of an address without one, whatever its scheme.
const defaultPort = "30650"

// An address is where a pachd listens.
type address struct {
	target string // for gRPC
	host   string // for TLS
	tls    bool
}

// parseAddress reads the forms that pachctl takes.
func parseAddress(s string) (address, error) {
	fail := func(why string) (address, error) {
		return address{}, fmt.Errorf("address %q: %s (try grpc://host:port, grpcs://host:port or unix:///path)", s, why)
	}
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if len(path) < 2 || path[0] != '/' {
			return fail("a socket needs an absolute path")
		}
		return address{target: "unix://" + path}, nil
	}
	if !strings.Contains(s, "://") {
		s = "grpc://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return fail(err.Error())
	}
	a := address{host: u.Hostname()}
	switch u.Scheme {
	case "grpc", "http":
	case "grpcs", "https":
		a.tls = true
	default:
		return fail("unknown scheme " + u.Scheme)
	}
	port := u.Port()
	switch n, err := strconv.ParseUint(port, 10, 16); {
	case port == "" && a.host == "":
		return fail("no host")
	case port == "":
		port = defaultPort
	case err != nil || n == 0:
		return fail("there is no port " + port)
	case a.host == "":
		a.host = "localhost" // as everywhere else
	}
	if strings.Contains(a.host, ":") && u.Host[0] != '[' {
		return fail("an IPv6 address stands in brackets")
	}
	if u.Path != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fail("only a host and a port belong there")
	}
	a.target = "dns:///" + net.JoinHostPort(a.host, port)
	return a, nil
}
