package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pachfs/cmd/internal/labelstudio"
)

// The user's story with a mouse. Its pictures go to bin/shots; those of the docs
// are renewed, with the newest Label Studio, by
//
//	TMPDIR=/srv PACHFS_E2E_SHOTS=bin/shots go test ./cmd/labelstudio -run Browser
//	cp bin/shots/{source,preview,storages,gallery,box,next}.png docs/label-studio/
//
// 1.20 has other forms: without a preview, with a sync that is pressed apart,
// and without the switch to delete.
func TestBrowser(t *testing.T) {
	bin := build(t)
	dir, err := os.MkdirTemp("", "pach-") // short: it is to be read in the forms
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	fresh(t, installed(t), filepath.Join(dir, "data"))
	_, url := serve(t, bin, t.TempDir(), "")
	s := begin(t, at(url), bin, dir, "-pachd", url)
	s.project, err = s.Project(t.Context(), "By hand", labelstudio.Boxes)
	must(t, err)
	u := &user{story: s, page: open(t), pachfs: filepath.Join(bin, "pachfs"), old: before121()}
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"log in", u.logIn},
		{"source", u.source},
		{"target", u.target},
		{"data manager", func() { u.rows(20); u.gallery() }},
		{"submit", u.submit},
		{"first commit", u.firstCommit},
		{"update and delete", u.change},
		{"second commit", u.secondCommit},
		{"next version of the pictures", u.nextVersion},
		{"nobody else is asked", u.stayed},
	} {
		ok := t.Run(step.name, func(t *testing.T) {
			u.story, u.page.t = s.in(t), t
			began := time.Now()
			step.do()
			t.Logf("%.1f s", time.Since(began).Seconds())
		})
		if !ok {
			t.FailNow() // each goes on where the one before it ended
		}
	}
}

// A user is somebody before a screen, with a terminal beside it.
type user struct {
	*story
	*page
	pachfs          string
	old             bool // 1.20
	liberty, sunset int  // the annotations
}

func (u *user) logIn() {
	u.goTo(u.URL + "/user/login/")
	u.shot("login")
	u.fill("input[name=email]", labelstudio.Email)
	u.fill("input[name=password]", labelstudio.Password)
	u.press("button", "Log in")
	until[bool](u.page, "the first page", `!location.pathname.startsWith("/user/") && document.body.innerText.includes("By hand")`)
}

func (u *user) settings() { u.goTo(fmt.Sprintf("%s/projects/%d/settings/storage", u.URL, u.project)) }

var flame = rect{X: 29, Y: 2, Width: 42, Height: 77}

func (u *user) submit() {
	u.sunset = u.draw("sunset-1.png", rect{X: 30, Y: 20, Width: 40, Height: 40})
	u.liberty = u.draw("liberty-1.png", flame)
	if n := u.staged("labels@master"); n.Files != 2 {
		u.story.t.Errorf("%+v staged", n)
	}
}

// touch makes a commit as one does it in a terminal, and looks it up there.
func (u *user) touch(want string) {
	u.story.t.Helper()
	labels := filepath.Join(u.mnt, "labels@master")
	u.commit("labels@master", 1)
	id, err := os.ReadFile(filepath.Join(labels, ".commit"))
	must(u.story.t, err)
	out, err := exec.Command(u.pachfs, "log", labels).CombinedOutput()
	must(u.story.t, err)
	u.story.t.Logf("pachfs log\n%s", out)
	first, _, _ := strings.Cut(string(out), "\n")
	if !strings.Contains(first, strings.TrimSpace(string(id))) || !strings.Contains(first, want) {
		u.story.t.Errorf("no %s with %q in the first line of\n%s", id, want, out)
	}
}

func (u *user) firstCommit() { u.touch("2 changed, 0 deleted") }

func (u *user) change() {
	t := u.story.t
	on := u.task("liberty-1.png")
	u.drag(on, rect{X: 50, Y: 40, Width: 5, Height: 8}) // takes the box along
	u.press("button", "Update")
	moved := rect{X: flame.X + 5, Y: flame.Y + 8, Width: flame.Width, Height: flame.Height}
	u.eventually("update", func() bool { got, err := u.boxOf(u.liberty); return err == nil && !far(got, moved) })

	u.task("sunset-1.png")
	u.press(".lsf-annotation-button_selected .lsf-annotation-button__trigger", "")
	u.shot("menu")
	u.press("div,span,li,button", "Delete Annotation")
	u.press("button", "Delete")
	u.eventually("deletion", func() bool {
		err := u.Call(t.Context(), http.MethodGet, fmt.Sprintf("/api/annotations/%d/", u.sunset), nil, nil)
		var e *labelstudio.StatusError
		return errors.As(err, &e) && e.Code == http.StatusNotFound
	})
	name := fmt.Sprint(u.sunset)
	if gone := !slices.Contains(u.names("labels@master"), name); gone == u.old {
		t.Errorf("the file of the deleted annotation is gone: %v", gone)
	}
}

func (u *user) secondCommit() {
	if u.old { // it leaves the file
		u.touch("1 changed, 0 deleted")
	} else {
		u.touch("1 changed, 1 deleted")
	}
}

// nextVersion: a picture more is a task more after a press on Sync.
func (u *user) nextVersion() {
	t, images := u.story.t, filepath.Join(u.mnt, "images@master")
	b, err := os.ReadFile(filepath.Join(images, "mandelbrot-1.png"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(images, "zoom.png"), b, 0o644))
	u.commit("images@master", 1)
	u.settings()
	u.text("20 (20 new)")             // the source is there:
	u.press("button", "Sync Storage") // its button is the first
	u.text("(1 new)")
	u.shot("next")
	u.table(21)
	u.goTo(fmt.Sprintf("%s/projects/%d/data?task=%d", u.URL, u.project, u.tasks()["zoom.png"].ID))
	u.drawn()
}

// stayed fails if the page asked anybody but Label Studio. The login page of
// 1.20 has a script of Google's in it, analytics or not; it cannot be reached here.
func (u *user) stayed() {
	may := []string{u.URL, "blob:" + u.URL, "data"}
	if u.old {
		may = append(may, "https://www.googletagmanager.com")
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.story.t.Logf("requests: %v", u.requests)
	if u.requests[u.URL] < 100 {
		u.story.t.Error("that cannot be all")
	}
	for whom := range u.requests {
		if !slices.Contains(may, whom) {
			u.story.t.Errorf("the page asked %s", whom)
		}
	}
}

// eventually waits for what happens behind the screen.
func (u *user) eventually(what string, ok func() bool) {
	u.story.t.Helper()
	for began := time.Now(); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > patience {
			u.story.t.Fatalf("no %s after %v", what, patience)
		}
	}
}
