package masking_test

import (
	"context"
	"encoding/binary"
	"io"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	gate "github.com/sluice-gateway/sluice/interceptors/masking"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
	"github.com/sluice-gateway/sluice/wire/wiretest"
)

const (
	mail   = "jane.doe@example.com"
	card   = "4111 1111 1111 1111"
	serial = "536-90-4399" // a social security number

	unaryMethod  = pb.GRPCInferenceService_ModelInfer_FullMethodName
	streamMethod = pb.GRPCInferenceService_ModelStreamInfer_FullMethodName
)

// pool is gRPC's default pool in all tests.
var pool = wiretest.NewPool()

func TestMain(m *testing.M) {
	experimental.SetDefaultBufferPool(pool)
	goleak.VerifyTestMain(m)
}

// rig is the step before a handler that a test writes.
type rig struct {
	*gate.Gate
	facts    masking.Facts
	factsErr error
	call     *access.Call
	heard    []access.Message
	found    []access.Found
	trailer  metadata.MD
}

// newRig is the step over rules that mask mail, card and serial in every model
// but "clear", block a serial in "strict", and look at "documents" only to count.
// Readers are excepted.
func newRig(t *testing.T) *rig {
	t.Helper()
	before := wire.FreedAgain()
	t.Cleanup(func() {
		pool.Check(t)
		if n := wire.FreedAgain() - before; n != 0 {
			t.Errorf("%d messages were freed twice", n)
		}
	})
	r := &rig{facts: masking.Facts{Decoupled: true}}
	r.Gate = &gate.Gate{
		Engine: masking.NewEngine(rules(t)),
		Facts:  func(context.Context, string, string) (masking.Facts, error) { return r.facts, r.factsErr },
	}
	r.call = &access.Call{
		Model: "m", Principal: &access.Principal{Issuer: "iss", Subject: "bob"},
		OnMessage: func(m access.Message) { r.heard = append(r.heard, m) },
		OnMasked:  func(f access.Found) { r.found = append(r.found, f) },
	}
	return r
}

