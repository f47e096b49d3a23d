package admin

import (
	"context"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func (s *Service) whoAmI(_ context.Context, call *access.Call, _ *pb.WhoAmIRequest) (*pb.WhoAmIResponse, error) {
	return &pb.WhoAmIResponse{Principal: principal(call.Principal), Roles: s.Policy.Policy().RolesOf(call.Principal)}, nil
}

// getLogin answers strangers: it says nothing that they could not ask the issuers.
func (s *Service) getLogin(context.Context, *access.Call, *pb.GetLoginRequest) (*pb.GetLoginResponse, error) {
	if s.Logins == nil {
		return &pb.GetLoginResponse{}, nil
	}
	return &pb.GetLoginResponse{Sources: s.Logins()}, nil
}
