package backendstest

import (
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// Ability is something that a kind of server may lack.
type Ability string

// The abilities. What a [Harness] does not name under Lacks, its backend has to
// show; what it names there has to be refused as unimplemented.
const (
	ServerMetadata Ability = "ServerMetadata"
	ModelMetadata  Ability = "ModelMetadata"
	ModelConfig    Ability = "ModelConfig"
	Statistics     Ability = "ModelStatistics"
	Index          Ability = "RepositoryIndex"
	Load           Ability = "RepositoryModelLoad"
	Unload         Ability = "RepositoryModelUnload"
	Infer          Ability = "ModelInfer"
	Typed          Ability = "typed contents in ModelInfer"
	Stream         Ability = "ModelStreamInfer"
)

// Mode is how a double behaves.
type Mode int

// The modes of a double.
const (
	// ModeWell answers as the real server does.
	ModeWell Mode = iota
	// ModeAway is that nobody listens where the backend connects to.
	ModeAway
	// ModeGarbage answers every call, probes included, with what no parser accepts.
	ModeGarbage
	// ModeHangs takes every call of Infer and Stream, observes it and never answers.
	ModeHangs
	// ModeHangsLater answers the first part of a stream's request, and then nothing.
	ModeHangsLater
	// ModeBreaks answers the first part of a stream's request, and then breaks the
	// connection.
	ModeBreaks
)

// Setup is what a test wants of a backend and of the double behind it.
type Setup struct {
	Mode Mode
	// Forwarder is what the backend decides with about metadata.
	Forwarder backends.Forwarder
	// Pool lends the buffers of what a gRPC backend receives; others ignore it.
	Pool mem.BufferPool
	// Observer is told by the double of every call of Infer, Stream, Load and
	// Unload that reaches it.
	Observer *Observer
}

// Exchange is a request to the double, and what the backend makes of what the
// double answers when it behaves: for a unary call one answer, for a stream one
// for each part. Only outputs and raw contents are given and compared; the suite
// puts in the request's id and looks at the rest itself.
type Exchange struct {
	Request *inference.ModelInferRequest
	Answers []*inference.ModelInferResponse
}

// request is the exchange's request under an id.
func (e Exchange) request(id string) *inference.ModelInferRequest {
	r, _ := proto.Clone(e.Request).(*inference.ModelInferRequest)
	r.Id = id
	return r
}

// Harness is how a backend's test gives the backend to the suite.
type Harness struct {
	// Open makes a double that behaves as s says, and the backend connected to
	// it. Both end with the test; the suite may close the backend before.
	Open func(t *testing.T, s Setup) backends.Backend
	// Infer is a unary exchange in raw contents, TypedInfer one in typed contents,
	// and Stream one that is answered in at least three parts. All are for one
	// model, which the double has ready.
	Infer, TypedInfer, Stream Exchange
	// LoadName is a name that the double takes for RepositoryModelLoad and
	// RepositoryModelUnload, and observes as the server reads it.
	LoadName string
	// Decoupled tells a model of which nobody knows how often it answers: its
	// configuration says so, and the end of a request comes as an empty answer,
	// for those who asked for it, unless it comes with the last part.
	Decoupled bool
	// Lacks says why the kind of server lacks an ability.
	Lacks map[Ability]string
}

// unknownModel is a model that no double has.
const unknownModel = "no-such-model"

// Run runs the suite: what every backend promises to the rest of the gateway,
// whatever it is that it speaks to.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for ability, why := range h.Lacks {
		if why == "" {
			t.Errorf("the harness does not say why %s is lacking", ability)
		}
	}
	for _, c := range []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"readiness", testReadiness},
		{"server metadata", testServerMetadata},
		{"model metadata", testModelMetadata},
		{"model config", testModelConfig},
		{"statistics", testStatistics},
		{"index", testIndex},
		{"load and unload", testLoad},
		{"infer raw", testInferRaw},
		{"infer typed", testInferTyped},
		{"infer an unknown model", testInferUnknown},
		{"stream", testStream},
		{"stream with an empty final answer", testStreamFinal},
		{"two requests on a stream", testStreamIDs},
		{"an unknown model on a stream", testStreamUnknown},
		{"a stream that asks nothing", testStreamEmpty},
		{"server away", testAway},
		{"garbage", testGarbage},
		{"deadline", testDeadline},
		{"cancel", testCancel},
		{"cancel in mid-stream", testCancelLater},
		{"break in mid-stream", testBreak},
		{"metadata", testMetadata},
		{"credential that cannot be read", testCredentialError},
		{"ownership of messages", testOwnership},
		{"concurrency", testConcurrency},
		{"close", testClose},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, h) })
	}
}

// lacks tells whether the harness names an ability as lacking, and says so.
func (h Harness) lacks(t *testing.T, a Ability) bool {
	t.Helper()
	why, ok := h.Lacks[a]
	if ok {
		t.Logf("lacks %s: %s", a, why)
	}
	return ok
}

// open makes a backend whose double behaves as mode says.
func (h Harness) open(t *testing.T, mode Mode) (backends.Backend, *Observer) {
	t.Helper()
	o := NewObserver()
	return h.Open(t, Setup{Mode: mode, Observer: o}), o
}

// model is the model that the double has.
func (h Harness) model() string {
	if name := h.Infer.Request.GetModelName(); name != "" {
		return name
	}
	return h.Stream.Request.GetModelName()
}
