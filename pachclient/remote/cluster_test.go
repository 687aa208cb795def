package remote

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"pachfs/pachclient/pfspb/admin"
	"pachfs/pachclient/pfspb/version"
)

type oneCluster struct{ admin.UnimplementedAPIServer }

func (oneCluster) InspectCluster(context.Context, *admin.InspectClusterRequest) (*admin.ClusterInfo, error) {
	return &admin.ClusterInfo{Id: "one"}, nil
}

type oneVersion struct{ version.UnimplementedAPIServer }

func (oneVersion) GetVersion(context.Context, *emptypb.Empty) (*version.Version, error) {
	return &version.Version{Major: 2, Minor: 11}, nil
}

// Every landing asks who answers, so it lists nothing: a pachd took half a
// second to begin a list of 104 repos, more than for the rest of a landing.
func TestClusterListsNothing(t *testing.T) {
	var mu sync.Mutex
	var others []string
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		mu.Lock()
		defer mu.Unlock()
		others = append(others, method)
		return status.Error(codes.Unimplemented, "the auth service is not activated")
	}))
	admin.RegisterAPIServer(s, oneCluster{})
	version.RegisterAPIServer(s, oneVersion{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(s.Stop)
	c, err := Dial(t.Context(), Config{Address: "grpc://" + l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	info, err := c.Cluster(t.Context())
	if err != nil || info.ID != "one" || info.Version != "2.11.0" {
		t.Errorf("%+v, %v", info, err)
	}
	if !slices.Equal(others, []string{"/auth_v2.API/WhoAmI"}) {
		t.Errorf("asked besides: %q", others)
	}
}
