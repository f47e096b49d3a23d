// Package kserve speaks to the Python model server of KServe, as seen on 0.21.0
// (protocol/servers-observed.md): Triton's service without streams, statistics,
// index and configuration, with differences that this package makes up for:
//
//   - RepositoryModelLoad and RepositoryModelUnload have the model's name in
//     field 1, where Triton has repository_name. A request is written anew with
//     the name there and nothing else. Both crash after they have done what was
//     asked ("Internal server error"), so that ModelReady is asked whether they
//     have.
//   - Which models there are is known of those that the configuration names
//     exactly: RepositoryIndex has them, with what ModelReady says.
//   - ModelConfig is made of the metadata, and says so.
//   - An answer that is typed, which is the model's choice, is made raw.
//
// A version is not looked at by the server, and so is not refused here. Its errors
// go through, status and text, but for crashes, which say nothing of use.
package kserve

import (
	"context"
	"strings"

	"google.golang.org/grpc"

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
	inference.GRPCInferenceService_RepositoryIndex_FullMethodName,
	inference.GRPCInferenceService_RepositoryModelLoad_FullMethodName,
	inference.GRPCInferenceService_RepositoryModelUnload_FullMethodName,
)

// Backend is a connection to one server.
type Backend struct {
	*connection.Conn
	models []string
}

var _ backends.Verified = (*Backend)(nil)

// New makes the backend without waiting for its server; o.Kind is set here.
// patterns are the models that the configuration says it has.
func New(o connection.Options, patterns []string) (*Backend, error) {
	o.Kind = connection.KServe
	c, err := connection.New(o)
	if err != nil {
		return nil, err
	}
	b := &Backend{Conn: c}
	for _, p := range patterns {
		if !strings.Contains(p, "*") {
			b.models = append(b.models, p)
		}
	}
	return b, nil
}

// Traits tells what the server has. It sends no metadata of its own.
func (b *Backend) Traits() backends.Traits { return backends.Traits{Missing: missing, Silent: true} }

// Invoke makes one unary call.
func (b *Backend) Invoke(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	if missing[method] {
		return connection.Unsupported(method[strings.LastIndexByte(method, '/')+1:])
	}
	switch method {
	case inference.GRPCInferenceService_ModelInfer_FullMethodName:
		return b.infer(ctx, req, resp, opts)
	case inference.GRPCInferenceService_ModelConfig_FullMethodName:
		return b.config(ctx, req, resp, opts)
	case inference.GRPCInferenceService_RepositoryIndex_FullMethodName:
		return b.index(ctx, req, resp, opts)
	case inference.GRPCInferenceService_RepositoryModelLoad_FullMethodName:
		return b.load(ctx, req, resp, opts)
	case inference.GRPCInferenceService_RepositoryModelUnload_FullMethodName:
		return b.unload(ctx, req, resp, opts)
	}
	return b.Conn.Invoke(ctx, method, req, resp, opts...)
}

// NewStream is refused: the server has no streams.
func (b *Backend) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, connection.Unsupported("streams; use ModelInfer")
}

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
	if err := b.Conn.Invoke(ctx, inference.GRPCInferenceService_ModelInfer_FullMethodName, req, resp, opts...); err != nil {
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
	return connection.Give(resp, &inference.ModelConfigResponse{Config: connection.Config(&m, false)})
}
