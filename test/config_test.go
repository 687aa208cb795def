package test

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

// A context that leads to another cluster is refused, what is staged is kept,
// and what is mounted goes on.
func TestConfigOtherCluster(t *testing.T) {
	p, other := startPachd(t, embedded.Options{}), startPachd(t, embedded.Options{})
	for _, s := range []*pachd{p, other} {
		s.Peer.Create(t, "a")
	}
	first := p.Peer.PutWait(t, "a@master", map[string]string{"/x": "mine", "/later": "later"})
	theirs := other.Peer.PutWait(t, "a@master", map[string]string{"/x": "theirs"})
	path := filepath.Join(t.TempDir(), "config.json")
	config := oneContext("pachd_address", p.URL)
	config.replace(t, path)
	m := mountConfig(t, path, "--context", "x")
	write(t, m.Path("a@master", "staged"), "staged")
	config.with("x", "pachd_address", other.URL).replace(t, path)
	says(t, m, "what is mounted is of cluster")
	if r := harness.Pachfs(t, "status", m.Dir); !strings.Contains(r.Out, other.URL+" is cluster") || !strings.Contains(r.Out, "of "+p.URL) {
		t.Errorf("the status does not say why: %v", r)
	}
	if got := read(t, m.Path("a@master", "later")); got != "later" {
		t.Errorf("later reads %q", got)
	}
	// pachctl remembers which cluster a context is of.
	moved := harness.NewProxy(t, p.Server)
	config = config.with("x", "cluster_deployment_id", "another")
	config.with("x", "pachd_address", moved.URL).replace(t, path)
	says(t, m, "is cluster another")
	commit(t, m, "a@master")
	if n := len(p.Peer.Commits(t, "a@master", first)); n != 1 {
		t.Errorf("%d commits on the right cluster, want 1", n)
	}
	if n := len(other.Peer.Commits(t, "a@master", theirs)); n != 0 {
		t.Errorf("%d commits on the other cluster", n)
	}
	m.Stop(t, 0)
	config.replace(t, path)
	base := t.TempDir()
	mnt := filepath.Join(base, "mnt")
	ok(t, os.Mkdir(mnt, 0o700))
	r := harness.Try(t, "env", "PACH_CONFIG="+path, harness.Binary(t), "mount", "--context", "x", "--state", base+"/state", "--cache-dir", base+"/cache", mnt)
	if r.Code != 1 || !strings.Contains(r.Err, "cluster another") || !strings.Contains(r.Err, "pachctl config update context x --remove-cluster-deployment-id") {
		t.Errorf("a context of another cluster: %v", r)
	}
}

// Another cluster that comes to the same address is as if there were none:
// nothing of it is shown, nothing goes there, and what is staged waits for the right one.
func TestConfigOtherClusterMovesIn(t *testing.T) {
	p, other := startPachd(t, embedded.Options{}), startPachd(t, embedded.Options{})
	p.Peer.Create(t, "a")
	other.Peer.Create(t, "a", "theirs@master")
	first := p.Peer.PutWait(t, "a@master", map[string]string{"/x": "mine", "/later": "later"})
	theirs := other.Peer.PutWait(t, "a@master", map[string]string{"/x": "theirs", "/later": "LATER"})
	at := p.Addr()
	m := harness.MountSpec(t, harness.Spec{URL: p.URL, Flags: []string{"--commit-timeout", "5s"}, Deadline: 4 * time.Minute})
	_ = read(t, m.Path("a@master", "x"))
	write(t, m.Path("a@master", "staged"), "staged")
	p.stop()
	other.serve(t, at, embedded.Options{}, nil)

	if b, err := os.ReadFile(m.Path("a@master", "later")); !isErrno(err, syscall.EIO) {
		t.Errorf("later reads %q, %v, want EIO", b, err)
	}
	if names, err := os.ReadDir(m.Dir); err == nil {
		for _, e := range names {
			if strings.HasPrefix(e.Name(), "theirs") {
				t.Error("the root shows a repo of the other cluster")
			}
		}
	}
	harness.Eventually(t, 20*time.Second, "the branch is offline", func() bool { return m.Status(t, "a@master").State == "offline" })
	if r := harness.Pachfs(t, "status", m.Dir); !strings.Contains(r.Out, "another Pachyderm answers") {
		t.Errorf("the status does not say why: %v", r)
	}
	if r := touch(t, m.Path("a@master", ".commit")); r.Code == 0 {
		t.Error("a commit beside another cluster succeeds")
	}
	if st := m.Status(t, "a@master"); st.LastError == nil || !strings.Contains(st.LastError.Message, "another Pachyderm") || st.Staged.Files != 1 {
		t.Errorf("after a trigger: %+v", st)
	}
	if n := len(other.Peer.Commits(t, "a@master", theirs)); n != 0 {
		t.Errorf("%d commits on the other cluster", n)
	}

	other.stop()
	p.serve(t, at, embedded.Options{}, nil)
	harness.Eventually(t, 60*time.Second, "it works again", func() bool {
		b, err := os.ReadFile(m.Path("a@master", "later"))
		return err == nil && string(b) == "later"
	})
	commit(t, m, "a@master")
	if n := len(p.Peer.Commits(t, "a@master", first)); n != 1 {
		t.Errorf("%d commits on the right cluster, want 1", n)
	}
}

