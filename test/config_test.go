package test

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pachfs/pachclient/embedded"
	"pachfs/test/harness"
)

// mountConfig mounts the context that a configuration names.
func mountConfig(t *testing.T, path string, flags ...string) *harness.Mount {
	t.Helper()
	return harness.MountSpec(t, harness.Spec{Flags: flags, Env: []string{"PACH_CONFIG=" + path, "PACH_CONTEXT=", "PACHD_ADDRESS="}})
}

// says waits until the log says something.
func says(t *testing.T, m *harness.Mount, words string) {
	t.Helper()
	harness.Eventually(t, 20*time.Second, "the log says: "+words, func() bool { return strings.Contains(m.Log(), words) })
}

const tookUp = "took up pachctl's configuration"

// noise is data that no two places have in common.
func noise(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// A changed address of the context is taken up while a file is being read,
// however the configuration is replaced. The old address is gone afterwards.
func TestConfigNewAddress(t *testing.T) {
	data := noise(random(t), 24<<20)
	for how, change := range map[string]func(c pachConfig, t testing.TB, path string){
		"renamed": pachConfig.replace, "rewritten": pachConfig.rewrite, "secret": pachConfig.secret,
		"linked": func(c pachConfig, t testing.TB, path string) { // to where it is kept, as dot files are
			real, err := filepath.EvalSymlinks(path)
			ok(t, err)
			c.replace(t, real)
		},
		"directory": func(c pachConfig, t testing.TB, path string) { // all of it made anew
			dir := filepath.Dir(path)
			ok(t, os.Rename(dir, dir+".old"))
			ok(t, os.Mkdir(dir, 0o700))
			write(t, path, c.text(t))
		},
	} {
		t.Run(how, func(t *testing.T) {
			p := startPachd(t, embedded.Options{})
			p.Peer.Create(t, "a")
			first := p.Peer.PutWait(t, "a@master", map[string]string{"/big": data, "/d/x": "x"})
			before, after := harness.NewProxy(t, p.Server), harness.NewProxy(t, p.Server)
			path := filepath.Join(t.TempDir(), "pach", "config.json")
			ok(t, os.Mkdir(filepath.Dir(path), 0o700))
			config := oneContext("pachd_address", before.URL, "session_token", "t")
			switch how {
			case "secret":
				config.secret(t, path)
			case "linked":
				kept := filepath.Join(t.TempDir(), "kept.json")
				config.replace(t, kept)
				ok(t, os.Symlink(kept, path))
			default:
				config.replace(t, path)
			}
			m := mountConfig(t, path, "--context", "x")
			f, err := os.Open(m.Path("a@master", "big"))
			ok(t, err)
			defer f.Close()
			got := make([]byte, len(data))
			_, err = io.ReadFull(f, got[:1<<20])
			ok(t, err)
			write(t, m.Path("a@master", "staged"), "staged")

			change(config.with("x", "pachd_address", after.URL), t, path)
			says(t, m, tookUp)
			before.Refuse()
			_, err = io.ReadFull(f, got[1<<20:])
			ok(t, err)
			if string(got) != data {
				t.Error("the open file has other bytes")
			}
			if got := read(t, m.Path("a@master", "d", "x")); got != "x" {
				t.Errorf("d/x reads %q", got)
			}
			commit(t, m, "a@master")
			if n := len(p.Peer.Commits(t, "a@master", first)); n != 1 {
				t.Errorf("%d commits, want 1", n)
			}
			if r := harness.Pachfs(t, "status", m.Dir); !strings.Contains(r.Out, after.URL) || r.Code != 0 {
				t.Errorf("the status does not name the new address %s: %v", after.URL, r)
			}
			if n := strings.Count(m.Log(), tookUp); n != 1 {
				t.Errorf("it was taken up %d times:\n%s", n, m.Log())
			}
			ok(t, f.Close())
			m.Stop(t, 0)
		})
	}
}

// Another active context, another project and other contexts change nothing
// for a running mount; nor does a file that is broken or gone. The next good one does.
func TestConfigOfOthers(t *testing.T) {
	p, other := startPachd(t, embedded.Options{}), startPachd(t, embedded.Options{})
	p.Peer.Create(t, "a")
	p.Peer.PutWait(t, "a@master", map[string]string{"/x": "mine"})
	others, moved := harness.NewProxy(t, other.Server), harness.NewProxy(t, p.Server)
	path := filepath.Join(t.TempDir(), "config.json")
	config := oneContext("pachd_address", p.URL).with("other", "pachd_address", others.URL, "session_token", "secret")
	config.replace(t, path)
	m := mountConfig(t, path) // the active one
	stays := func(what string) {
		t.Helper()
		time.Sleep(500 * time.Millisecond) // five times what it waits before it looks
		if got := read(t, m.Path("a@master", "x")); got != "mine" || strings.Contains(m.Log(), tookUp) || others.Down() != 0 {
			t.Errorf("%s: x reads %q, %d bytes came from elsewhere:\n%s", what, got, others.Down(), m.Log())
		}
	}
	config.Active = "other"
	config.replace(t, path)
	stays("another active context")
	config = config.with("other", "session_token", "secret2").with("x", "project", "elsewhere")
	config.replace(t, path)
	stays("another project, and another context's token")

	write(t, path, `{"v2":{"active_context":"secret",`)
	says(t, m, "not taken up")
	if r := harness.Pachfs(t, "status", m.Dir); !strings.Contains(r.Out, path) || !strings.Contains(r.Out, "unexpected end") {
		t.Errorf("the status says nothing of a broken configuration: %v", r)
	}
	stays("a broken file")
	ok(t, os.Remove(path))
	stays("no file")
	config.with("x", "pachd_address", "ftp://nowhere").replace(t, path)
	says(t, m, "unknown scheme")
	stays("an address that is none")
	gone := pachConfig{"other", map[string]map[string]string{"other": config.Contexts["other"]}}
	gone.replace(t, path)
	says(t, m, `has no context \"x\"`)
	stays("the context is gone")

	config.with("x", "pachd_address", moved.URL).replace(t, path)
	says(t, m, tookUp)
	if got := read(t, m.Path("a@master", "x")); got != "mine" || moved.Down() == 0 {
		t.Errorf("x reads %q, %d bytes came over the new address", got, moved.Down())
	}
	if r := harness.Pachfs(t, "status", m.Dir); strings.Contains(r.Out, "not taken up") {
		t.Errorf("the status still speaks of a broken configuration: %v", r)
	}
	if strings.Contains(m.Log(), "secret2") {
		t.Errorf("a token is in the log:\n%s", m.Log())
	}
}

// What the configuration says wrongly is said at the mount, with status 2 and the file.
func TestConfigErrorsAtMount(t *testing.T) {
	base := t.TempDir()
	mnt, path := filepath.Join(base, "mnt"), filepath.Join(base, "config.json")
	ok(t, os.Mkdir(mnt, 0o700))
	for what, c := range map[string]struct {
		text  string
		flags []string
		words []string
	}{
		"broken":     {`{"v2":`, nil, []string{path, "unexpected end"}},
		"no context": {oneContext("pachd_address", "h").text(t), []string{"--context", "y"}, []string{path, `"y"`, "it has: x"}},
		"no address": {oneContext().text(t), []string{"--context", "x"}, []string{"pachctl config update context x --pachd-address"}},
		"plain CA":   {oneContext("pachd_address", "grpc://h", "server_cas", "Y2E=").text(t), nil, []string{path, "grpcs://"}},
		"no active":  {`{}`, nil, []string{"--pachd", "--store", path, "pachctl config set active-context"}},
	} {
		write(t, path, c.text)
		r := harness.Try(t, append(append([]string{"env", "PACH_CONFIG=" + path, harness.Binary(t), "mount", "--state", base + "/state", "--cache-dir", base + "/cache"}, c.flags...), mnt)...)
		for _, w := range c.words {
			if r.Code != 2 || !strings.Contains(r.Err, w) {
				t.Errorf("%s: does not say %s: %v", what, w, r)
			}
		}
	}
}

// Who waits on an address that hangs goes on over the new one.
func TestConfigNewAddressWhileItHangs(t *testing.T) {
	p := startPachd(t, embedded.Options{})
	p.Peer.Create(t, "a")
	data := noise(random(t), 8<<20)
	p.Peer.PutWait(t, "a@master", map[string]string{"/big": data})
	hangs, works := harness.NewProxy(t, p.Server), harness.NewProxy(t, p.Server)
	path := filepath.Join(t.TempDir(), "config.json")
	config := oneContext("pachd_address", hangs.URL)
	config.replace(t, path)
	m := mountConfig(t, path)
	_ = names(t, m.Path("a@master"))
	hangs.Hold()
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		b, err := os.ReadFile(m.Path("a@master", "big"))
		done <- result{b, err}
	}()
	select {
	case r := <-done:
		t.Fatalf("read %d bytes from a server that hangs: %v", len(r.data), r.err)
	case <-time.After(time.Second):
	}
	start := time.Now()
	config.with("x", "pachd_address", works.URL).replace(t, path)
	r := <-done
	t.Logf("it went on after %v", time.Since(start))
	if r.err != nil || string(r.data) != data {
		t.Errorf("%d bytes, %v", len(r.data), r.err)
	}
}

// A context may lead to a socket, whose path has a space.
func TestConfigSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b")
	ok(t, os.Mkdir(dir, 0o700))
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	ok(t, err)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	ok(t, err)
	go s.Serve(l)
	t.Cleanup(func() { ok(t, s.Close()) })
	path := filepath.Join(t.TempDir(), "config.json")
	oneContext("pachd_address", "unix://"+filepath.Join(dir, "s")).replace(t, path)
	m := mountConfig(t, path)
	ok(t, os.Mkdir(m.Path("a@master"), 0o777))
	write(t, m.Path("a@master", "f"), "over a socket")
	commit(t, m, "a@master")
	if st := m.Status(t, "a@master"); st.State != "clean" || st.LastCommit == "" {
		t.Errorf("after a commit: %+v", st)
	}
}
