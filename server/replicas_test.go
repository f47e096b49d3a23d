package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/demo/models"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// modelServer is one of several servers of the demo's models, to be killed and
// brought back.
type modelServer struct {
	address string
	calls   atomic.Int64 // of ModelInfer
	stop    func()
}

func newModelServer(t *testing.T) *modelServer {
	t.Helper()
	s := &modelServer{address: "127.0.0.1:0"}
	s.start(t)
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *modelServer) start(t *testing.T) {
	t.Helper()
	m := models.New(models.Options{ChunkDelay: -1})
	count := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if info.FullMethod == inference.GRPCInferenceService_ModelInfer_FullMethodName {
			s.calls.Add(1)
		}
		return next(ctx, req)
	}
	g := grpc.NewServer(append(m.ServerOptions(), grpc.ChainUnaryInterceptor(count))...)
	m.Register(g)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(l) })
	s.stop = func() {
		g.Stop()
		serving.Wait()
		_ = m.Close()
	}
}

// TestAReplicaDiesUnderLoad over real connections: no request fails, and traffic
// is back after the replica's return.
func TestAReplicaDiesUnderLoad(t *testing.T) {
	servers := []*modelServer{newModelServer(t), newModelServer(t), newModelServer(t)}
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, s.address)
	}
	g := start(t, setup{backend: strings.Join(addresses, `", "`), cut: true})
	ctx, stop := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+g.Token("bob")))
	defer stop()
	var answered, failed atomic.Int64
	var load sync.WaitGroup
	for range 8 {
		load.Go(func() {
			for ctx.Err() == nil {
				if _, err := g.ModelInfer(ctx, add("simple")); err == nil {
					answered.Add(1)
				} else if ctx.Err() == nil {
					failed.Add(1)
					t.Errorf("failed: %v", err)
					return
				}
			}
		})
	}
	dead := servers[1]
	eventually(t, "calls of every replica", func() bool {
		return servers[0].calls.Load() > 50 && dead.calls.Load() > 50 && servers[2].calls.Load() > 50
	})
	dead.stop()
	atDeath, before := dead.calls.Load(), answered.Load()
	eventually(t, "the others to go on", func() bool { return answered.Load() > before+500 })
	dead.start(t)
	eventually(t, "traffic to be back", func() bool { return dead.calls.Load() > atDeath+5 })
	stop()
	load.Wait()
	if failed.Load() != 0 {
		t.Errorf("%d of %d failed", failed.Load(), answered.Load())
	}
}

// TestASequenceIsItsCallersBehindTheDoor: unary and on a stream, with one replica
// as with two.
func TestASequenceIsItsCallersBehindTheDoor(t *testing.T) {
	message := func(start bool) *inference.ModelInferRequest {
		flag := func(b bool) *inference.InferParameter {
			return &inference.InferParameter{ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: b}}
		}
		r := add("simple")
		r.Parameters = map[string]*inference.InferParameter{
			"sequence_id":    {ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: 7}},
			"sequence_start": flag(start), "sequence_end": flag(false),
		}
		return r
	}
	for _, n := range []int{1, 2} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			backend := newModelServer(t).address
			if n == 2 {
				backend += `", "` + newModelServer(t).address
			}
			g := start(t, setup{backend: backend})
			if _, err := g.ModelInfer(g.as("alice"), message(true)); err != nil {
				t.Fatal(err)
			}
			if _, err := g.ModelInfer(g.as("bob"), message(true)); reasonOf(err) != access.ReasonSequenceOwner {
				t.Errorf("bob: %v", err)
			}
			for who, want := range map[string]string{"alice": "", "bob": access.ReasonSequenceOwner} {
				stream, err := g.ModelStreamInfer(g.as(who))
				if err != nil {
					t.Fatal(err)
				}
				if err := stream.Send(message(false)); err != nil {
					t.Fatal(err)
				}
				if answer, err := stream.Recv(); err != nil || streamReason(answer) != want {
					t.Errorf("%s on a stream: %v, %v", who, answer, err)
				}
				if err := stream.Send(add("simple")); err != nil { // the stream goes on
					t.Fatal(err)
				}
				if answer, err := stream.Recv(); err != nil || answer.GetErrorMessage() != "" {
					t.Errorf("%s, then: %v, %v", who, answer, err)
				}
				if err := stream.CloseSend(); err != nil {
					t.Fatal(err)
				}
				if _, err := stream.Recv(); err == nil {
					t.Error("the stream did not end")
				}
			}
		})
	}
}

// TestARenamedModelBehindTheDoor: callers know one name, in every answer, and rules
// are about it.
func TestARenamedModelBehindTheDoor(t *testing.T) {
	g := start(t, setup{more: `, rename: { adder: simple }`})
	ctx := g.as("alice")
	answer, err := g.ModelInfer(ctx, add("adder"))
	if err != nil || answer.GetModelName() != "adder" {
		t.Errorf("got %v, %v", answer.GetModelName(), err)
	}
	stream, err := g.ModelStreamInfer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for model, want := range map[string]string{"adder": "", "simple": access.ReasonNoBackend} {
		if err := stream.Send(add(model)); err != nil {
			t.Fatal(err)
		}
		if answer, err := stream.Recv(); err != nil || streamReason(answer) != want || want == "" && answer.GetInferResponse().GetModelName() != "adder" {
			t.Errorf("%s: %v, %v", model, answer, err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.ModelInfer(ctx, add("simple")); reasonOf(err) != access.ReasonNoBackend {
		t.Errorf("by the server's name: %v", err)
	}
	index, err := g.RepositoryIndex(ctx, &inference.RepositoryIndexRequest{})
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for _, m := range index.GetModels() {
		listed[m.GetName()] = true
	}
	if !listed["adder"] || listed["simple"] || !listed["simple_string"] {
		t.Errorf("the index lists %v", listed)
	}
	for _, model := range []string{"adder", "simple"} {
		_, err := g.RepositoryModelUnload(ctx, &inference.RepositoryModelUnloadRequest{ModelName: model})
		if (err == nil) != (model == "adder") {
			t.Errorf("unload of %s: %v", model, err)
		}
	}
}

// TestAStreamOutlivesAReplica: what was in flight there fails by itself, if
// anything was; the client's stream goes on at the other replica.
func TestAStreamOutlivesAReplica(t *testing.T) {
	one, other := newModelServer(t), newModelServer(t)
	g := start(t, setup{backend: one.address + `", "` + other.address, cut: true})
	stream, err := g.ModelStreamInfer(g.as("bob"))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(id string) (failure string) {
		t.Helper()
		r := add("simple")
		r.Id = id
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if err != nil || answer.GetInferResponse().GetId() != id {
			t.Fatalf("%s: %v, %v", id, answer, err)
		}
		return answer.GetErrorMessage()
	}
	for i := range 50 { // so that both have a stream
		if failure := ask(fmt.Sprint(i)); failure != "" {
			t.Fatal(failure)
		}
	}
	one.stop()
	one.stop = func() {}
	failures := 0
	for i := range 200 {
		if ask(fmt.Sprint("then ", i)) != "" {
			failures++
		}
	}
	if failures > 2 {
		t.Errorf("%d requests failed, one after the other", failures)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("the stream ended with %v", err)
	}
}
