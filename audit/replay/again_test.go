package replay_test

import (
	"context"
	"errors"
	"iter"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/audit/payload"
	"github.com/sluice-gateway/sluice/audit/replay"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// door answers as a test says.
type door struct {
	asked  []*pb.ModelInferRequest
	answer *pb.ModelInferResponse
	texts  []string
	err    error

	refused string // a stream's answer
}

var _ replay.Door = (*door)(nil)

func (d *door) Infer(_ context.Context, r *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	d.asked = append(d.asked, r)
	return d.answer, d.err
}

func (d *door) Stream(_ context.Context, r *pb.ModelInferRequest) iter.Seq2[*pb.ModelStreamInferResponse, error] {
	d.asked = append(d.asked, r)
	return func(yield func(*pb.ModelStreamInferResponse, error) bool) {
		for _, text := range d.texts {
			if !yield(&pb.ModelStreamInferResponse{InferResponse: says(text)}, nil) {
				return
			}
		}
		if d.refused != "" && !yield(&pb.ModelStreamInferResponse{ErrorMessage: d.refused}, nil) {
			return
		}
		if d.err != nil {
			yield(nil, d.err)
		}
	}
}

// once replays a session of one call.
func once(t *testing.T, s *tape, d replay.Door, o replay.Options) replay.Result {
	t.Helper()
	var all []replay.Result
	for r := range replay.Again(t.Context(), load(t, s), d, o) {
		all = append(all, r)
	}
	if len(all) != 1 {
		t.Fatalf("%d results", len(all))
	}
	return all[0]
}

func unary(t *testing.T, was *pb.ModelInferResponse) *tape {
	s := &tape{}
	s.add(0, "ModelInfer", "m", "1", ask(t, "m", "hello"), payload.Frame{Kind: payload.Answer, Message: bytesOf(t, was)})
	return s
}

func TestAgainCompares(t *testing.T) {
	two := says("a")
	two.Outputs = append(two.Outputs, counts(1).Outputs...)
	two.RawOutputContents = append(two.RawOutputContents, []byte{0, 0, 128, 63})
	two.Outputs[1].Contents = nil
	tests := []struct {
		name    string
		was, is *pb.ModelInferResponse
		o       replay.Options
		want    string // of the first difference; "" for none
	}{
		{"the same", says("a b c"), says("a b c"), replay.Options{}, ""},
		{"another text", says("the quick fox"), says("the slow fox"), replay.Options{}, "text_output[0]\n  - the quick fox\n  + the slow fox"},
		{"another number", counts(1, 2), counts(1, 2.5), replay.Options{}, "n[1]\n  - 2\n  + 2.5"},
		{"near enough", counts(1, 100), counts(1.0001, 100.01), replay.Options{Relative: 1e-3}, ""},
		{"not near enough", counts(1, 100), counts(1.0001, 101), replay.Options{Relative: 1e-3}, "n[1]"},
		{"near enough, absolutely", counts(0), counts(1e-6), replay.Options{Absolute: 1e-5}, ""},
		{"typed or raw", counts(1), &pb.ModelInferResponse{Outputs: []*pb.ModelInferResponse_InferOutputTensor{{Name: "n", Datatype: "FP32", Shape: []int64{1}}}, RawOutputContents: [][]byte{{0, 0, 128, 63}}}, replay.Options{}, ""},
		{"fewer numbers", counts(1, 2), counts(1), replay.Options{}, "n\n  - 2 numbers\n  + 1 numbers"},
		{"an output is missing", two, says("a"), replay.Options{}, "n\n  - there\n  + missing"},
		{"an output more", says("a"), two, replay.Options{}, "n\n  - missing\n  + there"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := once(t, unary(t, tt.was), &door{answer: tt.is}, tt.o)
			if got.Same() != (tt.want == "") {
				t.Fatalf("got %+v", got)
			}
			if tt.want != "" && !strings.HasPrefix(got.Differences[0].String(), tt.want) {
				t.Errorf("got %q, want %q", got.Differences[0].String(), tt.want)
			}
		})
	}
}

// TestAgainStreams: texts are compared as wholes, however they are cut.
func TestAgainStreams(t *testing.T) {
	s := &tape{}
	s.add(0, "ModelStreamInfer", "tokens", "1", ask(t, "tokens", "hi"), chunk(t, 1, "one "), chunk(t, 2, "two"))
	if got := once(t, s, &door{texts: []string{"o", "ne two"}}, replay.Options{}); !got.Same() {
		t.Errorf("got %+v", got)
	}
	if got := once(t, s, &door{texts: []string{"one ", "too"}}, replay.Options{}); len(got.Differences) != 1 || got.Differences[0].Is != "one too" {
		t.Errorf("got %+v", got)
	}
	gone := errors.New("gone")
	if got := once(t, s, &door{texts: []string{"one"}, err: gone}, replay.Options{}); !errors.Is(got.Err, gone) || got.Same() {
		t.Errorf("got %+v", got)
	}
}

