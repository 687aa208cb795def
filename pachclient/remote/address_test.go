package remote

import (
	"strings"
	"testing"
)

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
		":7":            {"dns:///localhost:7", "localhost", false},
		"[::1]":         {"dns:///[::1]:30650", "::1", false},
		"https://h:443": {"dns:///h:443", "h", true},
	} {
		if got, err := parseAddress(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "grpc://", "ftp://h", "grpc://h/", "grpc://u@h", "grpc://h?x", "grpc://h#x", "unix:", "unix:a", "unix://a/b",
		"h:0", "h:65536", "h:x", "::1", "grpc:///", "grpc://h:1/", "http://"} {
		if got, err := parseAddress(s); err == nil || !strings.Contains(err.Error(), "grpc://host:port") {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
}
