package models

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// SystemSharedMemoryStatus implements the RPC of that name, which answers even
// where clients may not register anything.
func (s *Server) SystemSharedMemoryStatus(_ context.Context, req *inference.SystemSharedMemoryStatusRequest) (*inference.SystemSharedMemoryStatusResponse, error) {
	found, err := s.regions.status(req.GetName())
	if err != nil {
		return nil, err
	}
	return &inference.SystemSharedMemoryStatusResponse{Regions: found}, nil
}

// SystemSharedMemoryRegister implements the RPC of that name.
func (s *Server) SystemSharedMemoryRegister(_ context.Context, req *inference.SystemSharedMemoryRegisterRequest) (*inference.SystemSharedMemoryRegisterResponse, error) {
	if !s.regions.allowed {
		return nil, status.Error(codes.Unimplemented, shmDisabled)
	}
	if err := s.regions.register(req.GetName(), req.GetKey(), req.GetOffset(), req.GetByteSize()); err != nil {
		return nil, err
	}
	return &inference.SystemSharedMemoryRegisterResponse{}, nil
}

// SystemSharedMemoryUnregister implements the RPC of that name.
func (s *Server) SystemSharedMemoryUnregister(_ context.Context, req *inference.SystemSharedMemoryUnregisterRequest) (*inference.SystemSharedMemoryUnregisterResponse, error) {
	if !s.regions.allowed {
		return nil, status.Error(codes.Unimplemented, shmDisabled)
	}
	if err := s.regions.unregister(req.GetName()); err != nil {
		return nil, err
	}
	return &inference.SystemSharedMemoryUnregisterResponse{}, nil
}

// CudaSharedMemoryStatus implements the RPC of that name: without a GPU there
// is never a region.
func (s *Server) CudaSharedMemoryStatus(_ context.Context, req *inference.CudaSharedMemoryStatusRequest) (*inference.CudaSharedMemoryStatusResponse, error) {
	if req.GetName() != "" {
		return nil, status.Errorf(codes.NotFound, "Unable to find cuda shared memory region: '%s'", req.GetName())
	}
	return &inference.CudaSharedMemoryStatusResponse{}, nil
}

// CudaSharedMemoryRegister implements the RPC of that name, as a Triton without
// GPUs does.
func (s *Server) CudaSharedMemoryRegister(_ context.Context, req *inference.CudaSharedMemoryRegisterRequest) (*inference.CudaSharedMemoryRegisterResponse, error) {
	return nil, invalid("failed to register CUDA shared memory region: '%s', GPUs not supported", req.GetName())
}

// CudaSharedMemoryUnregister implements the RPC of that name: what is not
// there is unregistered already.
func (s *Server) CudaSharedMemoryUnregister(context.Context, *inference.CudaSharedMemoryUnregisterRequest) (*inference.CudaSharedMemoryUnregisterResponse, error) {
	if !s.regions.allowed {
		return nil, status.Error(codes.Unimplemented, shmDisabled)
	}
	return &inference.CudaSharedMemoryUnregisterResponse{}, nil
}
