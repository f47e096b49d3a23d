package backendstest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// infer calls ModelInfer and returns its answer.
func infer(ctx context.Context, conn grpc.ClientConnInterface) (*inference.ModelInferResponse, error) {
	return inference.NewGRPCInferenceServiceClient(conn).ModelInfer(ctx, &inference.ModelInferRequest{ModelName: "m", Id: "7"})
}

func TestUnary(t *testing.T) {
	big := &inference.ModelInferResponse{RawOutputContents: [][]byte{make([]byte, 5<<20)}}
	for _, tc := range []struct {
		name  string
		steps []backendstest.Step
		code  codes.Code
		text  string
		size  int // of the raw output
	}{
		{"answer", []backendstest.Step{backendstest.Receive(), backendstest.Send(&inference.ModelInferResponse{})}, codes.OK, "", 0},
		{"large answer", []backendstest.Step{backendstest.Receive(), backendstest.Send(big)}, codes.OK, "", 5 << 20},
		{"answer without reading", []backendstest.Step{backendstest.Send(&inference.ModelInferResponse{})}, codes.OK, "", 0},
		{"garbage", []backendstest.Step{backendstest.Receive(), backendstest.Garbage()}, codes.Internal, "", 0},
		{"status", []backendstest.Step{backendstest.Fail(codes.NotFound, "no such model")}, codes.NotFound, "no such model", 0},
		{"reset", []backendstest.Step{backendstest.Receive(), backendstest.Reset()}, codes.Unavailable, "", 0},
		{"no answer at all", []backendstest.Step{backendstest.ReceiveAll()}, codes.Internal, "", 0},
		{"not scripted", nil, codes.Unimplemented, "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, start := range map[string]func(testing.TB, backendstest.Script) *backendstest.Server{
				"memory": backendstest.Start, "loopback": backendstest.Listen,
			} {
				t.Run(name, func(t *testing.T) {
					script := backendstest.Script{}
					if tc.steps != nil {
						script["ModelInfer"] = tc.steps
					}
					answer, err := infer(t.Context(), start(t, script).Conn(t))
					if got := status.Code(err); got != tc.code {
						t.Fatalf("code %v, want %v: %v", got, tc.code, err)
					}
					if tc.text != "" && status.Convert(err).Message() != tc.text {
						t.Errorf("text %q, want %q", status.Convert(err).Message(), tc.text)
					}
					if err == nil && len(bytes.Join(answer.GetRawOutputContents(), nil)) != tc.size {
						t.Errorf("the answer has not the %d bytes that were sent", tc.size)
					}
				})
			}
		})
	}
}

func TestCallsAreKeptAsTheyCame(t *testing.T) {
	s := backendstest.Start(t, backendstest.Script{backendstest.Any: {
		backendstest.Receive(),
		backendstest.Header("seen", "yes"), backendstest.Send(&inference.ModelInferResponse{}), backendstest.Trailer("end", "1"),
	}})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant", "a")
	var header, trailer metadata.MD
	req := &inference.ModelInferRequest{ModelName: "m", Id: "7"}
	_, err := inference.NewGRPCInferenceServiceClient(s.Conn(t)).ModelInfer(ctx, req, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil {
		t.Fatal(err)
	}
	calls := s.Calls()
	if len(calls) != 1 || calls[0].Path != "/inference.GRPCInferenceService/ModelInfer" || calls[0].Method != "ModelInfer" {
		t.Fatalf("calls %+v", calls)
	}
	want, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	if got := calls[0].Messages(); len(got) != 1 || !bytes.Equal(got[0], want) {
		t.Errorf("messages %x, want %x", got, want)
	}
	if got := calls[0].Metadata.Get("x-tenant"); len(got) != 1 || got[0] != "a" {
		t.Errorf("x-tenant %q", got)
	}
	if header.Get("seen") == nil || trailer.Get("end") == nil {
		t.Errorf("header %v, trailer %v", header, trailer)
	}
}

func TestStream(t *testing.T) {
	answer := &inference.ModelStreamInferResponse{InferResponse: &inference.ModelInferResponse{Id: "1"}}
	one := []backendstest.Step{backendstest.Receive(), backendstest.Send(answer)}
	for _, tc := range []struct {
		name  string
		steps []backendstest.Step
		want  int // messages before the end
		code  codes.Code
	}{
		{"closed in the middle", one, 1, codes.OK},
		{"status in the middle", append(one[:2:2], backendstest.Fail(codes.Aborted, "enough")), 1, codes.Aborted},
		{"reset in the middle", append(one[:2:2], backendstest.Reset()), 1, codes.Unavailable},
		{"garbage in the middle", append(one[:2:2], backendstest.Garbage()), 1, codes.Internal},
		{"an echo of each", []backendstest.Step{backendstest.Each(func(b []byte) [][]byte { return [][]byte{nil, nil} })}, 4, codes.OK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := backendstest.Start(t, backendstest.Script{"ModelStreamInfer": tc.steps})
			stream, err := inference.NewGRPCInferenceServiceClient(s.Conn(t)).ModelStreamInfer(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := stream.Send(&inference.ModelInferRequest{}); err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
			}
			if err := stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			got := 0
			for _, err = stream.Recv(); err == nil; _, err = stream.Recv() {
				got++
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			if got != tc.want || status.Code(err) != tc.code {
				t.Errorf("%d messages, then %v; want %d, then %v", got, err, tc.want, tc.code)
			}
		})
	}
}

func TestHangUnderSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := backendstest.Start(t, backendstest.Script{"ModelInfer": {backendstest.Receive(), backendstest.Hang()}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		_, err := infer(ctx, s.Conn(t))
		if status.Code(err) != codes.DeadlineExceeded || time.Since(start) != time.Hour {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		synctest.Wait()
		if calls := s.Calls(); len(calls) != 1 || !calls[0].Ended() {
			t.Errorf("the call's end has not arrived: %v", calls)
		}
	})
}

func TestWaitAndUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ready, reached := make(chan struct{}), make(chan struct{})
		s := backendstest.Start(t, backendstest.Script{"ModelInfer": {
			backendstest.Wait(time.Minute), backendstest.Do(func(*backendstest.Call) { close(reached) }),
			backendstest.Until(ready), backendstest.Send(&inference.ModelInferResponse{}),
		}})
		go func() {
			<-reached
			time.Sleep(time.Minute)
			close(ready)
		}()
		start := time.Now()
		if _, err := infer(t.Context(), s.Conn(t)); err != nil || time.Since(start) != 2*time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestRaw(t *testing.T) {
	for _, tc := range []struct {
		name   string
		accept func(net.Conn)
		code   codes.Code
	}{
		{"closes at once", func(net.Conn) {}, codes.Unavailable},
		{"speaks something else", func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n")) }, codes.Unavailable},
		{"never answers", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, codes.DeadlineExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, err := grpc.NewClient("passthrough:///raw",
					grpc.WithContextDialer(backendstest.Raw(t, tc.accept)), grpc.WithTransportCredentials(insecure.NewCredentials()))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if _, err := infer(ctx, conn); status.Code(err) != tc.code {
					t.Errorf("%v, want %v", err, tc.code)
				}
			})
		})
	}
}
