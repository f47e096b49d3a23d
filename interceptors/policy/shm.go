package policy

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"unicode"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/policy"
	"github.com/sluice-gateway/sluice/wire"
)

// regionKey is the parameter of an input or output that lies in shared memory.
const regionKey = "shared_memory_region"

// checkRegions lets a request name regions of its caller's alone, and only
// while he may use shared memory at all.
func (g *Gate) checkRegions(call *access.Call, view wire.InferRequest) *access.Error {
	if view.NumInputs() > 0 {
		for input := range view.Inputs() {
			if refused := g.checkRegion(call, input.Parameters()); refused != nil {
				return refused
			}
		}
	}
	if view.NumOutputs() > 0 {
		for output := range view.Outputs() {
			if refused := g.checkRegion(call, output.Parameters()); refused != nil {
				return refused
			}
		}
	}
	return nil
}

func (g *Gate) checkRegion(call *access.Call, parameters wire.Parameters) *access.Error {
	p, names := parameters.Get(regionKey)
	if !names {
		return nil
	}
	if _, refused := g.decide(call, ask{verb: access.Shm}); refused != nil {
		return refused
	}
	text, ok := p.Text()
	if !ok {
		return nil // not a string: no server takes it for a region
	}
	return g.Regions.Check(call.Principal, text.String())
}

// claim makes the caller the owner of what he registers, for as long as the
// backend has it.
func claim[M any, P message[M]](read func(P) (policy.Region, string)) around {
	return func(g *Gate, ctx context.Context, call *access.Call, r *wire.Request, handler grpc.UnaryHandler) (any, error) {
		m, err := wire.Control[M, P](r)
		if err != nil {
			return nil, err
		}
		region, key := read(m)
		if refused := checkRegionName(region); refused != nil {
			return nil, refused
		}
		if !region.Cuda && strings.ContainsFunc(key, unicode.IsControl) {
			return nil, &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: "the shared memory key holds control characters"}
		}
		fresh, refused := g.Regions.Claim(call.Principal, region, key)
		if refused != nil {
			return nil, refused
		}
		resp, err := handler(ctx, r)
		if err != nil && fresh {
			g.Regions.Release(call.Principal, region.Name)
		}
		return resp, err
	}
}

// maxRegionName is how long a region's name may be, in bytes.
const maxRegionName = 255

// checkRegionName refuses the empty name, which means all regions where one is
// unregistered. A key is checked for control characters, since a server's
// shm_open ends it at a NUL: two keys here would be one memory there.
func checkRegionName(region policy.Region) *access.Error {
	if n := len(region.Name); n == 0 || n > maxRegionName {
		return &access.Error{
			Kind: access.Malformed, Reason: access.ReasonMalformed,
			Message: fmt.Sprintf("the shared memory region's name is %d bytes long; it must be 1 to %d", n, maxRegionName),
		}
	}
	return nil
}

func systemRegion(m *pb.SystemSharedMemoryRegisterRequest) (policy.Region, string) {
	return policy.Region{Name: m.GetName()}, m.GetKey()
}

func cudaRegion(m *pb.CudaSharedMemoryRegisterRequest) (policy.Region, string) {
	return policy.Region{Name: m.GetName(), Cuda: true}, string(m.GetRawHandle())
}

// release unregisters a region of the caller's. No name means all: all of his,
// one by one, since the backend would take everybody's.
func release[M any, P interface {
	message[M]
	GetName() string
}](cuda bool, one func(name string) P, done proto.Message) around {
	return func(g *Gate, ctx context.Context, call *access.Call, r *wire.Request, handler grpc.UnaryHandler) (any, error) {
		m, err := wire.Control[M, P](r)
		if err != nil {
			return nil, err
		}
		if m.GetName() != "" {
			if refused := g.Regions.Check(call.Principal, m.GetName()); refused != nil {
				return nil, refused
			}
			return g.unregister(ctx, call, m.GetName(), r, handler)
		}
		for _, name := range g.Regions.Owned(call.Principal, cuda) {
			resp, err := g.unregister(ctx, call, name, wire.RequestOf(one(name)), handler)
			if err != nil {
				return nil, err
			}
			if m, ok := resp.(*wire.Message); ok {
				m.Free()
			}
		}
		return done, nil
	}
}

func (g *Gate) unregister(ctx context.Context, call *access.Call, name string, r *wire.Request, handler grpc.UnaryHandler) (any, error) {
	resp, err := handler(ctx, r)
	if err == nil {
		g.Regions.Release(call.Principal, name)
	}
	return resp, err
}

func systemUnregister(name string) *pb.SystemSharedMemoryUnregisterRequest {
	return &pb.SystemSharedMemoryUnregisterRequest{Name: name}
}

func cudaUnregister(name string) *pb.CudaSharedMemoryUnregisterRequest {
	return &pb.CudaSharedMemoryUnregisterRequest{Name: name}
}

// ownStatus shows the caller's regions alone. Another's is answered as one that
// is not there, in Triton's words.
func ownStatus[M any, P interface {
	message[M]
	GetName() string
}](kind string) around {
	return func(g *Gate, ctx context.Context, call *access.Call, r *wire.Request, handler grpc.UnaryHandler) (any, error) {
		m, err := wire.Control[M, P](r)
		if err != nil {
			return nil, err
		}
		if name := m.GetName(); name != "" && !g.Regions.Owns(call.Principal, name) {
			if len(name) > maxRegionName { // none of that name can be registered
				name = name[:maxRegionName] + "…"
			}
			return nil, &access.Error{Kind: access.NotFound, Reason: access.ReasonShmOwner, Message: fmt.Sprintf("Unable to find %s shared memory region: '%s'", kind, name)}
		}
		resp, err := handler(ctx, r)
		if err != nil {
			return nil, err
		}
		switch status := resp.(type) {
		case *pb.SystemSharedMemoryStatusResponse:
			maps.DeleteFunc(status.Regions, func(name string, _ *pb.SystemSharedMemoryStatusResponse_RegionStatus) bool {
				return !g.Regions.Owns(call.Principal, name)
			})
		case *pb.CudaSharedMemoryStatusResponse:
			maps.DeleteFunc(status.Regions, func(name string, _ *pb.CudaSharedMemoryStatusResponse_RegionStatus) bool {
				return !g.Regions.Owns(call.Principal, name)
			})
		}
		return resp, nil
	}
}
