package server_test

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

const mib = 1 << 20

// repeated is a message of the same buffer many times over, so that who sends
// a gigabyte does not hold one.
type repeated struct {
	head  []byte
	times int
}

var zeros = make([]byte, mib)

type repeater struct{}

func (repeater) Name() string { return "proto" }

func (repeater) Marshal(v any) (mem.BufferSlice, error) {
	r, ok := v.(repeated)
	if !ok {
		return nil, fmt.Errorf("cannot send a %T", v)
	}
	bufs := mem.BufferSlice{mem.SliceBuffer(r.head)}
	for range r.times {
		bufs = append(bufs, mem.SliceBuffer(zeros))
	}
	return bufs, nil
}

func (repeater) Unmarshal(mem.BufferSlice, any) error { return nil }

// allocated is how much memory this process, server and client, takes anew
// while f runs. Where that is little nothing can have been piled up, be it for
// a moment.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestGigabyteOfAStranger: memory stays flat, and the refusal comes at once.
func TestGigabyteOfAStranger(t *testing.T) {
	g := start(t, setup{cut: true})
	gigabyte := repeated{head: msg(nil).str(1, "simple").raw(0x3a, 0x80, 0x80, 0x80, 0x80, 0x04), times: 1024}
	for _, method := range []string{modelInfer, modelStreamInfer, service + "RepositoryModelLoad", service + "Nope", serverLive, "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"} {
		for who, ctx := range map[string]context.Context{"no token": g.as(""), "a bad token": g.showing("Bearer " + strings.Repeat("x.", 9000)), "an unknown issuer": g.showing("Bearer eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.AAAA")} {
			var err error
			grew := allocated(func() {
				err = g.conn.Invoke(ctx, method, gigabyte, nil, grpc.ForceCodecV2(repeater{}), grpc.MaxCallSendMsgSize(2<<30-1))
			})
			if code := status.Code(err); code != codes.Unauthenticated && (code != codes.OK && code != codes.Unimplemented || !strings.Contains(method, "Live") && !strings.Contains(method, "Health")) {
				t.Errorf("%s with %s: %v", method, who, err)
			}
			if grew > 32*mib {
				t.Errorf("%s with %s: %d MiB", method, who, grew/mib)
			}
		}
	}
}

// bomb is n megabytes of zeros, deflated as often as the format allows: the
// bytes of one megabyte are those of the next.
func bomb(t *testing.T, encoding string, n int) []byte {
	t.Helper()
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	var parts [2][]byte
	for i := range parts {
		packed.Reset()
		if _, err := w.Write(zeros); err != nil || w.Flush() != nil {
			t.Fatal(err)
		}
		parts[i] = bytes.Clone(packed.Bytes())
	}
	header := []byte{0x78, 0x9c}
	if encoding == "gzip" {
		header = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}
	}
	return append(append(header, parts[0]...), bytes.Repeat(parts[1], n-1)...)
}

// TestBombs inflate to more than may be in flight, and are shown with a good
// token.
func TestBombs(t *testing.T) {
	g := start(t, setup{cut: true, server: `
  limits: { in_flight: 8MiB, in_flight_per_principal: 8MiB }`})
	for _, encoding := range []string{"gzip", "deflate"} {
		packed := framed(1, bomb(t, encoding, 50))
		for _, method := range []string{modelInfer, modelStreamInfer, service + "RepositoryModelLoad"} {
			raw := g.rawClient(t)
			var got *rawAnswer
			grew := allocated(func() {
				raw.open(1, method, false, "authorization", "Bearer "+g.Token("bob"), "grpc-encoding", encoding)
				for rest := packed; len(rest) > 0; { // 50 MiB fit a stream's first window
					n := min(len(rest), 16<<10)
					rest = rest[n:]
					raw.data(1, len(rest) == 0, packed[len(packed)-len(rest)-n:len(packed)-len(rest)])
				}
				got = raw.answer(1)
			})
			if got.status() != "8" || !strings.Contains(got.fields["grpc-message"], "bytes in flight") {
				t.Errorf("%s, %s: %s %v", method, encoding, got.status(), got.fields)
			}
			if grew > 64*mib {
				t.Errorf("%s, %s: %d MiB", method, encoding, grew/mib)
			}
		}
	}
	if _, err := g.ModelInfer(g.as("bob"), add("simple")); err != nil {
		t.Errorf("after the bombs: %v", err)
	}
}

func wantExhausted(t *testing.T, err error, reason string) {
	t.Helper()
	wantRefusal(t, err, codes.ResourceExhausted, reason)
	for _, detail := range status.Convert(err).Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok && retry.GetRetryDelay().AsDuration() > 0 {
			return
		}
	}
	t.Errorf("%v does not say when to try again", err)
}

