package mlserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/mlserver"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
	"github.com/sluice-gateway/sluice/wire/wiretest"
)

type (
	answer  = inference.ModelStreamInferResponse
	request = inference.ModelInferRequest
)

// serve starts a server whose streams take the steps.
func serve(t *testing.T, steps ...backendstest.Step) (*mlserver.Backend, *backendstest.Server) {
	t.Helper()
	script := double(backendstest.Setup{Observer: backendstest.NewObserver()})
	script["ModelStreamInfer"] = append([]backendstest.Step{backendstest.Receive()}, steps...)
	server := backendstest.Start(t, script)
	return open(t, backendstest.Setup{}, server), server
}

// ask sends requests on one stream and collects the answers.
func ask(ctx context.Context, t *testing.T, b *mlserver.Backend, requests ...*request) ([]*answer, error) {
	t.Helper()
	s, err := inference.NewGRPCInferenceServiceClient(b).ModelStreamInfer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		if err := s.Send(r); err != nil {
			return nil, err
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var all []*answer
	for {
		a, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, a)
	}
}

func boolean(v bool) *inference.InferParameter {
	return &inference.InferParameter{ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: v}}
}

func text(v string) *inference.InferParameter {
	return &inference.InferParameter{ParameterChoice: &inference.InferParameter_StringParam{StringParam: v}}
}

// wanting is a request that wants its end told.
func wanting(id string) *request {
	return &request{ModelName: "chunks", ModelVersion: "2", Id: id, Parameters: map[string]*inference.InferParameter{"triton_enable_empty_final_response": boolean(true)}}
}

// TestOneStreamEach: a stream of the server's takes one request, whatever the
// model and the id.
func TestOneStreamEach(t *testing.T) {
	b, server := serve(t, chunks(1), backendstest.ReceiveAll())
	answers, err := ask(t.Context(), t, b, &request{ModelName: "chunks", Id: "a"}, &request{ModelName: "chunks", Id: "a"}, &request{ModelName: "echo", Id: "b"})
	if err != nil || len(answers) != 3 {
		t.Fatalf("got %v, %v", answers, err)
	}
	calls := server.Calls()
	if len(calls) != 3 {
		t.Errorf("the server saw %d streams", len(calls))
	}
	for _, c := range calls {
		if got := len(c.Messages()); got != 1 {
			t.Errorf("a stream of %d requests", got)
		}
	}
}

// TestWhatAnswersSay is made certain, whatever the server says.
func TestWhatAnswersSay(t *testing.T) {
	plain := &inference.ModelInferResponse{ModelName: "chunks", Id: "mine"}
	twice, err := proto.Marshal(&inference.ModelInferResponse{Id: "other"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := proto.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	finals := proto.CloneOf(plain)
	finals.Parameters = map[string]*inference.InferParameter{"triton_final_response": boolean(true), "x": text("y")}
	strange := proto.CloneOf(plain)
	strange.Id = "not asked"
	for name, step := range map[string]backendstest.Step{
		"another id":             backendstest.Send(strange),
		"an id twice":            backendstest.SendBytes(append(twice, again...)),
		"no id":                  backendstest.Send(&inference.ModelInferResponse{ModelName: "chunks"}),
		"calls itself the final": backendstest.Send(finals),
		"as it should be":        backendstest.Send(plain),
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := serve(t, step)
			answers, err := ask(t.Context(), t, b, &request{ModelName: "chunks", Id: "mine"})
			if err != nil || len(answers) != 1 {
				t.Fatalf("got %v, %v", answers, err)
			}
			got := answers[0].GetInferResponse()
			final := got.GetParameters()["triton_final_response"]
			if got.GetId() != "mine" || got.GetModelName() != "chunks" || !proto.Equal(final, boolean(false)) {
				t.Errorf("got %v", got)
			}
			if name == "calls itself the final" && got.GetParameters()["x"].GetStringParam() != "y" {
				t.Errorf("the model's own parameter is lost: %v", got)
			}
		})
	}
}

