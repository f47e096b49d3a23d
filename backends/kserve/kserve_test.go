package kserve_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/connection"
	"github.com/sluice-gateway/sluice/backends/kserve"
	"github.com/sluice-gateway/sluice/gen/inference"
)

func TestMain(m *testing.M) { backendstest.Main(m) }

// server is KServe 0.21.0 as it was seen on the wire, with a model "echo" that is
// ready and a model "spare" that can be loaded.
type server struct {
	mu    sync.Mutex
	ready map[string]bool
	stuck bool // what is loaded or unloaded stays as it was
}

func newServer() *server { return &server{ready: map[string]bool{"echo": true, "spare": false}} }

func (s *server) found(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.ready[name]; ok {
		return nil
	}
	return status.Errorf(codes.NotFound, "Model with name %s does not exist.", name)
}

func (s *server) modelReady(r *inference.ModelReadyRequest) (proto.Message, error) {
	err := s.found(r.GetName())
	s.mu.Lock()
	defer s.mu.Unlock()
	return &inference.ModelReadyResponse{Ready: s.ready[r.GetName()]}, err
}

func (s *server) metadata(r *inference.ModelMetadataRequest) (proto.Message, error) {
	type tensors = []*inference.ModelMetadataResponse_TensorMetadata
	return &inference.ModelMetadataResponse{
		Name:    r.GetName(),
		Inputs:  tensors{{Name: "IN", Datatype: "INT32", Shape: []int64{-1}}},
		Outputs: tensors{{Name: "OUT", Datatype: "INT32", Shape: []int64{-1}}},
	}, s.found(r.GetName())
}

// infer answers typed with typed: it is the model's to choose.
func (s *server) infer(r *inference.ModelInferRequest) (proto.Message, error) {
	answer := &inference.ModelInferResponse{ModelName: r.GetModelName(), Id: r.GetId(), RawOutputContents: r.GetRawInputContents()}
	for _, in := range r.GetInputs() {
		answer.Outputs = append(answer.Outputs, &inference.ModelInferResponse_InferOutputTensor{
			Name: "OUT", Datatype: in.GetDatatype(), Shape: in.GetShape(), Contents: in.GetContents(),
		})
	}
	return answer, s.found(r.GetModelName())
}

// named reads the name as the server does: in field 1.
func named(messages [][]byte) string {
	num, typ, n := protowire.ConsumeTag(messages[0])
	if num != 1 || typ != protowire.BytesType {
		return ""
	}
	name, _ := protowire.ConsumeString(messages[0][n:])
	return name
}

// load crashes, whether it has done its work or not.
func (s *server) load(c *backendstest.Call) error {
	name := named(c.Messages())
	if s.found(name) != nil {
		return status.Error(codes.Unknown, "Unexpected <class 'AttributeError'>: 'ModelNotReady' object has no attribute 'reason'")
	}
	return s.crash(name, true)
}

func (s *server) unload(c *backendstest.Call) error {
	name := named(c.Messages())
	if err := s.found(name); err != nil {
		return err
	}
	return s.crash(name, false)
}

func (s *server) crash(name string, ready bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stuck {
		s.ready[name] = ready
	}
	return status.Error(codes.Internal, "Internal server error")
}

func (s *server) script(set backendstest.Setup) backendstest.Script {
	o := set.Observer
	infer := []backendstest.Step{backendstest.Observe(o, backendstest.Infer, nil), backendstest.Reply(s.infer)}
	switch set.Mode {
	case backendstest.ModeGarbage:
		return backendstest.Script{backendstest.Any: {backendstest.Receive(), backendstest.Garbage()}}
	case backendstest.ModeHangs:
		infer = []backendstest.Step{backendstest.Receive(), backendstest.Observe(o, backendstest.Infer, nil), backendstest.Hang()}
	}
	return backendstest.Script{
		"ServerLive":  {backendstest.Receive(), backendstest.Send(&inference.ServerLiveResponse{Live: true})},
		"ServerReady": {backendstest.Receive(), backendstest.Send(&inference.ServerReadyResponse{Ready: true})},
		"ServerMetadata": {backendstest.Receive(), backendstest.Send(&inference.ServerMetadataResponse{
			Name: "kserve", Version: "0.21.0", Extensions: []string{"model_repository_extension"},
		})},
		"ModelReady":            {backendstest.Reply(s.modelReady)},
		"ModelMetadata":         {backendstest.Reply(s.metadata)},
		"RepositoryModelLoad":   {backendstest.Receive(), backendstest.Observe(o, backendstest.Load, named), s.load},
		"RepositoryModelUnload": {backendstest.Receive(), backendstest.Observe(o, backendstest.Unload, named), s.unload},
		"ModelInfer":            infer,
	}
}