// sized is a request of about so many bytes.
func sized(n int) *inference.ModelInferRequest {
	r := add("simple")
	r.RawInputContents[0] = make([]byte, n)
	return r
}

// holding is a server whose inferences wait until they are let go. It does not
// read the unary ones before: what is more than a window stays at the gateway.
func holding(t *testing.T) (b *backendstest.Server, let func()) {
	t.Helper()
	free := make(chan struct{})
	b = backendstest.Listen(t, backendstest.Script{
		"ModelInfer":       {backendstest.Until(free), backendstest.Receive(), backendstest.Send(&inference.ModelInferResponse{})},
		"ModelStreamInfer": {backendstest.Receive(), backendstest.Until(free)},
		"ModelConfig":      {backendstest.Receive(), backendstest.Send(&inference.ModelConfigResponse{Config: &inference.ModelConfig{}})},
	})
	return b, func() { close(free) }
}

// TestBytesInFlight are limited for each principal and for all together, and
// are given back.
func TestBytesInFlight(t *testing.T) {
	b, let := holding(t)
	g := start(t, setup{cut: true, backend: b.Addr, server: `
  limits: { in_flight: 5MiB, in_flight_per_principal: 3MiB }`})
	held := make(chan error, 2)
	for i, who := range []string{"bob", "alice"} {
		ctx := g.as(who)
		go func() { _, err := g.ModelInfer(ctx, sized(2*mib)); held <- err }()
		eventually(t, "the call to be held", func() bool { return len(b.Calls()) == i+1 })
		_, err := g.ModelInfer(g.as(who), sized(2*mib))
		wantExhausted(t, err, access.ReasonInFlight)
		answers, err := g.sendStream(g.as(who), encoded(t, sized(2*mib)))
		wantExhausted(t, err, access.ReasonInFlight)
		if len(answers) > 0 {
			t.Error(answers)
		}
	}
	_, err := g.ModelInfer(g.as("dana"), sized(2*mib)) // over the limit of all
	wantExhausted(t, err, access.ReasonInFlight)
	let()
	for range 2 {
		if err := <-held; err != nil {
			t.Error(err)
		}
	}
	for _, who := range []string{"bob", "alice", "dana"} {
		eventually(t, "what "+who+" held to be given back", func() bool {
			_, err := g.ModelInfer(g.as(who), sized(2*mib))
			return err == nil
		})
	}
}

// TestAnswersCount: a caller can't make the gateway hold more by asking for much
// than by sending much.
func TestAnswersCount(t *testing.T) {
	big := &inference.ModelInferResponse{RawOutputContents: [][]byte{make([]byte, 4*mib)}}
	b := backendstest.Listen(t, backendstest.Script{
		"ModelInfer":       {backendstest.Receive(), backendstest.Send(big)},
		"ModelStreamInfer": {backendstest.Receive(), backendstest.Send(&inference.ModelStreamInferResponse{InferResponse: big})},
		"ModelConfig":      {backendstest.Receive(), backendstest.Send(&inference.ModelConfigResponse{Config: &inference.ModelConfig{}})},
	})
	g := start(t, setup{cut: true, backend: b.Addr, server: `
  limits: { in_flight: 8MiB, in_flight_per_principal: 3MiB }`})
	_, err := g.ModelInfer(g.as("bob"), add("simple"))
	wantExhausted(t, err, access.ReasonInFlight)
	_, err = g.sendStream(g.as("bob"), encoded(t, add("simple")))
	wantExhausted(t, err, access.ReasonInFlight)
}

// TestSlowReaders ask for much and read nothing: what waits to be written to
// them counts, although their calls are over.
func TestSlowReaders(t *testing.T) {
	big := &inference.ModelInferResponse{RawOutputContents: [][]byte{make([]byte, 2*mib)}}
	b := backendstest.Listen(t, backendstest.Script{"ModelInfer": {backendstest.Receive(), backendstest.Send(big)}})
	g := start(t, setup{cut: true, backend: b.Addr, server: `
  limits: { in_flight: 20MiB, in_flight_per_principal: 5MiB }`})
	raw := g.rawClient(t)
	request := framed(0, encoded(t, add("simple")))
	ask := func(stream uint32) {
		raw.open(stream, modelInfer, false, "authorization", "Bearer "+g.Token("bob"))
		raw.data(stream, true, request)
	}
	for i := range uint32(2) {
		ask(2*i + 1)
		eventually(t, "the answer", func() bool { return strings.Count(g.Log.String(), `"rpc":"ModelInfer"`) == int(i+1) })
	}
	ask(5)
	if got := raw.answer(5); got.status() != "8" {
		t.Errorf("a third answer: %s %v", got.status(), got.fields)
	}
	if _, err := g.ModelInfer(g.as("dana"), add("simple")); err != nil {
		t.Errorf("another principal: %v", err)
	}
	raw.must(raw.conn.Close())
	eventually(t, "the budget to be given back", func() bool {
		runtime.GC()
		_, err := g.ModelInfer(g.as("bob"), sized(2*mib))
		return err == nil
	})
}

