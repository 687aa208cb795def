package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
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

// at is what another client needs for a server that serve gave.
func at(url string) func() remote.Config {
	return func() remote.Config { return remote.Config{Address: url} }
}

// dial is another client.
func dial(t *testing.T, conf remote.Config) pachclient.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := remote.Dial(ctx, conf)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func master(repo string) pachclient.Branch {
	return pachclient.Branch{Project: pachclient.DefaultProject, Repo: repo, Name: pachclient.DefaultBranch}
}

// put is a commit by somebody else; a file without content is removed.
func put(t *testing.T, conf remote.Config, repo string, files map[string][]byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := dial(t, conf)
	must(t, c.CreateBranch(ctx, master(repo)))
	var gone []string
	set, err := c.Upload(ctx, func(yield func(pachclient.Change, error) bool) {
		for name, content := range files {
			if content == nil {
				gone = append(gone, "/"+name)
				continue
			}
			open := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
			if !yield(pachclient.Change{Path: "/" + name, Size: int64(len(content)), Open: open}, nil) {
				return
			}
		}
	})
	must(t, err)
	must(t, c.Land(ctx, master(repo), set, gone))
}

func head(t *testing.T, c pachclient.Client, repo string) pachclient.Commit {
	t.Helper()
	info, err := c.Head(t.Context(), master(repo))
	must(t, err)
	return info.Commit
}

// history counts the commits of a branch, one that is still open too.
func history(t *testing.T, c pachclient.Client, repo string) (n int) {
	t.Helper()
	info, err := c.Branch(t.Context(), master(repo))
	must(t, err)
	if info.Head.Zero() {
		return 0
	}
	must(t, c.Log(t.Context(), info.Head, func(pachclient.CommitInfo) error { n++; return nil }))
	return n
}

// news gives the files that the one commit since before made, changed or
// removed, as the server has it, sorted.
func news(t *testing.T, c pachclient.Client, repo string, before pachclient.Commit) []string {
	t.Helper()
	last := head(t, c, repo)
	n := 0
	must(t, c.Log(t.Context(), last, func(i pachclient.CommitInfo) error {
		if !before.Zero() && i.Commit.Same(before) {
			return io.EOF
		}
		n++
		return nil
	}))
	if n != 1 {
		t.Fatalf("%d commits since %s", n, before)
	}
	var out []string
	must(t, c.At(last).Diff(t.Context(), before, func(d pachclient.Diff) error {
		if !d.Dir() {
			out = append(out, d.Path())
		}
		return nil
	}))
	slices.Sort(out)
	return out
}

// committed gives the files of a commit by their names.
func committed(t *testing.T, c pachclient.Client, commit pachclient.Commit) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	files := map[string]string{}
	if commit.Zero() {
		return files
	}
	r := c.At(commit)
	must(t, r.Walk(ctx, "/", func(f pachclient.FileInfo) error {
		if f.Dir {
			return nil
		}
		b, err := r.Open(ctx, f, 0)
		if err != nil {
			return err
		}
		content, err := io.ReadAll(b)
		files[filepath.Base(f.Path)] = string(content)
		return errors.Join(err, b.Close())
	}))
	return files
}
