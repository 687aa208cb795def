package remote

import (
	"context"
	"fmt"
	iofs "io/fs"

	"google.golang.org/protobuf/types/known/emptypb"

	"pachfs/pachclient"
	"pachfs/pachclient/pfspb/version"
)

// A release is the version of a server; those that people built themselves are 0.0.0.
type release struct{ major, minor, micro uint32 }

func (r release) String() string { return fmt.Sprintf("%d.%d.%d", r.major, r.minor, r.micro) }

// before says whether a release is known to be before another.
func (r release) before(major, minor uint32) bool {
	return r != release{} && (r.major < major || r.major == major && r.minor < minor)
}

// askVersion asks the server for its version.
func (c *Client) askVersion(ctx context.Context) (r release, err error) {
	err = c.call(ctx, "version", func(ctx context.Context) error {
		conn := c.connection()
		v, err := version.NewAPIClient(conn).GetVersion(ctx, &emptypb.Empty{})
		if err != nil {
			return err
		}
		r = release{v.GetMajor(), v.GetMinor(), v.GetMicro()}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.link.conn == conn { // Reconfigure may have come in between
			c.server = &r
		}
		return nil
	})
	return r, err
}

// serverVersion is the version of the server, asked for once an address.
func (c *Client) serverVersion(ctx context.Context) (release, error) {
	c.mu.RLock()
	known := c.server
	c.mu.RUnlock()
	if known != nil {
		return *known, nil
	}
	return c.askVersion(ctx)
}

// hasProject fails with fs.ErrNotExist for any project but the default one where
// the server is older than projects: it would skip the name, and take the repo
// of the same name in the only project.
func (c *Client) hasProject(ctx context.Context, project string) error {
	if project == "" || project == pachclient.DefaultProject {
		return nil
	}
	v, err := c.serverVersion(ctx)
	if err != nil || !v.before(2, 5) {
		return err
	}
	return fmt.Errorf("project %s: pachd %s knows no projects: %w", project, v, iofs.ErrNotExist)
}
