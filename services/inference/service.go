// Package inference serves inference.GRPCInferenceService: it forwards each call
// to the backend that has the model, and answers itself where the answer spans
// backends. It decides nothing: by the time a handler runs, the interceptors
// have. It is translation only, between the wire and package backends.
package inference

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// Readiness says when the gateway calls itself ready.
type Readiness string

// The two readinesses: at least one backend is ready, or every one.
const (
	ReadyAny Readiness = "any"
	ReadyAll Readiness = "all"
)

// Service holds the backends of one configuration. It is immutable; a reload
// makes another. It is safe for concurrent use.
type Service struct {
	table  *backends.Table
	models map[string]*backends.Models // by the backend's name
	ready  Readiness
}

// New serves the backends of table.
func New(table *backends.Table, ready Readiness) *Service {
	s := &Service{table: table, models: make(map[string]*backends.Models), ready: ready}
	for _, b := range table.All() {
		s.models[b.Name()] = backends.NewModels(b)
	}
	return s
}

// Handlers has the handler of every unary RPC by its full name. Each takes a
// [*wire.Request] and answers with a *wire.Message, which the caller frees, or
// with a message of package inference.
func (s *Service) Handlers() map[string]grpc.UnaryHandler {
	return map[string]grpc.UnaryHandler{
		pb.GRPCInferenceService_ServerLive_FullMethodName:                   typed(s.serverLive),
		pb.GRPCInferenceService_ServerReady_FullMethodName:                  typed(s.serverReady),
		pb.GRPCInferenceService_ServerMetadata_FullMethodName:               typed(s.serverMetadata),
		pb.GRPCInferenceService_ModelReady_FullMethodName:                   byName[pb.ModelReadyRequest](s, pb.GRPCInferenceService_ModelReady_FullMethodName),
		pb.GRPCInferenceService_ModelMetadata_FullMethodName:                byName[pb.ModelMetadataRequest](s, pb.GRPCInferenceService_ModelMetadata_FullMethodName),
		pb.GRPCInferenceService_ModelConfig_FullMethodName:                  byName[pb.ModelConfigRequest](s, pb.GRPCInferenceService_ModelConfig_FullMethodName),
		pb.GRPCInferenceService_ModelInfer_FullMethodName:                   s.modelInfer,
		pb.GRPCInferenceService_ModelStatistics_FullMethodName:              typed(s.modelStatistics),
		pb.GRPCInferenceService_RepositoryIndex_FullMethodName:              typed(s.repositoryIndex),
		pb.GRPCInferenceService_RepositoryModelLoad_FullMethodName:          typed(s.load),
		pb.GRPCInferenceService_RepositoryModelUnload_FullMethodName:        typed(s.unload),
		pb.GRPCInferenceService_TraceSetting_FullMethodName:                 typed(s.traceSetting),
		pb.GRPCInferenceService_LogSettings_FullMethodName:                  typed(s.logSettings),
		pb.GRPCInferenceService_SystemSharedMemoryStatus_FullMethodName:     typed(s.systemShmStatus),
		pb.GRPCInferenceService_SystemSharedMemoryRegister_FullMethodName:   typed(s.systemShmRegister),
		pb.GRPCInferenceService_SystemSharedMemoryUnregister_FullMethodName: typed(s.systemShmUnregister),
		pb.GRPCInferenceService_CudaSharedMemoryStatus_FullMethodName:       typed(s.cudaShmStatus),
		pb.GRPCInferenceService_CudaSharedMemoryRegister_FullMethodName:     typed(s.cudaShmRegister),
		pb.GRPCInferenceService_CudaSharedMemoryUnregister_FullMethodName:   typed(s.cudaShmUnregister),
	}
}

// message is a request of type M behind its pointer type.
type message[M any] interface {
	*M
	proto.Message
}

// typed gives a handler its decoded request: the one that policy decided on,
// never a second reading of the bytes.
func typed[M any, P message[M]](handler func(context.Context, P) (any, error)) grpc.UnaryHandler {
	return func(ctx context.Context, req any) (any, error) {
		r, err := request(req)
		if err != nil {
			return nil, err
		}
		m, err := wire.Control[M, P](r)
		if err != nil {
			return nil, err
		}
		return handler(ctx, m)
	}
}

func request(req any) (*wire.Request, error) {
	r, ok := req.(*wire.Request)
	if !ok {
		return nil, errors.New("handler got a request that is not a *wire.Request")
	}
	return r, nil
}

