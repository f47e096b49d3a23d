package replay_test

import (
	"context"
	"encoding/binary"
	"iter"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/payload"
	"github.com/sluice-gateway/sluice/audit/replay"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var begun = time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)

// tape is a session in memory.
type tape struct {
	records  []*audit.Record
	contents map[string]*payload.Content
	torn     bool // a record can't be read
}

func (s *tape) Search(_ context.Context, q audit.Query) iter.Seq2[audit.Found, error] {
	return func(yield func(audit.Found, error) bool) {
		if s.torn && !yield(audit.Found{}, &audit.DamagedError{Replica: "log", First: 7, Last: 8}) {
			return
		}
		for _, r := range s.records {
			if q.Matches(r) && !yield(audit.Found{Entry: audit.Entry{Record: r}}, nil) {
				return
			}
		}
	}
}

func (s *tape) Open(_ context.Context, ref *audit.PayloadRef) (*payload.Content, error) {
	if ref == nil || ref.ID == "" {
		return nil, audit.ErrNotFound
	}
	if ref.ID == "shredded" {
		return nil, payload.ErrShredded
	}
	return s.contents[ref.ID], nil
}

// add adds a call that began after d.
func (s *tape) add(d time.Duration, rpc, model, id string, frames ...payload.Frame) *audit.Record {
	r := &audit.Record{
		Kind: audit.KindMessage, Time: begun.Add(d), Session: "s", RPC: rpc, Verb: "infer", Model: model, Request: id,
		Name: "Bob", Subject: "bob", Issuer: "https://issuer", Payload: &audit.PayloadRef{ID: "p" + id, Complete: true},
	}
	if s.contents == nil {
		s.contents = map[string]*payload.Content{}
	}
	s.contents["p"+id] = &payload.Content{Frames: frames, Complete: true}
	s.records = append(s.records, r)
	return r
}

func bytesOf(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func elements(texts ...string) (b []byte) {
	for _, text := range texts {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	return b
}

func ask(t testing.TB, model, text string) payload.Frame {
	t.Helper()
	return payload.Frame{Kind: payload.Request, Message: bytesOf(t, &pb.ModelInferRequest{
		ModelName: model, Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}}},
		RawInputContents: [][]byte{elements(text)},
	})}
}

func says(text string) *pb.ModelInferResponse {
	return &pb.ModelInferResponse{
		Outputs:           []*pb.ModelInferResponse_InferOutputTensor{{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}}},
		RawOutputContents: [][]byte{elements(text)},
	}
}

func counts(numbers ...float32) *pb.ModelInferResponse {
	return &pb.ModelInferResponse{Outputs: []*pb.ModelInferResponse_InferOutputTensor{{
		Name: "n", Datatype: "FP32", Shape: []int64{int64(len(numbers))}, Contents: &pb.InferTensorContents{Fp32Contents: numbers},
	}}}
}

func chunk(t testing.TB, at time.Duration, text string) payload.Frame {
	t.Helper()
	return payload.Frame{Kind: payload.Stream, At: at, Message: bytesOf(t, &pb.ModelStreamInferResponse{InferResponse: says(text)})}
}

func load(t testing.TB, s *tape) *replay.Session {
	t.Helper()
	session, err := replay.Load(t.Context(), s, "s")
	if err != nil {
		t.Fatal(err)
	}
	return session
}
