package rename_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/rename"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// server is a double: what it is sent is kept as bytes, and it answers those of
// its function.
type server struct {
	backends.Backend
	got    []byte
	answer func(method string) []byte
	sent   [][]byte // on its stream
}

func (s *server) Invoke(_ context.Context, method string, req, resp any, _ ...grpc.CallOption) error {
	s.got = bytesOf(req)
	answer := s.answer(method)
	switch r := resp.(type) {
	case *wire.Message:
		return r.Take(wire.FromBytes(answer))
	case proto.Message:
		return proto.Unmarshal(answer, r)
	}
	return nil
}

func bytesOf(req any) []byte {
	switch r := req.(type) {
	case *wire.Message:
		return r.Buffers().Materialize()
	case wire.HandOver:
		return r.Buffers().Materialize()
	case proto.Message:
		b, _ := proto.Marshal(r)
		return b
	}
	return nil
}

func (s *server) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return &stream{server: s, ctx: ctx}, nil
}

type stream struct {
	grpc.ClientStream
	server *server
	ctx    context.Context //nolint:containedctx // the stream's own
}

func (s *stream) SendMsg(m any) error {
	s.server.got = bytesOf(m)
	return nil
}

func (s *stream) RecvMsg(m any) error {
	if len(s.server.sent) == 0 {
		return io.EOF
	}
	next := s.server.sent[0]
	s.server.sent = s.server.sent[1:]
	switch r := m.(type) {
	case *wire.Message:
		return r.Take(wire.FromBytes(next))
	case proto.Message:
		return proto.Unmarshal(next, r)
	}
	return nil
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var names = map[string]string{"chat": "meta-llama/Llama-3", "a": "b", "b": "a"}

var versions = map[string]string{"chat": "3", "resnet": "2"}

const inferMethod = pb.GRPCInferenceService_ModelInfer_FullMethodName

// infer sends a message and returns what the server got and what came back.
func infer(t testing.TB, request, answer []byte) (got, back []byte, err error) {
	t.Helper()
	s := &server{answer: func(string) []byte { return answer }}
	b := rename.Wrap(s, names, versions)
	m := wire.FromBytes(request)
	defer m.Free()
	resp := new(wire.Message)
	defer resp.Free()
	err = b.Invoke(context.Background(), inferMethod, wire.HandOver{Message: m}, resp)
	return s.got, resp.Buffers().Materialize(), err
}

func TestNothingToRename(t *testing.T) {
	s := &server{}
	if rename.Wrap(s, nil, nil) != backends.Backend(s) {
		t.Error("wrapped")
	}
}

func TestInfer(t *testing.T) {
	tensors := func(model, version string) *pb.ModelInferRequest {
		return &pb.ModelInferRequest{
			ModelName: model, ModelVersion: version, Id: "chat",
			Parameters:       map[string]*pb.InferParameter{"chat": {ParameterChoice: &pb.InferParameter_StringParam{StringParam: "chat"}}},
			Inputs:           []*pb.ModelInferRequest_InferInputTensor{{Name: "chat", Datatype: "BYTES", Shape: []int64{1}}},
			RawInputContents: [][]byte{bytes.Repeat([]byte("chat"), 5000)},
		}
	}
	for name, tt := range map[string]struct{ model, version, server, want string }{
		"another name":            {"chat", "", "meta-llama/Llama-3", "3"},
		"another name, a version": {"chat", "1", "meta-llama/Llama-3", "1"},
		"a version":               {"resnet", "", "resnet", "2"},
		"a version of its own":    {"resnet", "9", "resnet", "9"},
		"neither":                 {"other", "", "other", ""},
		"exchanged":               {"a", "", "b", ""},
		"exchanged back":          {"b", "7", "a", "7"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := &pb.ModelInferResponse{ModelName: tt.server, ModelVersion: "3", Id: tt.server, RawOutputContents: [][]byte{make([]byte, 3000)}}
			got, back, err := infer(t, marshal(t, tensors(tt.model, tt.version)), marshal(t, answer))
			if err != nil {
				t.Fatal(err)
			}
			var sent pb.ModelInferRequest
			if err := proto.Unmarshal(got, &sent); err != nil || !proto.Equal(&sent, tensors(tt.server, tt.want)) {
				t.Errorf("the server got %q version %q (%v)", sent.GetModelName(), sent.GetModelVersion(), err)
			}
			answer.ModelName = tt.model
			if want := marshal(t, answer); !bytes.Equal(back, want) {
				t.Errorf("the caller got %.40q, want %.40q", back, want)
			}
		})
	}
}

