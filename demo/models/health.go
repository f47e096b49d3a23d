package models

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// ServerLive implements the RPC of that name: who answers is alive.
func (s *Server) ServerLive(context.Context, *inference.ServerLiveRequest) (*inference.ServerLiveResponse, error) {
	return &inference.ServerLiveResponse{Live: true}, nil
}

// ServerReady implements the RPC of that name, with strict readiness.
func (s *Server) ServerReady(context.Context, *inference.ServerReadyRequest) (*inference.ServerReadyResponse, error) {
	return &inference.ServerReadyResponse{Ready: s.models.serving()}, nil
}

// ModelReady implements the RPC of that name. A model that is not loaded or
// not known is not ready, and no error.
func (s *Server) ModelReady(_ context.Context, req *inference.ModelReadyRequest) (*inference.ModelReadyResponse, error) {
	if _, err := parseVersion(req.GetVersion()); err != nil {
		return nil, err
	}
	_, err := s.models.find(req.GetName(), req.GetVersion())
	return &inference.ModelReadyResponse{Ready: err == nil}, nil
}

// health is grpc.health.v1 as Triton has it: one answer for every service's
// name, and no Watch.
type health struct {
	healthpb.UnimplementedHealthServer
	models *repository
}

// Check says whether the server as a whole is ready.
func (h *health) Check(context.Context, *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if !h.models.serving() {
		return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}, nil
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

// Watch is unimplemented, without a text.
func (h *health) Watch(*healthpb.HealthCheckRequest, grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	return status.Error(codes.Unimplemented, "")
}
