package models_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/sluice-gateway/sluice/demo/models"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// index returns each model's version, state and reason.
func index(t *testing.T, c inference.GRPCInferenceServiceClient) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, m := range must[*inference.RepositoryIndexResponse](t)(c.RepositoryIndex(t.Context(), &inference.RepositoryIndexRequest{})).GetModels() {
		all[m.GetName()] = strings.TrimSpace(m.GetVersion() + " " + m.GetState() + " " + m.GetReason())
	}
	return all
}

type loadParams map[string]*inference.ModelRepositoryParameter

func configParam(json string) *inference.ModelRepositoryParameter {
	return &inference.ModelRepositoryParameter{ParameterChoice: &inference.ModelRepositoryParameter_StringParam{StringParam: json}}
}

func fileParam(content string) *inference.ModelRepositoryParameter {
	return &inference.ModelRepositoryParameter{ParameterChoice: &inference.ModelRepositoryParameter_BytesParam{BytesParam: []byte(content)}}
}

func load(ctx context.Context, c inference.GRPCInferenceServiceClient, name string, p loadParams) error {
	_, err := c.RepositoryModelLoad(ctx, &inference.RepositoryModelLoadRequest{ModelName: name, Parameters: p})
	return err
}

func unload(ctx context.Context, c inference.GRPCInferenceServiceClient, name string) error {
	_, err := c.RepositoryModelUnload(ctx, &inference.RepositoryModelUnloadRequest{ModelName: name})
	return err
}

func TestIndex(t *testing.T) {
	c := client(t)
	want := []string{"identity_fp32", "prod-simple", "repeat_int32", "simple", "simple_identity", "simple_sequence", "simple_string", "tokens"}
	all := index(t, c)
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, want) {
		t.Errorf("models %v, want %v", got, want)
	}
	for name, state := range all {
		if state != "1 READY" {
			t.Errorf("%s is %q", name, state)
		}
	}
	if err := unload(t.Context(), c, "simple"); err != nil {
		t.Fatal(err)
	}
	ready := must[*inference.RepositoryIndexResponse](t)(c.RepositoryIndex(t.Context(), &inference.RepositoryIndexRequest{Ready: true}))
	if len(ready.GetModels()) != len(want)-1 || index(t, c)["simple"] != "1 UNAVAILABLE unloaded" {
		t.Errorf("after unload %v", index(t, c))
	}
}

func TestUnloadAndLoad(t *testing.T) {
	c := client(t)
	for range 2 { // the second time it is unloaded already
		if err := unload(t.Context(), c, "simple"); err != nil {
			t.Fatal(err)
		}
	}
	if err := unload(t.Context(), c, "nope"); err != nil {
		t.Errorf("unload of an unknown model: %v", err)
	}
	_, err := c.ModelInfer(t.Context(), addRequest(""))
	wantStatus(t, err, codes.NotFound, "Request for unknown model: 'simple' has no available versions")
	versioned := addRequest("")
	versioned.ModelVersion = "1"
	_, err = c.ModelInfer(t.Context(), versioned)
	wantStatus(t, err, codes.Unavailable, "Request for unknown model: 'simple' version 1 is not at ready state")
	ready := func() bool {
		return must[*inference.ModelReadyResponse](t)(c.ModelReady(t.Context(), &inference.ModelReadyRequest{Name: "simple"})).GetReady()
	}
	if ready() {
		t.Error("ready after unload")
	}
	if err := load(t.Context(), c, "simple", nil); err != nil || !ready() {
		t.Errorf("after load: %v, ready %v", err, ready())
	}
	must[*inference.ModelInferResponse](t)(c.ModelInfer(t.Context(), versioned))
}

func TestUnloadLetsCallsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t)
		done := make(chan int)
		go func() {
			answers, _ := stream(t.Context(), t, c, repeatRequest("r", 100, 1, 2, 3))
			done <- len(answers)
		}()
		time.Sleep(150 * time.Millisecond)
		if err := unload(t.Context(), c, "repeat_int32"); err != nil {
			t.Fatal(err)
		}
		if got := index(t, c)["repeat_int32"]; got != "1 UNLOADING" {
			t.Errorf("while a call runs it is %q", got)
		}
		if n := <-done; n != 3 {
			t.Errorf("the call got %d answers", n)
		}
		synctest.Wait()
		if got := index(t, c)["repeat_int32"]; got != "1 UNAVAILABLE unloaded" {
			t.Errorf("then it is %q", got)
		}
	})
}