func TestTheServersOwnNameIsNobodys(t *testing.T) {
	calls := map[string]func(b backends.Backend) error{
		"infer": func(b backends.Backend) error {
			m := wire.FromBytes(marshal(t, &pb.ModelInferRequest{ModelName: "meta-llama/Llama-3"}))
			return b.Invoke(t.Context(), inferMethod, m, new(wire.Message))
		},
		"load": func(b backends.Backend) error {
			_, err := pb.NewGRPCInferenceServiceClient(b).RepositoryModelLoad(t.Context(), &pb.RepositoryModelLoadRequest{ModelName: "meta-llama/Llama-3"})
			return err
		},
		"a stream": func(b backends.Backend) error {
			s, err := b.NewStream(t.Context(), &grpc.StreamDesc{}, pb.GRPCInferenceService_ModelStreamInfer_FullMethodName)
			if err != nil {
				return err
			}
			return s.SendMsg(wire.FromBytes(marshal(t, &pb.ModelInferRequest{ModelName: "meta-llama/Llama-3"})))
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			s := &server{answer: func(string) []byte { return nil }}
			err := call(rename.Wrap(s, names, nil))
			if e, ok := access.AsError(err); !ok || e.Kind != access.NotFound || s.got != nil {
				t.Errorf("error %v, the server got %q", err, s.got)
			}
		})
	}
}

