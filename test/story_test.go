package test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"pachfs/test/harness"
)

// picture draws a PNG that doesn't compress to nothing.
func picture(t testing.TB, w, h int) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, color.RGBA{uint8(x * y), uint8(x ^ y), uint8(x*x + y), 255})
		}
	}
	var b bytes.Buffer
	ok(t, png.Encode(&b, img))
	return b.String()
}

// What the product is for, from the first look at the images to the second
// commit of labels (promises 1 to 3).
func TestStory(t *testing.T) {
	s := harness.Serve(t)
	images, labels := s.Ref("images@master"), s.Ref("labels@master")
	s.Peer.Create(t, s.Ref("images"), s.Ref("labels"))
	liberty := picture(t, 640, 480)
	s.Peer.PutWait(t, images, map[string]string{"/liberty.png": liberty})

	m := s.Mount(t)
	if got := read(t, m.Path(images, "liberty.png")); got != liberty {
		t.Fatalf("liberty.png: %d bytes, want the %d that were put", len(got), len(liberty))
	}

	want := annotate(t, m.Path(labels))
	head := s.Peer.Head(t, labels)
	st := m.Status(t, labels)
	if st.Staged.Files != 3 || st.State != "staged" || s.Peer.Tree(t, labels, "")["/1.json"] != "" {
		t.Errorf("before the trigger: %+v", st)
	}
	commit(t, m, labels)
	same(t, "the first commit", s.Peer.Tree(t, labels, ""), want)
	made := s.Peer.Commits(t, labels, head)
	if len(made) != 1 || made[0].Finished == nil || made[0].Error != "" {
		t.Fatalf("the first trigger made %d commits: %v", len(made), made)
	}
	if got := read(t, m.Path(labels, ".commit")); got != made[0].Commit.Id+"\n" {
		t.Errorf(".commit reads %q, want %q", got, made[0].Commit.Id)
	}
	commit(t, m, labels)
	if n := len(s.Peer.Commits(t, labels, made[0].Commit.Id)); n != 0 {
		t.Errorf("a second touch made %d commits", n)
	}
	secondCommit(t, s, m, labels, want)
}

// annotate writes three files by three processes at once.
func annotate(t *testing.T, dir string) map[string]string {
	t.Helper()
	want := map[string]string{}
	var wg sync.WaitGroup
	for i := 1; i <= 3; i++ {
		text := fmt.Sprintf("{\"image\":\"liberty.png\",\"pad\":%q}\n", bytes.Repeat([]byte{'a' + byte(i)}, 1000+300*i))
		want[fmt.Sprintf("/%d.json", i)] = text
		src := filepath.Join(t.TempDir(), "x")
		write(t, src, text)
		wg.Add(1)
		go func() {
			defer wg.Done()
			if r, err := harness.Run("", "cp", src, fmt.Sprintf("%s/%d.json", dir, i)); err != nil || r.Code != 0 {
				t.Errorf("cp: %v, %v", r, err)
			}
		}()
	}
	wg.Wait()
	return want
}

// secondCommit changes one file, deletes one, renames one, makes one.
func secondCommit(t *testing.T, s *harness.Server, m *harness.Mount, labels string, files map[string]string) {
	t.Helper()
	dir := m.Path(labels)
	first := s.Peer.Head(t, labels)
	write(t, dir+"/1.json", "rewritten\n")
	ok(t, os.Remove(dir+"/2.json"))
	ok(t, os.Rename(dir+"/3.json", dir+"/drei.json"))
	write(t, dir+"/4.json", "new\n")
	if got, want := read(t, dir+"/.diff"), "M 1.json\n- 2.json\n- 3.json\n+ 4.json\n+ drei.json\n"; got != want {
		t.Errorf(".diff reads\n%s, want\n%s", got, want)
	}
	commit(t, m, labels)
	made := s.Peer.Commits(t, labels, first)
	if len(made) != 1 {
		t.Fatalf("the second trigger made %d commits", len(made))
	}
	same(t, "DiffFile", s.Peer.Diff(t, labels, made[0].Commit.Id), map[string]string{
		"/1.json": "M", "/2.json": "-", "/3.json": "-", "/drei.json": "+", "/4.json": "+"})
	same(t, "the second commit", s.Peer.Tree(t, labels, ""), map[string]string{
		"/1.json": "rewritten\n", "/drei.json": files["/3.json"], "/4.json": "new\n"})
	same(t, "the first commit's directory", local(t, m.Path(s.Ref("labels")+"@"+first)), files)
	if st := m.Status(t, labels); st.State != "clean" || st.Staged.Files != 0 || st.Base != made[0].Commit.Id {
		t.Errorf("after the commit: %+v", st)
	}
	if left := m.Staged(t); len(left) > 0 {
		t.Errorf("content files of what landed: %q", left)
	}
}