func TestLoadRefusals(t *testing.T) {
	number := &inference.ModelRepositoryParameter{ParameterChoice: &inference.ModelRepositoryParameter_Int64Param{Int64Param: 1}}
	polled := func(name string) string { return "failed to load '" + name + "', failed to poll from model repository" }
	failed := func(reason string) string {
		return "load failed for model 'simple': version 1 is at UNAVAILABLE state: Invalid argument: " + reason + ";\n"
	}
	for _, tc := range []struct {
		name, model string
		params      loadParams
		code        codes.Code
		text        string
	}{
		{"unknown model", "nope", nil, codes.Internal, polled("nope")},
		{"blank", " ", nil, codes.InvalidArgument, "Model name cannot be empty. Please enter a valid name to deploy."},
		{"path", "../simple", nil, codes.InvalidArgument, "invalid model name '../simple', model name must not contain path traversal characters"},
		{"unknown parameter", "simple", loadParams{"k": configParam("")}, codes.InvalidArgument, "unrecognized load parameter 'k'."},
		{
			"config of another type", "simple",
			loadParams{"config": fileParam("{}")},
			codes.InvalidArgument,
			"invalid value type for load parameter 'config', expected string_param.",
		},
		{
			"file of another type", "simple",
			loadParams{"config": configParam("{}"), "file:1/x": number},
			codes.InvalidArgument,
			"invalid value type for load parameter 'file:1/x', expected bytes_param.",
		},
		{"files without config", "simple", loadParams{"file:1/x": fileParam("x")}, codes.Internal, polled("simple")},
		{"no JSON", "simple", loadParams{"config": configParam("{")}, codes.Internal, polled("simple")},
		{"unknown key", "simple", loadParams{"config": configParam(`{"max_batch": 1}`)}, codes.Internal, polled("simple")},
		{"another name", "simple", loadParams{"config": configParam(`{"name": "other"}`)}, codes.Internal, polled("simple")},
		{
			"another backend", "simple",
			loadParams{"config": configParam(`{"backend": "onnxruntime"}`)},
			codes.InvalidArgument,
			failed("unable to find backend library for backend 'onnxruntime', try specifying runtime on the model configuration."),
		},
		{"negative batch", "simple", loadParams{"config": configParam(`{"max_batch_size": -1}`)}, codes.Internal, polled("simple")},
		{
			"decoupled", "simple",
			loadParams{"config": configParam(`{"model_transaction_policy": {"decoupled": true}}`)},
			codes.InvalidArgument,
			failed("the transaction policy of model 'simple' can't be changed"),
		},
		{
			"other inputs", "simple",
			loadParams{"config": configParam(`{"input": [{"name": "INPUT0", "data_type": "TYPE_FP32", "dims": [16]}]}`)},
			codes.InvalidArgument,
			failed("model 'simple' needs an input 'INPUT0' of type TYPE_INT32"),
		},
		{
			"other outputs", "simple",
			loadParams{"config": configParam(`{"output": [{"name": "OUTPUT0", "data_type": "TYPE_INT32", "dims": [16]}]}`)},
			codes.InvalidArgument,
			failed("model 'simple' has an output 'OUTPUT1' of type TYPE_INT32"),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := client(t)
			wantStatus(t, load(t.Context(), c, tc.model, tc.params), tc.code, tc.text)
			if got := index(t, c)["simple"]; got != "1 READY" {
				t.Errorf("what was loaded before is %q", got)
			}
		})
	}
}

func TestFailedLoadIsShown(t *testing.T) {
	c := client(t)
	if err := unload(t.Context(), c, "simple"); err != nil {
		t.Fatal(err)
	}
	if err := load(t.Context(), c, "simple", loadParams{"config": configParam(`{"backend": "x"}`)}); err == nil {
		t.Fatal("the load succeeded")
	}
	if got := index(t, c)["simple"]; !strings.HasPrefix(got, "1 UNAVAILABLE Invalid argument: unable to find backend library") {
		t.Errorf("index shows %q", got)
	}
	ready := must[*inference.ServerReadyResponse](t)(c.ServerReady(t.Context(), &inference.ServerReadyRequest{}))
	if ready.GetReady() {
		t.Error("the server is ready though a model has failed")
	}
	if err := load(t.Context(), c, "simple", nil); err != nil {
		t.Fatal(err)
	}
	if ready := must[*inference.ServerReadyResponse](t)(c.ServerReady(t.Context(), &inference.ServerReadyRequest{})); !ready.GetReady() {
		t.Error("the server is not ready though the load was mended")
	}
}