// TestAgainIsRefused: a stream's refusal is a failure, and no answer that differs,
// unless it was refused then too.
func TestAgainIsRefused(t *testing.T) {
	s := &tape{}
	s.add(0, "ModelStreamInfer", "tokens", "1", ask(t, "tokens", "hi"), chunk(t, 1, "one"))
	if got := once(t, s, &door{refused: "you may not"}, replay.Options{}); got.Err == nil || got.Err.Error() != "you may not" || got.Same() {
		t.Errorf("got %+v", got)
	}
	said := bytesOf(t, &pb.ModelStreamInferResponse{ErrorMessage: "you may not"})
	s = &tape{}
	s.add(0, "ModelStreamInfer", "tokens", "1", ask(t, "tokens", "hi"), payload.Frame{Kind: payload.Stream, Message: said})
	if got := once(t, s, &door{refused: "you may not"}, replay.Options{}); !got.Same() {
		t.Errorf("got %+v", got)
	}
	if got := once(t, s, &door{texts: []string{"one"}}, replay.Options{}); got.Same() || got.Err != nil {
		t.Errorf("got %+v", got)
	}
}

func TestAgainSends(t *testing.T) {
	d := &door{answer: says("x")}
	s := unary(t, says("x"))
	s.contents["p1"].Frames[0].Masked = true
	got := once(t, s, d, replay.Options{Version: "2"})
	if r := d.asked[0]; r.ModelName != "m" || r.ModelVersion != "2" || !got.Masked {
		t.Errorf("asked %v, %+v", r, got)
	}
	_ = once(t, s, d, replay.Options{Model: "other"})
	if r := d.asked[1]; r.ModelName != "other" || r.ModelVersion != "" {
		t.Errorf("asked %v", r)
	}
}

// TestAgainLeavesAlone: what can't be asked again as it was is not asked.
func TestAgainLeavesAlone(t *testing.T) {
	shm := bytesOf(t, &pb.ModelInferRequest{Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "x", Parameters: map[string]*pb.InferParameter{"shared_memory_region": {}}}}})
	for name, frames := range map[string][]payload.Frame{
		"its request is not kept":   {{Kind: payload.Answer}},
		"is no inference":           {{Kind: payload.OtherAsked, Type: "inference.RepositoryModelUnloadRequest"}},
		"too large":                 {{Kind: payload.Request, Cut: true}},
		"shared memory":             {{Kind: payload.Request, Message: shm}},
		"its request can't be read": {{Kind: payload.Request, Message: []byte{0xff}}},
	} {
		s, d := &tape{}, &door{}
		s.add(0, "ModelInfer", "m", "1", frames...)
		if got := once(t, s, d, replay.Options{}); !strings.Contains(got.Skipped, name) || got.Same() || len(d.asked) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// answers is a server that a door is of.
type answers struct {
	pb.UnimplementedGRPCInferenceServiceServer
}

func (answers) ModelInfer(context.Context, *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	return says("unary"), nil
}

func (answers) ModelStreamInfer(stream grpc.BidiStreamingServer[pb.ModelInferRequest, pb.ModelStreamInferResponse]) error {
	r, err := stream.Recv()
	if err != nil {
		return err
	}
	if r.ModelName == "gone" {
		return status.Error(codes.Unavailable, "gone")
	}
	for _, text := range []string{"a", "b"} {
		if err := stream.Send(&pb.ModelStreamInferResponse{InferResponse: says(text)}); err != nil {
			return err
		}
	}
	return nil
}

func TestDoor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	pb.RegisterGRPCInferenceServiceServer(srv, answers{})
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	defer serving.Wait()
	defer srv.Stop()
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	d := replay.NewDoor(conn)
	if resp, err := d.Infer(t.Context(), &pb.ModelInferRequest{}); err != nil || len(resp.Outputs) != 1 {
		t.Errorf("%v, %v", resp, err)
	}
	n := 0
	for m, err := range d.Stream(t.Context(), &pb.ModelInferRequest{}) {
		if err != nil || m == nil {
			t.Error(err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d answers", n)
	}
	for range d.Stream(t.Context(), &pb.ModelInferRequest{}) {
		break // who has enough leaves nothing behind
	}
	var last error
	for _, err := range d.Stream(t.Context(), &pb.ModelInferRequest{ModelName: "gone"}) {
		last = err
	}
	if status.Code(last) != codes.Unavailable {
		t.Errorf("got %v", last)
	}
}
