// Package mlserver speaks to MLServer, as seen on 1.7.1 (protocol/servers-observed.md).
// It serves Triton's service with differences that this package makes up for:
//
//   - ModelStreamInfer answers bare ModelInferResponse, and takes one stream for
//     one request of one model: a second request gets the id of the first, or no
//     answer at all. Each request therefore has a stream of its own, whose end is
//     the request's. Its answers are marked as those of Triton's decoupled models
//     are: nobody knows beforehand which answer is the last, so that the end
//     comes as an empty answer, for who asked for it.
//   - Typed requests are answered with typed contents; here all are raw.
//   - ModelConfig is not there. It is made of the metadata, and says so.
//   - What is ready, and what state models are in, is put in Triton's words.
//   - What describes an answer as a CloudEvent comes as trailing metadata ("ce-…"),
//     and goes no further.
//
// Parameters of a load are refused, since MLServer would load without them. Its
// errors go through, status and text.
package mlserver

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/connection"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// missing are the RPCs that the server does not serve and nothing is made of.
var missing = connection.Missing(
	inference.GRPCInferenceService_ServerLive_FullMethodName,
	inference.GRPCInferenceService_ServerReady_FullMethodName,
	inference.GRPCInferenceService_ModelReady_FullMethodName,
	inference.GRPCInferenceService_ServerMetadata_FullMethodName,
	inference.GRPCInferenceService_ModelMetadata_FullMethodName,
	inference.GRPCInferenceService_ModelConfig_FullMethodName,
	inference.GRPCInferenceService_ModelInfer_FullMethodName,
	inference.GRPCInferenceService_ModelStreamInfer_FullMethodName,
	inference.GRPCInferenceService_RepositoryIndex_FullMethodName,
	inference.GRPCInferenceService_RepositoryModelLoad_FullMethodName,
	inference.GRPCInferenceService_RepositoryModelUnload_FullMethodName,
)

// Backend is a connection to one MLServer.
type Backend struct {
	*connection.Conn
	// closing ends the streams with the backend.
	closing context.Context //nolint:containedctx // the backend's own life
	close   context.CancelFunc
}

var _ backends.Verified = (*Backend)(nil)

// New makes the backend without waiting for its server; o.Kind is set here.
func New(o connection.Options) (*Backend, error) {
	o.Kind = connection.MLServer
	c, err := connection.New(o)
	if err != nil {
		return nil, err
	}
	b := &Backend{Conn: c}
	b.closing, b.close = context.WithCancel(context.Background())
	return b, nil
}

// Traits tells what the server has. Models may have their own trailing metadata.
func (b *Backend) Traits() backends.Traits { return backends.Traits{Missing: missing} }

// Close ends the connection, and all calls and streams on it.
func (b *Backend) Close() error {
	b.close()
	return b.Conn.Close()
}

// Invoke makes one unary call.
func (b *Backend) Invoke(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	if missing[method] {
		return connection.Unsupported(method[strings.LastIndexByte(method, '/')+1:])
	}
	var err error
	switch method {
	case inference.GRPCInferenceService_ModelInfer_FullMethodName:
		err = b.infer(ctx, req, resp, opts)
	case inference.GRPCInferenceService_ModelReady_FullMethodName:
		err = b.ready(ctx, req, resp, opts)
	case inference.GRPCInferenceService_ModelConfig_FullMethodName:
		err = b.config(ctx, req, resp, opts)
	case inference.GRPCInferenceService_RepositoryIndex_FullMethodName:
		err = b.index(ctx, req, resp, opts)
	case inference.GRPCInferenceService_RepositoryModelLoad_FullMethodName:
		err = b.load(ctx, req, resp, opts)
	default:
		err = b.Conn.Invoke(ctx, method, req, resp, opts...)
	}
	connection.DropTrailers(opts, isCloudEvent)
	return err
}

func isCloudEvent(name string) bool { return strings.HasPrefix(name, "ce-") }

func (b *Backend) infer(ctx context.Context, req, resp any, opts []grpc.CallOption) error {
	m, made, err := connection.Requested(req)
	if err != nil {
		return err
	}
	if made {
		defer m.Free()
	}
	view, err := m.InferRequest()
	if err != nil {
		return err
	}
	if refused := connection.Check(view); refused != nil {
		return refused
	}
	const method = inference.GRPCInferenceService_ModelInfer_FullMethodName
	if err := b.Conn.Invoke(ctx, method, req, resp, opts...); err != nil {
		return err
	}
	switch resp := resp.(type) {
	case *wire.Message:
		return connection.Raw(resp)
	case *inference.ModelInferResponse:
		return connection.MakeRaw(resp)
	}
	return nil
}

// ready makes an answer of the crash that a model which is not there is.
func (b *Backend) ready(ctx context.Context, req, resp any, opts []grpc.CallOption) error {
	err := b.Conn.Invoke(ctx, inference.GRPCInferenceService_ModelReady_FullMethodName, req, resp, opts...)
	if status.Code(err) == codes.Unknown && strings.Contains(status.Convert(err).Message(), "mlserver.errors.ModelNotFound") {
		return connection.Give(resp, &inference.ModelReadyResponse{})
	}
	return err
}

func (b *Backend) config(ctx context.Context, req, resp any, opts []grpc.CallOption) error {
	var asked inference.ModelConfigRequest
	if err := connection.Decode(req, &asked); err != nil {
		return err
	}
	var m inference.ModelMetadataResponse
	about := &inference.ModelMetadataRequest{Name: asked.GetName(), Version: asked.GetVersion()}
	if err := b.Conn.Invoke(ctx, inference.GRPCInferenceService_ModelMetadata_FullMethodName, about, &m, opts...); err != nil {
		return err
	}
	return connection.Give(resp, &inference.ModelConfigResponse{Config: connection.Config(&m, true)})
}

// index takes the name of Python's class off the states ("State.READY").
func (b *Backend) index(ctx context.Context, req, resp any, opts []grpc.CallOption) error {
	var all inference.RepositoryIndexResponse
	if err := b.Conn.Invoke(ctx, inference.GRPCInferenceService_RepositoryIndex_FullMethodName, req, &all, opts...); err != nil {
		return err
	}
	for _, m := range all.GetModels() {
		m.State = strings.TrimPrefix(m.GetState(), "State.")
	}
	return connection.Give(resp, &all)
}

func (b *Backend) load(ctx context.Context, req, resp any, opts []grpc.CallOption) error {
	var asked inference.RepositoryModelLoadRequest
	if err := connection.Decode(req, &asked); err != nil {
		return err
	}
	if len(asked.GetParameters()) > 0 {
		return connection.Unsupported("parameters of a load; it loads what lies in its repository")
	}
	return b.Conn.Invoke(ctx, inference.GRPCInferenceService_RepositoryModelLoad_FullMethodName, req, resp, opts...)
}
