package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pachfs/cmd/venv"
	"pachfs/test/harness"
)

// pythonClients are the releases that were tried: the newest of both libraries,
// and of pachyderm-sdk the one of our server's version and the oldest.
var pythonClients = []struct{ library, version string }{
	{"pachyderm-sdk", "2.12.2"},
	{"pachyderm-sdk", "2.11.6"},
	{"pachyderm-sdk", "2.7.0"},
	{"python-pachyderm", "7.6.0"},
}

// The real Python clients work against `pachfs serve`: testdata/LIBRARY.py does
// what users do and asserts what comes back.
func TestPythonClients(t *testing.T) {
	cache, err := os.UserCacheDir()
	ok(t, err)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/page" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, "from the web")
	}))
	defer web.Close()
	for _, c := range pythonClients {
		t.Run(c.library+"-"+c.version, func(t *testing.T) {
			log, err := os.Create(filepath.Join(t.TempDir(), "install.log"))
			ok(t, err)
			defer log.Close()
			env := filepath.Join(cache, "pachfs-python-clients", c.library+"-"+c.version)
			if err := venv.Install(t.Context(), env, log, c.library+"=="+c.version); err != nil {
				t.Fatalf("%v\n%s", err, read(t, log.Name()))
			}
			s := harness.ServeOwn(t, "--like-pachd") // the scripts want a Pachyderm for themselves
			python := filepath.Join(env, "bin", "python")
			r := harness.Try(t, python, "-B", "-E", "-s", filepath.Join("testdata", c.library+".py"), s.URL, t.TempDir(), web.URL)
			if r.Code != 0 || !strings.HasSuffix(r.Out, "done\n") {
				t.Errorf("%v", r)
			}
			t.Logf("%d steps in %v", strings.Count(r.Out, "step: "), r.Took)
		})
	}
}
