package test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pachfs/pachclient/embedded"
	"pachfs/test/harness"
)

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
	m := harness.MountSpec(t, harness.Spec{URL: p.URL, Flags: []string{"--commit-timeout", "5s", "--io-timeout", "5s"}, Deadline: 4 * time.Minute})
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
