package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"pachfs/pachclient"
)

// annotations: many files are one commit, changes and deletions the second.
func (s *story) annotations(t *testing.T) {
	s = s.in(t)
	tasks, client := s.tasks(), dial(t, s.conf())
	before, commits := head(t, client, "labels"), s.commits("labels@master")
	var ids []int
	for i, name := range []string{"liberty-1.png", "sunset-1.png", "ripples-1.png"} {
		ids = append(ids, s.annotate(tasks[name].ID, 10+i))
	}
	for i, id := range ids {
		if x, err := s.xOf(id); err != nil || x != 10+i {
			t.Fatalf("annotation %d: x %d, %v", id, x, err)
		}
	}
	if n, now := s.staged("labels@master"), s.commits("labels@master"); n.Files != 3 || now != commits {
		t.Fatalf("%+v staged, %d commits, were %d", n, now, commits)
	}
	s.lands()
	if got := news(t, client, "labels", before); !slices.Equal(got, paths(ids...)) {
		t.Errorf("the first commit holds %v, want %v", got, paths(ids...))
	}
	first := head(t, client, "labels")
	for _, again := range []string{"touch .commit", `python3 -c 'import pathlib; pathlib.Path(".commit").touch()'`, "echo nothing >.commit"} {
		s.trigger("labels@master", again, 0)
	}

	deleted := s.content(fmt.Sprint(ids[1]))
	must(t, s.patch(ids[0], 30))
	must(t, s.Call(t.Context(), http.MethodDelete, fmt.Sprintf("/api/annotations/%d/", ids[1]), nil, nil))
	fourth := s.annotate(tasks["checker-1.png"].ID, 44)
	files, changed := []int{ids[0], ids[2], fourth}, []int{ids[0], ids[1], fourth}
	if before121() { // the file of the deleted annotation stays
		files, changed = append(files, ids[1]), []int{ids[0], fourth}
	}
	if got := s.names("labels@master"); !slices.Equal(slashed(got), paths(files...)) {
		t.Fatalf("files %v, want %v", got, paths(files...))
	}
	s.lands()
	if got := news(t, client, "labels", first); !slices.Equal(got, paths(changed...)) {
		t.Errorf("the second commit holds %v, want %v", got, paths(changed...))
	}
	if x, err := s.xOf(ids[0]); err != nil || x != 30 {
		t.Errorf("the change: x %d, %v", x, err)
	}
	s.keeps(client, first, ids, deleted)
}

// keeps: what the second commit did not touch is the same file in both, and what
// it deleted is still read in the first, by everybody.
func (s *story) keeps(client pachclient.Client, first pachclient.Commit, ids []int, deleted string) {
	t := s.t
	t.Helper()
	untouched := fmt.Sprintf("/%d", ids[2])
	old, err := client.At(first).Stat(t.Context(), untouched)
	must(t, err)
	now, err := client.At(head(t, client, "labels")).Stat(t.Context(), untouched)
	must(t, err)
	if old.Hash.Zero() || old.Hash != now.Hash {
		t.Errorf("%s was %s, is %s", untouched, old.Hash, now.Hash)
	}
	name := fmt.Sprint(ids[1])
	if got := committed(t, client, first); got[name] != deleted || len(got) != 3 {
		t.Errorf("the first commit has %d files, and for the deleted annotation %q", len(got), got[name])
	}
	mounted, err := os.ReadFile(filepath.Join(s.mnt, "labels@"+first.ID, name))
	if err != nil || string(mounted) != deleted {
		t.Errorf("the deleted annotation in the first commit, mounted: %q, %v", mounted, err)
	}
}

// paths are those of annotations, sorted.
func paths(ids ...int) (out []string) {
	for _, id := range ids {
		out = append(out, fmt.Sprintf("/%d", id))
	}
	slices.Sort(out)
	return out
}

func slashed(names []string) (out []string) {
	for _, name := range names {
		out = append(out, "/"+name)
	}
	slices.Sort(out)
	return out
}

// export has Label Studio write every annotation anew, while eight annotators go on.
func (s *story) export(t *testing.T) {
	s = s.in(t)
	before := len(s.names("labels@master"))
	target, err := s.Target(t.Context(), s.project, filepath.Join(s.mnt, "labels@master"))
	must(t, err)
	var wg sync.WaitGroup
	for i, task := range slices.Collect(maps.Values(s.tasks()))[:8] {
		wg.Go(func() {
			if _, err := s.submit(task.ID, 50+i); err != nil {
				t.Error(err)
			}
		})
	}
	_, err = s.SyncTarget(t.Context(), target.ID)
	wg.Wait()
	must(t, err)
	names := s.names("labels@master")
	if len(names) < before+8 {
		t.Errorf("%v, there were %d and eight were made", names, before)
	}
	for _, name := range names {
		if b := s.content(name); !json.Valid([]byte(b)) {
			t.Errorf("%s: %.100s", name, b)
		}
	}
	s.lands()
}
