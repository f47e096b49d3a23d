package mlserver_test

import (
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// This file is MLServer 1.7.1 as it was seen on the wire.

// names are the double's models: one that echoes, one that streams a text, and
// one to be loaded.
var names = []string{"echo", "chunks", "spare"}

func notFound(name, version string) error {
	if slices.Contains(names, name) {
		return nil
	}
	return status.Errorf(codes.NotFound, "Model %s with version %s not found", name, version)
}

// double is the server in one of the suite's modes.
func double(s backendstest.Setup) backendstest.Script {
	o := s.Observer
	infer := []backendstest.Step{backendstest.Observe(o, backendstest.Infer, nil), backendstest.Reply(echo), events}
	stream := []backendstest.Step{backendstest.Receive(), backendstest.Observe(o, backendstest.Stream, nil), chunks(3), events}
	switch s.Mode {
	case backendstest.ModeGarbage:
		return backendstest.Script{backendstest.Any: {backendstest.Receive(), backendstest.Garbage()}}
	case backendstest.ModeHangs:
		infer = []backendstest.Step{backendstest.Receive(), backendstest.Observe(o, backendstest.Infer, nil), backendstest.Hang()}
		stream = []backendstest.Step{backendstest.Receive(), backendstest.Observe(o, backendstest.Stream, nil), backendstest.Hang()}
	case backendstest.ModeHangsLater:
		stream = []backendstest.Step{backendstest.Receive(), backendstest.Observe(o, backendstest.Stream, nil), chunks(1), backendstest.Hang()}
	case backendstest.ModeBreaks:
		stream = []backendstest.Step{backendstest.Receive(), backendstest.Observe(o, backendstest.Stream, nil), chunks(1), backendstest.Reset()}
	}
	named := func(messages [][]byte) string {
		var m inference.RepositoryModelLoadRequest // Unload has the name at the same place
		_ = proto.Unmarshal(messages[0], &m)
		return m.GetModelName()
	}
	return backendstest.Script{
		"ServerLive":            {backendstest.Receive(), backendstest.Send(&inference.ServerLiveResponse{Live: true})},
		"ServerReady":           {backendstest.Receive(), backendstest.Send(&inference.ServerReadyResponse{Ready: true})},
		"ServerMetadata":        {backendstest.Receive(), backendstest.Send(&inference.ServerMetadataResponse{Name: "mlserver", Version: "1.7.1"})},
		"ModelReady":            {backendstest.Reply(ready)},
		"ModelMetadata":         {backendstest.Reply(describe)},
		"RepositoryIndex":       {backendstest.Receive(), backendstest.Send(index())},
		"RepositoryModelLoad":   {backendstest.Receive(), backendstest.Observe(o, backendstest.Load, named), backendstest.Reply(load)},
		"RepositoryModelUnload": {backendstest.Receive(), backendstest.Observe(o, backendstest.Unload, named), backendstest.Send(&inference.RepositoryModelUnloadResponse{})},
		"ModelInfer":            infer,
		"ModelStreamInfer":      stream,
	}
}

// events sends the trailing metadata that describe an answer as a CloudEvent,
// and one of the model's own.
func events(c *backendstest.Call) error {
	return backendstest.Trailer("ce-specversion", "0.3", "ce-modelid", "echo", "x-model", "own")(c)
}

func ready(r *inference.ModelReadyRequest) (proto.Message, error) {
	if err := notFound(r.GetName(), r.GetVersion()); err != nil {
		return nil, status.Error(codes.Unknown, "Unexpected <class 'mlserver.errors.ModelNotFound'>: "+status.Convert(err).Message())
	}
	return &inference.ModelReadyResponse{Ready: true}, nil
}

func describe(r *inference.ModelMetadataRequest) (proto.Message, error) {
	type tensors = []*inference.ModelMetadataResponse_TensorMetadata
	return &inference.ModelMetadataResponse{
		Name:    r.GetName(),
		Inputs:  tensors{{Name: "IN", Datatype: "INT32", Shape: []int64{-1}}},
		Outputs: tensors{{Name: "OUT", Datatype: "INT32", Shape: []int64{-1}}},
	}, notFound(r.GetName(), r.GetVersion())
}

func index() *inference.RepositoryIndexResponse {
	m := &inference.RepositoryIndexResponse{}
	for _, name := range names {
		m.Models = append(m.Models, &inference.RepositoryIndexResponse_ModelIndex{Name: name, State: "State.READY"})
	}
	return m
}

func load(r *inference.RepositoryModelLoadRequest) (proto.Message, error) {
	if notFound(r.GetModelName(), "") != nil {
		return nil, status.Errorf(codes.NotFound, "Model %s not found", r.GetModelName())
	}
	return &inference.RepositoryModelLoadResponse{}, nil
}

// echo answers as it was asked: raw with raw, beside contents that are set and
// empty, and typed with typed.
func echo(r *inference.ModelInferRequest) (proto.Message, error) {
	if err := notFound(r.GetModelName(), r.GetModelVersion()); err != nil {
		return nil, err
	}
	answer := &inference.ModelInferResponse{ModelName: r.GetModelName(), ModelVersion: "v1", Id: r.GetId(), RawOutputContents: r.GetRawInputContents()}
	for _, in := range r.GetInputs() {
		contents := in.GetContents()
		if contents == nil {
			contents = &inference.InferTensorContents{}
		}
		answer.Outputs = append(answer.Outputs, &inference.ModelInferResponse_InferOutputTensor{
			Name: "OUT", Datatype: in.GetDatatype(), Shape: in.GetShape(), Contents: contents,
		})
	}
	return answer, nil
}

// chunks answers the stream's first request with so many parts, and no other
// request at all.
func chunks(parts int) backendstest.Step {
	return func(c *backendstest.Call) error {
		var r inference.ModelInferRequest
		if err := proto.Unmarshal(c.Messages()[0], &r); err != nil {
			return err
		}
		if err := notFound(r.GetModelName(), r.GetModelVersion()); err != nil {
			return err
		}
		for _, chunk := range backendstest.Chunks()[:parts] {
			chunk.Id, chunk.ModelVersion = r.GetId(), ""
			chunk.Outputs[0].Contents = &inference.InferTensorContents{}
			if err := backendstest.Send(chunk)(c); err != nil {
				return fmt.Errorf("the client is gone: %w", err)
			}
		}
		return nil
	}
}