func open(t *testing.T, s backendstest.Setup, double *backendstest.Server, patterns ...string) *kserve.Backend {
	t.Helper()
	dial := func(context.Context, string) (net.Conn, error) {
		return nil, errors.New("dial tcp 10.1.2.3:8001: refused")
	}
	if double != nil {
		dial = double.Dial
	}
	b, err := kserve.New(connection.Options{
		Name: "ks", Address: "10.1.2.3:8001", Credentials: insecure.NewCredentials(), Forwarder: s.Forwarder, Pool: s.Pool,
		Verify: &connection.Verify{Log: slog.New(slog.DiscardHandler)},
		Dial:   []grpc.DialOption{grpc.WithContextDialer(dial)},
	}, patterns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// client is one of a backend before a server of its own.
func client(t *testing.T, s *server, patterns ...string) (inference.GRPCInferenceServiceClient, *backendstest.Server) {
	t.Helper()
	double := backendstest.Start(t, s.script(backendstest.Setup{Observer: backendstest.NewObserver()}))
	return inference.NewGRPCInferenceServiceClient(open(t, backendstest.Setup{}, double, patterns...)), double
}

func TestSuite(t *testing.T) {
	typed := backendstest.EchoRequest()
	typed.RawInputContents = nil
	typed.Inputs[0].Contents = &inference.InferTensorContents{IntContents: []int32{1, -2}}
	answers := []*inference.ModelInferResponse{backendstest.EchoAnswer()}
	backendstest.Run(t, backendstest.Harness{
		Open: func(t *testing.T, s backendstest.Setup) backends.Backend {
			t.Helper()
			if s.Mode == backendstest.ModeAway {
				return open(t, s, nil)
			}
			return open(t, s, backendstest.Start(t, newServer().script(s)), "echo", "spare", "other-*")
		},
		Infer:      backendstest.Exchange{Request: backendstest.EchoRequest(), Answers: answers},
		TypedInfer: backendstest.Exchange{Request: typed, Answers: answers},
		LoadName:   "spare",
		Lacks: map[backendstest.Ability]string{
			backendstest.Statistics: "KServe 0.21.0 counts for Prometheus alone",
			backendstest.Stream:     "KServe 0.21.0 has no ModelStreamInfer",
		},
	})
}

func TestRepository(t *testing.T) {
	load := func(c inference.GRPCInferenceServiceClient, r *inference.RepositoryModelLoadRequest) error {
		_, err := c.RepositoryModelLoad(t.Context(), r)
		return err
	}
	unload := func(c inference.GRPCInferenceServiceClient, r *inference.RepositoryModelUnloadRequest) error {
		_, err := c.RepositoryModelUnload(t.Context(), r)
		return err
	}
	type (
		loading   = inference.RepositoryModelLoadRequest
		unloading = inference.RepositoryModelUnloadRequest
	)
	dependents := map[string]*inference.ModelRepositoryParameter{"unload_dependents": {ParameterChoice: &inference.ModelRepositoryParameter_BoolParam{}}}
	config := map[string]*inference.ModelRepositoryParameter{"config": {ParameterChoice: &inference.ModelRepositoryParameter_StringParam{StringParam: "{}"}}}
	for name, tt := range map[string]struct {
		stuck bool
		call  func(inference.GRPCInferenceServiceClient) error
		code  codes.Code
		text  string
		sent  string // what the server was asked to do, "" where nothing was to reach it
	}{
		"load":   {false, func(c inference.GRPCInferenceServiceClient) error { return load(c, &loading{ModelName: "spare"}) }, codes.OK, "", "spare"},
		"unload": {false, func(c inference.GRPCInferenceServiceClient) error { return unload(c, &unloading{ModelName: "echo"}) }, codes.OK, "", "echo"},
		"as tritonclient": {false, func(c inference.GRPCInferenceServiceClient) error {
			return unload(c, &unloading{ModelName: "echo", Parameters: dependents})
		}, codes.OK, "", "echo"},
		"load fails":     {true, func(c inference.GRPCInferenceServiceClient) error { return load(c, &loading{ModelName: "spare"}) }, codes.Internal, "failed to load 'spare'", "spare"},
		"unload fails":   {true, func(c inference.GRPCInferenceServiceClient) error { return unload(c, &unloading{ModelName: "echo"}) }, codes.Internal, "failed to unload 'echo'", "echo"},
		"load unknown":   {false, func(c inference.GRPCInferenceServiceClient) error { return load(c, &loading{ModelName: "nope"}) }, codes.Internal, "failed to load 'nope'", "nope"},
		"unload unknown": {false, func(c inference.GRPCInferenceServiceClient) error { return unload(c, &unloading{ModelName: "nope"}) }, codes.NotFound, "Model with name nope", "nope"},
		"repository of a load": {false, func(c inference.GRPCInferenceServiceClient) error {
			return load(c, &loading{RepositoryName: "echo", ModelName: "spare"})
		}, codes.Unimplemented, "'repository_name'", ""},
		"repository of an unload": {false, func(c inference.GRPCInferenceServiceClient) error {
			return unload(c, &unloading{RepositoryName: "echo", ModelName: "spare"})
		}, codes.Unimplemented, "'repository_name'", ""},
		"configuration": {false, func(c inference.GRPCInferenceServiceClient) error {
			return load(c, &loading{ModelName: "spare", Parameters: config})
		}, codes.Unimplemented, "this model's server has no parameters of a load", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			s.stuck = tt.stuck
			c, double := client(t, s)
			err := tt.call(c)
			code, message := status.Code(err), status.Convert(err).Message()
			if e, ok := access.AsError(err); ok && e.Kind == access.Unimplemented {
				code, message = codes.Unimplemented, e.Message
			}
			if code != tt.code || !strings.HasPrefix(message, tt.text) {
				t.Errorf("got %v, want %v: %s", err, tt.code, tt.text)
			}
			if calls := double.Calls(); tt.sent == "" && len(calls) > 0 || tt.sent != "" && named(calls[0].Messages()) != tt.sent {
				t.Errorf("the server got %v", calls)
			}
		})
	}
}

// TestRepositoryBytes: nothing of the request goes on but the name.
func TestRepositoryBytes(t *testing.T) {
	c, double := client(t, newServer())
	request := &inference.RepositoryModelUnloadRequest{ModelName: "echo"}
	request.ProtoReflect().SetUnknown([]byte{0x7a, 1, 'x'})
	if _, err := c.RepositoryModelUnload(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if got := double.Calls()[0].Messages()[0]; string(got) != "\x0a\x04echo" {
		t.Errorf("the server got %q", got)
	}
}

func TestIndex(t *testing.T) {
	index := func(c inference.GRPCInferenceServiceClient, r *inference.RepositoryIndexRequest) ([]string, error) {
		all, err := c.RepositoryIndex(t.Context(), r)
		var rows []string
		for _, m := range all.GetModels() {
			rows = append(rows, m.GetName()+" "+m.GetState())
		}
		return rows, err
	}
	c, _ := client(t, newServer(), "echo", "spare", "gone", "more-*")
	rows, err := index(c, &inference.RepositoryIndexRequest{})
	if want := []string{"echo READY", "spare UNAVAILABLE", "gone UNAVAILABLE"}; err != nil || !slices.Equal(rows, want) {
		t.Errorf("got %q, %v", rows, err)
	}
	if rows, err = index(c, &inference.RepositoryIndexRequest{Ready: true}); err != nil || !slices.Equal(rows, []string{"echo READY"}) {
		t.Errorf("of those that are ready: got %q, %v", rows, err)
	}
	if _, err = index(c, &inference.RepositoryIndexRequest{RepositoryName: "r"}); err == nil {
		t.Error("a repository's name was taken")
	}
	unnamed, _ := client(t, newServer(), "*")
	if e, ok := access.AsError(second(index(unnamed, &inference.RepositoryIndexRequest{}))); !ok || e.Kind != access.Unimplemented {
		t.Errorf("without names: %v", e)
	}
}

func second[T any](_ T, err error) error { return err }

// TestConfig says how it came about, and that the model answers once.
func TestConfig(t *testing.T) {
	c, _ := client(t, newServer())
	m, err := c.ModelConfig(t.Context(), &inference.ModelConfigRequest{Name: "echo"})
	if err != nil || m.GetConfig().GetModelTransactionPolicy().GetDecoupled() || m.GetConfig().GetParameters()["sluice_made_of"] == nil {
		t.Errorf("got %v, %v", m, err)
	}
}
