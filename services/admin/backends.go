package admin

import (
	"context"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func (s *Service) listBackends(_ context.Context, _ *access.Call, m *pb.ListBackendsRequest) (*pb.ListBackendsResponse, error) {
	p, refused := pageOf(m)
	if refused != nil {
		return nil, refused
	}
	var all []*pb.Backend
	if s.Backends != nil {
		all = s.Backends()
	}
	slices.SortFunc(all, func(a, b *pb.Backend) int { return strings.Compare(a.GetId(), b.GetId()) })
	found, next := slicePage(p, (*pb.Backend).GetId, all)
	return &pb.ListBackendsResponse{Backends: found, NextPageToken: next}, nil
}
