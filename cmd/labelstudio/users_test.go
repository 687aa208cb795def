package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pachfs/cmd/internal/sample"
)

// A guest is a user who is not root.
type guest struct{ uid, gid int }

// as is the prefix of a command that the guest runs, with no capability of root's.
func (g guest) as() []string {
	return []string{"setpriv", fmt.Sprint("--reuid=", g.uid), fmt.Sprint("--regid=", g.gid), "--clear-groups", "--inh-caps=-all"}
}

// Who Label Studio runs as, and where its document root is, makes no difference:
// the sources are validated and synced, the pictures served, the annotations
// files of that user, and one touch of that user is one commit.
func TestUsers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test becomes other users: run it as root")
	}
	bin, command := build(t), installed(t)
	for root, above := range map[string]bool{"mountpoint": false, "above": true} {
		// The user of Label Studio's image, on a mount of root's.
		t.Run(root+"/1001 and 0", func(t *testing.T) {
			g := guest{1001, 0}
			t.Setenv("PACHFS_ALLOW_OTHER", "true")
			t.Setenv("PACHFS_UID", "1001")
			t.Setenv("PACHFS_GID", "0")
			dir := g.home(t, command)
			must(t, os.Chown(dir, 0, 0))
			g.story(t, bin, dir, above, view(t, command), "-cache", behind(t, command, g.as()...))
		})
		t.Run(root+"/ordinary", func(t *testing.T) {
			g := guest{65534, 65534} // fusermount3 wants a user with a name
			g.story(t, bin, g.home(t, command), above, append(view(t, command), g.as()...), "-cache", defaultCache())
		})
	}
}

// home is a directory of the guest, with a fresh Label Studio.
func (g guest) home(t *testing.T, command string) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	fresh(t, command, filepath.Join(dir, "data"))
	if out, err := exec.Command("chown", "-R", fmt.Sprintf("%d:%d", g.uid, g.gid), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// A stay is a story in a mount namespace of its own, and who looks at its files.
type stay struct {
	*story
	guest
}

// do runs a script as the guest, on the mount.
func (s stay) do(script string) string {
	s.t.Helper()
	enter := []string{fmt.Sprintf("--mount=/proc/%d/ns/mnt", s.cmd.Process.Pid), "--wd=/"}
	cmd := exec.Command("nsenter", slices.Concat(enter, s.as(), []string{"sh", "-ec", "cd " + s.mnt + "; " + script})...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s: %v: %s", script, err, &stderr)
	}
	return string(out)
}

// story is a short one: everything that touches a file does it as the guest.
// The command runs behind unshare with these arguments.
func (g guest) story(t *testing.T, bin, dir string, above bool, unshare []string, more ...string) {
	_, url := serve(t, bin, t.TempDir(), "")
	tasks := "/data/local-files/?d="
	if above {
		more, tasks = append(more, "-root", dir), tasks+"mnt/"
	}
	command := append([]string{filepath.Join(bin, "labelstudio")}, flags(bin, dir, append(more, "-pachd", url)...)...)
	s := stay{launch(t, at(url), exec.Command("unshare", append(unshare, command...)...), dir), g}
	s.validated(filepath.Join(s.mnt, "images@master"))
	s.pictured(tasks)
	client := dial(t, s.conf())
	before := head(t, client, "labels")
	id := s.annotate(s.tasks()["sunset-1.png"].ID, 10)
	once := func() {
		t.Helper()
		s.do("touch labels@master/.commit")
		if got, want := news(t, client, "labels", before), []string{fmt.Sprintf("/%d", id)}; !slices.Equal(got, want) {
			t.Errorf("the commit holds %v, want %v", got, want)
		}
		before = head(t, client, "labels")
	}
	s.owns(id)
	once()
	s.owns(id) // what landed is still the guest's, who may change it
	must(t, s.Call(t.Context(), http.MethodPatch, fmt.Sprintf("/api/annotations/%d/", id), box(30), nil))
	s.owns(id)
	once()
}

// pictured: the tasks are the files, at these URLs, and one of them is looked at.
func (s stay) pictured(urls string) {
	gallery, err := sample.Gallery()
	must(s.t, err)
	tasks := s.tasks()
	if files := strings.Fields(s.do("ls -A images@master")); len(files) != 20 || !slices.Equal(files, slices.Sorted(maps.Keys(tasks))) {
		s.t.Fatalf("files %v\ntasks %v", files, tasks)
	}
	for name, task := range tasks {
		if want := urls + "images%40master/" + name; task.Data["image"] != want {
			s.t.Errorf("the task is %v, want %s", task, want)
		}
	}
	resp, got := s.get(tasks["sunset-1.png"], "", "")
	if want := gallery["sunset-1.png"]; resp.StatusCode != 200 || !bytes.Equal(got, want) || s.do("cat images@master/sunset-1.png") != string(want) {
		s.t.Errorf("the picture: %s, %d bytes", resp.Status, len(got))
	}
}

// owns: the file of an annotation is the guest's, and readable.
func (s stay) owns(id int) {
	s.t.Helper()
	file := fmt.Sprintf("labels@master/%d", id)
	if got, want := s.do("stat -c '%u:%g %a' "+file), fmt.Sprintf("%d:%d 644\n", s.uid, s.gid); got != want {
		s.t.Errorf("the annotation is %q, want %q", got, want)
	}
	if content := s.do("cat " + file); !json.Valid([]byte(content)) {
		s.t.Errorf("the annotation is %s", content)
	}
}