func TestOverride(t *testing.T) {
	c := client(t)
	config := func() *inference.ModelConfig {
		return must[*inference.ModelConfigResponse](t)(c.ModelConfig(t.Context(), &inference.ModelConfigRequest{Name: "simple"})).GetConfig()
	}
	own := config()
	// A number may be a string in proto-JSON, and tritonclient's users write it so.
	const json = `{"max_batch_size": "0", "parameters": {"k": {"string_value": "v"}}, "instance_group": [{"count": 3, "kind": "KIND_CPU"}]}`
	if err := load(t.Context(), c, "simple", loadParams{"config": configParam(json), "file:1/a": fileParam("x"), "file:12/b": fileParam("x")}); err != nil {
		t.Fatal(err)
	}
	got := config()
	if got.GetMaxBatchSize() != 0 && got.GetName() != "simple" || got.GetParameters()["k"].GetStringValue() != "v" || len(got.GetInput()) != 2 || got.GetInstanceGroup()[0].GetCount() != 3 {
		t.Errorf("config %v", got)
	}
	if got := index(t, c)["simple"]; got != "12 READY" {
		t.Errorf("with files of version 12 it is %q", got)
	}
	if err := load(t.Context(), c, "simple", nil); err != nil {
		t.Fatal(err)
	}
	if got := config(); got.String() != own.String() || index(t, c)["simple"] != "1 READY" {
		t.Errorf("a load without a config does not bring the model's own back: %v", got)
	}
}

func TestOverriddenBatch(t *testing.T) {
	c := client(t)
	if err := load(t.Context(), c, "simple", loadParams{"config": configParam(`{"max_batch_size": 16, "name": "simple"}`)}); err != nil {
		t.Fatal(err)
	}
	got := must[*inference.ModelInferResponse](t)(c.ModelInfer(t.Context(), request("simple", "",
		tensor{"INPUT0", "INT32", []int64{16, 16}, rows(16, 0)}, tensor{"INPUT1", "INT32", []int64{16, 16}, rows(16, 0)})))
	if !slices.Equal(got.GetOutputs()[0].GetShape(), []int64{16, 16}) {
		t.Errorf("shape %v", got.GetOutputs()[0].GetShape())
	}
}

func TestRepositoryNameIsNotSupported(t *testing.T) {
	c := client(t)
	_, indexed := c.RepositoryIndex(t.Context(), &inference.RepositoryIndexRequest{RepositoryName: "r"})
	_, loaded := c.RepositoryModelLoad(t.Context(), &inference.RepositoryModelLoadRequest{RepositoryName: "r", ModelName: "simple"})
	_, unloaded := c.RepositoryModelUnload(t.Context(), &inference.RepositoryModelUnloadRequest{RepositoryName: "r", ModelName: "simple"})
	for _, err := range []error{indexed, loaded, unloaded} {
		wantStatus(t, err, codes.Unimplemented, "'repository_name' specification is not supported")
	}
}

func TestUnloadDependents(t *testing.T) {
	c := client(t)
	for value, code := range map[*inference.ModelRepositoryParameter]codes.Code{
		{ParameterChoice: &inference.ModelRepositoryParameter_BoolParam{BoolParam: true}}: codes.OK,
		configParam("true"): codes.InvalidArgument,
	} {
		_, err := c.RepositoryModelUnload(t.Context(), &inference.RepositoryModelUnloadRequest{ModelName: "simple", Parameters: loadParams{"unload_dependents": value}})
		text := ""
		if code != codes.OK {
			text = "invalid value type for 'unload_dependents' parameter, expected bool_param."
		}
		wantStatus(t, err, code, text)
	}
}

func TestLogHearsOfLoads(t *testing.T) {
	var log bytes.Buffer
	c := inference.NewGRPCInferenceServiceClient(dial(t, models.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}))
	if err := unload(t.Context(), c, "simple"); err != nil {
		t.Fatal(err)
	}
	if err := load(t.Context(), c, "simple", loadParams{"config": configParam(`{"parameters": {"key": {"string_value": "hush"}}}`)}); err != nil {
		t.Fatal(err)
	}
	must[*inference.ModelInferResponse](t)(c.ModelInfer(t.Context(), addRequest("hush")))
	if got := log.String(); !strings.Contains(got, `msg="model unloaded" model=simple`) || !strings.Contains(got, `msg="model loaded" model=simple version=1 override=true`) || strings.Contains(got, "hush") {
		t.Errorf("log:\n%s", got)
	}
}
