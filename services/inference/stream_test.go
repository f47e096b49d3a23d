package inference_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/connection"
	"github.com/sluice-gateway/sluice/backends/kserve"
	"github.com/sluice-gateway/sluice/backends/triton"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/services/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// decoupled models have names that begin so.
const decoupled = "d-"

// config answers ModelConfig for any model.
func config(request []byte) [][]byte {
	var req pb.ModelConfigRequest
	_ = proto.Unmarshal(request, &req)
	return encode(&pb.ModelConfigResponse{Config: &pb.ModelConfig{
		Name:                   req.GetName(),
		ModelTransactionPolicy: &pb.ModelTransactionPolicy{Decoupled: strings.HasPrefix(req.GetName(), decoupled)},
	}})
}

func encode(messages ...proto.Message) (all [][]byte) {
	for _, m := range messages {
		b, _ := proto.Marshal(m)
		all = append(all, b)
	}
	return all
}

// final is a model's answer as Triton marks it on a stream.
func final(model, id string, last bool) *pb.ModelStreamInferResponse {
	return &pb.ModelStreamInferResponse{InferResponse: &pb.ModelInferResponse{
		ModelName: model, ModelVersion: "1", Id: id,
		Parameters: map[string]*pb.InferParameter{"triton_final_response": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: last}}},
	}}
}

// early is the error of a request that Triton refuses before it runs.
func early(id, text string) *pb.ModelStreamInferResponse {
	return &pb.ModelStreamInferResponse{ErrorMessage: text, InferResponse: &pb.ModelInferResponse{Id: id}}
}

// rig is a client of the service in front of scripted backends, in memory. The
// backend of a model is named by what stands before its slash-free name's
// first "@": "a@m" is at backend a. Callers of "m@both" are divided between all.
type rig struct {
	t        *testing.T
	backends map[string]*backendstest.Server
	client   pb.GRPCInferenceServiceClient
	service  *inference.Service
}

// streamless is the backend that serves no streams.
const streamless = "streamless"

// refuse makes the stand-in for policy refuse requests whose id begins so.
const refuse = "no"

func newRig(t *testing.T, scripts map[string]backendstest.Script) *rig {
	t.Helper()
	r := &rig{t: t, backends: make(map[string]*backendstest.Server)}
	var routes []backends.Route
	for name, script := range scripts {
		server := backendstest.Start(t, script)
		b, err := open(name, grpc.WithContextDialer(server.Dial))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		r.backends[name] = server
		routes = append(routes, backends.Route{Backend: b, Patterns: []string{"*" + name, "*@both"}, Weight: 1})
	}
	table, err := backends.NewTable(routes)
	if err != nil {
		t.Fatal(err)
	}
	r.service = inference.New(table, inference.ReadyAny)
	r.client = serve(t, r.service)
	return r
}

// open makes a backend of Triton's kind, or the one without streams.
func open(name string, dial grpc.DialOption) (backends.Backend, error) {
	if name == streamless {
		return kserve.New(connection.Options{Name: name, Address: name, Credentials: insecure.NewCredentials(), Dial: []grpc.DialOption{dial}}, nil)
	}
	return triton.New(triton.Options{
		Name: name, Address: name, Credentials: insecure.NewCredentials(), Dial: []grpc.DialOption{dial},
		Traits: backends.Traits{Triton: true, Guard: backends.Guard{BytesClassification: true, LongFileNames: true}},
	})
}

// serve registers the service bare: no chain, but the stand-in for policy.
func serve(t *testing.T, service *inference.Service) pb.GRPCInferenceServiceClient {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(grpc.ForceServerCodecV2(wire.Codec{}), grpc.WaitForHandlers(true))
	desc := &grpc.ServiceDesc{ServiceName: pb.GRPCInferenceService_ServiceDesc.ServiceName}
	for method, handler := range service.Handlers() {
		desc.Streams = append(desc.Streams, grpc.StreamDesc{
			StreamName: method[strings.LastIndexByte(method, '/')+1:], ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, ss grpc.ServerStream) error { return unary(ss, handler) },
		})
	}
	desc.Streams = append(desc.Streams, grpc.StreamDesc{StreamName: "ModelStreamInfer", ServerStreams: true, ClientStreams: true, Handler: func(srv any, ss grpc.ServerStream) error {
		return interceptors.ToStatus(service.ModelStreamInfer(srv, &following{ServerStream: &refusing{ss}}))
	}})
	srv.RegisterService(desc, nil)
	go func() { _ = srv.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///sluice", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); srv.Stop() })
	return pb.NewGRPCInferenceServiceClient(conn)
}

