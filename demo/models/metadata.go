package models

import (
	"context"
	"strconv"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// version is what ServerMetadata shows: the Triton that this one follows.
const version = "2.51.0"

// extensions is what ServerMetadata lists. perf_analyzer, for one, measures a
// server only if "statistics" is in it.
var extensions = []string{
	"classification", "sequence", "model_repository", "model_repository(unload_dependents)", "schedule_policy",
	"model_configuration", "system_shared_memory", "cuda_shared_memory", "binary_tensor_data", "parameters", "statistics", "trace", "logging",
}

// ServerMetadata implements the RPC of that name. Clients look for the name
// "triton".
func (s *Server) ServerMetadata(context.Context, *inference.ServerMetadataRequest) (*inference.ServerMetadataResponse, error) {
	return &inference.ServerMetadataResponse{Name: "triton", Version: version, Extensions: extensions}, nil
}

// ModelMetadata implements the RPC of that name.
func (s *Server) ModelMetadata(_ context.Context, req *inference.ModelMetadataRequest) (*inference.ModelMetadataResponse, error) {
	i, err := s.models.find(req.GetName(), req.GetVersion())
	if err != nil {
		return nil, err
	}
	m := &inference.ModelMetadataResponse{
		Name: i.config.GetName(), Versions: []string{strconv.FormatInt(i.version, 10)}, Platform: i.config.GetPlatform(),
	}
	if m.GetPlatform() == "" {
		m.Platform = i.config.GetBackend()
	}
	for _, in := range i.config.GetInput() {
		m.Inputs = append(m.Inputs, i.tensorMetadata(in.GetName(), in.GetDataType(), in.GetDims()))
	}
	for _, out := range i.config.GetOutput() {
		m.Outputs = append(m.Outputs, i.tensorMetadata(out.GetName(), out.GetDataType(), out.GetDims()))
	}
	return m, nil
}

// tensorMetadata describes one tensor, its shape led by the batch where the
// model batches.
func (i *instance) tensorMetadata(name string, t inference.DataType, dims []int64) *inference.ModelMetadataResponse_TensorMetadata {
	var shape []int64
	if i.config.GetMaxBatchSize() > 0 {
		shape = append(shape, -1)
	}
	return &inference.ModelMetadataResponse_TensorMetadata{Name: name, Datatype: datatype(t), Shape: append(shape, dims...)}
}

// ModelConfig implements the RPC of that name.
func (s *Server) ModelConfig(_ context.Context, req *inference.ModelConfigRequest) (*inference.ModelConfigResponse, error) {
	i, err := s.models.find(req.GetName(), req.GetVersion())
	if err != nil {
		return nil, err
	}
	return &inference.ModelConfigResponse{Config: i.config}, nil
}
