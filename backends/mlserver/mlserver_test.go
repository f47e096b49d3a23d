package mlserver_test

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

func client(t *testing.T) (inference.GRPCInferenceServiceClient, *backendstest.Server) {
	t.Helper()
	server := backendstest.Start(t, double(backendstest.Setup{Observer: backendstest.NewObserver()}))
	return inference.NewGRPCInferenceServiceClient(open(t, backendstest.Setup{}, server)), server
}

func TestTrailers(t *testing.T) {
	c, _ := client(t)
	var trailer metadata.MD
	if _, err := c.ModelInfer(t.Context(), backendstest.EchoRequest(), grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	if len(trailer["ce-modelid"]) > 0 || len(trailer["ce-specversion"]) > 0 {
		t.Errorf("what describes the answer as an event went on: %v", trailer)
	}
	if len(trailer["x-model"]) != 1 {
		t.Errorf("the model's own is lost: %v", trailer)
	}
}

func TestIndex(t *testing.T) {
	c, _ := client(t)
	all, err := c.RepositoryIndex(t.Context(), &inference.RepositoryIndexRequest{})
	if err != nil || len(all.GetModels()) != len(names) {
		t.Fatalf("got %v, %v", all, err)
	}
	for _, m := range all.GetModels() {
		if m.GetState() != "READY" {
			t.Errorf("%s is %q", m.GetName(), m.GetState())
		}
	}
}

func TestConfig(t *testing.T) {
	c, _ := client(t)
	got, err := c.ModelConfig(t.Context(), &inference.ModelConfigRequest{Name: "echo"})
	if err != nil {
		t.Fatal(err)
	}
	config := got.GetConfig()
	if !config.GetModelTransactionPolicy().GetDecoupled() || config.GetMaxBatchSize() != 0 {
		t.Errorf("got %v", config)
	}
	if in := config.GetInput(); len(in) != 1 || in[0].GetDataType() != inference.DataType_TYPE_INT32 || in[0].GetDims()[0] != -1 {
		t.Errorf("the inputs are %v", in)
	}
	if config.GetParameters()["sluice_made_of"].GetStringValue() != "ModelMetadata" {
		t.Errorf("it does not say that it was made up: %v", config)
	}
}

// TestRefused: what the server would read in its own way, or leave out.
func TestRefused(t *testing.T) {
	c, server := client(t)
	mixed := backendstest.EchoRequest()
	mixed.Inputs[0].Contents = &inference.InferTensorContents{}
	shared := backendstest.EchoRequest()
	shared.Inputs[0].Parameters = map[string]*inference.InferParameter{"shared_memory_region": text("r")}
	for name, tt := range map[string]struct {
		call   func() error
		reason string
	}{
		"mixed contents": {func() error { _, err := c.ModelInfer(t.Context(), mixed); return err }, access.ReasonMalformed},
		"shared memory":  {func() error { _, err := c.ModelInfer(t.Context(), shared); return err }, access.ReasonUnsupported},
		"load parameters": {func() error {
			_, err := c.RepositoryModelLoad(t.Context(), &inference.RepositoryModelLoadRequest{
				ModelName:  "spare",
				Parameters: map[string]*inference.ModelRepositoryParameter{"config": {ParameterChoice: &inference.ModelRepositoryParameter_StringParam{StringParam: "{}"}}},
			})
			return err
		}, access.ReasonUnsupported},
		"trace": {func() error { _, err := c.TraceSetting(t.Context(), &inference.TraceSettingRequest{}); return err }, access.ReasonUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			if e, ok := access.AsError(tt.call()); !ok || e.Reason != tt.reason {
				t.Errorf("got %v", e)
			}
		})
	}
	if n := len(server.Calls()); n > 0 {
		t.Errorf("%d calls reached the server", n)
	}
}
