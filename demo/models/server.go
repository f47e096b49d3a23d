package models

import (
	"context"
	"log/slog"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// DefaultChunkDelay is the pause of the model "tokens" before each chunk of
// its text: slow enough to be seen as a stream, and not to be waited for.
const DefaultChunkDelay = 20 * time.Millisecond

// minPing is how often a client may ping. Triton itself allows one in five
// minutes; here nobody is to lose a connection to the demo for pinging.
const minPing = time.Second

// Options are what a demo can set. The zero value is a good one.
type Options struct {
	// Logger hears of loads and unloads, never of contents. Nil means no log.
	Logger *slog.Logger
	// ChunkDelay is the pause before each chunk that "tokens" sends; zero means
	// [DefaultChunkDelay], a negative one none.
	ChunkDelay time.Duration
	// SharedMemory allows clients to register regions of system shared memory,
	// as Triton's --allow-client-shm does. Regions are read and written under
	// /dev/shm with this process's rights.
	SharedMemory bool
}

// Server answers the twenty RPCs of inference.GRPCInferenceService, and
// grpc.health.v1. All its methods are safe for concurrent use.
type Server struct {
	// Unsafe, so that an RPC that nobody wrote does not compile.
	inference.UnsafeGRPCInferenceServiceServer

	log     *slog.Logger
	models  *repository
	regions *regions
	trace   *traceSettings
	logging *logSettings
}

var _ inference.GRPCInferenceServiceServer = (*Server)(nil)

// New returns a server with every model of the demo loaded.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ChunkDelay == 0 {
		o.ChunkDelay = DefaultChunkDelay
	}
	return &Server{
		log:     o.Logger,
		models:  newRepository(table(max(o.ChunkDelay, 0))),
		regions: newRegions(o.SharedMemory),
		trace:   newTraceSettings(),
		logging: newLogSettings(),
	}
}

// Register adds the server's two services to g.
func (s *Server) Register(g grpc.ServiceRegistrar) {
	inference.RegisterGRPCInferenceServiceServer(g, s)
	healthpb.RegisterHealthServer(g, &health{models: s.models})
}

// Close lets go of the shared memory that clients have registered. It is for
// after the grpc.Server has stopped.
func (s *Server) Close() error { return s.regions.unregister("") }

// ServerOptions returns what makes a grpc.Server speak as Triton's does: no
// limit of messages below 2 GiB, answers never compressed, no text where a
// method is unknown. Compressed requests are accepted where the process has a
// compressor of that name registered: grpc-go has gzip of its own, while
// "deflate" has to be registered by package wire.
func (s *Server) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(math.MaxInt32),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(plainUnary),
		grpc.ChainStreamInterceptor(plainStream),
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return status.Error(codes.Unimplemented, "") }),
	}
}

// plainUnary keeps the answer uncompressed: grpc-go would answer a compressed
// request in kind, Triton does not.
func plainUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := grpc.SetSendCompressor(ctx, encoding.Identity); err != nil {
		return nil, status.Errorf(codes.Internal, "keep the answer uncompressed: %v", err)
	}
	return next(ctx, req)
}

// plainStream is plainUnary for streams.
func plainStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := grpc.SetSendCompressor(stream.Context(), encoding.Identity); err != nil {
		return status.Errorf(codes.Internal, "keep the answers uncompressed: %v", err)
	}
	return next(srv, stream)
}
