package record_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// streamed is a client's stream on whose handler's side a test stands.
type streamed struct {
	*desk
	grpc.ServerStream
	requests chan *pb.ModelInferRequest
}

func (s *streamed) Context() context.Context { return access.WithCall(s.t.Context(), s.call) }

func (s *streamed) SendMsg(any) error { return nil }

func (s *streamed) RecvMsg(m any) error {
	b, err := proto.Marshal(<-s.requests)
	if err != nil {
		return err
	}
	return m.(*wire.Message).Take(wire.FromBytes(b))
}

// deciding allows each request, as policy would.
type deciding struct {
	grpc.ServerStream
	call *access.Call
}

func (d *deciding) RecvMsg(m any) error {
	if err := d.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	view, err := m.(*wire.Message).InferRequest()
	if err != nil {
		return err
	}
	d.call.OnMessage(access.Message{ID: view.ID().String(), Verb: access.Infer, Model: "m", Decision: access.Decision{Rule: "role r"}})
	return nil
}

// answer is one with or without Triton's mark of the last one.
func answer(t *testing.T, id string, final ...bool) *wire.Message {
	t.Helper()
	a := &pb.ModelStreamInferResponse{InferResponse: &pb.ModelInferResponse{Id: id, ModelName: "m", ModelVersion: "3", Outputs: []*pb.ModelInferResponse_InferOutputTensor{{Name: "OUT", Datatype: "FP32", Shape: []int64{1}}}}}
	for _, last := range final {
		a.InferResponse.Parameters = map[string]*pb.InferParameter{"triton_final_response": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: last}}}
	}
	m, err := wire.FromProto(a)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEachRequestOfAStreamHasItsAnswersAndTheirTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		err := d.stream(func(ss grpc.ServerStream, ask func(string) error) {
			send := func(after time.Duration, id string, final ...bool) {
				time.Sleep(after)
				m := answer(t, id, final...)
				defer m.Free()
				if err := ss.SendMsg(m); err != nil {
					t.Error(err)
				}
			}
			for _, id := range []string{"a", "b", "b", "never"} {
				if err := ask(id); err != nil {
					t.Error(err)
				}
				d.call.OnRoute("gpu", "triton-0:8001")
			}
			send(10*time.Millisecond, "a", false)
			send(5*time.Millisecond, "b")
			d.call.OnMasked(access.Found{Entity: "EMAIL", N: 2})
			send(3*time.Millisecond, "a", false)
			send(2*time.Millisecond, "a", true)
			d.call.OnMessage(access.Message{ID: "b", Verb: access.Infer, Model: "m", Refused: &access.Error{Kind: access.PermissionDenied, Reason: access.ReasonBlocked}})
			send(time.Millisecond, "stray")
		})
		if err != nil {
			t.Fatal(err)
		}
		all := d.close()
		var got []string
		for _, r := range all {
			got = append(got, strings.Join(strings.Fields(fmt.Sprint(r.Kind, " ", r.Request, " ", r.Verdict, " ", r.Reason, " ", r.Answers, r.Timing, r.Masked, r.Server, " ", r.Version)), " "))
			if r.Session != "cafe" || r.Rule != "role r" {
				t.Errorf("it is %+v", r)
			}
		}
		want := []string{
			"message b allowed 1 [15000] map[]triton-0:8001 3",
			"message a allowed 3 [10000 8000 2000] map[EMAIL:2]triton-0:8001 3",
			"message b denied BLOCKED_BY_MASKING 0 [] map[]triton-0:8001",
			"message never allowed 0 [] map[]triton-0:8001",
			"call allowed 5 [] map[]",
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("recorded is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// What a server says of tokens is in the record: those it read once, those it wrote
// added up; nonsense is not.
func TestTokensAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		number := func(n ...uint32) (b []byte) {
			for _, v := range n {
				b = binary.LittleEndian.AppendUint32(b, v)
			}
			return b
		}
		said := func(id, datatype string, in, out []byte, last bool) *wire.Message {
			m, err := wire.FromProto(&pb.ModelStreamInferResponse{InferResponse: &pb.ModelInferResponse{
				Id: id, ModelName: "m", RawOutputContents: [][]byte{[]byte("text"), in, out},
				Parameters: map[string]*pb.InferParameter{"triton_final_response": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: last}}},
				Outputs: []*pb.ModelInferResponse_InferOutputTensor{
					{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}},
					{Name: "num_input_tokens", Datatype: "UINT32", Shape: []int64{1}},
					{Name: "num_output_tokens", Datatype: datatype, Shape: []int64{2}},
				},
			}})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		_ = d.stream(func(ss grpc.ServerStream, ask func(string) error) {
			for _, id := range []string{"a", "b"} {
				if err := ask(id); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 3 {
				m := said("a", "UINT32", number(7), number(1, 2), i == 2)
				_ = ss.SendMsg(m)
				m.Free()
			}
			m := said("b", "INT32", nil, number(1<<31), true)
			_ = ss.SendMsg(m)
			m.Free()
		})
		all := d.close()
		if all[0].TokensIn != 7 || all[0].TokensOut != 9 || all[1].TokensIn != 0 || all[1].TokensOut != 0 {
			t.Errorf("counted are %d and %d; %d and %d", all[0].TokensIn, all[0].TokensOut, all[1].TokensIn, all[1].TokensOut)
		}
	})
}