// TestDecodedMessagesCount: empty entries of a map take thirty times as much
// memory as on the wire, and are decoded before policy can be asked.
func TestDecodedMessagesCount(t *testing.T) {
	g := start(t, setup{server: `
  limits: { in_flight: 16MiB, in_flight_per_principal: 16MiB }`})
	load, trace := msg(nil).str(2, "simple"), msg(nil).str(2, "simple")
	for i := range 100_000 {
		load = load.bytes(3, msg(nil).str(1, fmt.Sprint(i)))
		trace = trace.bytes(1, msg(nil).str(1, fmt.Sprint(i)))
	}
	for method, request := range map[string]msg{"RepositoryModelLoad": load, "TraceSetting": trace} {
		var err error
		grew := allocated(func() { _, err = g.send(g.as("carol"), service+method, request) })
		wantExhausted(t, err, access.ReasonInFlight)
		if grew > 16*mib {
			t.Errorf("%s: %d MiB", method, grew/mib)
		}
	}
	weights := &inference.RepositoryModelLoadRequest{ModelName: "simple", Parameters: map[string]*inference.ModelRepositoryParameter{
		"config":       {ParameterChoice: &inference.ModelRepositoryParameter_StringParam{StringParam: `{"max_batch_size": 8}`}},
		"file:1/model": {ParameterChoice: &inference.ModelRepositoryParameter_BytesParam{BytesParam: make([]byte, 3*mib)}},
	}}
	if _, err := g.RepositoryModelLoad(g.as("alice"), weights); err != nil {
		t.Errorf("3 MiB of weights: %v", err)
	}
}

// TestMessagesAreLimited by server.limits.max_message, inflated or not.
func TestMessagesAreLimited(t *testing.T) {
	g := start(t, setup{cut: true, server: `
  limits: { max_message: 1MiB }`})
	_, err := g.ModelInfer(g.as("bob"), sized(2*mib))
	if status.Code(err) != codes.ResourceExhausted {
		t.Error(err)
	}
	_, err = g.ModelInfer(g.as("bob"), sized(2*mib), grpc.UseCompressor("gzip"))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("compressed: %v", err)
	}
	_, err = g.sendStream(g.as("bob"), encoded(t, sized(2*mib)))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("in a stream: %v", err)
	}
	if _, err := g.ModelInfer(g.as("bob"), add("simple"), grpc.UseCompressor("deflate")); err != nil {
		t.Error(err)
	}
}

// TestCallsPerPrincipal are limited, streams among them, and given back.
func TestCallsPerPrincipal(t *testing.T) {
	b, let := holding(t)
	defer let()
	g := start(t, setup{cut: true, backend: b.Addr, server: `
  limits: { calls_per_principal: 2 }`})
	ctx, cancel := context.WithCancel(g.as("bob"))
	defer cancel()
	ended := make(chan error, 1)
	go func() { _, err := g.ModelInfer(ctx, add("simple")); ended <- err }()
	stream, err := g.ModelStreamInfer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(add("simple")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the two calls", func() bool { return len(b.Calls()) == 3 }) // and the question what the model is
	_, err = g.ModelReady(g.as("bob"), &inference.ModelReadyRequest{Name: "simple"})
	wantExhausted(t, err, access.ReasonStreams)
	_, err = g.sendStream(g.as("bob"))
	wantExhausted(t, err, access.ReasonStreams)
	if _, err := g.ServerLive(g.as("bob"), &inference.ServerLiveRequest{}); err != nil {
		t.Errorf("a probe: %v", err)
	}
	if _, err := g.ModelConfig(g.as("alice"), &inference.ModelConfigRequest{Name: "simple"}); err != nil {
		t.Errorf("another principal: %v", err)
	}
	cancel()
	if err := <-ended; status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	eventually(t, "the calls to be given back", func() bool {
		_, err := g.ModelConfig(g.as("bob"), &inference.ModelConfigRequest{Name: "simple"})
		return err == nil
	})
}

// TestStrangersDoNotKeepProbesFromAnswering: a probe's message is not waited
// for, so that nobody can hold more of them than are let in.
func TestStrangersDoNotKeepProbesFromAnswering(t *testing.T) {
	g := start(t, setup{cut: true, server: `
  limits: { calls_per_principal: 4 }`})
	raw := g.rawClient(t)
	for i := range uint32(10) {
		raw.open(2*i+1, serverLive, false) // and no message
		if got := raw.answer(2*i + 1); got.status() != "0" {
			t.Errorf("probe %d: %s %v", i, got.status(), got.fields)
		}
	}
}
