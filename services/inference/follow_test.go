package inference_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// masked is in the names of the models whose requests the stand-in for masking
// follows.
const masked = "masked"

// following is that stand-in: it numbers the requests that it follows, and says
// in each answer's id which one it was told that the answer is for.
type following struct {
	grpc.ServerStream
	mu sync.Mutex
	n  int
}

type follower struct {
	n         int
	decoupled bool
}

func (f follower) Decoupled() bool { return f.decoupled }

func (s *following) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	message := m.(*wire.Message)
	view, err := message.InferRequest()
	if err != nil {
		return err
	}
	if model := view.ModelName().String(); strings.Contains(model, masked) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.n++
		message.Follow(follower{n: s.n, decoupled: strings.HasPrefix(model, decoupled)})
	}
	return nil
}

func (s *following) SendMsg(m any) error {
	switch m := m.(type) {
	case wire.End:
		return s.ServerStream.SendMsg(&pb.ModelStreamInferResponse{InferResponse: &pb.ModelInferResponse{Id: fmt.Sprintf("#%d ends", m.Follower.(follower).n)}})
	case *wire.Message:
		if f, ok := m.Follower().(follower); ok {
			var answer pb.ModelStreamInferResponse
			if err := m.Unmarshal(&answer); err != nil {
				return err
			}
			answer.InferResponse.Id = fmt.Sprintf("#%d %s", f.n, answer.GetInferResponse().GetId())
			return s.ServerStream.SendMsg(&answer)
		}
	}
	return s.ServerStream.SendMsg(m)
}

// tokens answers each request as a decoupled model does: two answers, and the
// empty final one where that was asked for. Requests of other models have one.
func tokens(request []byte) [][]byte {
	var req pb.ModelInferRequest
	_ = proto.Unmarshal(request, &req)
	model, id := req.GetModelName(), req.GetId()
	data := func(last bool) *pb.ModelStreamInferResponse {
		m := final(model, id, last)
		m.InferResponse.Outputs = []*pb.ModelInferResponse_InferOutputTensor{{Name: "text_output"}}
		return m
	}
	switch asked := req.GetParameters()["triton_enable_empty_final_response"].GetBoolParam(); {
	case strings.HasPrefix(id, "early"):
		return encode(early(id, "bad"))
	case strings.HasPrefix(id, "fails"):
		bad := final(model, id, false)
		bad.ErrorMessage = "boom"
		if asked {
			return encode(data(false), bad, final(model, id, true))
		}
		return encode(data(false), bad)
	case !strings.HasPrefix(model, decoupled):
		return encode(data(true))
	case strings.HasPrefix(id, "marked"):
		return encode(data(false), data(true))
	case asked:
		return encode(data(false), data(false), final(model, id, true))
	default:
		return encode(data(false), data(false))
	}
}

