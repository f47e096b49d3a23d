package generate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

const streamMethod = pb.GRPCInferenceService_ModelStreamInfer_FullMethodName

var streamDesc = &grpc.StreamDesc{StreamName: "ModelStreamInfer", ClientStreams: true, ServerStreams: true}

func openStream(ctx context.Context, t *testing.T, b *generate.Backend) grpc.ClientStream {
	t.Helper()
	s, err := b.NewStream(ctx, streamDesc, streamMethod)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func prompt(id string) *pb.ModelInferRequest {
	return generatetest.Ask("m", id, inputs{"text_input": "x", "stream": true})
}

// hangs says one word and then waits for its context, which it tells of.
func hangs(running *atomic.Int32) *server {
	return &server{GenerateFunc: func(ctx context.Context, _ *generate.Request, emit func(generate.Chunk) error) error {
		running.Add(1)
		defer running.Add(-1)
		if err := emit(generate.Chunk{Text: "one"}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}}
}

func TestTheEndOfTheCallerIsTheEndOfItsRequests(t *testing.T) {
	for name, end := range map[string]struct {
		end  func(cancel context.CancelFunc, b *generate.Backend)
		want error
	}{
		"cancelled":      {func(cancel context.CancelFunc, _ *generate.Backend) { cancel() }, context.Canceled},
		"deadline":       {func(context.CancelFunc, *generate.Backend) { time.Sleep(time.Minute) }, context.DeadlineExceeded},
		"backend closed": {func(_ context.CancelFunc, b *generate.Backend) { _ = b.Close() }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var running atomic.Int32
				b := open(t, hangs(&running))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				s := openStream(ctx, t, b)
				for i := range 3 {
					if err := s.SendMsg(prompt(fmt.Sprint(i))); err != nil {
						t.Fatal(err)
					}
				}
				m := new(wire.Message)
				for range 3 {
					if err := s.RecvMsg(m); err != nil {
						t.Fatal(err)
					}
					m.Reset()
				}
				m.Free()
				if running.Load() != 3 {
					t.Fatalf("%d run", running.Load())
				}
				end.end(cancel, b)
				synctest.Wait()
				if running.Load() != 0 {
					t.Errorf("%d requests still run", running.Load())
				}
				err := s.RecvMsg(new(wire.Message))
				var away *access.Error
				if end.want != nil && !errors.Is(err, end.want) || end.want == nil && (!errors.As(err, &away) || away.Kind != access.Unavailable) {
					t.Errorf("the stream ended with %v", err)
				}
				if err := s.SendMsg(prompt("late")); !errors.Is(err, io.EOF) {
					t.Errorf("a request after the end: %v", err)
				}
			})
		})
	}
}

// TestWhoDoesNotReadHoldsItsOwnRequestsUp, each at one answer, and as many of them
// as may run; nothing is gathered.
func TestWhoDoesNotReadHoldsItsOwnRequestsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var emitted, running atomic.Int32
		s := &server{GenerateFunc: func(_ context.Context, _ *generate.Request, emit func(generate.Chunk) error) error {
			running.Add(1)
			defer running.Add(-1)
			for range 100 {
				if err := emit(generate.Chunk{Text: "x"}); err != nil {
					return err
				}
				emitted.Add(1)
			}
			return emit(generate.Chunk{Finish: "stop"})
		}}
		stream := openStream(t.Context(), t, open(t, s))
		var sent atomic.Int32
		go func() {
			for range 300 {
				if stream.SendMsg(prompt("")) != nil {
					return
				}
				sent.Add(1)
			}
			_ = stream.CloseSend()
		}()
		synctest.Wait()
		if sent.Load() != 256 || running.Load() != 256 || emitted.Load() > 16 {
			t.Errorf("%d sent, %d run, %d chunks taken before anybody reads", sent.Load(), running.Load(), emitted.Load())
		}
		m, n := new(wire.Message), 0
		for ; ; n++ {
			err := stream.RecvMsg(m)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			m.Reset()
		}
		m.Free()
		if n != 300*101 || running.Load() != 0 {
			t.Errorf("%d answers, %d still run", n, running.Load())
		}
	})
}

func TestAHalfClosedStreamTakesNothingAndEndsWithItsLastAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := openStream(t.Context(), t, open(t, &server{GenerateFunc: func(_ context.Context, _ *generate.Request, emit func(generate.Chunk) error) error {
			<-release
			return emit(generate.Chunk{Text: "late", Finish: "stop"})
		}}))
		if err := errors.Join(s.SendMsg(prompt("1")), s.CloseSend(), s.CloseSend()); err != nil {
			t.Fatal(err)
		}
		if err := s.SendMsg(prompt("2")); status.Code(err) != codes.Internal {
			t.Errorf("a request after CloseSend: %v", err)
		}
		close(release)
		m := new(pb.ModelStreamInferResponse)
		if err := s.RecvMsg(m); err != nil || m.GetInferResponse().GetId() != "1" {
			t.Errorf("got %v, %v", m, err)
		}
		for range 2 {
			if err := s.RecvMsg(m); !errors.Is(err, io.EOF) {
				t.Errorf("the end is %v", err)
			}
		}
		if md, err := s.Header(); len(md) != 0 || err != nil || len(s.Trailer()) != 0 {
			t.Errorf("metadata %v, %v, %v", md, err, s.Trailer())
		}
	})
}

