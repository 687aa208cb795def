package embedded

import (
	"context"
	"crypto/subtle"

	"google.golang.org/grpc/codes"
	grpcmd "google.golang.org/grpc/metadata"

	"pachfs/pachclient/pfspb/admin"
	"pachfs/pachclient/pfspb/auth"
)

// tokenKey is the request metadata that carries the token.
const tokenKey = "authn-token"

// public are the methods that need no token.
var public = map[string]bool{
	admin.API_InspectCluster_FullMethodName: true, // but see authorize
	auth.API_Authenticate_FullMethodName:    true,
	"/versionpb_v2.API/GetVersion":          true,
	"/grpc.health.v1.Health/Check":          true,
	"/grpc.health.v1.Health/Watch":          true,
}

// authorize checks the token of a call. InspectCluster is public, but telling
// whether the current project exists is not: so pachd refuses a bad token at
// the first call of every client.
func (s *Server) authorize(ctx context.Context, method string, req any) error {
	if s.opts.Token == "" {
		return nil
	}
	if public[method] {
		inspect, ok := req.(*admin.InspectClusterRequest)
		if !ok || inspect.CurrentProject == nil {
			return nil
		}
	}
	md, _ := grpcmd.FromIncomingContext(ctx)
	switch tokens := md.Get(tokenKey); {
	case len(tokens) == 0:
		return toStatus(fail(codes.Unauthenticated, "no authentication token (try logging in)"))
	case len(tokens) > 1 || subtle.ConstantTimeCompare([]byte(tokens[0]), []byte(s.opts.Token)) != 1:
		return toStatus(fail(codes.Unauthenticated, "provided auth token is corrupted or has expired (try logging in again)"))
	}
	return nil
}

type authServer struct {
	auth.UnimplementedAPIServer
	s *Server
}

func errNoAuth() error { return fail(codes.Unimplemented, "the auth service is not activated") }

// WhoAmI names the one user there is.
func (a authServer) WhoAmI(context.Context, *auth.WhoAmIRequest) (*auth.WhoAmIResponse, error) {
	if a.s.opts.Token == "" {
		return nil, errNoAuth()
	}
	return &auth.WhoAmIResponse{Username: "pach:root"}, nil
}

// Authenticate gives nothing away: whoever knows the token has it already.
func (a authServer) Authenticate(context.Context, *auth.AuthenticateRequest) (*auth.AuthenticateResponse, error) {
	if a.s.opts.Token == "" {
		return nil, errNoAuth()
	}
	return nil, fail(codes.Unauthenticated, "no identity provider is configured")
}
