package record_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/audit/payload"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors/record"
	"github.com/sluice-gateway/sluice/wire"
)

// shelf keeps keys, and finds payloads beside their records.
type shelf struct {
	*audittest.Memory
	mu   sync.Mutex
	keys []audit.Key
}

func (s *shelf) Payload(_ context.Context, id string) (audit.Payload, error) {
	entries, _ := s.Entries()
	for _, e := range entries {
		if e.Payload != nil && e.Payload.ID == id {
			return *e.Payload, nil
		}
	}
	return audit.Payload{}, audit.ErrNotFound
}

func (s *shelf) DropPayloads(context.Context, string) (int, error) { return 0, nil }

func (s *shelf) DeleteKey(context.Context, string) error { return nil }

func (s *shelf) PutKey(_ context.Context, k audit.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, k)
	return nil
}

func (s *shelf) Keys(context.Context) ([]audit.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys), nil
}

type wrap struct{ cipher.AEAD }

func (w wrap) Seal(aad, plain []byte) ([]byte, error) { return w.AEAD.Seal(nil, nil, plain, aad), nil }

func (w wrap) Open(aad, sealed []byte) ([]byte, error) { return w.AEAD.Open(nil, nil, sealed, aad) }

// capturing is a recorder that keeps payloads.
type capturing struct {
	*record.Recorder
	shelf  *shelf
	sealer payload.Sealer
	call   *access.Call
}

func newCapturing(t testing.TB) *capturing {
	t.Helper()
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	key, err := merkle.OpenKey(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	c := &capturing{shelf: &shelf{Memory: &audittest.Memory{}}, sealer: wrap{aead}}
	var cfg audit.Config
	cfg.SetDefaults()
	log, err := audit.NewRecorder(t.Context(), audit.Options{Log: c.shelf, Key: key, Config: cfg, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	rule := payload.Rule{Models: []string{"*"}, Payloads: payload.What{Share: 1}}
	rule.SetDefaults()
	rule.Verbs = append(rule.Verbs, "unload")
	keeper, err := payload.New(payload.Options{
		Rules: payload.Rules{rule}, Sealer: c.sealer, Store: c.shelf, Masker: func(string) payload.Masker { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Recorder = &record.Recorder{Log: slog.New(slog.DiscardHandler), Audit: log, Payloads: keeper}
	c.call = &access.Call{ID: "c1", Door: "grpc", Opened: time.Now(), Principal: alice}
	return c
}

// end ends the recorder, and tells what was kept of each record: the request's id,
// its frames, and a ! where it is not complete.
func (c *capturing) end(t testing.TB) (kept []string) {
	t.Helper()
	c.Payloads.Close(context.Background())
	if err := c.Audit.Close(); err != nil {
		t.Error(err)
	}
	r, err := payload.NewReader(c.shelf, c.sealer, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	entries, _ := c.shelf.Entries()
	for _, e := range entries {
		if e.Record.Verb == "" || e.Record.Payload == nil {
			continue
		}
		content, err := r.Open(t.Context(), e.Record.Payload)
		if err != nil {
			kept = append(kept, e.Record.Request+" nothing")
			continue
		}
		line := e.Record.Request
		for _, f := range content.Frames {
			line += " " + said(f)
		}
		if !content.Complete {
			line += " !"
		}
		kept = append(kept, line)
	}
	slices.Sort(kept)
	return kept
}

// said is a frame in a word.
func said(f payload.Frame) string {
	m := new(pb.ModelStreamInferResponse)
	switch f.Kind {
	case payload.Request:
		return "asked"
	case payload.Stream:
		_ = proto.Unmarshal(f.Message, m)
		return m.GetInferResponse().GetModelVersion() + m.GetErrorMessage()
	case payload.Failure:
		return "failed:" + string(f.Message)
	default:
		return fmt.Sprint("kind", f.Kind)
	}
}

// pipe is the client's side of a stream.
type pipe struct {
	grpc.ServerStream
	ctx      context.Context
	requests []*pb.ModelInferRequest
	sent     int
}

func (p *pipe) Context() context.Context { return p.ctx }

func (p *pipe) RecvMsg(m any) error {
	if len(p.requests) == 0 {
		return io.EOF
	}
	r := p.requests[0]
	p.requests = p.requests[1:]
	next, err := wire.FromProto(r)
	if err != nil {
		return err
	}
	call := access.CallFrom(p.ctx) // policy, which stands between
	call.OnMessage(access.Message{ID: r.GetId(), Verb: access.Infer, Model: r.GetModelName(), Decision: access.Decision{Allowed: true}})
	return m.(*wire.Message).Take(next)
}

func (p *pipe) SendMsg(m any) error {
	if _, ok := m.(*wire.Message); !ok {
		return fmt.Errorf("%T goes to the client", m)
	}
	p.sent++
	return nil
}

// stream runs a handler inside of both steps on a stream of requests with ids.
func (c *capturing) stream(t testing.TB, handler func(ss grpc.ServerStream) error, ids ...string) *pipe {
	t.Helper()
	c.call.RPC, c.call.Stream = "ModelStreamInfer", true
	in := &pipe{ctx: access.WithCall(t.Context(), c.call)}
	for _, id := range ids {
		in.requests = append(in.requests, &pb.ModelInferRequest{ModelName: "m", Id: id})
	}
	_ = c.Step().Stream(nil, in, nil, func(srv any, ss grpc.ServerStream) error {
		return record.Intent().Stream(srv, ss, nil, func(_ any, ss grpc.ServerStream) error { return handler(ss) })
	})
	return in
}

// read is the relay's: it reads a request, and gives what follows it.
func read(t testing.TB, ss grpc.ServerStream, decoupled bool) wire.Follower {
	t.Helper()
	var m wire.Message
	defer m.Free()
	if err := ss.RecvMsg(&m); err != nil {
		t.Fatal(err)
	}
	if f, ok := m.Follower().(interface{ Expect(bool) }); ok {
		f.Expect(decoupled)
	}
	return m.Follower()
}

// reply sends an answer of a request's; text stands in the version.
func reply(t *testing.T, ss grpc.ServerStream, f wire.Follower, id, text string, last *bool) {
	t.Helper()
	m := &pb.ModelStreamInferResponse{InferResponse: &pb.ModelInferResponse{Id: id, ModelVersion: text}}
	if last != nil {
		m.InferResponse.Parameters = map[string]*pb.InferParameter{"triton_final_response": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: *last}}}
	}
	answer, err := wire.FromProto(m)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Free()
	answer.Follow(f)
	if err := ss.SendMsg(answer); err != nil {
		t.Error(err)
	}
}

// one is a client that sends one message.
type one struct {
	grpc.ServerStream
	ctx context.Context
	m   *wire.Message
}

func (o *one) Context() context.Context { return o.ctx }

func (o *one) RecvMsg(m any) error {
	if o.m == nil {
		return io.EOF
	}
	next := o.m
	o.m = nil
	return m.(*wire.Message).Take(next)
}

// request is one that has been read.
func request(t *testing.T, m proto.Message) *wire.Request {
	t.Helper()
	sent, err := wire.FromProto(m)
	if err != nil {
		t.Fatal(err)
	}
	account := wire.NewBudget(wire.BudgetConfig{}).Account("x")
	r := wire.NewRequest(&one{ctx: t.Context(), m: sent})
	if err := r.Read(account); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Free(); account.Close() })
	return r
}