// A token that expired is told with the command that gets another; what is
// staged is kept, and with the new token the next trigger lands all as one commit.
func TestConfigExpiredToken(t *testing.T) {
	p := startPachd(t, embedded.Options{})
	p.Peer.Create(t, "a")
	first := p.Peer.PutWait(t, "a@master", map[string]string{"/x": "x", "/later": "later"})
	at := p.Addr()
	p.serve(t, at, embedded.Options{Token: "first-token"}, nil)
	path := filepath.Join(t.TempDir(), "config.json")
	config := oneContext("pachd_address", "grpc://"+at, "session_token", "first-token").with("other", "pachd_address", "grpc://127.0.0.1:1")
	config.replace(t, path)
	m := mountConfig(t, path)
	config.Active = "other" // so that a plain `pachctl auth login` would log in elsewhere
	config.replace(t, path)
	f, err := os.Open(m.Path("a@master", "later"))
	ok(t, err)
	defer f.Close()
	write(t, m.Path("a@master", "one"), "1")

	base := t.TempDir()
	mnt := filepath.Join(base, "mnt")
	ok(t, os.Mkdir(mnt, 0o700))
	p.serve(t, at, embedded.Options{Token: "second-token"}, nil)
	r := harness.Try(t, "env", "PACH_CONFIG=", "HOME="+base, harness.Binary(t), "mount", "--pachd", "grpc://"+at, "--state", base+"/state", "--cache-dir", base+"/cache", mnt)
	if r.Code != 1 || !strings.Contains(r.Err, "not logged in") || !strings.Contains(r.Err, "pachctl auth login") || !strings.Contains(r.Err, "--context") {
		t.Errorf("a mount without a token: %v", r)
	}
	write(t, m.Path("a@master", "two"), "2")
	if r := touch(t, m.Path("a@master", ".commit")); r.Code == 0 {
		t.Error("a commit with an expired token succeeds")
	}
	renew := "PACH_CONFIG=" + path + " PACH_CONTEXT=x pachctl auth login"
	if st := m.Status(t, "a@master"); st.LastError == nil || !strings.Contains(st.LastError.Message, "expired") || !strings.Contains(st.LastError.Message, renew) || st.Staged.Files != 2 {
		t.Errorf(".status: %s", read(t, m.Path("a@master", ".status")))
	}
	if r := harness.Pachfs(t, "status", m.Dir); !strings.Contains(r.Out, "expired") || !strings.Contains(r.Out, renew) {
		t.Errorf("pachfs status: %v", r)
	}
	_, err = f.Read(make([]byte, 5))
	fails(t, "a read with an expired token", err, syscall.EACCES)

	config.with("x", "session_token", "second-token").replace(t, path)
	says(t, m, tookUp)
	commit(t, m, "a@master")
	b := make([]byte, 5)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "later" {
		t.Errorf("the file that was open all the time reads %q, %v", b, err)
	}
	if st := m.Status(t, "a@master"); st.LastError != nil || st.Staged.Files != 0 {
		t.Errorf("after the renewal: %+v", st)
	}
	if r := harness.Pachfs(t, "status", m.Dir); strings.Contains(r.Out, "expired") {
		t.Errorf("pachfs status after the renewal: %v", r)
	}
	ok(t, f.Close())
	m.Stop(t, 0)
	if strings.Contains(m.Log(), "first-token") || strings.Contains(m.Log(), "second-token") {
		t.Errorf("a token is in the log:\n%s", m.Log())
	}
	p.serve(t, at, embedded.Options{}, nil)
	made := p.Peer.Commits(t, "a@master", first)
	if len(made) != 1 {
		t.Fatalf("%d commits, want 1", len(made))
	}
	same(t, "the commit", p.Peer.Tree(t, "a@master", ""), map[string]string{"/x": "x", "/later": "later", "/one": "1", "/two": "2"})
}

// TLS with a CA that only the context knows; when the server's certificate
// comes from another CA, the new one is taken up as a token is.
func TestConfigTLS(t *testing.T) {
	p := startPachd(t, embedded.Options{})
	p.Peer.Create(t, "a")
	p.Peer.PutWait(t, "a@master", map[string]string{"/x": "x", "/y": "y"})
	at := p.Addr()
	conf, ca := authority(t)
	p.serve(t, at, embedded.Options{}, conf)
	path := filepath.Join(t.TempDir(), "config.json")
	config := oneContext("pachd_address", "grpcs://"+at)
	config.replace(t, path)
	base := t.TempDir()
	mnt := filepath.Join(base, "mnt")
	ok(t, os.Mkdir(mnt, 0o700))
	for address, words := range map[string][]string{
		"grpcs://" + at: {"server_cas", "x509"},
		"grpc://" + at:  {"grpcs://"},
	} {
		config.with("x", "pachd_address", address).replace(t, path)
		r := harness.Try(t, "env", "PACH_CONFIG="+path, harness.Binary(t), "mount", "--context", "x", "--state", base+"/state", "--cache-dir", base+"/cache", mnt)
		for _, w := range words {
			if r.Code != 1 || !strings.Contains(r.Err, w) {
				t.Errorf("%s without a CA does not say %s: %v", address, w, r)
			}
		}
	}
	config = config.with("x", "server_cas", ca)
	config.replace(t, path)
	m := mountConfig(t, path)
	if got := read(t, m.Path("a@master", "x")); got != "x" {
		t.Errorf("x reads %q", got)
	}
	conf, ca = authority(t)
	p.serve(t, at, embedded.Options{}, conf)
	config.with("x", "server_cas", ca).replace(t, path)
	says(t, m, tookUp)
	if got := read(t, m.Path("a@master", "y")); got != "y" {
		t.Errorf("y reads %q", got)
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
		t.Errorf("read %d bytes from a server that hangs: %v", len(r.data), r.err)
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