func TestStream(t *testing.T) {
	answer := func(model string) *pb.ModelStreamInferResponse {
		return &pb.ModelStreamInferResponse{InferResponse: &pb.ModelInferResponse{ModelName: model, Id: "1", RawOutputContents: [][]byte{make([]byte, 2000)}}}
	}
	failure := &pb.ModelStreamInferResponse{ErrorMessage: "meta-llama/Llama-3 said no", InferResponse: &pb.ModelInferResponse{Id: "1"}}
	s := &server{sent: [][]byte{marshal(t, answer("meta-llama/Llama-3")), marshal(t, failure), marshal(t, answer("other"))}}
	in, err := rename.Wrap(s, names, nil).NewStream(t.Context(), &grpc.StreamDesc{}, pb.GRPCInferenceService_ModelStreamInfer_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.SendMsg(wire.FromBytes(marshal(t, &pb.ModelInferRequest{ModelName: "chat", Id: "1"}))); err != nil {
		t.Fatal(err)
	}
	if want := marshal(t, &pb.ModelInferRequest{ModelName: "meta-llama/Llama-3", Id: "1"}); !bytes.Equal(s.got, want) {
		t.Errorf("the server got %q", s.got)
	}
	m := new(wire.Message)
	for i, want := range []proto.Message{answer("chat"), failure, answer("other")} {
		if err := in.RecvMsg(m); err != nil {
			t.Fatal(err)
		}
		if got := m.Buffers().Materialize(); !bytes.Equal(got, marshal(t, want)) {
			t.Errorf("answer %d is %.60q", i, got)
		}
		m.Reset()
	}
	if err := in.RecvMsg(m); err != io.EOF {
		t.Errorf("at the end %v", err)
	}
	if wire.FreedAgain() != 0 {
		t.Error("a message was freed twice")
	}
}

func TestControl(t *testing.T) {
	index := func(names ...string) *pb.RepositoryIndexResponse {
		r := &pb.RepositoryIndexResponse{}
		for _, n := range names {
			r.Models = append(r.Models, &pb.RepositoryIndexResponse_ModelIndex{Name: n, State: "READY"})
		}
		return r
	}
	stats := func(names ...string) *pb.ModelStatisticsResponse {
		r := &pb.ModelStatisticsResponse{}
		for _, n := range names {
			r.ModelStats = append(r.ModelStats, &pb.ModelStatistics{Name: n, InferenceCount: 1})
		}
		return r
	}
	ensemble := func(name, step string) *pb.ModelConfigResponse {
		return &pb.ModelConfigResponse{Config: &pb.ModelConfig{Name: name, SchedulingChoice: &pb.ModelConfig_EnsembleScheduling{
			EnsembleScheduling: &pb.ModelEnsembling{Step: []*pb.ModelEnsembling_Step{{ModelName: step}}},
		}}}
	}
	path := func(rpc string) string { return "/inference.GRPCInferenceService/" + rpc }
	for name, tt := range map[string]struct {
		rpc                      string
		request, sent            proto.Message
		answered, answer, result proto.Message
	}{
		"ready":            {"ModelReady", &pb.ModelReadyRequest{Name: "chat"}, &pb.ModelReadyRequest{Name: "meta-llama/Llama-3", Version: "3"}, &pb.ModelReadyResponse{Ready: true}, &pb.ModelReadyResponse{}, &pb.ModelReadyResponse{Ready: true}},
		"metadata":         {"ModelMetadata", &pb.ModelMetadataRequest{Name: "chat", Version: "1"}, &pb.ModelMetadataRequest{Name: "meta-llama/Llama-3", Version: "1"}, &pb.ModelMetadataResponse{Name: "meta-llama/Llama-3"}, &pb.ModelMetadataResponse{}, &pb.ModelMetadataResponse{Name: "chat"}},
		"config":           {"ModelConfig", &pb.ModelConfigRequest{Name: "other"}, &pb.ModelConfigRequest{Name: "other"}, ensemble("other", "meta-llama/Llama-3"), &pb.ModelConfigResponse{}, ensemble("other", "chat")},
		"empty config":     {"ModelConfig", &pb.ModelConfigRequest{Name: "other"}, &pb.ModelConfigRequest{Name: "other"}, &pb.ModelConfigResponse{}, &pb.ModelConfigResponse{}, &pb.ModelConfigResponse{}},
		"statistics":       {"ModelStatistics", &pb.ModelStatisticsRequest{Name: "chat"}, &pb.ModelStatisticsRequest{Name: "meta-llama/Llama-3"}, stats("meta-llama/Llama-3"), &pb.ModelStatisticsResponse{}, stats("chat")},
		"all statistics":   {"ModelStatistics", &pb.ModelStatisticsRequest{}, &pb.ModelStatisticsRequest{}, stats("meta-llama/Llama-3", "chat", "x"), &pb.ModelStatisticsResponse{}, stats("chat", "x")},
		"index":            {"RepositoryIndex", &pb.RepositoryIndexRequest{Ready: true}, &pb.RepositoryIndexRequest{Ready: true}, index("meta-llama/Llama-3", "chat", "a", "x"), &pb.RepositoryIndexResponse{}, index("chat", "b", "x")},
		"load":             {"RepositoryModelLoad", &pb.RepositoryModelLoadRequest{ModelName: "chat", Parameters: map[string]*pb.ModelRepositoryParameter{"config": {}}}, &pb.RepositoryModelLoadRequest{ModelName: "meta-llama/Llama-3", Parameters: map[string]*pb.ModelRepositoryParameter{"config": {}}}, &pb.RepositoryModelLoadResponse{}, &pb.RepositoryModelLoadResponse{}, &pb.RepositoryModelLoadResponse{}},
		"unload":           {"RepositoryModelUnload", &pb.RepositoryModelUnloadRequest{ModelName: "a"}, &pb.RepositoryModelUnloadRequest{ModelName: "b"}, &pb.RepositoryModelUnloadResponse{}, &pb.RepositoryModelUnloadResponse{}, &pb.RepositoryModelUnloadResponse{}},
		"trace":            {"TraceSetting", &pb.TraceSettingRequest{ModelName: "chat"}, &pb.TraceSettingRequest{ModelName: "meta-llama/Llama-3"}, &pb.TraceSettingResponse{}, &pb.TraceSettingResponse{}, &pb.TraceSettingResponse{}},
		"what has no name": {"ServerReady", &pb.ServerReadyRequest{}, &pb.ServerReadyRequest{}, &pb.ServerReadyResponse{Ready: true}, &pb.ServerReadyResponse{}, &pb.ServerReadyResponse{Ready: true}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{answer: func(string) []byte { return marshal(t, tt.answered) }}
			b := rename.Wrap(s, names, versions)
			before := proto.Clone(tt.request)
			if err := b.Invoke(t.Context(), path(tt.rpc), tt.request, tt.answer); err != nil {
				t.Fatal(err)
			}
			sent := tt.sent.ProtoReflect().New().Interface()
			if err := proto.Unmarshal(s.got, sent); err != nil || !proto.Equal(sent, tt.sent) {
				t.Errorf("the server got %v", sent)
			}
			if !proto.Equal(tt.answer, tt.result) {
				t.Errorf("the caller got %v, want %v", tt.answer, tt.result)
			}
			if !proto.Equal(tt.request, before) {
				t.Error("the request is another's too, and was changed")
			}
			raw := new(wire.Message) // as a service forwards it
			defer raw.Free()
			if err := b.Invoke(t.Context(), path(tt.rpc), wire.FromBytes(marshal(t, tt.request)), raw); err != nil {
				t.Fatal(err)
			}
			again := tt.result.ProtoReflect().New().Interface()
			if err := raw.Unmarshal(again); err != nil || !proto.Equal(again, tt.result) {
				t.Errorf("in bytes the caller got %v", again)
			}
		})
	}
}

