package models_test

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// statistics returns those of one model.
func statistics(t *testing.T, c inference.GRPCInferenceServiceClient, name string) *inference.ModelStatistics {
	t.Helper()
	all := must[*inference.ModelStatisticsResponse](t)(c.ModelStatistics(t.Context(), &inference.ModelStatisticsRequest{Name: name})).GetModelStats()
	if len(all) != 1 || all[0].GetName() != name || all[0].GetVersion() != "1" {
		t.Fatalf("statistics of %v", all)
	}
	return all[0]
}

func TestStatisticsCount(t *testing.T) {
	c := client(t)
	if s := statistics(t, c, "simple"); s.GetInferenceCount() != 0 || s.GetLastInference() != 0 || s.GetInferenceStats().GetSuccess() == nil {
		t.Errorf("before any request: %v", s)
	}
	two := request("simple", "", tensor{"INPUT0", "INT32", []int64{2, 16}, rows(2, 0)}, tensor{"INPUT1", "INT32", []int64{2, 16}, rows(2, 0)})
	for _, r := range []*inference.ModelInferRequest{addRequest(""), two, addRequest("")} {
		must[*inference.ModelInferResponse](t)(c.ModelInfer(t.Context(), r))
	}
	if _, err := c.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "simple"}); err == nil {
		t.Fatal("a request without inputs succeeded")
	}
	s := statistics(t, c, "simple")
	if s.GetInferenceCount() != 4 || s.GetExecutionCount() != 3 || s.GetInferenceStats().GetSuccess().GetCount() != 3 || s.GetInferenceStats().GetFail().GetCount() != 0 {
		t.Errorf("%v; want 4 inferences in 3 executions", s)
	}
	if age := time.Since(time.UnixMilli(int64(s.GetLastInference()))); age < -time.Second || age > time.Minute {
		t.Errorf("the last inference was %v ago", age)
	}
	b := s.GetBatchStats()
	if len(b) != 2 || b[0].GetBatchSize() != 1 || b[0].GetComputeInfer().GetCount() != 2 || b[1].GetBatchSize() != 2 || b[1].GetComputeInfer().GetCount() != 1 {
		t.Errorf("batches %v", b)
	}
	if len(s.GetResponseStats()) != 0 {
		t.Errorf("response statistics of a model that is not decoupled: %v", s.GetResponseStats())
	}
}

func TestStatisticsOfFailures(t *testing.T) {
	c := client(t)
	if _, err := c.ModelInfer(t.Context(), request("simple_string", "", tensor{"INPUT0", "BYTES", []int64{1, 16}, bytesData(make([]string, 16)...)}, tensor{"INPUT1", "BYTES", []int64{1, 16}, bytesData(make([]string, 16)...)})); err == nil {
		t.Fatal("the request succeeded")
	}
	if s := statistics(t, c, "simple_string"); s.GetInferenceStats().GetFail().GetCount() != 1 || s.GetInferenceCount() != 0 {
		t.Errorf("%v; want one failure", s)
	}
}

func TestStatisticsOfResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t)
		for _, r := range []*inference.ModelInferRequest{repeatRequest("", 10, 1, 2), repeatRequest("", 10, 1)} {
			if _, err := stream(t.Context(), t, c, r); err != nil {
				t.Fatal(err)
			}
		}
		s := statistics(t, c, "repeat_int32")
		r := s.GetResponseStats()
		if len(r) != 2 || r["0"].GetSuccess().GetCount() != 2 || r["1"].GetSuccess().GetCount() != 1 || r["0"].GetComputeInfer().GetNs() != uint64(20*time.Millisecond) {
			t.Errorf("responses %v", r)
		}
		if got := s.GetInferenceStats().GetSuccess(); got.GetCount() != 2 || got.GetNs() != uint64(30*time.Millisecond) {
			t.Errorf("success %v", got)
		}
	})
}

func TestStatisticsOfAll(t *testing.T) {
	c := client(t)
	if err := unload(t.Context(), c, "tokens"); err != nil {
		t.Fatal(err)
	}
	all := must[*inference.ModelStatisticsResponse](t)(c.ModelStatistics(t.Context(), &inference.ModelStatisticsRequest{}))
	if got, want := len(all.GetModelStats()), len(index(t, c))-1; got != want {
		t.Errorf("%d models, want the %d that are loaded", got, want)
	}
}

func TestStatisticsBeginAnewWithALoad(t *testing.T) {
	c := client(t)
	must[*inference.ModelInferResponse](t)(c.ModelInfer(t.Context(), addRequest("")))
	if err := load(t.Context(), c, "simple", nil); err != nil {
		t.Fatal(err)
	}
	if s := statistics(t, c, "simple"); s.GetInferenceCount() != 0 {
		t.Errorf("after a load: %v", s)
	}
}

func TestStatisticsRefusals(t *testing.T) {
	for _, tc := range []struct{ name, model, version, text string }{
		{"unknown model", "nope", "", "requested model 'nope' is not available"},
		{"unknown version", "simple", "2", "requested model version is not available for model 'simple'"},
		{"no version", "simple", "x", "failed to get model version from specified version string 'x' (details: stol), version should be an integral value > 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := client(t).ModelStatistics(t.Context(), &inference.ModelStatisticsRequest{Name: tc.model, Version: tc.version})
			wantStatus(t, err, codes.InvalidArgument, tc.text)
		})
	}
}
