package generate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// handler is how one unary RPC is answered: with a message or its bytes.
type handler func(ctx context.Context, req any) (any, error)

// handler returns the handler of an RPC by its full name, or nil where the RPC
// has no place on such a server: shared memory, tracing, logging, and loading
// where there are no adapters.
func (b *Backend) handler(method string) handler {
	_, loads := b.opts.Server.(Adapters)
	switch method {
	case pb.GRPCInferenceService_ServerLive_FullMethodName:
		return typed(func(context.Context, *pb.ServerLiveRequest) (proto.Message, error) {
			return &pb.ServerLiveResponse{Live: true}, nil
		})
	case pb.GRPCInferenceService_ServerReady_FullMethodName:
		return typed(b.serverReady)
	case pb.GRPCInferenceService_ServerMetadata_FullMethodName:
		return typed(b.serverMetadata)
	case pb.GRPCInferenceService_ModelReady_FullMethodName:
		return typed(b.modelReady)
	case pb.GRPCInferenceService_ModelMetadata_FullMethodName:
		return typed(b.modelMetadata)
	case pb.GRPCInferenceService_ModelConfig_FullMethodName:
		return typed(b.modelConfig)
	case pb.GRPCInferenceService_ModelStatistics_FullMethodName:
		return typed(b.modelStatistics)
	case pb.GRPCInferenceService_RepositoryIndex_FullMethodName:
		return typed(b.repositoryIndex)
	case pb.GRPCInferenceService_ModelInfer_FullMethodName:
		return b.infer
	}
	switch {
	case loads && method == pb.GRPCInferenceService_RepositoryModelLoad_FullMethodName:
		return typed(b.load)
	case loads && method == pb.GRPCInferenceService_RepositoryModelUnload_FullMethodName:
		return typed(b.unload)
	}
	return nil
}

// typed decodes a request for its handler.
func typed[M any, P interface {
	*M
	proto.Message
}](handle func(context.Context, P) (proto.Message, error)) handler {
	return func(ctx context.Context, from any) (any, error) {
		req := P(new(M))
		if _, err := receive(from, req); err != nil {
			return nil, err
		}
		return handle(ctx, req)
	}
}

// methods lists the full names of the service's RPCs.
func methods() []string {
	desc := pb.GRPCInferenceService_ServiceDesc
	var all []string
	for _, m := range desc.Methods {
		all = append(all, "/"+desc.ServiceName+"/"+m.MethodName)
	}
	for _, s := range desc.Streams {
		all = append(all, "/"+desc.ServiceName+"/"+s.StreamName)
	}
	return all
}

func rpcName(method string) string { return method[strings.LastIndexByte(method, '/')+1:] }

// extensions are the protocol's that work here.
var extensions = []string{"model_repository", "model_configuration", "parameters", "statistics", "binary_tensor_data"}

// serverReady is false where the server says that it isn't ready; that it is
// away is an error, as it is of a Triton.
func (b *Backend) serverReady(ctx context.Context, _ *pb.ServerReadyRequest) (proto.Message, error) {
	if err := b.opts.Server.Ready(ctx); err != nil {
		return &pb.ServerReadyResponse{}, saidNo(err)
	}
	return &pb.ServerReadyResponse{Ready: true}, nil
}

func (b *Backend) serverMetadata(ctx context.Context, _ *pb.ServerMetadataRequest) (proto.Message, error) {
	version, err := b.opts.Server.Version(ctx)
	if err != nil {
		return nil, err
	}
	return &pb.ServerMetadataResponse{Name: b.opts.Kind, Version: version, Extensions: slices.Clone(extensions)}, nil
}

// modelReady is no error for a model that is not there, as with Triton.
func (b *Backend) modelReady(ctx context.Context, req *pb.ModelReadyRequest) (proto.Message, error) {
	models, err := b.catalog.list(ctx)
	if err == nil && (index(models, req.GetName()) < 0 || req.GetVersion() != "" && req.GetVersion() != Version) {
		return &pb.ModelReadyResponse{}, nil
	}
	if err == nil {
		err = b.opts.Server.Ready(ctx)
	}
	if err != nil {
		return &pb.ModelReadyResponse{}, saidNo(err)
	}
	return &pb.ModelReadyResponse{Ready: true}, nil
}

func (b *Backend) modelMetadata(ctx context.Context, req *pb.ModelMetadataRequest) (proto.Message, error) {
	if err := b.known(ctx, req.GetName(), req.GetVersion()); err != nil {
		return nil, err
	}
	return b.metadata(req.GetName()), nil
}