func TestEnds(t *testing.T) {
	crash := backendstest.Fail(codes.Internal, "cannot access local variable 'result' where it is not associated with a value")
	for name, c := range map[string]struct {
		steps []backendstest.Step
		want  []string // the texts of error messages, "-" for an answer, "." for the empty final one
	}{
		"good end":             {[]backendstest.Step{chunks(2)}, []string{"-", "-", "."}},
		"no answer":            {[]backendstest.Step{crash}, []string{"."}},
		"that error later":     {[]backendstest.Step{chunks(1), crash}, []string{"-", "cannot access local variable 'result' where it is not associated with a value"}},
		"the model's error":    {[]backendstest.Step{backendstest.Fail(codes.InvalidArgument, "the model said no")}, []string{"the model said no"}},
		"its error later":      {[]backendstest.Step{chunks(2), backendstest.Fail(codes.Internal, "boom")}, []string{"-", "-", "boom"}},
		"an error of no words": {[]backendstest.Step{backendstest.Fail(codes.Internal, "")}, []string{"Internal"}},
		"garbage":              {[]backendstest.Step{backendstest.Garbage()}, []string{"the model's server answered what is not KServe v2; tell the platform team"}},
		"garbage later":        {[]backendstest.Step{chunks(1), backendstest.Garbage()}, []string{"-", "the model's server answered what is not KServe v2; tell the platform team"}},
		"broken off":           {[]backendstest.Step{chunks(1), backendstest.Reset()}, []string{"-", "the model's server is away; try again later"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := serve(t, c.steps...)
			answers, err := ask(t.Context(), t, b, wanting("e"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, a := range answers {
				resp, last := a.GetInferResponse(), i == len(answers)-1
				if resp.GetId() != "e" || resp.GetParameters()["triton_final_response"].GetBoolParam() != last {
					t.Errorf("answer %d is %v", i, a)
				}
				switch {
				case a.GetErrorMessage() != "":
					got = append(got, a.GetErrorMessage())
				case last:
					got = append(got, ".")
					if len(resp.GetOutputs()) > 0 || resp.GetModelName() != "chunks" || resp.GetModelVersion() != "2" {
						t.Errorf("the end is %v", resp)
					}
				default:
					got = append(got, "-")
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestEndNotAskedFor: who does not ask for the end gets none, not even of a
// request without answers.
func TestEndNotAskedFor(t *testing.T) {
	b, _ := serve(t, backendstest.Fail(codes.Internal, "local variable 'result' referenced before assignment"))
	if answers, err := ask(t.Context(), t, b, &request{ModelName: "chunks"}); err != nil || len(answers) > 0 {
		t.Errorf("got %v, %v", answers, err)
	}
}

// TestOwnErrors carry their reason, and leave the other requests alone.
func TestOwnErrors(t *testing.T) {
	b, server := serve(t, chunks(1))
	classified := &request{ModelName: "chunks", Id: "bad", Outputs: []*inference.ModelInferRequest_InferRequestedOutputTensor{{
		Name: "o", Parameters: map[string]*inference.InferParameter{"classification": {ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: 1}}},
	}}}
	answers, err := ask(t.Context(), t, b, classified, &request{ModelName: "chunks", Id: "good"})
	if err != nil || len(answers) != 2 {
		t.Fatalf("got %v, %v", answers, err)
	}
	for _, a := range answers {
		reason := a.GetInferResponse().GetParameters()["sluice_reason"].GetStringParam()
		switch a.GetInferResponse().GetId() {
		case "bad":
			if reason != access.ReasonUnsupported || a.GetErrorMessage() == "" {
				t.Errorf("got %v", a)
			}
		default:
			if reason != "" || a.GetErrorMessage() != "" {
				t.Errorf("got %v", a)
			}
		}
	}
	if n := len(server.Calls()); n != 1 {
		t.Errorf("%d requests reached the server", n)
	}
}

func TestTypedAnswersOfAStream(t *testing.T) {
	typed := &inference.ModelInferResponse{ModelName: "chunks", Id: "t", Outputs: []*inference.ModelInferResponse_InferOutputTensor{{
		Name: "text_output", Datatype: "BYTES", Shape: []int64{1}, Contents: &inference.InferTensorContents{BytesContents: [][]byte{[]byte("hi")}},
	}}}
	b, _ := serve(t, backendstest.Send(typed))
	answers, err := ask(t.Context(), t, b, &request{ModelName: "chunks", Id: "t"})
	if err != nil || len(answers) != 1 {
		t.Fatalf("got %v, %v", answers, err)
	}
	if got := answers[0].GetInferResponse().GetRawOutputContents(); len(got) != 1 || string(got[0]) != "\x02\x00\x00\x00hi" {
		t.Errorf("got %q", got)
	}
}

// TestRoom: no more requests of one stream run than there is room for; the next
// is sent when one has ended.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room = 64
		let := make(chan struct{})
		b, server := serve(t, chunks(1), backendstest.Until(let))
		var requests []*request
		for i := range room + 8 {
			requests = append(requests, &request{ModelName: "chunks", Id: fmt.Sprint(i)})
		}
		done := make(chan int, 1)
		s, err := inference.NewGRPCInferenceServiceClient(b).ModelStreamInfer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for _, r := range requests {
				if err := s.Send(r); err != nil {
					t.Error(err)
				}
			}
			_ = s.CloseSend()
		}()
		go func() {
			n := 0
			for {
				if _, err := s.Recv(); err != nil {
					done <- n
					return
				}
				n++
			}
		}()
		synctest.Wait()
		if got := len(server.Calls()); got != room {
			t.Errorf("%d requests run at once", got)
		}
		close(let)
		if got := <-done; got != len(requests) {
			t.Errorf("%d answers", got)
		}
	})
}

// TestAbandoned: a caller who is gone leaves nothing behind, read or not.
func TestAbandoned(t *testing.T) {
	pool := wiretest.NewPool()
	script := double(backendstest.Setup{Observer: backendstest.NewObserver()})
	server := backendstest.Start(t, script)
	b := open(t, backendstest.Setup{Pool: pool}, server)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := inference.NewGRPCInferenceServiceClient(b).ModelStreamInfer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.Send(&request{ModelName: "chunks"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := s.Recv(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := s.Send(&request{ModelName: "chunks"}); !errors.Is(err, io.EOF) {
		t.Errorf("sending goes on: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	for _, fault := range pool.Misuse() {
		t.Error(fault)
	}
}

// TestMessagesThatAreNone are the sender's error.
func TestMessagesThatAreNone(t *testing.T) {
	b, _ := serve(t)
	s, err := b.NewStream(t.Context(), nil, inference.GRPCInferenceService_ModelStreamInfer_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	broken := wire.FromBytes([]byte{0x0a, 0xff})
	defer broken.Free()
	if e, ok := access.AsError(s.SendMsg(broken)); !ok || e.Kind != access.Malformed {
		t.Error("a broken message was taken")
	}
	if s.SendMsg("text") == nil {
		t.Error("a text was taken")
	}
	if err := s.CloseSend(); err != nil {
		t.Error(err)
	}
	if err := s.CloseSend(); err != nil {
		t.Error("to close twice:", err)
	}
	if err := s.RecvMsg(new(wire.Message)); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if _, err := b.NewStream(t.Context(), nil, "/inference.GRPCInferenceService/Other"); err == nil {
		t.Error("a stream of another name was opened")
	}
}
