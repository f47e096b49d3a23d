package rest_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest"
	"github.com/sluice-gateway/sluice/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seen is one call as the chain gets to see it.
type seen struct {
	method   string
	request  proto.Message // nil where it was not read
	metadata metadata.MD
	peer     net.Addr
	door     string
	err      error // of reading the request
	deadline bool
}

// rig is a door onto handlers that note what they see, and answer as a test says.
type rig struct {
	*rest.Door
	t       testing.TB
	options rest.Options
	budget  *wire.Budget
	// answer makes the answers to a call, or its error.
	answer func(s seen) ([]proto.Message, error)
	// identity refuses a call before its request is read.
	identity func(md metadata.MD) error

	mu    sync.Mutex
	calls []seen
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, budget: wire.NewBudget(wire.BudgetConfig{All: 64 << 20, PerPrincipal: 64 << 20})}
	r.answer = func(s seen) ([]proto.Message, error) { return []proto.Message{answerTo(s)}, nil }
	r.options.Handlers = make(map[string]grpc.StreamHandler)
	r.options.ModelConfig = func(context.Context, *access.Call, string, string) (*pb.ModelConfig, error) {
		return &pb.ModelConfig{Input: []*pb.ModelInput{{Name: "text", DataType: pb.DataType_TYPE_STRING, Dims: []int64{1}}}}, nil
	}
	service := pb.File_inference_grpc_service_proto.Services().ByName("GRPCInferenceService")
	for i := range service.Methods().Len() {
		m := service.Methods().Get(i)
		name := fmt.Sprintf("/%s/%s", service.FullName(), m.Name())
		r.options.Handlers[name] = r.handler(name)
	}
	r.open()
	t.Cleanup(func() {
		r.Wait()
		if n := r.budget.InFlight(); n != 0 {
			t.Errorf("%d bytes are still charged", n)
		}
	})
	return r
}

// open makes the door, with the options as they are now.
func (r *rig) open() {
	r.t.Helper()
	var err error
	if r.Door, err = rest.New(r.options); err != nil {
		r.t.Fatal(err)
	}
}

// request is an empty request of a method.
func request(method string) proto.Message {
	name := method[strings.LastIndexByte(method, '/')+1:]
	if strings.HasSuffix(name, "Infer") {
		return new(pb.ModelInferRequest)
	}
	m := pb.File_inference_grpc_service_proto.Messages().ByName(pbName(name + "Request"))
	return newMessage(m)
}

// answerTo is an answer that says yes.
func answerTo(s seen) proto.Message {
	name := s.method[strings.LastIndexByte(s.method, '/')+1:]
	switch name {
	case "ServerLive":
		return &pb.ServerLiveResponse{Live: true}
	case "ServerReady":
		return &pb.ServerReadyResponse{Ready: true}
	case "ModelReady":
		return &pb.ModelReadyResponse{Ready: true}
	case "ModelInfer":
		return inferAnswer()
	case "ModelStreamInfer":
		return &pb.ModelStreamInferResponse{InferResponse: inferAnswer()}
	}
	return newMessage(pb.File_inference_grpc_service_proto.Messages().ByName(pbName(name + "Response")))
}

func inferAnswer() *pb.ModelInferResponse {
	return &pb.ModelInferResponse{
		ModelName: "m", ModelVersion: "1",
		Outputs:           []*pb.ModelInferResponse_InferOutputTensor{{Name: "O", Datatype: "UINT8", Shape: []int64{2}}},
		RawOutputContents: [][]byte{{1, 2}},
	}
}

// handler does what the chain does: it opens the call, decides on headers, reads
// the request on an account, and answers.
func (r *rig) handler(method string) grpc.StreamHandler {
	return func(_ any, ss grpc.ServerStream) error {
		ctx := ss.Context()
		s := seen{method: method}
		s.metadata, _ = metadata.FromIncomingContext(ctx)
		if p, ok := peer.FromContext(ctx); ok {
			s.peer = p.Addr
		}
		_, s.deadline = ctx.Deadline()
		s.door = access.DoorFrom(ctx).Name
		access.DoorFrom(ctx).Opened(&access.Call{ID: "0123456789abcdef", Metadata: s.metadata})
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.calls = append(r.calls, s)
		}()
		if r.identity != nil {
			if s.err = r.identity(s.metadata); s.err != nil {
				return toStatus(s.err)
			}
		}
		account := r.budget.Account("p")
		defer account.Close()
		var m wire.Message
		if s.err = wire.NewReceiver(ss).Recv(&m, account); s.err != nil {
			return toStatus(s.err)
		}
		s.request = request(method)
		s.err = m.Unmarshal(s.request)
		m.Free()
		if s.err != nil {
			return toStatus(s.err)
		}
		answers, err := r.answer(s)
		for _, a := range answers {
			if err := ss.SendMsg(a); err != nil {
				return err
			}
		}
		return toStatus(err)
	}
}

// answers makes streams say a first token, and then what comes through next until
// it is closed.
func (r *rig) answers(next <-chan proto.Message) {
	const stream = pb.GRPCInferenceService_ModelStreamInfer_FullMethodName
	open := r.options.Handlers[stream]
	r.options.Handlers[stream] = func(srv any, ss grpc.ServerStream) error {
		r.answer = func(seen) ([]proto.Message, error) { return []proto.Message{token("a")}, nil }
		if err := open(srv, ss); err != nil {
			return err
		}
		for {
			select {
			case m, more := <-next:
				if !more {
					return nil
				}
				if err := ss.SendMsg(m); err != nil {
					return err
				}
			case <-ss.Context().Done():
				r.mu.Lock()
				defer r.mu.Unlock()
				r.calls[len(r.calls)-1].err = ss.Context().Err()
				return ss.Context().Err()
			}
		}
	}
	r.open()
}

// last is the only call that came in since it was asked before.
func (r *rig) last() seen {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) != 1 {
		r.t.Fatalf("%d calls came in, want one", len(r.calls))
	}
	s := r.calls[0]
	r.calls = nil
	return s
}

// none tells that no call came in.
func (r *rig) none() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) != 0 {
		r.t.Fatalf("%d calls came in, want none: %+v", len(r.calls), r.calls)
	}
}

// ask makes a request without a connection.
func (r *rig) ask(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	return r.do(r.request(method, path, strings.NewReader(body), headers...))
}

func (r *rig) request(method, path string, body io.Reader, headers ...string) *http.Request {
	q := httptest.NewRequestWithContext(r.t.Context(), method, path, body)
	for i := 0; i+1 < len(headers); i += 2 {
		q.Header[headers[i]] = append(q.Header[headers[i]], headers[i+1])
	}
	return q
}

func (r *rig) do(q *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, q)
	return w
}

// said is an answer's status, Content-Type and body.
func said(w *httptest.ResponseRecorder) string {
	return fmt.Sprintf("%d %s %s", w.Code, w.Header().Get("Content-Type"), w.Body)
}

func keys(md metadata.MD) map[string][]string { return maps.Clone(md) }
