package main

import (
	"path/filepath"
	"strings"
)

// source adds images@master in the settings and syncs it.
func (u *user) source() {
	u.settings()
	u.press("button", "Add Source Storage")
	images := filepath.Join(u.mnt, "images@master")
	if u.old {
		u.oldForm("Images", images)
		u.press("input[name=use_blob_urls]", "")
		u.oldSave("source")
		u.press("button", "Sync Storage")
	} else {
		u.newForm("Images", images)
		u.verify()
		u.shot("source")
		u.press("button", "Next")
		u.press("[data-testid^=select-trigger-use_blob_urls]", "")
		u.press("[data-value=Files]", "")
		u.press("input[type=checkbox]", "")
		u.preview()
		u.press("button", "Next")
		u.text("20 files")
		u.press("button", "Save & Sync")
	}
	u.text("20 (20 new)")
}

// preview fails unless it lists exactly the pictures: no control file is among them.
func (u *user) preview() {
	t := u.story.t
	u.press("button", "Load Preview")
	u.text("Preview Loaded")
	u.shot("preview")
	// A long path is cut in its middle; its end stays.
	listed := until[[]string](u.page, "the preview", `[...document.querySelectorAll("[role=dialog] span, [class*=modal] span")]
		.filter(e => !e.children.length && e.innerText.startsWith("/")).map(e => e.innerText)`)
	files := u.names("images@master")
	if len(listed) != len(files) {
		t.Fatalf("the preview lists %d names, there are %d: %q", len(listed), len(files), listed)
	}
	for i, name := range listed {
		if _, end, cut := strings.Cut(name, "..."); cut {
			name = end
		}
		if whole := filepath.Join(u.mnt, "images@master", files[i]); !strings.HasSuffix(whole, name) || strings.Contains(name, "/.") {
			t.Errorf("the preview lists %q where %s is", name, whole)
		}
	}
}

// target adds labels@master.
func (u *user) target() {
	u.settings()
	u.press("button", "Add Target Storage")
	labels := filepath.Join(u.mnt, "labels@master")
	if u.old {
		u.oldForm("Labels", labels)
		u.oldSave("target")
	} else {
		u.newForm("Labels", labels)
		u.press("input[type=checkbox]", "") // can delete objects
		u.verify()
		u.shot("target")
		u.press("button", "Save")
	}
	u.text(labels)
	u.settings() // a fresh look
	u.text("0 (0 total)")
	u.shot("storages")
}

// newForm fills the first two pages of the assistant.
func (u *user) newForm(title, path string) {
	u.press("button", "Local Files")
	u.press("button", "Next")
	u.fields(title, path)
}

func (u *user) fields(title, path string) {
	u.fill("input[name=title]", title)
	u.fill("input[name=path]", path)
}

func (u *user) verify() {
	u.press("button", "Test Connection")
	u.text("Connection Verified")
}

// oldForm fills the one form of 1.20.
func (u *user) oldForm(title, path string) {
	u.press("[data-testid^=select-trigger-storage_type]", "")
	u.press("[data-slot=command-item]", "Local files")
	u.fields(title, path)
}

func (u *user) oldSave(kind string) {
	u.press("button", "Check Connection")
	u.text("Successfully connected!")
	u.shot(kind)
	u.press("button", "Add Storage")
	u.text("Sync Storage")
}