func TestFollowedRequests(t *testing.T) {
	const d, m = "d-masked@a", "masked@a"
	for _, c := range []struct {
		name     string
		requests []*pb.ModelInferRequest
		want     []string
		calls    int // of the backend's stream
	}{
		{"a final answer that nobody asked for ends it", []*pb.ModelInferRequest{request(d, "1")}, []string{"#1 1", "#1 1", "#1 ends"}, 1},
		{"one that the client asked for is the client's", []*pb.ModelInferRequest{finally(request(d, "1"), true)}, []string{"#1 1", "#1 1", "#1 1"}, 1},
		{"one that the client does not want is not", []*pb.ModelInferRequest{finally(request(d, "1"), false)}, []string{"#1 1", "#1 1", "#1 ends"}, 1},
		{"a final answer with data ends it", []*pb.ModelInferRequest{request(d, "marked")}, []string{"#1 marked", "#1 marked"}, 1},
		{"an error from before execution ends it", []*pb.ModelInferRequest{request(d, "early")}, []string{"#1 early!"}, 1},
		{"an error of the model's does not, its final answer does", []*pb.ModelInferRequest{request(d, "fails")}, []string{"#1 fails", "#1 fails!", "#1 ends"}, 1},
		{"requests with ids share a stream", []*pb.ModelInferRequest{request(d, "1"), request(d, "2")}, []string{"#1 1", "#1 1", "#1 ends", "#2 2", "#2 2", "#2 ends"}, 1},
		{"one without an id has its own", []*pb.ModelInferRequest{request(d, ""), request(d, "1")}, []string{"#1 ", "#1 ", "#1 ends", "#2 1", "#2 1", "#2 ends"}, 2},
		{"ids may be used again", []*pb.ModelInferRequest{request(d, "1"), request(d, "1")}, []string{"#1 1", "#1 1", "#1 ends", "#2 1", "#2 1", "#2 ends"}, 1},
		{"an id that others use is no matter", []*pb.ModelInferRequest{request("d-@a", "1"), request(d, "1")}, []string{"1", "1", "#1 1", "#1 1", "#1 ends"}, 2},
		{"a model with one answer", []*pb.ModelInferRequest{request(m, "1"), request(m, "1"), request("m@a", "1")}, []string{"#1 1", "#2 1", "1"}, 2},
		{"an early error of a model with one answer", []*pb.ModelInferRequest{request(m, "early")}, []string{"#1 early!"}, 1},
		{"decoupled and others have streams apart", []*pb.ModelInferRequest{request(m, "1"), request(d, "1")}, []string{"#1 1", "#2 1", "#2 1", "#2 ends"}, 2},
		{"a sequence keeps its order, so it needs ids", []*pb.ModelInferRequest{inSequence(request(d, ""))}, []string{"!"}, 0},
		{"and has its stream with them", []*pb.ModelInferRequest{inSequence(request(d, "1"))}, []string{"#1 1", "#1 1", "#1 ends"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, map[string]backendstest.Script{"a": {"ModelConfig": {backendstest.Each(config)}, "ModelStreamInfer": {backendstest.Each(tokens)}}})
				stream, err := r.client.ModelStreamInfer(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, req := range c.requests {
					if err := stream.Send(req); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				if err := stream.CloseSend(); err != nil {
					t.Fatal(err)
				}
				got, end := heard(stream)
				if !slices.Equal(got, c.want) || end != io.EOF {
					t.Errorf("got %q, %v; want %q", got, end, c.want)
				}
				if n := streams(r.backends["a"]); n != c.calls {
					t.Errorf("the backend has seen %d streams, want %d", n, c.calls)
				}
			})
		})
	}
}

// finally has the client ask for the empty final answer, or ask not to get it.
func finally(r *pb.ModelInferRequest, yes bool) *pb.ModelInferRequest {
	r.Parameters = map[string]*pb.InferParameter{"triton_enable_empty_final_response": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: yes}}}
	return r
}

func inSequence(r *pb.ModelInferRequest) *pb.ModelInferRequest {
	r.Parameters = map[string]*pb.InferParameter{"sequence_id": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 7}}}
	return r
}

func streams(s *backendstest.Server) (n int) {
	for _, call := range s.Calls() {
		if strings.HasSuffix(call.Method, "ModelStreamInfer") {
			n++
		}
	}
	return n
}

// TestARequestWhoseIDIsInFlightHasAStreamOfItsOwn: both have the id 1, and the
// first is not answered before the second is there.
func TestARequestWhoseIDIsInFlightHasAStreamOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := newRig(t, map[string]backendstest.Script{"a": {"ModelConfig": {backendstest.Each(config)}, "ModelStreamInfer": {backendstest.Each(func(b []byte) [][]byte {
			<-release
			return tokens(b)
		})}}})
		stream, err := r.client.ModelStreamInfer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		say(t, stream, "d-masked@a/1", "d-masked@a/1", "d-masked@a/2")
		synctest.Wait()
		close(release)
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		got, _ := heard(stream)
		count := func(n int) (of []string) {
			for _, one := range got {
				if strings.HasPrefix(one, fmt.Sprintf("#%d ", n)) {
					of = append(of, one)
				}
			}
			return of
		}
		for n, id := range []string{"1", "1", "2"} {
			if of, want := count(n+1), []string{fmt.Sprintf("#%d %s", n+1, id), fmt.Sprintf("#%d %s", n+1, id), fmt.Sprintf("#%d ends", n+1)}; !slices.Equal(of, want) {
				t.Errorf("answers to request %d: %q, want %q", n+1, of, want)
			}
		}
		if n := streams(r.backends["a"]); n != 2 {
			t.Errorf("the backend has seen %d streams, want the shared one and one", n)
		}
	})
}

