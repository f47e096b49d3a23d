package server

import (
	"context"
	"crypto/tls"
	"math"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/experimental"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/wire"
)

const (
	// minPing lets clients ping every second, which none of them does to the
	// millisecond.
	minPing = time.Second / 4
	// pingIdle is how long a connection may be silent before the gateway asks
	// whether its client still lives.
	pingIdle    = 2 * time.Minute
	pingTimeout = 20 * time.Second
	// handshake bounds how long a new connection may take to become one.
	handshake = 10 * time.Second
	// workers are goroutines that serve one call after the other, so that their
	// stacks need not grow anew for each; more calls at once get goroutines of
	// their own. Growing stacks took 14 % of the CPU of small calls.
	workers = 16
	// maxHeaders bounds a call's metadata in bytes. It leaves room for a token
	// that is far too long to be refused in words and not by a broken stream.
	maxHeaders = 2 << 20
)

// unknown is the method of every RPC that is not served. Callers choose the
// names of those, so none gets into a log or a metric.
const unknown = "/_unknown/_unknown"

// grpcServer builds the server of the gRPC door. Every method is a stream
// handler that runs the chain: the decision hangs on the handler and not on the
// text of :path.
func (s *Server) grpcServer(tlsConfig *tls.Config, chain *interceptors.Chain) *grpc.Server {
	limits := s.started.Server.Limits
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(wire.Codec{}),
		grpc.MaxRecvMsgSize(math.MaxInt32),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.MaxConcurrentStreams(limits.MaxStreams),
		grpc.ConnectionTimeout(handshake),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingIdle, Timeout: pingTimeout}),
		grpc.WaitForHandlers(true),
		grpc.InTapHandle(witnessTap(chain)),
		grpc.NumStreamWorkers(workers),
		grpc.UnknownServiceHandler(chain.Stream(unknown, refuseUnknown)),
	}
	if tlsConfig != nil {
		opts = append(opts, grpc.Creds(&witnessTLS{credentials.NewTLS(tlsConfig), chain}))
	}
	if s.opts.Buffers != nil {
		opts = append(opts, experimental.BufferPool(s.opts.Buffers))
	}
	g := grpc.NewServer(opts...)
	g.RegisterService(s.inferenceService(chain), nil)
	s.registerHealth(g, chain)
	registerReflection(g, chain)
	return g
}

// refuseUnknown is never reached: policy knows no such RPC.
func refuseUnknown(any, grpc.ServerStream) error { return status.Error(codes.Unimplemented, "") }

// inferenceService is what every door serves of inference: a stream handler that
// runs the chain for each method.
func (s *Server) inferenceService(chain *interceptors.Chain) *grpc.ServiceDesc {
	return streams(pb.GRPCInferenceService_ServiceDesc, func(method string) grpc.StreamHandler {
		if method == pb.GRPCInferenceService_ModelStreamInfer_FullMethodName {
			return chain.Stream(method, func(srv any, ss grpc.ServerStream) error {
				return s.state.Load().service.ModelStreamInfer(srv, ss)
			})
		}
		return chain.Unary(method, func(ctx context.Context, req any) (any, error) {
			return s.state.Load().handlers[method](ctx, req)
		})
	})
}

// registerHealth serves grpc.health.v1 as Triton does: Check follows readiness,
// the rest is UNIMPLEMENTED (protocol/kserve-v2.md, section 5).
func (s *Server) registerHealth(g *grpc.Server, chain *interceptors.Chain) {
	g.RegisterService(streams(healthpb.Health_ServiceDesc, func(method string) grpc.StreamHandler {
		switch method {
		case healthpb.Health_Check_FullMethodName:
			return chain.Unary(method, func(ctx context.Context, req any) (any, error) {
				return s.state.Load().health(ctx, req)
			})
		case healthpb.Health_List_FullMethodName:
			return chain.Unary(method, func(context.Context, any) (any, error) { return nil, status.Error(codes.Unimplemented, "") })
		default:
			return chain.Stream(method, refuseUnknown)
		}
	}), nil)
}

func registerReflection(g *grpc.Server, chain *interceptors.Chain) {
	served := reflection.NewServerV1(reflection.ServerOptions{Services: g})
	g.RegisterService(streams(reflectionpb.ServerReflection_ServiceDesc, func(method string) grpc.StreamHandler {
		return chain.Stream(method, func(_ any, ss grpc.ServerStream) error {
			return served.ServerReflectionInfo(&grpc.GenericServerStream[reflectionpb.ServerReflectionRequest, reflectionpb.ServerReflectionResponse]{ServerStream: ss})
		})
	}), nil)
}

// streams turns every method of a service into a stream handler.
func streams(service grpc.ServiceDesc, handler func(method string) grpc.StreamHandler) *grpc.ServiceDesc {
	names := make([]string, 0, len(service.Methods)+len(service.Streams))
	for _, m := range service.Methods {
		names = append(names, m.MethodName)
	}
	for _, m := range service.Streams {
		names = append(names, m.StreamName)
	}
	slices.Sort(names)
	desc := &grpc.ServiceDesc{ServiceName: service.ServiceName, HandlerType: nil, Metadata: service.Metadata}
	for _, name := range names {
		desc.Streams = append(desc.Streams, grpc.StreamDesc{
			StreamName: name, Handler: handler("/" + service.ServiceName + "/" + name), ServerStreams: true, ClientStreams: true,
		})
	}
	return desc
}
