package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/remote"
)

// serve runs a Pachyderm of its own in a child; listen "" is any port.
func serve(t *testing.T, bin, store, listen string) (*exec.Cmd, string) {
	t.Helper()
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	cmd := exec.Command(filepath.Join(bin, "pachfs"), "serve", "--store", store, "--listen", listen)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { kill(cmd) })
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return cmd, strings.TrimSpace(line)
}

func kill(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}

// put is a commit by somebody else.
func put(t *testing.T, conf remote.Config, repo string, files map[string][]byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := remote.Dial(ctx, conf)
	must(t, err)
	defer c.Close()
	b := pachclient.Branch{Project: pachclient.DefaultProject, Repo: repo, Name: "master"}
	set, err := c.Upload(ctx, func(yield func(pachclient.Change, error) bool) {
		for name, content := range files {
			open := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
			if !yield(pachclient.Change{Path: "/" + name, Size: int64(len(content)), Open: open}, nil) {
				return
			}
		}
	})
	must(t, err)
	must(t, c.Land(ctx, b, set, nil))
}

// Others commit, pachd goes away and comes back, and the annotators notice nothing.
func TestServer(t *testing.T) {
	t.Setenv("PACHFS_COMMIT_TIMEOUT", "5s") // of the mount: a minute is long for a test
	bin, dir, store := build(t), t.TempDir(), t.TempDir()
	fresh(t, installed(t), filepath.Join(dir, "data"))
	server, url := serve(t, bin, store, "")
	s := begin(t, bin, dir, "-pachd", url)
	t.Run("pictures replaced by somebody else", func(t *testing.T) { s.in(t).replaced(url) })
	t.Run("away while annotating", func(t *testing.T) {
		s := s.in(t)
		tasks := s.tasks()
		s.annotate(tasks["liberty-1.png"].ID, 1)
		kill(server)
		s.annotate(tasks["liberty-2.png"].ID, 2)
		trigger := exec.Command("touch", filepath.Join(s.mnt, "labels@master", ".commit"))
		if out, err := trigger.CombinedOutput(); err == nil {
			t.Error("a commit without a server succeeds")
		} else if !strings.Contains(string(out), "touch: ") {
			t.Errorf("without words: %s", out)
		}
		s.annotate(tasks["liberty-3.png"].ID, 3)
		if n := s.staged("labels@master"); n.Files != 3 {
			t.Fatalf("%+v staged", n)
		}
		_, at, _ := strings.Cut(url, "://")
		serve(t, bin, store, at)
		s.commit("labels@master", 1)
		if c := s.commits("labels@master")[0]; c.Files != 3 {
			t.Errorf("the commit holds %+v", c)
		}
	})
}

// replaced: within a second the new bytes are served, and the old ETag is void;
// what was not touched keeps its own.
func (s *story) replaced(url string) {
	t := s.t
	tasks, fresh := s.tasks(), map[string][]byte{}
	tags := map[string]string{}
	for i := range 10 {
		name := fmt.Sprintf("%s-%d.png", []string{"sunset", "ripples", "checker"}[i%3], i/3+1)
		content, err := os.ReadFile(filepath.Join(s.mnt, "images@master", name))
		must(t, err)
		resp, _ := s.get(tasks[name], "", "")
		tags[name] = resp.Header.Get("ETag")
		fresh[name] = append(bytes.Clone(content[:len(content)-1]), content[len(content)-1]^1) // as long as before
	}
	untouched, _ := s.get(tasks["liberty-1.png"], "", "")
	put(t, remote.Config{Address: url}, "images", fresh)
	began := time.Now()
	for name, want := range fresh {
		for {
			resp, got := s.get(tasks[name], "If-None-Match", tags[name])
			if resp.StatusCode == 200 && bytes.Equal(got, want) {
				break
			}
			if time.Since(began) > 10*time.Second { // ten times the second that is promised
				t.Fatalf("%s: still %s", name, resp.Status)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	t.Logf("all ten after %v", time.Since(began))
	tag := untouched.Header.Get("ETag")
	if resp, _ := s.get(tasks["liberty-1.png"], "If-None-Match", tag); tag != "" && resp.StatusCode != 304 {
		t.Errorf("what nobody touched: %s", resp.Status)
	}
}