// TestWhatCannotBeAttributedEndsTheStream: an answer that belongs to no followed
// request could be any one's.
func TestWhatCannotBeAttributedEndsTheStream(t *testing.T) {
	answers := func(all ...*pb.ModelStreamInferResponse) backendstest.Step {
		return backendstest.Each(func([]byte) [][]byte {
			var messages []proto.Message
			for _, m := range all {
				messages = append(messages, m)
			}
			return encode(messages...)
		})
	}
	for _, c := range []struct {
		name, request string
		answers       backendstest.Step
		want          []string
	}{
		{"another id", "d-masked@a/1", answers(final("d-masked@a", "2", false)), []string{"#1 ends"}},
		{"an answer after the last", "d-masked@a/1", answers(final("d-masked@a", "1", true), final("d-masked@a", "1", false)), []string{"#1 ends"}},
		{
			"one like those before the last", "d-masked@a/1",
			answers(final("d-masked@a", "1", false), final("d-masked@a", "1", false), final("d-masked@a", "1", true), final("d-masked@a", "1", false)),
			[]string{"#1 1", "#1 1", "#1 ends"},
		},
		{
			"another id after some that are alike", "d-masked@a/1",
			answers(final("d-masked@a", "1", false), final("d-masked@a", "1", false), final("d-masked@a", "2", false)),
			[]string{"#1 1", "#1 1", "#1 ends"},
		},
		{"two answers where there is one", "masked@a/1", answers(final("masked@a", "1", true), final("masked@a", "1", true)), []string{"#1 1"}},
		{"an answer of another model", "masked@a/1", answers(final("m@a", "1", true)), nil},
		{"not the only answer", "masked@a/1", answers(final("masked@a", "1", false)), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, map[string]backendstest.Script{"a": {"ModelConfig": {backendstest.Each(config)}, "ModelStreamInfer": {c.answers}}})
				stream, err := r.client.ModelStreamInfer(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				say(t, stream, c.request)
				got, end := heard(stream)
				if !slices.Equal(got, c.want) || status.Code(end) != codes.Unavailable {
					t.Errorf("got %q, %v; want %q and UNAVAILABLE", got, end, c.want)
				}
			})
		})
	}
}

// TestAnswersOfTwoRequestsTakeTurns: each is its own request's, though most are alike.
func TestAnswersOfTwoRequestsTakeTurns(t *testing.T) {
	turns := func(request []byte) (all [][]byte) {
		var req pb.ModelInferRequest
		if _ = proto.Unmarshal(request, &req); req.GetId() == "1" {
			return nil
		}
		for _, id := range []string{"1", "1", "2", "1", "2", "2", "1"} {
			all = append(all, encode(final("d-masked@a", id, false))...)
		}
		all = append(all, encode(final("d-masked@a", "1", true), final("d-masked@a", "2", false), final("d-masked@a", "2", true))...)
		return all
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, map[string]backendstest.Script{"a": {"ModelConfig": {backendstest.Each(config)}, "ModelStreamInfer": {backendstest.Each(turns)}}})
		stream, err := r.client.ModelStreamInfer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		say(t, stream, "d-masked@a/1", "d-masked@a/2")
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		got, end := heard(stream)
		want := []string{"#1 1", "#1 1", "#2 2", "#1 1", "#2 2", "#2 2", "#1 1", "#1 ends", "#2 2", "#2 ends"}
		if !slices.Equal(got, want) || end != io.EOF {
			t.Errorf("got %q, %v; want %q", got, end, want)
		}
	})
}

// TestHowFollowedRequestsEndWithTheStream: what is held goes out before the
// backend's error does.
func TestHowFollowedRequestsEndWithTheStream(t *testing.T) {
	for _, c := range []struct {
		name string
		then []backendstest.Step
		code codes.Code
	}{
		{"the backend ends its stream early", nil, codes.OK},
		{"the backend fails", []backendstest.Step{backendstest.Fail(codes.Internal, "boom")}, codes.Internal},
		{"the connection breaks", []backendstest.Step{backendstest.Reset()}, codes.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := append([]backendstest.Step{backendstest.Receive(), backendstest.Send(final("d-masked@a", "1", false))}, c.then...)
				r := newRig(t, map[string]backendstest.Script{"a": {"ModelConfig": {backendstest.Each(config)}, "ModelStreamInfer": script}})
				stream, err := r.client.ModelStreamInfer(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				say(t, stream, "d-masked@a/1")
				if c.code == codes.OK {
					if err := stream.CloseSend(); err != nil {
						t.Fatal(err)
					}
				}
				got, end := heard(stream)
				if end == io.EOF {
					end = nil
				}
				if !slices.Equal(got, []string{"#1 1", "#1 ends"}) || status.Code(end) != c.code {
					t.Errorf("got %q, %v", got, end)
				}
			})
		})
	}
}
