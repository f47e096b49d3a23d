package models_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/sluice-gateway/sluice/demo/models"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

func TestMain(m *testing.M) {
	wire.RegisterCompressors()
	goleak.VerifyTestMain(m)
}

// dial starts a server in memory and returns a connection to it.
func dial(t testing.TB, o models.Options, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	s := models.New(o)
	g := grpc.NewServer(append(s.ServerOptions(), grpc.WaitForHandlers(true))...)
	s.Register(g)
	l := bufconn.Listen(1 << 16)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///models", append([]grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("serve: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return conn
}

// client is a client of a server of its own, whose "tokens" does not wait.
func client(t testing.TB) inference.GRPCInferenceServiceClient {
	t.Helper()
	return inference.NewGRPCInferenceServiceClient(dial(t, models.Options{ChunkDelay: -1}))
}

// wantStatus fails the test unless err has that code and text.
func wantStatus(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if s := status.Convert(err); s.Code() != code || s.Message() != text {
		t.Errorf("got  %v %q\nwant %v %q", s.Code(), s.Message(), code, text)
	}
}

// must returns v, or ends the test with err.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func int32Data(values ...int32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return b
}

func float32Data(values ...float32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func bytesData(values ...string) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	return b
}

// texts reads raw BYTES data.
func texts(b []byte) []string {
	var all []string
	for len(b) >= 4 {
		n := binary.LittleEndian.Uint32(b)
		all = append(all, string(b[4:4+n]))
		b = b[4+n:]
	}
	return all
}

// tensor is an input of a request to be.
type tensor struct {
	name, datatype string
	shape          []int64
	data           []byte
}

// request builds a request with raw inputs.
func request(model, id string, inputs ...tensor) *inference.ModelInferRequest {
	r := &inference.ModelInferRequest{ModelName: model, Id: id, Parameters: map[string]*inference.InferParameter{}}
	for _, in := range inputs {
		r.Inputs = append(r.Inputs, &inference.ModelInferRequest_InferInputTensor{Name: in.name, Datatype: in.datatype, Shape: in.shape})
		r.RawInputContents = append(r.RawInputContents, in.data)
	}
	return r
}

// rows are n rows of sixteen numbers for the models that add.
func rows(n int, first int32) []byte {
	all := make([]int32, 16*n)
	for i := range all {
		all[i] = first + int32(i)
	}
	return int32Data(all...)
}

// addRequest is a good request for "simple".
func addRequest(id string) *inference.ModelInferRequest {
	return request("simple", id,
		tensor{"INPUT0", "INT32", []int64{1, 16}, rows(1, 100)}, tensor{"INPUT1", "INT32", []int64{1, 16}, rows(1, 1)})
}

// repeatRequest asks "repeat_int32" for values, each after delay milliseconds.
func repeatRequest(id string, delay int32, values ...int32) *inference.ModelInferRequest {
	n := int64(len(values))
	delays := make([]int32, n)
	for i := range delays {
		delays[i] = delay
	}
	return request("repeat_int32", id,
		tensor{"IN", "INT32", []int64{n}, int32Data(values...)},
		tensor{"DELAY", "UINT32", []int64{n}, int32Data(delays...)},
		tensor{"WAIT", "UINT32", []int64{1}, int32Data(0)})
}

// Parameters of requests.
func boolParam(v bool) *inference.InferParameter {
	return &inference.InferParameter{ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: v}}
}

func intParam(v int64) *inference.InferParameter {
	return &inference.InferParameter{ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: v}}
}

func uintParam(v uint64) *inference.InferParameter {
	return &inference.InferParameter{ParameterChoice: &inference.InferParameter_Uint64Param{Uint64Param: v}}
}

func stringParam(v string) *inference.InferParameter {
	return &inference.InferParameter{ParameterChoice: &inference.InferParameter_StringParam{StringParam: v}}
}

func doubleParam(v float64) *inference.InferParameter {
	return &inference.InferParameter{ParameterChoice: &inference.InferParameter_DoubleParam{DoubleParam: v}}
}

// stream sends the requests on one stream, half-closes, and returns all the
// answers and how the stream ended.
func stream(ctx context.Context, t testing.TB, c inference.GRPCInferenceServiceClient, requests ...*inference.ModelInferRequest) ([]*inference.ModelStreamInferResponse, error) {
	t.Helper()
	s := must[inference.GRPCInferenceService_ModelStreamInferClient](t)(c.ModelStreamInfer(ctx))
	for _, r := range requests {
		if err := s.Send(r); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var all []*inference.ModelStreamInferResponse
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
}

// final reads the flag of the last answer; ok is false where there is none.
func final(r *inference.ModelInferResponse) (last, ok bool) {
	p, ok := r.GetParameters()["triton_final_response"]
	return p.GetBoolParam(), ok
}