// TestOneFailingRequestLeavesTheOthersAlone.
func TestOneFailingRequestLeavesTheOthersAlone(t *testing.T) {
	s := &server{GenerateFunc: func(_ context.Context, r *generate.Request, emit func(generate.Chunk) error) error {
		if r.Prompt == "bad" {
			return generate.Failure(400, "too long")
		}
		return emit(generate.Chunk{Text: "good", Finish: "stop"})
	}}
	bad := generatetest.Ask("m", "bad", inputs{"text_input": "bad", "stream": true})
	answers, err := generatetest.Stream(t.Context(), t, open(t, s), prompt("1"), bad, &pb.ModelInferRequest{ModelName: "m", Id: "none"}, prompt("2"))
	if err != nil || len(answers) != 4 {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	for _, a := range answers {
		failed := a.ID == "bad" || a.ID == "none"
		if (a.Error != "") != failed || !a.Final || !failed && a.Text() != "good" {
			t.Errorf("got %+v", a)
		}
	}
}

// TestWhatARequestHoldsIsCharged while it runs, and given back however it ends.
// TestTheLogHasNoWordOfAServer: a server's own text may quote a prompt, or what it
// has made; the caller gets it masked, the log would not.
func TestTheLogHasNoWordOfAServer(t *testing.T) {
	var log bytes.Buffer
	fails := &server{GenerateFunc: func(context.Context, *generate.Request, func(generate.Chunk) error) error {
		return generate.Failure(400, "no template for jane.doe@example.com")
	}}
	s := openStream(t.Context(), t, open(t, fails, func(o *generate.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) }))
	if err := s.SendMsg(prompt("1")); err != nil {
		t.Fatal(err)
	}
	if err := s.RecvMsg(new(pb.ModelStreamInferResponse)); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); strings.Contains(text, "jane.doe") || !strings.Contains(text, "code=InvalidArgument") {
		t.Errorf("the log says %s", text)
	}
}

func TestWhatARequestHoldsIsCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := wire.NewBudget(wire.BudgetConfig{PerPrincipal: 3 << 20, All: 1 << 30}).Account("alice")
		defer account.Close()
		ctx, cancel := context.WithCancel(wire.WithAccount(t.Context(), account))
		defer cancel()
		var running atomic.Int32
		s := openStream(ctx, t, open(t, hangs(&running)))
		large := generatetest.Ask("m", "1", inputs{"text_input": string(make([]byte, 1<<20)), "stream": true})
		if err := errors.Join(s.SendMsg(large), s.SendMsg(large)); err != nil {
			t.Fatal(err)
		}
		var refused, said int
		for range 2 {
			m := new(pb.ModelStreamInferResponse)
			if err := s.RecvMsg(m); err != nil {
				t.Fatal(err)
			}
			if m.GetErrorMessage() != "" {
				refused++
			} else {
				said++
			}
		}
		if refused != 1 || said != 1 || account.Held() < 2<<20 {
			t.Errorf("%d refused, %d answered, %d bytes are held", refused, said, account.Held())
		}
		cancel()
		synctest.Wait()
		if account.Held() != 0 {
			t.Errorf("%d bytes are held after the end", account.Held())
		}
	})
}

func TestOnlyOneMethodStreams(t *testing.T) {
	_, err := open(t, &server{}).NewStream(t.Context(), streamDesc, pb.GRPCInferenceService_ModelInfer_FullMethodName)
	var e *access.Error
	if !errors.As(err, &e) || e.Kind != access.Unimplemented {
		t.Errorf("got %v", err)
	}
}

// TestAmongReplicasAServerThatIsAwayEndsTheStream, so that another one can be asked,
// unless something was answered on it.
func TestAmongReplicasAServerThatIsAwayEndsTheStream(t *testing.T) {
	s := &server{GenerateFunc: func(ctx context.Context, r *generate.Request, emit func(generate.Chunk) error) error {
		if r.Prompt == "away" {
			return backends.Away(backends.Unsent(errors.New("refused")))
		}
		return (&server{}).Generate(ctx, r, emit)
	}}
	away := generatetest.Ask("m", "1", inputs{"text_input": "away", "stream": true})
	b := open(t, s, func(o *generate.Options) { o.Replicated = true })
	answers, err := generatetest.Stream(t.Context(), t, b, away)
	if len(answers) != 0 || !backends.IsAway(err) {
		t.Errorf("nothing was answered: %+v, %v", answers, err)
	}
	stream := openStream(t.Context(), t, b)
	m := new(pb.ModelStreamInferResponse)
	if err := errors.Join(stream.SendMsg(prompt("0")), stream.RecvMsg(m), stream.SendMsg(away), stream.CloseSend()); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(m); err != nil || m.GetErrorMessage() == "" || m.GetInferResponse().GetId() != "1" {
		t.Errorf("something was answered: %v, %v", m, err)
	}
	if err := stream.RecvMsg(m); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
}

// TestAStreamThatIsOverNeverEndsWell, in whatever order its end is noticed: the
// requests that it cut off had no answer.
func TestAStreamThatIsOverNeverEndsWell(t *testing.T) {
	for range 50 {
		b := open(t, &server{GenerateFunc: func(ctx context.Context, _ *generate.Request, _ func(generate.Chunk) error) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		s := openStream(t.Context(), t, b)
		if err := errors.Join(s.SendMsg(prompt("1")), s.CloseSend(), b.Close()); err != nil {
			t.Fatal(err)
		}
		if err := s.RecvMsg(new(pb.ModelStreamInferResponse)); err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("the stream ended with %v", err)
		}
		after := openStream(t.Context(), t, b)
		_ = after.SendMsg(prompt("2"))
		_ = after.CloseSend()
		if err := after.RecvMsg(new(pb.ModelStreamInferResponse)); err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("a stream of a closed backend ended with %v", err)
		}
	}
}
