package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// The methods that most attacks go for, by their full names.
const (
	modelInfer       = inference.GRPCInferenceService_ModelInfer_FullMethodName
	modelStreamInfer = inference.GRPCInferenceService_ModelStreamInfer_FullMethodName
	serverLive       = inference.GRPCInferenceService_ServerLive_FullMethodName
)

// prompt stands for what callers send and servers answer: nobody may find it in
// a log or a metric.
const prompt = "my-social-security-number-is-536-90-4399"

// service is the prefix of a method's full name.
const service = "/inference.GRPCInferenceService/"

// msg is a protobuf message under construction, field by field, as no library
// would make it.
type msg []byte

func (m msg) str(num protowire.Number, s string) msg {
	return protowire.AppendString(protowire.AppendTag(m, num, protowire.BytesType), s)
}
func (m msg) bytes(num protowire.Number, b []byte) msg { return m.str(num, string(b)) }
func (m msg) varint(num protowire.Number, v uint64) msg {
	return protowire.AppendVarint(protowire.AppendTag(m, num, protowire.VarintType), v)
}
func (m msg) raw(b ...byte) msg { return append(m, b...) }

// encoded is a message as a library makes it.
func encoded(t *testing.T, m proto.Message) msg {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// send calls a method with bytes and returns those of the answer.
func (g *gateway) send(ctx context.Context, method string, request []byte, opts ...grpc.CallOption) ([]byte, error) {
	g.t.Helper()
	answer := new(wire.Message)
	defer answer.Free()
	err := g.conn.Invoke(ctx, method, wire.FromBytes(request), answer, append(opts, grpc.ForceCodecV2(wire.Codec{}))...)
	return answer.Buffers().Materialize(), err
}

// sendStream opens a stream, sends messages on it, half-closes, and returns
// what was answered and how the stream ended.
func (g *gateway) sendStream(ctx context.Context, requests ...[]byte) (answers []*inference.ModelStreamInferResponse, err error) {
	g.t.Helper()
	stream, err := g.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, modelStreamInfer, grpc.ForceCodecV2(wire.Codec{}))
	if err != nil {
		return nil, err
	}
	for _, request := range requests {
		if err := stream.SendMsg(wire.FromBytes(request)); err != nil {
			break // the reason is what is received
		}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	for {
		answer := new(inference.ModelStreamInferResponse)
		if err := stream.RecvMsg(answer); err == io.EOF {
			return answers, nil
		} else if err != nil {
			return answers, err
		}
		answers = append(answers, answer)
	}
}

// streamReason is the reason that a refusal inside a stream carries.
func streamReason(answer *inference.ModelStreamInferResponse) string {
	return answer.GetInferResponse().GetParameters()["sluice_reason"].GetStringParam()
}

// scrape is what the metrics door shows.
func (g *gateway) scrape() string {
	g.t.Helper()
	resp, err := http.Get("http://" + g.Metrics + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return string(text)
}

// wantNoLeak looks for secrets in everything that the gateway has written down.
func (g *gateway) wantNoLeak(secrets ...string) {
	g.t.Helper()
	for where, text := range map[string]string{"log": g.Log.String(), "metrics": g.scrape()} {
		for _, secret := range secrets {
			if i := strings.Index(text, secret); i >= 0 {
				g.t.Errorf("the %s shows %.20q…: …%s…", where, secret, text[max(0, i-200):min(len(text), i+100)])
			}
		}
	}
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for tick := time.Millisecond; !done(); tick = min(2*tick, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		runtime.Gosched()
		<-time.After(tick)
	}
}

// at says which of a table's cases failed in a loop that has no subtests.
func at(parts ...any) string { return strings.TrimSpace(fmt.Sprintln(parts...)) }

// appendMD adds metadata to what a context sends.
func appendMD(ctx context.Context, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

// decode reads the message that a scripted server got last.
func decode(c *backendstest.Call, into proto.Message) error {
	all := c.Messages()
	return proto.Unmarshal(all[len(all)-1], into)
}
