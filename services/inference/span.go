package inference

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// probeTimeout bounds how long one backend may take to say whether it is ready.
const probeTimeout = 5 * time.Second

// serverLive answers for the gateway alone: it is alive, whatever its backends.
func (s *Service) serverLive(context.Context, *pb.ServerLiveRequest) (any, error) {
	return &pb.ServerLiveResponse{Live: true}, nil
}

func (s *Service) serverReady(ctx context.Context, _ *pb.ServerReadyRequest) (any, error) {
	return &pb.ServerReadyResponse{Ready: s.Ready(ctx)}, nil
}

// Ready asks every backend at once, and returns as soon as the answer is known.
func (s *Service) Ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	all := s.table.All()
	answers := make(chan bool, len(all))
	for _, b := range all {
		ctx := apart(ctx)
		go func() {
			resp, err := call(ctx, b, client(b).ServerReady, &pb.ServerReadyRequest{})
			answers <- err == nil && resp.GetReady()
		}()
	}
	want := s.ready != ReadyAll
	for range all {
		if <-answers == want {
			return want
		}
	}
	return !want
}

// apart gives a question a call of its own: what is asked at the same time, and may
// go on when the caller has his answer, must not write to the caller's.
func apart(ctx context.Context) context.Context {
	c := access.CallFrom(ctx)
	if c == nil {
		return ctx
	}
	return access.WithCall(ctx, &access.Call{ID: c.ID, RPC: c.RPC, Principal: c.Principal, Session: c.Session, Metadata: c.Metadata})
}

// HealthHandler answers grpc.health.v1's Check as Triton does: it follows
// readiness, whatever service is named.
func (s *Service) HealthHandler() grpc.UnaryHandler {
	return typed(func(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (any, error) {
		if s.Ready(ctx) {
			return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
		}
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}, nil
	})
}

// extensions are Triton's that work through the gateway; the shared memory ones
// only where there is one backend to share it with.
var extensions = []string{
	"classification", "sequence", "model_repository", "model_repository(unload_dependents)", "schedule_policy",
	"model_configuration", "system_shared_memory", "cuda_shared_memory", "binary_tensor_data", "parameters", "statistics", "trace", "logging",
}

// serverMetadata has the name and version of the first Triton that answers (of
// the first server, where there is none) and the union of the extensions that
// work through the gateway.
func (s *Service) serverMetadata(ctx context.Context, req *pb.ServerMetadataRequest) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout) // it is open to strangers
	defer cancel()
	var first *pb.ServerMetadataResponse
	var triton bool
	var union []string
	err := s.each(func(b backends.Backend) error {
		resp, err := call(ctx, b, client(b).ServerMetadata, req)
		if err != nil {
			return err
		}
		union = append(union, resp.GetExtensions()...)
		if first == nil || b.Traits().Triton && !triton {
			first, triton = resp, b.Traits().Triton
		}
		return nil
	})
	if first == nil {
		return nil, err
	}
	return &pb.ServerMetadataResponse{Name: first.GetName(), Version: first.GetVersion(), Extensions: s.working(union)}, nil
}

// working keeps what works through the gateway, each name once, in the order
// the servers gave.
func (s *Service) working(names []string) []string {
	var kept []string
	for _, name := range names {
		shm := name == "system_shared_memory" || name == "cuda_shared_memory"
		if slices.Contains(extensions, name) && !slices.Contains(kept, name) && !(shm && len(s.table.All()) > 1) {
			kept = append(kept, name)
		}
	}
	return kept
}

// repositoryIndex lists the models of all backends, each where calls for it go.
// Which of them the caller may see is policy's to say, on the way back.
func (s *Service) repositoryIndex(ctx context.Context, req *pb.RepositoryIndexRequest) (any, error) {
	index := &pb.RepositoryIndexResponse{}
	return index, s.each(func(b backends.Backend) error {
		resp, err := call(ctx, b, client(b).RepositoryIndex, req)
		for _, m := range resp.GetModels() {
			if s.has(ctx, b, m.GetName()) {
				index.Models = append(index.Models, m)
			}
		}
		return err
	})
}

// modelStatistics is of one model, or of all models that are ready.
func (s *Service) modelStatistics(ctx context.Context, req *pb.ModelStatisticsRequest) (any, error) {
	if req.GetName() != "" {
		return answer(s.forwardModel(ctx, pb.GRPCInferenceService_ModelStatistics_FullMethodName, req.GetName(), req))
	}
	stats := &pb.ModelStatisticsResponse{}
	return stats, s.each(func(b backends.Backend) error {
		resp, err := call(ctx, b, client(b).ModelStatistics, req)
		for _, m := range resp.GetModelStats() {
			if s.has(ctx, b, m.GetName()) {
				stats.ModelStats = append(stats.ModelStats, m)
			}
		}
		return err
	})
}

// has tells whether the caller's calls for model go to b.
func (s *Service) has(ctx context.Context, b backends.Backend, model string) bool {
	at, refused := s.table.Find(model, principal(ctx))
	return refused == nil && at.Name() == b.Name()
}

// each asks the backends in their order. One that does not serve the RPC is
// passed over while another one does; so is one that is away while another
// answers, since a list that is short beats none. Any other error ends it.
func (s *Service) each(ask func(backends.Backend) error) error {
	var answered bool
	var passed error
	for _, b := range s.table.All() {
		switch err := ask(b); {
		case err == nil:
			answered = true
		case !passable(err):
			return err
		case passed == nil:
			passed = err
		}
	}
	if answered {
		return nil
	}
	return passed
}

func passable(err error) bool {
	var e *access.Error
	if errors.As(err, &e) {
		return e.Kind == access.Unimplemented || e.Kind == access.Unavailable
	}
	code := status.Code(err)
	return code == codes.Unimplemented || code == codes.Unavailable
}
