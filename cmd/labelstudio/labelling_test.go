package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/chromedp/chromedp"
)

// table opens the data manager, which is to have so many tasks.
func (u *user) table(want int) {
	u.story.t.Helper()
	u.goTo(fmt.Sprintf("%s/projects/%d/data", u.URL, u.project))
	u.text(fmt.Sprintf("Tasks: %d / %d", want, want))
}

// rows fails unless there is a row with a thumbnail for each task. (Of more
// than twenty, those far below are not there before one scrolls.)
func (u *user) rows(want int) {
	u.story.t.Helper()
	u.table(want)
	if n := until[int](u.page, "rows", `document.querySelectorAll(".lsf-table-row").length`); n != want {
		u.story.t.Errorf("%d rows in the data manager, want %d", n, want)
	}
	until[bool](u.page, "thumbnails", fmt.Sprintf(`[...document.images].filter(i => i.naturalWidth == 320).length == %d`, want))
}

// gallery looks at all of them, side by side.
func (u *user) gallery() {
	u.press(".lsf-radio-group-dm__button:last-child:has(input[value=grid])", "")
	until[bool](u.page, "the grid", `[...document.images].filter(i => i.naturalWidth == 320 && i.width > 150).length >= 4`)
	u.shot("gallery")
	u.press(".lsf-radio-group-dm__button:has(input[value=list])", "")
}

// task opens the one of a picture, and gives where that is drawn.
func (u *user) task(name string) rect {
	tasks := u.tasks()
	u.table(len(tasks))
	u.quiet() // a table that is still being filled takes no click
	u.press(".lsf-table-row", fmt.Sprint(tasks[name].ID))
	on := u.drawn()
	u.quiet() // what is drawn before the annotation is there is lost
	return on
}

type rect struct{ X, Y, Width, Height float64 }

// drawn is where the picture is: as wide as it is by nature, not only its element.
func (u *user) drawn() rect {
	return until[rect](u.page, "the picture", `[...document.images].filter(i => i.naturalWidth == 320 && i.naturalHeight == 240 && i.width > 400)
		.map(i => i.getBoundingClientRect()).map(r => ({X: r.x, Y: r.y, Width: r.width, Height: r.height}))[0]`)
}

// drag moves the mouse with its button down; r is in percent of the picture.
func (u *user) drag(on, r rect) {
	x, y := on.X+r.X/100*on.Width, on.Y+r.Y/100*on.Height
	u.do(chromedp.DragAndDropXY(x, y, x+r.Width/100*on.Width, y+r.Height/100*on.Height, 20))
	until[bool](u.page, "something to undo", `document.querySelector('[aria-label="Undo"]:not([disabled])') != null`)
}

// draw makes a box and submits it; it gives the number of the annotation.
func (u *user) draw(name string, box rect) int {
	u.story.t.Helper()
	before := u.names("labels@master")
	on := u.task(name)
	u.press(".lsf-label", "Light")
	until[bool](u.page, "the label", `document.querySelector(".lsf-label_selected") != null`)
	u.drag(on, box)
	u.shot("box")
	u.press("button", "Submit")
	u.text("Update")
	after := u.names("labels@master")
	if len(after) != len(before)+1 {
		u.story.t.Fatalf("files %v, before %v", after, before)
	}
	var id int
	for _, n := range after {
		if !slices.Contains(before, n) {
			_, err := fmt.Sscan(n, &id)
			must(u.story.t, err)
		}
	}
	u.holds(id, box)
	return id
}

// holds fails unless the annotation's file has that box, to a percent.
func (u *user) holds(id int, want rect) {
	u.story.t.Helper()
	got, err := u.boxOf(id)
	must(u.story.t, err)
	if far(got, want) {
		u.story.t.Errorf("annotation %d holds %+v, drawn was %+v", id, got, want)
	}
}

func far(a, b rect) bool {
	return max(math.Abs(a.X-b.X), math.Abs(a.Y-b.Y), math.Abs(a.Width-b.Width), math.Abs(a.Height-b.Height)) > 1
}

func (u *user) boxOf(id int) (rect, error) {
	b, err := os.ReadFile(filepath.Join(u.mnt, "labels@master", fmt.Sprint(id)))
	if err != nil {
		return rect{}, err
	}
	var a struct {
		ID     int
		Result []struct{ Value rect }
	}
	if err := json.Unmarshal(b, &a); err != nil || a.ID != id || len(a.Result) != 1 {
		return rect{}, fmt.Errorf("annotation %d: %v in %s", id, err, b)
	}
	return a.Result[0].Value, nil
}