// byName forwards a call on one model, whose name the request has as "name".
func byName[M any, P interface {
	message[M]
	GetName() string
}](s *Service, method string) grpc.UnaryHandler {
	return typed(func(ctx context.Context, m P) (any, error) {
		return answer(s.forwardModel(ctx, method, m.GetName(), m))
	})
}

// find returns the backend that calls for model go to. A name with slashes is a
// path to a server that keeps its models in folders, and is unknown there.
func (s *Service) find(ctx context.Context, model string) (backends.Backend, *access.Error) {
	b, refused := s.table.Find(model, principal(ctx))
	if refused == nil && strings.Contains(model, "/") && !b.Traits().Slashes {
		return nil, backends.UnknownModel(model)
	}
	return b, refused
}

// findAll returns every backend that calls for model may go to, whoever makes them.
func (s *Service) findAll(model string) ([]backends.Backend, *access.Error) {
	all, refused := s.table.FindAll(model)
	if refused != nil {
		return nil, refused
	}
	for _, b := range all {
		if strings.Contains(model, "/") && !b.Traits().Slashes {
			return nil, backends.UnknownModel(model)
		}
	}
	return all, nil
}

// principal is the id of who calls, by which a model's callers are divided where
// it is at two backends.
func principal(ctx context.Context) string {
	if c := access.CallFrom(ctx); c != nil && c.Principal != nil {
		return c.Principal.ID()
	}
	return ""
}

// forwardModel sends a request to the backend that has the model.
func (s *Service) forwardModel(ctx context.Context, method, model string, req any) (*wire.Message, error) {
	b, refused := s.find(ctx, model)
	if refused != nil {
		return nil, refused
	}
	return forward(ctx, b, method, req)
}

// answer makes a handler's answer of a message; a nil pointer in it would not be
// nil any more.
func answer(m *wire.Message, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}

// forward sends a request, bytes or decoded, and returns the answer's bytes with
// the backend's own metadata passed on. A request in bytes is empty afterwards.
func forward(ctx context.Context, b backends.Backend, method string, req any) (*wire.Message, error) {
	if call := access.CallFrom(ctx); call != nil {
		call.Backend = b.Name()
	}
	out, err := outgoing(ctx, b)
	if err != nil {
		return nil, err
	}
	if m, ok := req.(*wire.Message); ok {
		req = wire.HandOver{Message: m} // a large request is not held while its answer comes
	}
	var header, trailer metadata.MD
	var opts []grpc.CallOption
	if !b.Traits().Silent {
		opts = []grpc.CallOption{grpc.Header(&header), grpc.Trailer(&trailer)}
	}
	resp := new(wire.Message)
	began := time.Now()
	err = b.Invoke(out, method, req, resp, opts...)
	if call := access.CallFrom(ctx); call != nil {
		call.InBackend += time.Since(began)
	}
	if err == nil {
		err = sound(method, resp)
	}
	passMetadata(ctx, header, trailer)
	if err != nil {
		resp.Free()
		return nil, err
	}
	return resp, nil
}

// passMetadata passes on what a backend sent beyond the hop's own fields. There
// is no stream to pass it to on the in-process door, which is no error.
// A caller whose answer is masked gets none of it: it could carry the same text.
func passMetadata(ctx context.Context, header, trailer metadata.MD) {
	if call := access.CallFrom(ctx); call != nil && call.Masking {
		return
	}
	if beyondHop(header) {
		_ = grpc.SetHeader(ctx, header)
	}
	if beyondHop(trailer) {
		_ = grpc.SetTrailer(ctx, trailer)
	}
}

func beyondHop(md metadata.MD) bool {
	delete(md, "content-type")
	return len(md) > 0
}

// call asks one backend in the gateway's own name and decodes the answer.
func call[Req, Resp proto.Message](ctx context.Context, b backends.Backend, ask func(context.Context, Req, ...grpc.CallOption) (Resp, error), req Req) (Resp, error) {
	var none Resp
	out, err := outgoing(ctx, b)
	if err != nil {
		return none, err
	}
	return ask(out, req)
}

// outgoing adds to ctx what of its call's metadata goes on to b.
func outgoing(ctx context.Context, b backends.Backend) (context.Context, error) {
	var incoming map[string][]string
	if c := access.CallFrom(ctx); c != nil {
		incoming = c.Metadata
	}
	return b.Outgoing(ctx, incoming)
}

func client(b backends.Backend) pb.GRPCInferenceServiceClient {
	return pb.NewGRPCInferenceServiceClient(b)
}
