package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pachfs/cmd/internal/control"
	"pachfs/staging"
)

func longStatus() control.Info {
	return control.Info{Mountpoint: "/mnt/pach", Project: "default", Server: "grpc://pachd.example.org:30650", Branches: []staging.Status{{
		Branch: strings.Repeat("long-repo", 5) + "@" + strings.Repeat("branch", 5), Base: strings.Repeat("0123", 8), State: staging.Conflict,
		Staged:      staging.StagedCount{Files: 100000, Deleted: 12345, Bytes: 1536},
		Conflicts:   []string{"/a/b.json"},
		Overwritten: []staging.Overwritten{{Path: "/over", Commit: "abc"}},
		LastError:   &staging.LastError{Time: time.Unix(0, 0), Message: "the server went away"},
	}}}
}

// What the floors below log with slog comes out of logrus, whole.
func TestBridge(t *testing.T) {
	var b bytes.Buffer
	log, err := newLogger(&b, "info", "json")
	must(t, err)
	log.Debug("not this")
	log.With("mount", "/mnt").WithGroup("http").Warn("said", "err", errors.New("broken"), slog.Group("req", "id", 7), "took", time.Second)
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, b.String())
	}
	for k, want := range map[string]any{"msg": "said", "level": "warning", "mount": "/mnt", "http.err": "broken", "http.req.id": 7.0} {
		if got[k] != want {
			t.Errorf("%s is %v, want %v (all: %v)", k, got[k], want, got)
		}
	}
	if _, err := newLogger(&b, "info", "xml"); err == nil {
		t.Error("format xml passes")
	}
}