func rules(t *testing.T) *masking.Policy {
	t.Helper()
	rule := func(name, model string, entities ...string) masking.Rule {
		one := masking.Rule{Name: name, Models: []string{model}, Mode: masking.Delta, Except: []string{"readers"}}
		for _, e := range entities {
			one.Entities = append(one.Entities, masking.Entity{Name: e})
		}
		return one
	}
	strict := rule("no-serials", "strict", "SSN")
	strict.Action = masking.Action{Word: "block"}
	modeless := rule("modeless", "modeless", "EMAIL")
	modeless.Mode = ""
	watch := rule("watch", "documents", "EMAIL")
	watch.Observe = true
	document := masking.Document{Masking: []masking.Rule{
		rule("pii", "m", "EMAIL", "CARD", "SSN"), strict, rule("pii-strict", "strict", "EMAIL"), modeless, watch,
	}}
	p, problems := masking.Compile([]masking.File{{Name: "policy.yaml", Document: document}}, masking.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// reader sees clear text.
func (r *rig) reader() { r.call.Principal.Groups = []string{"readers"} }

// Method, SetHeader, SendHeader, SetTrailer: the transport of a unary call.
func (r *rig) Method() string               { return unaryMethod }
func (r *rig) SetHeader(metadata.MD) error  { return nil }
func (r *rig) SendHeader(metadata.MD) error { return nil }
func (r *rig) SetTrailer(md metadata.MD) error {
	r.trailer = metadata.Join(r.trailer, md)
	return nil
}

var _ grpc.ServerTransportStream = (*rig)(nil)

// unary makes a call; answer is what the handler says to it.
func (r *rig) unary(t *testing.T, req *pb.ModelInferRequest, answer func() (any, error)) (any, error) {
	t.Helper()
	return r.unaryWith(t, t.Context(), unaryMethod, req, answer)
}

func (r *rig) unaryWith(t *testing.T, ctx context.Context, method string, req *pb.ModelInferRequest, answer func() (any, error)) (any, error) {
	t.Helper()
	in := wire.NewRequest(&client{ctx: ctx, requests: []*wire.Message{message(t, req)}})
	defer in.Free()
	account := wire.NewBudget(wire.BudgetConfig{}).Account("x")
	defer account.Close()
	if err := in.Read(account); err != nil {
		t.Fatal(err)
	}
	r.call.Model = req.GetModelName()
	ctx = grpc.NewContextWithServerTransportStream(access.WithCall(ctx, r.call), r)
	return r.Step().Unary(ctx, in, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) { return answer() })
}

// client is the client's side of a stream: what it sends, and what it got.
type client struct {
	grpc.ServerStream
	ctx      context.Context
	requests []*wire.Message
	got      []*pb.ModelStreamInferResponse
	broken   error // of sending
	trailer  metadata.MD
	reading  func() // runs before each request is there
}

func (c *client) Context() context.Context  { return c.ctx }
func (c *client) SetTrailer(md metadata.MD) { c.trailer = metadata.Join(c.trailer, md) }

func (c *client) RecvMsg(m any) error {
	if c.reading != nil {
		c.reading()
	}
	if len(c.requests) == 0 {
		return io.EOF
	}
	next := c.requests[0]
	c.requests = c.requests[1:]
	return m.(*wire.Message).Take(next)
}

// SendMsg reads what is sent as a client would.
func (c *client) SendMsg(m any) error {
	if c.broken != nil {
		return c.broken
	}
	data, err := wire.Codec{}.Marshal(m)
	if err != nil {
		return err
	}
	defer data.Free()
	got := new(pb.ModelStreamInferResponse)
	if err := proto.Unmarshal(data.Materialize(), got); err != nil {
		return err
	}
	c.got = append(c.got, got)
	return nil
}

// texts are those that the client got, in the order they came: of each answer
// its texts, and "!" before an error's.
func (c *client) texts() (list []string) {
	for _, m := range c.got {
		list = append(list, textsOf(m.GetInferResponse())...)
		if m.GetErrorMessage() != "" {
			list = append(list, "!"+m.GetErrorMessage())
		}
	}
	return list
}

func textsOf(r *pb.ModelInferResponse) (list []string) {
	for _, raw := range r.GetRawOutputContents() {
		for len(raw) > 0 {
			n := 4 + binary.LittleEndian.Uint32(raw)
			list, raw = append(list, string(raw[4:n])), raw[n:]
		}
	}
	return list
}

// open runs handler on a stream of requests.
func (r *rig) open(t *testing.T, c *client, handler func(ss grpc.ServerStream) error, requests ...*pb.ModelInferRequest) error {
	t.Helper()
	for _, req := range requests {
		c.requests = append(c.requests, message(t, req))
	}
	if c.ctx == nil {
		c.ctx = t.Context()
	}
	c.ctx = access.WithCall(c.ctx, r.call)
	return r.Step().Stream(nil, c, &grpc.StreamServerInfo{FullMethod: streamMethod}, func(_ any, ss grpc.ServerStream) error { return handler(ss) })
}

// follow reads a request and returns what is to be attached to its answers.
func follow(t *testing.T, ss grpc.ServerStream) wire.Follower {
	t.Helper()
	var m wire.Message
	defer m.Free()
	if err := ss.RecvMsg(&m); err != nil {
		t.Fatal(err)
	}
	return m.Follower()
}

// send sends an answer of a request's, as the relay does.
func send(t *testing.T, ss grpc.ServerStream, f wire.Follower, answer *pb.ModelStreamInferResponse) error {
	t.Helper()
	m := message(t, answer)
	defer m.Free()
	m.Follow(f)
	return ss.SendMsg(m)
}

// smallBuffer cuts most values that are looked for.
const smallBuffer = 7

// message encodes m into small buffers from the poisoning pool.
func message(t *testing.T, m proto.Message) *wire.Message {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var bufs mem.BufferSlice
	for len(b) > 0 {
		n := min(smallBuffer, len(b))
		buf := pool.Get(n)
		copy(*buf, b)
		bufs, b = append(bufs, mem.NewBuffer(buf, pool)), b[n:]
	}
	return wire.New(bufs)
}

// says is an answer with one text, raw.
func says(text string) *pb.ModelInferResponse {
	raw := binary.LittleEndian.AppendUint32(nil, uint32(len(text)))
	return &pb.ModelInferResponse{
		ModelName: "m", ModelVersion: "1", Id: "1",
		Outputs:           []*pb.ModelInferResponse_InferOutputTensor{{Name: "text", Datatype: "BYTES", Shape: []int64{1}}},
		RawOutputContents: [][]byte{append(raw, text...)},
	}
}

// token is an answer of a stream.
func token(text string) *pb.ModelStreamInferResponse {
	return &pb.ModelStreamInferResponse{InferResponse: says(text)}
}

// last marks an answer as the last one; without a text it has no output.
func last(text string) *pb.ModelStreamInferResponse {
	m := token(text)
	if text == "" {
		m.InferResponse.Outputs, m.InferResponse.RawOutputContents = nil, nil
	}
	m.InferResponse.Parameters = map[string]*pb.InferParameter{"triton_final_response": boolean(true)}
	return m
}

func failed(text string) *pb.ModelStreamInferResponse {
	return &pb.ModelStreamInferResponse{ErrorMessage: text, InferResponse: &pb.ModelInferResponse{Id: "1"}}
}

func boolean(b bool) *pb.InferParameter {
	return &pb.InferParameter{ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: b}}
}

func words(s string) *pb.InferParameter {
	return &pb.InferParameter{ParameterChoice: &pb.InferParameter_StringParam{StringParam: s}}
}

func ask(model, id string) *pb.ModelInferRequest {
	return &pb.ModelInferRequest{ModelName: model, Id: id}
}

// wants is a request that asks for an output with a parameter.
func wants(r *pb.ModelInferRequest, output, key string, value *pb.InferParameter) *pb.ModelInferRequest {
	out := &pb.ModelInferRequest_InferRequestedOutputTensor{Name: output}
	if key != "" {
		out.Parameters = map[string]*pb.InferParameter{key: value}
	}
	r.Outputs = append(r.Outputs, out)
	return r
}

// refusal is the reason of a refusal of Sluice's own, and its text.
func refusal(err error) (reason, text string) {
	e, ok := access.AsError(err)
	if !ok {
		return "", ""
	}
	return e.Reason, e.Message
}
