package remote_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pachfs/pachclient"
	"pachfs/pachclient/clienttest"
	"pachfs/pachclient/embedded"
	"pachfs/pachclient/embedded/asversion"
	"pachfs/pachclient/remote"
)

// releases are those whose differences the reference lists.
var releases = []string{"2.1.9", "2.3.9", "2.6.11", "2.11.6"}

// serveAs starts a server that answers as a release.
func serveAs(t *testing.T, release string, o embedded.Options) *asversion.Server {
	t.Helper()
	back, err := embedded.Open(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { back.Close() })
	s, err := asversion.New(back, release)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if crashes := s.Crashes(); crashes != nil {
			t.Errorf("pachd %s went down: %q", release, crashes)
		}
	})
	return s
}

func dialAs(t *testing.T, s *asversion.Server) *remote.Client {
	t.Helper()
	c, err := remote.Dial(t.Context(), remote.Config{Dialer: s.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// whatIsSkipped says what the client may send to a server that skips it, and
// why that is harmless. Whoever sends more finds out here that older servers
// don't know it.
var whatIsSkipped = map[string]string{
	"pfs_v2.Repo.project":             "there is one project",
	"pfs_v2.Commit.repo":              "its branch has the repo, too",
	"pfs_v2.ListRepoRequest.projects": "other projects than the default are left out of the answers",
	"pfs_v2.API/ListProject":          "there is one project",
	"pfs_v2.API/DropCommit":           "DropCommitSet does it",
	"metadata.API/EditMetadata":       "ErrUnsupported",
}

// The contract, against every release that differs.
func TestVersions(t *testing.T) {
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			s := serveAs(t, release, embedded.Options{FinishDelay: 20 * time.Millisecond})
			t.Run("contract", func(t *testing.T) {
				clienttest.Run(t, func(t *testing.T) pachclient.Client { return dialAs(t, s) })
			})
			for _, name := range s.Skipped() {
				if whatIsSkipped[name] == "" {
					t.Errorf("%s is sent to pachd %s, which does not know it", name, release)
				}
			}
			t.Logf("skipped: %q", s.Skipped())
		})
	}
}

// What older servers lack is answered for them, or refused with the word for it.
func TestFallbacks(t *testing.T) {
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			s := serveAs(t, release, embedded.Options{})
			c, ctx := dialAs(t, s), t.Context()
			old := func(names ...string) bool { return slices.Contains(names, release) }

			cluster, err := c.Cluster(ctx)
			if err != nil || cluster.Version != release {
				t.Errorf("%+v, %v", cluster, err)
			}
			projects, err := c.Projects(ctx)
			if err != nil || !slices.Equal(projects, []string{"default"}) {
				t.Errorf("projects %q, %v", projects, err)
			}
			_, _ = bigFile(t, c, "one")
			info, err := c.Head(ctx, images)
			if err != nil || info.Commit.Branch != images {
				t.Errorf("head %+v, %v", info, err)
			}
			err = c.Annotate(ctx, info.Commit, map[string]string{"k": "v"})
			if want := old("2.1.9", "2.3.9", "2.6.11"); want != errors.Is(err, pachclient.ErrUnsupported) || !want && err != nil {
				t.Errorf("annotate: %v", err)
			}
			if err := c.Drop(ctx, info.Commit); err != nil {
				t.Errorf("drop: %v", err)
			}
			if got := slices.Contains(s.Skipped(), "pfs_v2.API/DropCommit"); got != old("2.1.9", "2.3.9", "2.6.11") {
				t.Errorf("DropCommit is missing: %v", got)
			}
		})
	}
}
