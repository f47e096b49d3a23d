package backendstest

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/sluice-gateway/sluice/gen/inference"
)

func testReadiness(t *testing.T, h Harness) {
	b, _ := h.open(t, ModeWell)
	if b.Name() == "" {
		t.Error("the backend has no name")
	}
	live, err := client(b).ServerLive(t.Context(), &inference.ServerLiveRequest{})
	if err != nil || !live.GetLive() {
		t.Errorf("ServerLive: %v, %v", live, err)
	}
	ready, err := client(b).ServerReady(t.Context(), &inference.ServerReadyRequest{})
	if err != nil || !ready.GetReady() {
		t.Errorf("ServerReady: %v, %v", ready, err)
	}
	model, err := client(b).ModelReady(t.Context(), &inference.ModelReadyRequest{Name: h.model()})
	if err != nil || !model.GetReady() {
		t.Errorf("ModelReady: %v, %v", model, err)
	}
	// As Triton says it, 2.51 in one way and 2.73 in the other (protocol/kserve-v2.md, section 5).
	model, err = client(b).ModelReady(t.Context(), &inference.ModelReadyRequest{Name: unknownModel})
	if model.GetReady() || err != nil && codeOf(err) != codes.NotFound {
		t.Errorf("ModelReady of an unknown model: %v, %v; want false, or that it is not found", model, err)
	}
}

func testServerMetadata(t *testing.T, h Harness) {
	b, _ := h.open(t, ModeWell)
	m, err := client(b).ServerMetadata(t.Context(), &inference.ServerMetadataRequest{})
	if h.lacks(t, ServerMetadata) {
		wantCode(t, "ServerMetadata", err, codes.Unimplemented)
	} else if err != nil || m.GetName() == "" {
		t.Errorf("got %v, %v", m, err)
	}
}

func testModelMetadata(t *testing.T, h Harness) {
	b, _ := h.open(t, ModeWell)
	m, err := client(b).ModelMetadata(t.Context(), &inference.ModelMetadataRequest{Name: h.model()})
	if h.lacks(t, ModelMetadata) {
		wantCode(t, "ModelMetadata", err, codes.Unimplemented)
		return
	}
	if err != nil || m.GetName() != h.model() {
		t.Errorf("got %v, %v", m, err)
	}
	for _, in := range h.Infer.Request.GetInputs() {
		if !slices.ContainsFunc(m.GetInputs(), func(has *inference.ModelMetadataResponse_TensorMetadata) bool {
			return has.GetName() == in.GetName() && has.GetDatatype() == in.GetDatatype()
		}) {
			t.Errorf("the metadata lacks input %s of %s: %v", in.GetName(), in.GetDatatype(), m)
		}
	}
	_, err = client(b).ModelMetadata(t.Context(), &inference.ModelMetadataRequest{Name: unknownModel})
	wantCode(t, "ModelMetadata of an unknown model", err, codes.NotFound)
}

func testModelConfig(t *testing.T, h Harness) {
	b, _ := h.open(t, ModeWell)
	m, err := client(b).ModelConfig(t.Context(), &inference.ModelConfigRequest{Name: h.model()})
	if h.lacks(t, ModelConfig) {
		wantCode(t, "ModelConfig", err, codes.Unimplemented)
		if h.Decoupled {
			t.Error("nobody will know that the model is decoupled")
		}
		return
	}
	config := m.GetConfig()
	if err != nil || config.GetName() != h.model() || len(config.GetInput()) == 0 || len(config.GetOutput()) == 0 {
		t.Errorf("got %v, %v", m, err)
	}
	name := h.Stream.Request.GetModelName()
	if name == "" {
		return
	}
	m, err = client(b).ModelConfig(t.Context(), &inference.ModelConfigRequest{Name: name})
	if got := m.GetConfig().GetModelTransactionPolicy().GetDecoupled(); err != nil || got != h.Decoupled {
		t.Errorf("the streaming model's decoupled is %t, want %t (%v)", got, h.Decoupled, err)
	}
	_, err = client(b).ModelConfig(t.Context(), &inference.ModelConfigRequest{Name: unknownModel})
	wantCode(t, "ModelConfig of an unknown model", err, codes.NotFound)
}

func testStatistics(t *testing.T, h Harness) {
	b, _ := h.open(t, ModeWell)
	m, err := client(b).ModelStatistics(t.Context(), &inference.ModelStatisticsRequest{Name: h.model()})
	if h.lacks(t, Statistics) {
		wantCode(t, "ModelStatistics", err, codes.Unimplemented)
	} else if err != nil || len(m.GetModelStats()) == 0 || m.GetModelStats()[0].GetName() != h.model() {
		t.Errorf("got %v, %v", m, err)
	}
}

func testIndex(t *testing.T, h Harness) {
	b, _ := h.open(t, ModeWell)
	m, err := client(b).RepositoryIndex(t.Context(), &inference.RepositoryIndexRequest{})
	if h.lacks(t, Index) {
		wantCode(t, "RepositoryIndex", err, codes.Unimplemented)
		return
	}
	if err != nil || !slices.ContainsFunc(m.GetModels(), func(row *inference.RepositoryIndexResponse_ModelIndex) bool {
		return row.GetName() == h.model() && row.GetState() == "READY"
	}) {
		t.Errorf("got %v, %v; want %s in it, READY", m, err, h.model())
	}
}

// testLoad wants the server to read the name that the caller wrote.
func testLoad(t *testing.T, h Harness) {
	b, o := h.open(t, ModeWell)
	load := func(name string) error {
		_, err := client(b).RepositoryModelLoad(t.Context(), &inference.RepositoryModelLoadRequest{ModelName: name})
		return err
	}
	unload := func(name string) error {
		_, err := client(b).RepositoryModelUnload(t.Context(), &inference.RepositoryModelUnloadRequest{ModelName: name})
		return err
	}
	for what, call := range map[Ability]func(string) error{Load: load, Unload: unload} {
		err := call(h.LoadName)
		if h.lacks(t, what) {
			wantCode(t, string(what), err, codes.Unimplemented)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		o.await(t, string(what)+" of "+h.LoadName, func(calls []Seen) bool {
			return slices.ContainsFunc(calls, func(s Seen) bool { return s.What == what && s.Model == h.LoadName })
		})
	}
	if !h.lacks(t, Load) {
		if err := load(unknownModel); err == nil || codeOf(err) == codes.Unknown {
			t.Errorf("loading an unknown model: %v", err)
		}
	}
}