func unary(ss grpc.ServerStream, handler grpc.UnaryHandler) error {
	req := wire.NewRequest(ss)
	defer req.Free()
	account := wire.NewBudget(wire.BudgetConfig{}).Account("test")
	defer account.Close()
	if err := req.Read(account); err != nil {
		return err
	}
	resp, err := handler(ss.Context(), req)
	if err != nil {
		return interceptors.ToStatus(err)
	}
	if m, ok := resp.(*wire.Message); ok {
		defer m.Free()
	}
	return ss.SendMsg(resp)
}

// refusing is the stand-in for policy.
type refusing struct{ grpc.ServerStream }

func (s *refusing) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	view, err := m.(*wire.Message).InferRequest()
	if err != nil {
		return err
	}
	if id := view.ID().String(); strings.HasPrefix(id, refuse) {
		return &access.MessageError{ID: id, Err: &access.Error{Kind: access.PermissionDenied, Reason: access.ReasonNoRole, Message: "refused"}}
	}
	return nil
}

func request(model, id string) *pb.ModelInferRequest {
	return &pb.ModelInferRequest{ModelName: model, Id: id}
}

// say sends requests, written "model/id".
func say(t *testing.T, stream pb.GRPCInferenceService_ModelStreamInferClient, requests ...string) {
	t.Helper()
	for _, r := range requests {
		model, id, _ := strings.Cut(r, "/")
		if err := stream.Send(request(model, id)); err != nil {
			t.Fatal(err)
		}
	}
}

// heard is what a stream has answered, as "id" or "id!" for an error, until
// nothing more comes.
func heard(stream pb.GRPCInferenceService_ModelStreamInferClient) (all []string, end error) {
	for {
		resp, err := stream.Recv()
		if err != nil {
			return all, err
		}
		word := resp.GetInferResponse().GetId()
		if resp.GetErrorMessage() != "" {
			word += "!"
		}
		all = append(all, word)
	}
}

// answerEach answers each request once, when turn lets it.
func answerEach(turn func(id string)) backendstest.Step {
	return backendstest.Each(func(request []byte) [][]byte {
		var req pb.ModelInferRequest
		_ = proto.Unmarshal(request, &req)
		if turn != nil {
			turn(req.GetId())
		}
		if strings.HasPrefix(req.GetId(), "early") {
			return encode(early(req.GetId(), "bad"))
		}
		if strings.HasPrefix(req.GetModelName(), decoupled) {
			return encode(final(req.GetModelName(), req.GetId(), false), final(req.GetModelName(), req.GetId(), false))
		}
		return encode(final(req.GetModelName(), req.GetId(), true))
	})
}

func TestAnswersComeInTheOrderOfTheRequests(t *testing.T) {
	for _, c := range []struct {
		name     string
		slow     string // the id whose answer comes last of all
		requests []string
		want     []string
	}{
		{"nothing is refused", "", []string{"m@a/1", "m@a/2"}, []string{"1", "2"}},
		{"a refusal waits for the answers before it", "1", []string{"m@a/1", "m@a/no2", "m@a/3"}, []string{"1", "no2!", "3"}},
		{"a refusal that nothing stands before goes at once", "1", []string{"m@a/no0", "m@a/1"}, []string{"no0!", "1"}},
		{"an error before execution takes its place too", "", []string{"m@a/early1", "m@a/no2", "m@a/3"}, []string{"early1!", "no2!", "3"}},
		{"a model that no backend has is refused in its place", "1", []string{"m@a/1", "nowhere/2", "m@a/3"}, []string{"1", "2!", "3"}},
		{"one backend does not overtake another", "1", []string{"m@a/1", "m@b/2", "m@a/3"}, []string{"1", "2", "3"}},
		{"a backend without streams refuses its own requests alone", "1", []string{"m@a/1", "m@streamless/2", "m@a/3"}, []string{"1", "2!", "3"}},
		{"decoupled models wait for nobody", "1", []string{"m@a/1", "m@b/no2", "d-m@b/3"}, []string{"3", "3", "1", "no2!"}},
		{"requests without an id keep their order", "", []string{"m@a/", "m@a/no", "m@a/"}, []string{"", "no!", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				script := backendstest.Script{
					"ModelConfig": {backendstest.Each(config)},
					"ModelStreamInfer": {answerEach(func(id string) {
						if id != "" && id == c.slow {
							<-release
						}
					})},
				}
				r := newRig(t, map[string]backendstest.Script{"a": script, "b": script, streamless: {}})
				stream, err := r.client.ModelStreamInfer(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, one := range c.requests {
					say(t, stream, one)
					synctest.Wait()
				}
				close(release)
				if err := stream.CloseSend(); err != nil {
					t.Fatal(err)
				}
				got, end := heard(stream)
				if !slices.Equal(got, c.want) || end != io.EOF {
					t.Errorf("got %q, %v; want %q", got, end, c.want)
				}
			})
		})
	}
}

func TestARefusalInAStreamNamesItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, map[string]backendstest.Script{"a": {}})
		stream, err := r.client.ModelStreamInfer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		say(t, stream, "m@a/no1")
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		want := &pb.ModelStreamInferResponse{ErrorMessage: "refused", InferResponse: &pb.ModelInferResponse{
			Id: "no1", Parameters: map[string]*pb.InferParameter{"sluice_reason": {ParameterChoice: &pb.InferParameter_StringParam{StringParam: access.ReasonNoRole}}},
		}}
		if !proto.Equal(resp, want) {
			t.Errorf("got %v, want %v", resp, want)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, end := heard(stream); end != io.EOF {
			t.Errorf("the stream ended with %v, want OK", end)
		}
		if calls := r.backends["a"].Calls(); len(calls) != 0 {
			t.Errorf("the backend saw %d calls of a refused request", len(calls))
		}
	})
}

func TestHowAStreamEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		script []backendstest.Step
		code   codes.Code
		text   string
	}{
		{"the backend's own status goes through", []backendstest.Step{backendstest.Receive(), backendstest.Fail(codes.ResourceExhausted, "queue is full")}, codes.ResourceExhausted, "queue is full"},
		{"a connection that breaks is UNAVAILABLE, without addresses", []backendstest.Step{backendstest.Receive(), backendstest.Reset()}, codes.Unavailable, "the model's server is away; try again later"},
		{"an answer that is no message is an error", []backendstest.Step{backendstest.Receive(), backendstest.Garbage()}, codes.Unavailable, "the model's server answered what is not KServe v2; tell the platform team"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, map[string]backendstest.Script{"a": {"ModelConfig": {backendstest.Each(config)}, "ModelStreamInfer": c.script}})
				stream, err := r.client.ModelStreamInfer(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				say(t, stream, "m@a/1")
				_, end := heard(stream)
				if st := status.Convert(end); st.Code() != c.code || st.Message() != c.text {
					t.Errorf("ended with %v, want %v %q", end, c.code, c.text)
				}
			})
		})
	}
}

func TestPendingRequestsRunToTheirEndAfterHalfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := newRig(t, map[string]backendstest.Script{"a": {
			"ModelConfig": {backendstest.Each(config)}, "ModelStreamInfer": {answerEach(func(string) { <-release })},
		}})
		stream, err := r.client.ModelStreamInfer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		say(t, stream, "m@a/1", "m@a/2")
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		close(release)
		if got, end := heard(stream); !slices.Equal(got, []string{"1", "2"}) || end != io.EOF {
			t.Errorf("got %q, %v", got, end)
		}
	})
}

func TestACancelledStreamEndsAtTheBackendAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, map[string]backendstest.Script{"a": {"ModelConfig": {backendstest.Each(config)}, "ModelStreamInfer": {backendstest.Receive(), backendstest.Hang()}}})
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := r.client.ModelStreamInfer(ctx)
		if err != nil {
			t.Fatal(err)
		}
		say(t, stream, "m@a/1")
		synctest.Wait()
		cancel()
		synctest.Wait()
		for _, call := range r.backends["a"].Calls() {
			if !call.Ended() {
				t.Error("the backend's call goes on after the client has cancelled")
			}
		}
		if _, end := heard(stream); status.Code(end) != codes.Canceled {
			t.Errorf("ended with %v", end)
		}
	})
}

// memoryStream is a server stream without a transport.
type memoryStream struct {
	grpc.ServerStream
	ctx      context.Context
	requests [][]byte
	answers  []*pb.ModelStreamInferResponse
}

func (s *memoryStream) Context() context.Context { return s.ctx }

func (s *memoryStream) RecvMsg(m any) error {
	if len(s.requests) == 0 {
		return io.EOF
	}
	next := s.requests[0]
	s.requests = s.requests[1:]
	return m.(*wire.Message).Take(wire.FromBytes(next))
}

func (s *memoryStream) SendMsg(m any) error {
	answer, ok := m.(*pb.ModelStreamInferResponse)
	if !ok {
		answer = new(pb.ModelStreamInferResponse)
		if err := m.(*wire.Message).Unmarshal(answer); err != nil {
			return fmt.Errorf("an answer does not parse: %w", err)
		}
	}
	s.answers = append(s.answers, answer)
	return nil
}
