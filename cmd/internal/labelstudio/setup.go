package labelstudio

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// Boxes is a labelling interface: rectangles on a picture.
const Boxes = `<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">` +
	`<Label value="Light"/><Label value="Dark"/><Label value="Other"/></RectangleLabels></View>`

// A Storage is a directory that tasks come from, or annotations go to.
type Storage struct {
	ID            int    `json:"id"`
	Path          string `json:"path"`
	Status        string `json:"status"`
	LastSyncCount int    `json:"last_sync_count"`
	Traceback     string `json:"traceback"`
}

// The paths of the API for both kinds of storage.
const (
	sources = "/api/storages/localfiles"
	targets = "/api/storages/export/localfiles"
)

// Project gives the id of the project with that title, which is made if it is missing.
func (c *Client) Project(ctx context.Context, title, config string) (int, error) {
	var list struct {
		Results []struct {
			ID    int
			Title string
		}
	}
	if err := c.Call(ctx, http.MethodGet, "/api/projects/?page_size=1000", nil, &list); err != nil {
		return 0, err
	}
	for _, p := range list.Results {
		if p.Title == title {
			return p.ID, nil
		}
	}
	var made struct{ ID int }
	err := c.Call(ctx, http.MethodPost, "/api/projects/", map[string]any{"title": title, "label_config": config}, &made)
	return made.ID, err
}

// Source gives the source storage of a directory, which is made if it is missing.
func (c *Client) Source(ctx context.Context, project int, dir string) (Storage, error) {
	return c.storage(ctx, sources, dir, map[string]any{
		"project": project, "title": "pachfs images", "path": dir, "use_blob_urls": true, "recursive_scan": true})
}

// Target gives the target storage of a directory, which is made if it is missing.
func (c *Client) Target(ctx context.Context, project int, dir string) (Storage, error) {
	return c.storage(ctx, targets, dir, map[string]any{
		"project": project, "title": "pachfs labels", "path": dir, "can_delete_objects": true})
}

func (c *Client) storage(ctx context.Context, api, dir string, want map[string]any) (s Storage, err error) {
	var list []Storage
	if err := c.Call(ctx, http.MethodGet, fmt.Sprintf("%s?project=%d", api, want["project"]), nil, &list); err != nil {
		return s, err
	}
	for _, s := range list {
		if s.Path == dir {
			return s, nil
		}
	}
	if err := c.Call(ctx, http.MethodPost, api+"/validate", want, nil); err != nil {
		return s, err
	}
	// Sources want the slash at the end, targets don't.
	path := api
	if api == sources {
		path += "/"
	}
	return s, c.Call(ctx, http.MethodPost, path, want, &s)
}

// SyncSource makes tasks of the files that have none yet.
func (c *Client) SyncSource(ctx context.Context, id int) (Storage, error) {
	return c.sync(ctx, sources, id)
}

// SyncTarget writes every annotation anew.
func (c *Client) SyncTarget(ctx context.Context, id int) (Storage, error) {
	return c.sync(ctx, targets, id)
}

func (c *Client) sync(ctx context.Context, api string, id int) (s Storage, err error) {
	at := fmt.Sprintf("%s/%d", api, id)
	if err := c.Call(ctx, http.MethodPost, at+"/sync", nil, nil); err != nil {
		return s, err
	}
	// The answer to the call may be a picture of before.
	if err := c.Call(ctx, http.MethodGet, at, nil, &s); err != nil {
		return s, err
	}
	if s.Status != "completed" {
		return s, fmt.Errorf("sync of %s: %s: %s", s.Path, s.Status, s.Traceback)
	}
	return s, nil
}

// A Task is one picture to be annotated.
type Task struct {
	ID   int
	Data map[string]string
}

// Tasks lists those of a project, page by page: a page of thousands takes
// Label Studio longer than anybody waits.
func (c *Client) Tasks(ctx context.Context, project int) (all []Task, err error) {
	for page := 1; ; page++ {
		var list struct {
			Tasks []Task
			Total int
		}
		q := url.Values{"project": {fmt.Sprint(project)}, "page_size": {"1000"}, "page": {fmt.Sprint(page)}}
		if err := c.Call(ctx, http.MethodGet, "/api/tasks/?"+q.Encode(), nil, &list); err != nil {
			return nil, err
		}
		if all = append(all, list.Tasks...); len(all) >= list.Total || len(list.Tasks) == 0 {
			return all, nil
		}
	}
}
