package generate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

func client(b *generate.Backend) pb.GRPCInferenceServiceClient {
	return pb.NewGRPCInferenceServiceClient(b)
}

func wantKind(t *testing.T, what string, err error, kind access.ErrorKind) {
	t.Helper()
	var e *access.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Errorf("%s: %v (%T), want an error of kind %d", what, err, err, kind)
	}
}

func TestModelsAreDescribedAsTritonsBackendDoes(t *testing.T) {
	b := open(t, &server{})
	c, err := client(b).ModelConfig(t.Context(), &pb.ModelConfigRequest{Name: "m"})
	if err != nil {
		t.Fatal(err)
	}
	if g := c.GetConfig(); g.GetBackend() != "vllm" || !g.GetModelTransactionPolicy().GetDecoupled() || g.GetMaxBatchSize() != 0 || g.GetName() != "m" {
		t.Errorf("the configuration is %v", g)
	}
	m, err := client(b).ModelMetadata(t.Context(), &pb.ModelMetadataRequest{Name: "m", Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i, in := range m.GetInputs() {
		names = append(names, in.GetName())
		of := c.GetConfig().GetInput()[i]
		if of.GetName() != in.GetName() || !slices.Equal(of.GetDims(), in.GetShape()) || !of.GetOptional() {
			t.Errorf("input %v is %v in the configuration", in, of)
		}
	}
	for i, out := range m.GetOutputs() {
		names = append(names, out.GetName())
		if of := c.GetConfig().GetOutput()[i]; of.GetName() != out.GetName() || !slices.Equal(of.GetDims(), out.GetShape()) {
			t.Errorf("output %v is %v in the configuration", out, of)
		}
	}
	if want := []string{
		"text_input", "messages", "image", "stream", "sampling_parameters", "exclude_input_in_output", "return_finish_reason", "return_cumulative_logprob",
		"return_logprobs", "return_num_input_tokens", "return_num_output_tokens", "embedding_request",
		"text_output", "finish_reason", "cumulative_logprob", "logprobs", "num_input_tokens", "num_output_tokens", "embedding",
	}; !slices.Equal(names, want) || !slices.Equal(m.GetVersions(), []string{"1"}) {
		t.Errorf("got %q", names)
	}
	embeds, err := client(open(t, &server{}, func(o *generate.Options) { o.Embeds = true })).ModelConfig(t.Context(), &pb.ModelConfigRequest{Name: "m"})
	if err != nil || embeds.GetConfig().GetModelTransactionPolicy().GetDecoupled() || embeds.GetConfig().GetOutput()[0].GetName() != "embedding" {
		t.Errorf("one that embeds: %v, %v", embeds, err)
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	b := open(t, &server{})
	for _, of := range []struct{ model, version string }{{"x", ""}, {"m", "2"}, {"M", ""}} {
		_, err := client(b).ModelConfig(t.Context(), &pb.ModelConfigRequest{Name: of.model, Version: of.version})
		wantKind(t, "ModelConfig", err, access.NotFound)
		_, err = client(b).ModelMetadata(t.Context(), &pb.ModelMetadataRequest{Name: of.model, Version: of.version})
		wantKind(t, "ModelMetadata", err, access.NotFound)
		_, err = client(b).ModelStatistics(t.Context(), &pb.ModelStatisticsRequest{Name: of.model, Version: of.version})
		wantKind(t, "ModelStatistics", err, access.Malformed)
		if r, err := client(b).ModelReady(t.Context(), &pb.ModelReadyRequest{Name: of.model, Version: of.version}); err != nil || r.GetReady() {
			t.Errorf("ModelReady: %v, %v", r, err)
		}
	}
}

func TestWhatHasNoPlaceHere(t *testing.T) {
	b := open(t, &server{})
	for _, method := range []string{"SystemSharedMemoryStatus", "CudaSharedMemoryRegister", "TraceSetting", "LogSettings", "RepositoryModelLoad", "RepositoryModelUnload"} {
		full := "/inference.GRPCInferenceService/" + method
		wantKind(t, method, b.Invoke(t.Context(), full, &pb.ServerLiveRequest{}, &pb.ServerLiveResponse{}), access.Unimplemented)
		if !b.Traits().Missing[full] {
			t.Errorf("%s is not among what is missing", method)
		}
	}
	for _, method := range []string{"ModelInfer", "ModelStreamInfer", "RepositoryIndex", "ModelReady"} {
		if b.Traits().Missing["/inference.GRPCInferenceService/"+method] {
			t.Errorf("%s is missing", method)
		}
	}
}

func TestReadiness(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		ready  bool
		failed bool
	}{
		"ready":     {nil, true, false},
		"not yet":   {status.Error(codes.Unavailable, "loading"), false, false},
		"unhealthy": {status.Error(codes.Internal, "dead engine"), false, false},
		"away":      {backends.Away(errors.New("no route")), false, true},
		"cancelled": {context.Canceled, false, true},
	} {
		b := open(t, &server{ReadyFunc: func(context.Context) error { return c.err }})
		s, err := client(b).ServerReady(t.Context(), &pb.ServerReadyRequest{})
		if s.GetReady() != c.ready || (err != nil) != c.failed {
			t.Errorf("%s: the server: %v, %v", name, s, err)
		}
		m, err := client(b).ModelReady(t.Context(), &pb.ModelReadyRequest{Name: "m"})
		if m.GetReady() != c.ready || (err != nil) != c.failed {
			t.Errorf("%s: the model: %v, %v", name, m, err)
		}
	}
	b := open(t, &server{})
	if l, err := client(b).ServerLive(t.Context(), &pb.ServerLiveRequest{}); err != nil || !l.GetLive() {
		t.Errorf("live: %v, %v", l, err)
	}
	if m, err := client(b).ServerMetadata(t.Context(), &pb.ServerMetadataRequest{}); err != nil || m.GetName() != "double" || m.GetVersion() != "1.2.3" {
		t.Errorf("metadata: %v, %v", m, err)
	}
}

func TestStatisticsAreWhatWentThrough(t *testing.T) {
	s := &server{GenerateFunc: func(ctx context.Context, r *generate.Request, emit func(generate.Chunk) error) error {
		if r.Prompt == "bad" {
			return generate.Failure(500, "no")
		}
		return (&server{}).Generate(ctx, r, emit)
	}}
	b := open(t, s)
	for _, p := range []string{"a", "bad", "b"} {
		_, _ = generatetest.Infer(t.Context(), t, b, generatetest.Ask("m", "", inputs{"text_input": p}))
	}
	_, _ = generatetest.Infer(t.Context(), t, b, generatetest.Ask("x", "", inputs{"text_input": "a"}))
	all, err := client(b).ModelStatistics(t.Context(), &pb.ModelStatisticsRequest{})
	if err != nil || len(all.GetModelStats()) != 4 {
		t.Fatalf("%v, %v", all, err)
	}
	one, err := client(b).ModelStatistics(t.Context(), &pb.ModelStatisticsRequest{Name: "m"})
	if err != nil || len(one.GetModelStats()) != 1 {
		t.Fatalf("%v, %v", one, err)
	}
	got := one.GetModelStats()[0]
	if got.GetInferenceCount() != 2 || got.GetInferenceStats().GetSuccess().GetCount() != 2 || got.GetInferenceStats().GetFail().GetCount() != 1 || got.GetLastInference() == 0 ||
		got.GetInferenceStats().GetQueue() == nil {
		t.Errorf("got %v", got)
	}
}

// TestAdapters: an index that shows what could be loaded, loads by the
// configuration's path or, where allowed, the caller's, and base models that stay.
func TestAdapters(t *testing.T) {
	var did []string
	s := &loading{
		LoadFunc: func(name, path string, again bool) error {
			did = append(did, fmt.Sprint(name, " ", path, " ", again))
			return nil
		},
		UnloadFunc: func(name string) error { did = append(did, "unload "+name); return nil },
	}
	paths := func(o *generate.Options) {
		o.AdapterPaths = map[string]string{"a": "/adapters/a", "new": "/adapters/new"}
	}
	b := open(t, s, paths)
	index, err := client(b).RepositoryIndex(t.Context(), &pb.RepositoryIndexRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, m := range index.GetModels() {
		rows = append(rows, m.GetName()+" "+m.GetState()+" "+m.GetReason())
	}
	if want := []string{"m READY ", "a READY ", "other READY ", "b READY ", "new UNAVAILABLE unloaded"}; !slices.Equal(rows, want) {
		t.Errorf("the index is %q, want %q", rows, want)
	}
	if ready, err := client(b).RepositoryIndex(t.Context(), &pb.RepositoryIndexRequest{Ready: true}); err != nil || len(ready.GetModels()) != 4 {
		t.Errorf("those that are ready: %v, %v", ready, err)
	}
	path := map[string]*pb.ModelRepositoryParameter{"lora_path": {ParameterChoice: &pb.ModelRepositoryParameter_StringParam{StringParam: "/tmp/x"}}}
	config := map[string]*pb.ModelRepositoryParameter{"config": {ParameterChoice: &pb.ModelRepositoryParameter_StringParam{StringParam: "{}"}}}
	load := func(b *generate.Backend, name string, p map[string]*pb.ModelRepositoryParameter) error {
		_, err := client(b).RepositoryModelLoad(t.Context(), &pb.RepositoryModelLoadRequest{ModelName: name, Parameters: p})
		return err
	}
	unload := func(name string) error {
		_, err := client(b).RepositoryModelUnload(t.Context(), &pb.RepositoryModelUnloadRequest{ModelName: name})
		return err
	}
	lets := open(t, s, paths, func(o *generate.Options) { o.CallerPaths = true })
	for what, err := range map[string]error{
		"load new": load(b, "new", nil), "load a": load(b, "a", nil), "load by path": load(lets, "x", path),
		"unload a": unload("a"), "unload what is not there": unload("x"),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	slices.Sort(did)
	if want := []string{"a /adapters/a true", "new /adapters/new false", "unload a", "x /tmp/x false"}; !slices.Equal(did, want) {
		t.Errorf("the server did %q, want %q", did, want)
	}
	wantKind(t, "load by a path that is not allowed", load(b, "new", path), access.Unimplemented)
	wantKind(t, "load with a configuration", load(lets, "new", config), access.Malformed)
	wantKind(t, "load of a base model", load(b, "m", nil), access.Unimplemented)
	wantKind(t, "load of what nobody configured", load(b, "x", nil), access.NotFound)
	wantKind(t, "unload of a base model", unload("m"), access.Unimplemented)
}

// TestTheListOfModelsIsAskedForSeldom: once for many requests, again when it is
// old, and at most once a second for names that are not on it.
func TestTheListOfModelsIsAskedForSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, names, failing := 0, []generate.Model{{Name: "m"}}, error(nil)
		b := open(t, &server{ModelsFunc: func(context.Context) ([]generate.Model, error) {
			asked++
			return names, failing
		}})
		infer := func(model string) error {
			_, err := generatetest.Infer(t.Context(), t, b, generatetest.Ask(model, "", inputs{"text_input": "a"}))
			return err
		}
		for _, step := range []struct {
			what  string
			do    func()
			model string
			found bool
			asked int
		}{
			{"the first", func() {}, "m", true, 1},
			{"the next", func() {}, "m", true, 1},
			{"one that is not there", func() {}, "x", false, 1},
			{"a moment later", func() { time.Sleep(2 * time.Second) }, "x", false, 2},
			{"and at once", func() {}, "y", false, 2},
			{"one that came", func() { time.Sleep(2 * time.Second); names = append(names, generate.Model{Name: "y"}) }, "y", true, 3},
			{"an old list", func() { time.Sleep(31 * time.Second) }, "m", true, 4},
			{"an old list that cannot be had anew", func() { time.Sleep(31 * time.Second); failing = backends.Away(errors.New("gone")) }, "m", true, 5},
			{"nor for others", func() {}, "x", false, 6},
			{"one that went", func() { time.Sleep(31 * time.Second); failing, names = nil, names[1:] }, "m", false, 7},
		} {
			step.do()
			if err := infer(step.model); (err == nil) != step.found || asked != step.asked {
				t.Errorf("%s: %v, asked %d times, want %d", step.what, err, asked, step.asked)
			}
		}
	})
}

// TestAServerThatDoesNotListItsModelsIsAway, also to who has more time.
func TestAServerThatDoesNotListItsModelsIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, &server{ModelsFunc: func(ctx context.Context) ([]generate.Model, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		errs := make(chan error)
		for range 3 {
			go func() {
				_, err := client(b).ModelConfig(t.Context(), &pb.ModelConfigRequest{Name: "m"})
				errs <- err
			}()
		}
		before := time.Now()
		for range 3 {
			wantKind(t, "ModelConfig", <-errs, access.Unavailable)
		}
		if took := time.Since(before); took > 11*time.Second {
			t.Errorf("it took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := client(b).ModelConfig(ctx, &pb.ModelConfigRequest{Name: "m"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller's own deadline: %v", err)
		}
	})
}

func TestWhatOfACallersMetadataGoesOn(t *testing.T) {
	b := open(t, &server{})
	if b.Name() != "b" {
		t.Errorf("the name is %q", b.Name())
	}
	ctx, err := b.Outgoing(t.Context(), map[string][]string{"traceparent": {"t"}, "x-request-id": {"1"}, "authorization": {"caller's"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := outgoing(ctx); !slices.Equal(got, []string{"traceparent"}) {
		t.Errorf("%q go on", got)
	}
	named := open(t, &server{}, func(o *generate.Options) { o.Forwarder.Allow = []string{"x-*"} })
	ctx, err = named.Outgoing(t.Context(), map[string][]string{"traceparent": {"t"}, "x-tenant": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := outgoing(ctx); !slices.Equal(got, []string{"x-tenant"}) {
		t.Errorf("%q go on", got)
	}
}
