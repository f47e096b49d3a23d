package inference

import (
	"context"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// shared is the one backend that shared memory can be shared with: a region is
// a name without a model, so with more than one backend nobody could say whose.
func (s *Service) shared() (backends.Backend, error) {
	all := s.table.All()
	if len(all) != 1 {
		return nil, &access.Error{
			Kind: access.Unimplemented, Reason: access.ReasonUnsupported,
			Message: "shared memory works through a gateway with one backend only; send the tensors inside the request",
		}
	}
	return all[0], nil
}

func (s *Service) forwardShared(ctx context.Context, method string, req any) (any, error) {
	b, err := s.shared()
	if err != nil {
		return nil, err
	}
	return answer(forward(ctx, b, method, req))
}

// The status answers are decoded, since policy takes other owners' regions out
// of them.

func (s *Service) systemShmStatus(ctx context.Context, req *pb.SystemSharedMemoryStatusRequest) (any, error) {
	b, err := s.shared()
	if err != nil {
		return nil, err
	}
	return call(ctx, b, client(b).SystemSharedMemoryStatus, req)
}

func (s *Service) systemShmRegister(ctx context.Context, req *pb.SystemSharedMemoryRegisterRequest) (any, error) {
	return s.forwardShared(ctx, pb.GRPCInferenceService_SystemSharedMemoryRegister_FullMethodName, req)
}

func (s *Service) systemShmUnregister(ctx context.Context, req *pb.SystemSharedMemoryUnregisterRequest) (any, error) {
	return s.forwardShared(ctx, pb.GRPCInferenceService_SystemSharedMemoryUnregister_FullMethodName, req)
}

func (s *Service) cudaShmStatus(ctx context.Context, req *pb.CudaSharedMemoryStatusRequest) (any, error) {
	b, err := s.shared()
	if err != nil {
		return nil, err
	}
	return call(ctx, b, client(b).CudaSharedMemoryStatus, req)
}

func (s *Service) cudaShmRegister(ctx context.Context, req *pb.CudaSharedMemoryRegisterRequest) (any, error) {
	return s.forwardShared(ctx, pb.GRPCInferenceService_CudaSharedMemoryRegister_FullMethodName, req)
}

func (s *Service) cudaShmUnregister(ctx context.Context, req *pb.CudaSharedMemoryUnregisterRequest) (any, error) {
	return s.forwardShared(ctx, pb.GRPCInferenceService_CudaSharedMemoryUnregister_FullMethodName, req)
}
