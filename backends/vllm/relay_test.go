package vllm_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/services/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// door is a client's stream to the gateway's service.
type door struct {
	ctx      context.Context //nolint:containedctx // the stream's own
	requests []*pb.ModelInferRequest

	mu      sync.Mutex
	answers []*pb.ModelStreamInferResponse
}

func (d *door) Context() context.Context   { return d.ctx }
func (*door) SetHeader(metadata.MD) error  { return nil }
func (*door) SendHeader(metadata.MD) error { return nil }
func (*door) SetTrailer(metadata.MD)       {}

func (d *door) RecvMsg(m any) error {
	if len(d.requests) == 0 {
		return io.EOF
	}
	req, err := wire.FromProto(d.requests[0])
	if err != nil {
		return err
	}
	d.requests = d.requests[1:]
	into, _ := m.(*wire.Message)
	return into.Take(req)
}

func (d *door) SendMsg(m any) error {
	answer := new(pb.ModelStreamInferResponse)
	switch m := m.(type) {
	case *wire.Message:
		if err := m.Unmarshal(answer); err != nil {
			return err
		}
	case proto.Message:
		proto.Merge(answer, m)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers = append(d.answers, answer)
	return nil
}

// TestThroughTheService: requests of one stream go to two backends, a name with a
// slash among them; refusals and answers keep their ids.
func TestThroughTheService(t *testing.T) {
	table, err := backends.NewTable([]backends.Route{
		{Backend: startDouble(t).backend(t), Patterns: []string{"tiny/*"}},
		{Backend: second{startDouble(t).backend(t)}, Patterns: []string{"*"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	account := wire.NewBudget(wire.BudgetConfig{}).Account("alice")
	defer account.Close()
	ctx := wire.WithAccount(access.WithCall(t.Context(), &access.Call{Principal: &access.Principal{Subject: "alice"}}), account)
	in := map[string]any{"text_input": "Hi", "stream": true}
	d := &door{ctx: ctx, requests: []*pb.ModelInferRequest{
		generatetest.Ask(model, "a", in), generatetest.Ask("sql", "b", in), generatetest.Ask("tiny/none", "c", in),
		generatetest.Ask(model, "d", map[string]any{"text_input": "Hi", "stream": true, "sampling_parameters": "{"}),
	}}
	if err := inference.New(table, inference.ReadyAny).ModelStreamInfer(nil, d); err != nil {
		t.Fatal(err)
	}
	texts, errs, finals := map[string]string{}, map[string]string{}, map[string]int{}
	for _, m := range d.answers {
		a := generatetest.Decode(t, m.GetInferResponse())
		texts[a.ID] += a.Text()
		errs[a.ID] += m.GetErrorMessage()
		if a.Final {
			finals[a.ID]++
		}
	}
	if texts["a"] != "Hello, world!" || texts["b"] != "Hello, world!" || errs["a"]+errs["b"] != "" || finals["a"] != 1 || finals["b"] != 1 {
		t.Errorf("texts %q, errors %q, final answers %v", texts, errs, finals)
	}
	if errs["c"] != "Request for unknown model: 'tiny/none' is not found" || errs["d"] != "sampling_parameters must be the text of a JSON object" {
		t.Errorf("errors %q", errs)
	}
	if held := account.Held(); held != 0 {
		t.Errorf("%d bytes are held after", held)
	}
}

// second is a backend under another name.
type second struct{ backends.Backend }

func (second) Name() string { return "second" }

func openStream(t *testing.T, b backends.Backend) grpc.ClientStream {
	t.Helper()
	s, err := b.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, pb.GRPCInferenceService_ModelStreamInfer_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func receiveAll(t *testing.T, s grpc.ClientStream) (all []*generatetest.Answer) {
	t.Helper()
	for {
		message := new(wire.Message)
		err := s.RecvMsg(message)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		m := new(pb.ModelStreamInferResponse)
		if err := message.Unmarshal(m); err != nil {
			t.Fatal(err)
		}
		message.Free()
		a := generatetest.Decode(t, m.GetInferResponse())
		a.Error = m.GetErrorMessage()
		all = append(all, a)
	}
}
