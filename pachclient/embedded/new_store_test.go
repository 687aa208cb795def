package embedded_test

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"pachfs/pachclient/embedded"
)

// A directory that was mistyped gets a new store, and that is said; an old one is
// just opened.
func TestANewStoreIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	for _, want := range []int{1, 0} {
		var log bytes.Buffer
		s, err := embedded.Open(dir, embedded.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if got := strings.Count(log.String(), `msg="a new store was made" dir=`+dir+"\n"); got != want {
			t.Errorf("told %d times, want %d: %s", got, want, &log)
		}
	}
}