func (b *Backend) modelConfig(ctx context.Context, req *pb.ModelConfigRequest) (proto.Message, error) {
	if err := b.known(ctx, req.GetName(), req.GetVersion()); err != nil {
		return nil, err
	}
	return &pb.ModelConfigResponse{Config: b.config(req.GetName())}, nil
}

// known refuses models and versions that are not there.
func (b *Backend) known(ctx context.Context, model, version string) error {
	if _, err := b.catalog.find(ctx, model); err != nil {
		return err
	}
	if version != "" && version != Version {
		return unknownVersion(model, version)
	}
	return nil
}

// modelStatistics is what went through Sluice: these servers count otherwise.
func (b *Backend) modelStatistics(ctx context.Context, req *pb.ModelStatisticsRequest) (proto.Message, error) {
	models, err := b.catalog.list(ctx)
	if err != nil {
		return nil, err
	}
	resp := &pb.ModelStatisticsResponse{}
	for _, m := range models {
		if req.GetName() == "" || req.GetName() == m.Name {
			resp.ModelStats = append(resp.ModelStats, b.counts.of(m.Name))
		}
	}
	if req.GetName() != "" && len(resp.GetModelStats()) == 0 || req.GetVersion() != "" && req.GetVersion() != Version {
		return nil, malformed("requested model %s is not available", shown(req.GetName()))
	}
	return resp, nil
}

// repositoryIndex lists what the server has, and the adapters that it could load.
func (b *Backend) repositoryIndex(ctx context.Context, req *pb.RepositoryIndexRequest) (proto.Message, error) {
	models, err := b.catalog.list(ctx)
	if err != nil {
		return nil, err
	}
	resp := &pb.RepositoryIndexResponse{}
	for _, m := range models {
		resp.Models = append(resp.Models, &pb.RepositoryIndexResponse_ModelIndex{Name: m.Name, Version: Version, State: "READY"})
	}
	for _, name := range slices.Sorted(maps.Keys(b.opts.AdapterPaths)) {
		if index(models, name) < 0 && !req.GetReady() {
			resp.Models = append(resp.Models, &pb.RepositoryIndexResponse_ModelIndex{Name: name, Version: Version, State: "UNAVAILABLE", Reason: "unloaded"})
		}
	}
	return resp, nil
}

// pathKey is the load parameter with which a caller names an adapter's path on
// the server's disk. A load with any parameter is load_override to policy.
const pathKey = "lora_path"

// load loads an adapter. A base model is there from the server's start.
func (b *Backend) load(ctx context.Context, req *pb.RepositoryModelLoadRequest) (proto.Message, error) {
	name := req.GetModelName()
	path, known := b.opts.AdapterPaths[name]
	for key, p := range req.GetParameters() {
		switch {
		case key != pathKey || p.GetStringParam() == "":
			return nil, malformed("load parameter %.64q is not one of this model's server; it takes %q, a path as text", key, pathKey)
		case !b.opts.CallerPaths:
			return nil, unsupported("the paths of adapters come from the gateway's configuration; load it without %q", pathKey)
		}
		path, known = p.GetStringParam(), true
	}
	models, err := b.catalog.list(ctx)
	if err != nil {
		return nil, err
	}
	i := index(models, name)
	switch {
	case i >= 0 && models[i].Parent == "":
		return nil, unsupported("model %s is loaded when its server starts; only adapters can be loaded", shown(name))
	case !known:
		return nil, unknownAdapter(name)
	}
	defer b.catalog.forget()
	adapters, _ := b.opts.Server.(Adapters)
	return &pb.RepositoryModelLoadResponse{}, adapters.Load(ctx, name, path, i >= 0)
}

// unknownAdapter has Triton's words for a model that it cannot find.
func unknownAdapter(name string) error {
	e := unknownModel(name)
	e.Message = fmt.Sprintf("failed to load %s, failed to poll from model repository", shown(name))
	return e
}

// unload unloads an adapter. One that is not loaded is no error, as with Triton.
func (b *Backend) unload(ctx context.Context, req *pb.RepositoryModelUnloadRequest) (proto.Message, error) {
	name := req.GetModelName()
	models, err := b.catalog.list(ctx)
	if err != nil {
		return nil, err
	}
	i := index(models, name)
	switch {
	case i < 0:
		return &pb.RepositoryModelUnloadResponse{}, nil
	case models[i].Parent == "":
		return nil, unsupported("model %s is unloaded when its server ends; only adapters can be unloaded", shown(name))
	}
	defer b.catalog.forget()
	adapters, _ := b.opts.Server.(Adapters)
	return &pb.RepositoryModelUnloadResponse{}, adapters.Unload(ctx, name)
}