// FuzzInfer renames whatever is a request and holds the rest to be as it was.
func FuzzInfer(f *testing.F) {
	f.Add(marshal(f, &pb.ModelInferRequest{ModelName: "chat", Id: "1", RawInputContents: [][]byte{{1, 2, 3}}}))
	f.Add(marshal(f, &pb.ModelInferRequest{ModelName: "a", ModelVersion: "1"}))
	f.Add(append([]byte{0x0a, 0x84, 0x00}, "chat"...)) // a length that is longer than it need be
	f.Add(append([]byte{0x12, 0x00, 0x0a, 0x04}, "chat"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := wire.FromBytes(data)
		defer m.Free()
		view, err := m.InferRequest()
		if err != nil || view.Ambiguous() {
			return
		}
		model := view.ModelName().String()
		got, _, err := infer(t, data, nil)
		if err != nil {
			return // the server's own name
		}
		if !bytes.Equal(without(t, got, 1, 2), without(t, data, 1, 2)) {
			t.Errorf("more than the name was changed: %q of %q", got, data)
		}
		var sent pb.ModelInferRequest
		if err := proto.Unmarshal(got, &sent); err != nil {
			t.Fatal(err)
		}
		if want, renamed := names[model]; renamed && sent.GetModelName() != want || !renamed && sent.GetModelName() != model {
			t.Errorf("%q became %q", model, sent.GetModelName())
		}
	})
}

// without takes fields out of a message.
func without(t *testing.T, b []byte, fields ...protowire.Number) (rest []byte) {
	t.Helper()
	for len(b) > 0 {
		num, _, n := protowire.ConsumeField(b)
		if n < 0 {
			t.Fatalf("no message: %q", b)
		}
		taken := false
		for _, f := range fields {
			taken = taken || f == num
		}
		if !taken {
			rest = append(rest, b[:n]...)
		}
		b = b[n:]
	}
	return rest
}
