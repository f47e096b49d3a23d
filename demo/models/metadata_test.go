package models_test

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/demo/models"
	"github.com/sluice-gateway/sluice/gen/inference"
)

func TestServerMetadata(t *testing.T) {
	got := must[*inference.ServerMetadataResponse](t)(client(t).ServerMetadata(t.Context(), &inference.ServerMetadataRequest{}))
	if got.GetName() != "triton" || got.GetVersion() == "" {
		t.Errorf("%q version %q", got.GetName(), got.GetVersion())
	}
	for _, e := range []string{"statistics", "sequence", "model_repository", "binary_tensor_data"} {
		if !slices.Contains(got.GetExtensions(), e) {
			t.Errorf("extension %s is not in %v", e, got.GetExtensions())
		}
	}
}

func TestModelMetadata(t *testing.T) {
	c := client(t)
	for name, want := range map[string]string{
		"simple":          "INPUT0:INT32[-1 16] INPUT1:INT32[-1 16] > OUTPUT0:INT32[-1 16] OUTPUT1:INT32[-1 16]",
		"prod-simple":     "INPUT0:INT32[-1 16] INPUT1:INT32[-1 16] > OUTPUT0:INT32[-1 16] OUTPUT1:INT32[-1 16]",
		"simple_string":   "INPUT0:BYTES[-1 16] INPUT1:BYTES[-1 16] > OUTPUT0:BYTES[-1 16] OUTPUT1:BYTES[-1 16]",
		"simple_identity": "INPUT0:BYTES[-1 -1] > OUTPUT0:BYTES[-1 -1]",
		"identity_fp32":   "INPUT0:FP32[-1 -1] > OUTPUT0:FP32[-1 -1]",
		"simple_sequence": "INPUT:INT32[-1 1] > OUTPUT:INT32[-1 1]",
		"repeat_int32":    "IN:INT32[-1] DELAY:UINT32[-1] WAIT:UINT32[1] > OUT:INT32[1] IDX:UINT32[1]",
		"tokens": "text_input:BYTES[1] stream:BOOL[1] sampling_parameters:BYTES[1] exclude_input_in_output:BOOL[1] return_finish_reason:BOOL[1] " +
			"return_num_input_tokens:BOOL[1] return_num_output_tokens:BOOL[1] > text_output:BYTES[-1] finish_reason:BYTES[-1] num_input_tokens:UINT32[1] num_output_tokens:UINT32[-1]",
	} {
		t.Run(name, func(t *testing.T) {
			m := must[*inference.ModelMetadataResponse](t)(c.ModelMetadata(t.Context(), &inference.ModelMetadataRequest{Name: name}))
			got := ""
			for _, in := range m.GetInputs() {
				got += fmt.Sprintf("%s:%s%v ", in.GetName(), in.GetDatatype(), in.GetShape())
			}
			got += ">"
			for _, out := range m.GetOutputs() {
				got += fmt.Sprintf(" %s:%s%v", out.GetName(), out.GetDatatype(), out.GetShape())
			}
			if got != want || m.GetName() != name || m.GetPlatform() == "" || !slices.Equal(m.GetVersions(), []string{"1"}) {
				t.Errorf("%s %v %s: %s\nwant %s", m.GetName(), m.GetVersions(), m.GetPlatform(), got, want)
			}
		})
	}
}

func TestModelConfig(t *testing.T) {
	c := client(t)
	for _, tc := range []struct {
		name      string
		batch     int32
		decoupled bool
		sequences bool
	}{{"simple", 8, false, false}, {"simple_sequence", 8, false, true}, {"repeat_int32", 0, true, false}, {"tokens", 0, true, false}} {
		got := must[*inference.ModelConfigResponse](t)(c.ModelConfig(t.Context(), &inference.ModelConfigRequest{Name: tc.name})).GetConfig()
		if got.GetName() != tc.name || got.GetMaxBatchSize() != tc.batch || got.GetModelTransactionPolicy().GetDecoupled() != tc.decoupled || (got.GetSequenceBatching() != nil) != tc.sequences {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestUnknownModelHasNoMetadata(t *testing.T) {
	c := client(t)
	_, metadata := c.ModelMetadata(t.Context(), &inference.ModelMetadataRequest{Name: "nope"})
	_, config := c.ModelConfig(t.Context(), &inference.ModelConfigRequest{Name: "nope"})
	for _, err := range []error{metadata, config} {
		wantStatus(t, err, codes.NotFound, "Request for unknown model: 'nope' is not found")
	}
}

func TestModelReady(t *testing.T) {
	c := client(t)
	for _, tc := range []struct {
		model, version string
		ready          bool
	}{{"simple", "", true}, {"simple", "1", true}, {"simple", "2", false}, {"nope", "", false}, {"", "", false}} {
		got := must[*inference.ModelReadyResponse](t)(c.ModelReady(t.Context(), &inference.ModelReadyRequest{Name: tc.model, Version: tc.version}))
		if got.GetReady() != tc.ready {
			t.Errorf("%q version %q: ready %v", tc.model, tc.version, got.GetReady())
		}
	}
	_, err := c.ModelReady(t.Context(), &inference.ModelReadyRequest{Name: "simple", Version: "x"})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("version x: %v", err)
	}
}

func TestHealth(t *testing.T) {
	conn := dial(t, models.Options{})
	c, h := inference.NewGRPCInferenceServiceClient(conn), healthpb.NewHealthClient(conn)
	if live := must[*inference.ServerLiveResponse](t)(c.ServerLive(t.Context(), &inference.ServerLiveRequest{})); !live.GetLive() {
		t.Error("not live")
	}
	check := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, service := range []string{"", "inference.GRPCInferenceService", "no such service"} {
			got := must[*healthpb.HealthCheckResponse](t)(h.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service}))
			if got.GetStatus() != want {
				t.Errorf("service %q: %v, want %v", service, got.GetStatus(), want)
			}
		}
	}
	check(healthpb.HealthCheckResponse_SERVING)
	if err := unload(t.Context(), c, "simple"); err != nil {
		t.Fatal(err)
	}
	check(healthpb.HealthCheckResponse_SERVING) // what was unloaded does not count
	if err := load(t.Context(), c, "simple", loadParams{"config": configParam(`{"backend": "x"}`)}); err == nil {
		t.Fatal("the load succeeded")
	}
	check(healthpb.HealthCheckResponse_NOT_SERVING)
	watch := must[healthpb.Health_WatchClient](t)(h.Watch(t.Context(), &healthpb.HealthCheckRequest{}))
	_, err := watch.Recv()
	wantStatus(t, err, codes.Unimplemented, "")
}
