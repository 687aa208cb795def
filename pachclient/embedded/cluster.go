package embedded

import (
	"context"
	"runtime"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"pachfs/pachclient/pfspb/admin"
	"pachfs/pachclient/pfspb/pfs"
	"pachfs/pachclient/pfspb/pps"
	"pachfs/pachclient/pfspb/version"
)

type adminServer struct {
	admin.UnimplementedAPIServer
	s *Server
}

// InspectCluster answers the first call of every client.
func (a adminServer) InspectCluster(ctx context.Context, req *admin.InspectClusterRequest) (*admin.ClusterInfo, error) {
	info := &admin.ClusterInfo{WarningsOk: true}
	err := a.s.view(func(t *tx) error {
		meta := t.b.Bucket(bucketMeta)
		info.Id, info.DeploymentId = string(meta.Get([]byte("cluster"))), string(meta.Get([]byte("deployment")))
		if req.CurrentProject == nil {
			return nil
		}
		if _, err := t.inspectProject(req.CurrentProject); err != nil {
			info.Warnings = append(info.Warnings, "WARNING: Could not inspect project \""+req.CurrentProject.Name+"\": "+err.Error())
		}
		return nil
	})
	return info, err
}

type versionServer struct{ version.UnimplementedAPIServer }

// GetVersion names the Pachyderm whose API is served.
func (versionServer) GetVersion(context.Context, *emptypb.Empty) (*version.Version, error) {
	return &version.Version{Major: 2, Minor: 11, Micro: 6, GoVersion: runtime.Version(),
		Platform: runtime.GOARCH}, nil
}

type pipelineServer struct{ pps.UnimplementedAPIServer }

// ListPipeline lists none: there are no pipelines here.
func (pipelineServer) ListPipeline(*pps.ListPipelineRequest, grpc.ServerStreamingServer[pps.PipelineInfo]) error {
	return nil
}

var _ pfs.APIServer = (*Server)(nil)
