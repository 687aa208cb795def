package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"pachfs/cmd/internal/labelstudio"
)

const (
	many       = 10000 // pictures,
	folders    = 20    // in so many directories,
	labels     = 1000  // so many of them annotated
	annotators = 8
)

// Ten thousand pictures come in with one commit of somebody else and become
// tasks; eight annotators at once make a thousand annotations; those, and
// nothing else, are one commit.
func TestVolume(t *testing.T) {
	bin, dir, command, watch := build(t), t.TempDir(), installed(t), tracer(t.TempDir())
	_, url := serve(t, bin, t.TempDir(), "")
	fresh(t, command, filepath.Join(dir, "data"))
	t.Cleanup(func() { complaints(t, filepath.Join(dir, "data", "log")) })
	s := begin(t, at(url), bin, dir, "-pachd", url, "-cache", behind(t, command, watch.prefix(t)...))
	pictures := numbered(t)
	put(t, s.conf(), "images", pictures)
	images := filepath.Join(s.mnt, "images@master")
	for range 500 { // somebody else's commit is there within a second
		if _, err := os.Stat(filepath.Join(images, "19")); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.validated(images)
	s.synced(images, watch)
	tasks := s.tasks()
	for name := range pictures {
		if tasks[filepath.Base(name)].Data["image"] != "/data/local-files/?d=images%40master/"+name {
			t.Fatalf("%s is %v", name, tasks[filepath.Base(name)])
		}
	}
	if len(tasks) != many+20 {
		t.Fatalf("%d tasks", len(tasks))
	}
	client := dial(t, s.conf())
	before := head(t, client, "labels")
	files := s.exported(s.annotateAll(tasks, slices.Sorted(maps.Keys(pictures))[:labels]))
	if log, err := os.ReadFile(filepath.Join(dir, "data", "log")); err != nil || bytes.Contains(log, []byte("[Errno ")) {
		t.Errorf("the mount failed Label Studio: %v, or see its log", err)
	}
	if n := s.staged("labels@master"); n.Files != len(files) || n.Deleted != 0 {
		t.Fatalf("%+v staged, %d files", n, len(files))
	}
	began := time.Now()
	s.commit("labels@master", 1)
	t.Logf("one commit of %d files: %v", len(files), time.Since(began).Round(time.Millisecond))
	if got := news(t, client, "labels", before); !slices.Equal(got, files) {
		t.Errorf("the commit holds %d paths %.300v\nfiles %d %.300v", len(got), got, len(files), files)
	}
}

// numbered draws pictures of one pixel, no two the same.
func numbered(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for i := range many {
		img := image.NewNRGBA(image.Rect(0, 0, 1, 1))
		img.Set(0, 0, color.NRGBA{R: uint8(i >> 8), G: uint8(i), B: 200, A: 255})
		var b bytes.Buffer
		must(t, png.Encode(&b, img))
		out[fmt.Sprintf("%02d/%05d.png", i%folders, i)] = b.Bytes()
	}
	return out
}

// validated has Label Studio look whether a source could be there: two seconds
// are promised, ten times that is the end.
func (s *story) validated(dir string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	began := time.Now()
	must(s.t, s.Call(ctx, http.MethodPost, "/api/storages/localfiles/validate",
		map[string]any{"project": s.project, "title": "again", "path": dir, "use_blob_urls": true, "recursive_scan": true}, nil))
	s.t.Logf("validate: %v", time.Since(began).Round(time.Millisecond))
}

// synced makes the tasks, with a look at each picture. How much of the time goes
// to the mount is a timing, and so only said: a tenth is promised, and
// docs/LABEL_STUDIO.md has what was seen.
func (s *story) synced(dir string, watch tracer) {
	t := s.t
	source, err := s.Source(t.Context(), s.project, dir)
	must(t, err)
	began := time.Now()
	result, err := s.SyncSource(t.Context(), source.ID)
	took := time.Since(began)
	must(t, err)
	calls, spent := watch.below(t, s.mnt, began)
	t.Logf("sync: %v, of that %v (%.1f%%) in %d system calls on the mount",
		took.Round(time.Millisecond), spent.Round(time.Millisecond), 100*float64(spent)/float64(took), calls)
	if result.LastSyncCount != many {
		t.Errorf("%d new tasks", result.LastSyncCount)
	}
	if calls < many { // a stat for each of them, or it was not seen
		t.Errorf("only %d system calls seen", calls)
	}
}

// annotateAll has the annotators share the work, and gives the annotations.
func (s *story) annotateAll(tasks map[string]labelstudio.Task, names []string) []int {
	t := s.t
	began := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ids []int
	for i := range annotators {
		wg.Go(func() {
			for j := i; j < len(names) && !t.Failed(); j += annotators {
				id, err := s.submit(tasks[filepath.Base(names[j])].ID, j%80)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				ids = append(ids, id)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d annotations by %d annotators: %v", len(ids), annotators, time.Since(began).Round(time.Millisecond))
	return ids
}

// submit is an annotator who tries again when Label Studio shows an error page:
// on a busy machine SQLite is locked for longer than it waits.
func (s *story) submit(task, x int) (int, error) {
	for try := 1; ; try++ {
		var made struct{ ID int }
		err := s.Call(s.t.Context(), http.MethodPost, fmt.Sprintf("/api/tasks/%d/annotations/", task), box(x), &made)
		var e *labelstudio.StatusError
		if !errors.As(err, &e) || e.Code != http.StatusInternalServerError || try == 10 {
			return made.ID, err
		}
		s.t.Logf("task %d: 500: submitted again", task)
	}
}

// exported gives the paths of the files of these annotations, sorted. A file more
// is an annotation, too: after a database that was locked the request is made
// again, by Label Studio itself or by the annotator, and then there are two.
func (s *story) exported(ids []int) (paths []string) {
	t := s.t
	answered := map[string]bool{}
	for _, id := range ids {
		answered[fmt.Sprint(id)] = true
	}
	if len(answered) != labels {
		t.Fatalf("%d annotations", len(answered))
	}
	for _, name := range s.names("labels@master") {
		paths = append(paths, "/"+name)
		if !answered[name] {
			t.Logf("annotation %s is one more", name)
			must(t, s.Call(t.Context(), http.MethodGet, "/api/annotations/"+name+"/", nil, nil))
		}
		delete(answered, name)
	}
	if len(answered) > 0 {
		t.Fatalf("without a file: %v", answered)
	}
	slices.Sort(paths)
	return paths
}

// complaints shows, after a failure, the last traceback in the log of Label Studio.
func complaints(t *testing.T, log string) {
	b, err := os.ReadFile(log)
	if at := bytes.LastIndex(b, []byte("Traceback")); t.Failed() && err == nil && at >= 0 {
		t.Logf("Label Studio: %.6000s", b[at:])
	}
}
