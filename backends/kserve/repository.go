package kserve

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/connection"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// Texts of crashes in 0.21.0: load and unload read the answer of a function that
// returns none, after it has done its work; and the exception of a model that is
// not ready lacks what the interceptor asks it for.
const (
	crashedAfter = "Internal server error"
	notReady     = "'ModelNotReady' object has no attribute 'reason'"
)

// repositoryName is the error for a request that Triton refuses, in its words;
// this server would take the name for the model's.
func repositoryName() *access.Error {
	return &access.Error{Kind: access.Unimplemented, Reason: access.ReasonRepositoryName, Message: "'repository_name' specification is not supported"}
}

func (b *Backend) load(ctx context.Context, req, resp any, opts []grpc.CallOption) error {
	var asked inference.RepositoryModelLoadRequest
	if err := connection.Decode(req, &asked); err != nil {
		return err
	}
	switch {
	case asked.GetRepositoryName() != "":
		return repositoryName()
	case len(asked.GetParameters()) > 0:
		return connection.Unsupported("parameters of a load; it loads what it was started with")
	}
	err := b.named(ctx, inference.GRPCInferenceService_RepositoryModelLoad_FullMethodName, asked.GetModelName(), opts)
	if crashed(err) {
		ready, why := b.ready(ctx, asked.GetModelName(), opts)
		switch {
		case why != nil:
			return why
		case !ready:
			return failed("load", asked.GetModelName())
		}
	} else if err != nil {
		return err
	}
	return connection.Give(resp, &inference.RepositoryModelLoadResponse{})
}

func (b *Backend) unload(ctx context.Context, req, resp any, opts []grpc.CallOption) error {
	var asked inference.RepositoryModelUnloadRequest
	if err := connection.Decode(req, &asked); err != nil {
		return err
	}
	if asked.GetRepositoryName() != "" {
		return repositoryName()
	}
	err := b.named(ctx, inference.GRPCInferenceService_RepositoryModelUnload_FullMethodName, asked.GetModelName(), opts)
	if crashed(err) {
		ready, why := b.ready(ctx, asked.GetModelName(), opts)
		switch {
		case why != nil:
			return why
		case ready:
			return failed("unload", asked.GetModelName())
		}
	} else if err != nil {
		return err
	}
	return connection.Give(resp, &inference.RepositoryModelUnloadResponse{})
}

// named sends a load or unload as the server reads it. Its answer says the name
// and that it was done, which an error would have said otherwise.
func (b *Backend) named(ctx context.Context, method, model string, opts []grpc.CallOption) error {
	const modelName = 1
	m := wire.FromBytes(protowire.AppendString(protowire.AppendTag(nil, modelName, protowire.BytesType), model))
	defer m.Free()
	answer := new(wire.Message)
	defer answer.Free()
	return b.Conn.Invoke(ctx, method, m, answer, opts...)
}

// crashed tells the errors that leave open whether something was done.
func crashed(err error) bool {
	st := status.Convert(err)
	switch st.Code() {
	case codes.Internal:
		return st.Message() == crashedAfter
	case codes.Unknown:
		return strings.Contains(st.Message(), notReady)
	}
	return false
}

// failed is the error for a crash after which the model is not as wanted, in
// the words that clients know from Triton.
func failed(what, model string) error {
	return status.Error(codes.Internal, fmt.Sprintf("failed to %s '%s', the server does not say why", what, model))
}

// ready asks whether a model is ready; one that is not there is not.
func (b *Backend) ready(ctx context.Context, model string, opts []grpc.CallOption) (bool, error) {
	var m inference.ModelReadyResponse
	err := b.Conn.Invoke(ctx, inference.GRPCInferenceService_ModelReady_FullMethodName, &inference.ModelReadyRequest{Name: model}, &m, opts...)
	if status.Code(err) == codes.NotFound {
		return false, nil
	}
	return m.GetReady(), err
}

// index asks after each model that the configuration names. That a pattern
// stands for others besides, nobody can tell.
func (b *Backend) index(ctx context.Context, req, resp any, opts []grpc.CallOption) error {
	var asked inference.RepositoryIndexRequest
	if err := connection.Decode(req, &asked); err != nil {
		return err
	}
	switch {
	case asked.GetRepositoryName() != "":
		return repositoryName()
	case len(b.models) == 0:
		return connection.Unsupported("index of its models; name them in the gateway's configuration to have them listed")
	}
	all := &inference.RepositoryIndexResponse{}
	for _, name := range b.models {
		ready, err := b.ready(ctx, name, opts)
		if err != nil {
			return err
		}
		row := &inference.RepositoryIndexResponse_ModelIndex{Name: name, State: "READY"}
		if !ready {
			row.State, row.Reason = "UNAVAILABLE", "not ready"
		}
		if ready || !asked.GetReady() {
			all.Models = append(all.Models, row)
		}
	}
	return connection.Give(resp, all)
}