// What is strict in a stream is written before it is done, and before its last answer
// leaves: one that can't be written does not leave.
func TestAStrictRequestOfAStreamIsAnsweredWhenItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, "infer")
		err := d.stream(func(ss grpc.ServerStream, ask func(string) error) {
			for _, id := range []string{"a", "b"} {
				if err := ask(id); err != nil {
					t.Fatal(err)
				}
				last := answer(t, id, true)
				d.fails.Store(id == "b")
				err := ss.SendMsg(last)
				last.Free()
				entries, _ := d.log.Entries()
				n := len(entries)
				if id == "a" && (err != nil || n != 2 || entries[1].Record.Kind != audit.KindMessage) {
					t.Errorf("%d are recorded when it is answered, %v", n, err)
				}
				if e, ok := access.AsError(err); id == "b" && (!ok || e == nil || e.Reason != access.ReasonAuditAway) {
					t.Errorf("got %v", err)
				}
			}
		})
		d.fails.Store(false)
		if all := d.close(); err != nil || len(all) != 5 {
			t.Errorf("%d are recorded, %v", len(all), err)
		}
	})
}

// A server that never marks the last answer does not hold back a long stream's
// records, nor fill memory.
func TestOpenRequestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		_ = d.stream(func(ss grpc.ServerStream, ask func(string) error) {
			for i := range 1000 {
				if err := ask(fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
				m := answer(t, fmt.Sprint(i), false)
				_ = ss.SendMsg(m)
				m.Free()
			}
			time.Sleep(time.Second)
			if entries, _ := d.log.Entries(); len(entries) != 1000-64 {
				t.Errorf("%d are recorded while the stream is open", len(entries))
			}
		})
		if all := d.close(); len(all) != 1001 {
			t.Errorf("%d are recorded", len(all))
		}
	})
}

func TestARequestThatCantBeRecordedGoesNoFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		_ = d.stream(func(_ grpc.ServerStream, ask func(string) error) {
			if err := ask("first"); err != nil {
				t.Fatal(err)
			}
			d.fails.Store(true)
			d.audit.Record(&audit.Record{Kind: audit.KindReload}, nil)
			time.Sleep(11 * time.Second)
			var refused *access.MessageError
			if err := ask("second"); !errors.As(err, &refused) || refused.ID != "second" || refused.Err.Reason != access.ReasonAuditAway {
				t.Errorf("got %v", err)
			}
			d.fails.Store(false)
			time.Sleep(5 * time.Second)
			if err := ask("third"); err != nil {
				t.Errorf("the stream does not go on: %v", err)
			}
		})
		byID := map[string]*audit.Record{}
		for _, r := range d.close() {
			byID[r.Request] = r
		}
		if r := byID["second"]; r == nil || r.Verdict != audit.Failed || r.Reason != access.ReasonAuditAway || byID["third"] == nil {
			t.Errorf("recorded are %v", byID)
		}
	})
}

// TestARefusedRequestIsRecordedUnderItsID: what its caller calls it, and its size,
// though it went no further than to the refusal.
func TestARefusedRequestIsRecordedUnderItsID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		sent := &pb.ModelInferRequest{ModelName: "m", Id: "r-7"}
		req := request(t, sent)
		no := &access.Error{Kind: access.PermissionDenied, Reason: access.ReasonNoRole, Message: "no"}
		_, _ = d.step.Step().Unary(access.WithCall(t.Context(), d.call), req, nil, func(context.Context, any) (any, error) { return nil, no })
		all := d.close()
		if r := all[len(all)-1]; r.Request != "r-7" || r.BytesIn != int64(proto.Size(sent)) || r.Verdict != audit.Denied {
			t.Errorf("got %+v", r)
		}
	})
}
