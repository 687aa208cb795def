package remote

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"pachfs/pachclient/embedded"
)

// A connection that is made between the look at the cluster and the opening of
// a stream may lead to another one: nothing is sent to that.
func TestStreamOpenedOnAnotherCluster(t *testing.T) {
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c, err := Dial(t.Context(), Config{Dialer: s.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Cluster(t.Context()); err != nil { // connects
		t.Fatal(err)
	}
	c.Pin("0123456789abcdef0123456789abcdef") // which s is not
	l := &link{c: c, conn: c.link.conn}
	var opened context.Context
	_, err = l.stream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, c.link.conn, "/pfs_v2.API/CreateFileSet",
		func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
			opened = ctx
			l.begun.Add(1)
			return nil, nil
		})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "another Pachyderm answers") {
		t.Errorf("opened: %v", err)
	}
	if opened == nil {
		t.Error("it was not opened")
	} else if opened.Err() == nil {
		t.Error("the stream lives on")
	}
}
