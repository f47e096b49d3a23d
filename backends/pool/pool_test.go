package pool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/pool"
	"github.com/sluice-gateway/sluice/backends/triton"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
	"github.com/sluice-gateway/sluice/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const modelInfer = inference.GRPCInferenceService_ModelInfer_FullMethodName

// server is a replica that can be killed and brought back.
type server struct {
	address string
	double  *backendstest.Server

	mu    sync.Mutex
	down  bool
	conns []net.Conn

	infers   atomic.Int64
	notReady atomic.Bool
	missing  atomic.Value // a model that is not ready here
	hold     atomic.Pointer[chan struct{}]
	pause    time.Duration
}

// kill closes every connection and takes no more.
func (s *server) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = true
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
}

func (s *server) revive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = false
}

func (s *server) dial(ctx context.Context, _ string) (net.Conn, error) {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	c, err := s.double.Dial(ctx, "")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
	return c, nil
}

// newServer starts one that answers as its fields say, each answer with its
// address as the id; steps, if there are any, take the place of some of that.
func newServer(t *testing.T, address string, steps backendstest.Script) *server {
	t.Helper()
	s := &server{address: address, pause: 20 * time.Millisecond}
	s.missing.Store("")
	script := backendstest.Script{
		"ServerReady": {backendstest.Receive(), func(c *backendstest.Call) error {
			return backendstest.Send(&inference.ServerReadyResponse{Ready: !s.notReady.Load()})(c)
		}},
		"ModelReady": {backendstest.Receive(), func(c *backendstest.Call) error {
			var req inference.ModelReadyRequest
			if err := proto.Unmarshal(c.Messages()[0], &req); err != nil {
				return err
			}
			return backendstest.Send(&inference.ModelReadyResponse{Ready: req.GetName() != s.missing.Load()})(c)
		}},
		"RepositoryIndex": {backendstest.Receive(), backendstest.Send(&inference.RepositoryIndexResponse{})},
		"ModelInfer": {
			backendstest.Receive(), backendstest.Do(func(*backendstest.Call) { s.infers.Add(1) }), func(c *backendstest.Call) error {
				if hold := s.hold.Load(); hold != nil {
					return backendstest.Until(*hold)(c)
				}
				return backendstest.Wait(s.pause)(c)
			}, backendstest.Send(&inference.ModelInferResponse{ModelName: "m", Id: address}),
		},
		"ModelStreamInfer": {backendstest.Each(func([]byte) [][]byte {
			b, _ := proto.Marshal(&inference.ModelStreamInferResponse{InferResponse: &inference.ModelInferResponse{Id: address}})
			return [][]byte{b}
		})},
	}
	for method, own := range steps {
		script[method] = own
	}
	s.double = backendstest.Start(t, script)
	return s
}

// config is an entry with all defaults.
func config(addresses ...string) backends.Config {
	c := backends.Config{Name: "gpu", Type: "triton", Addresses: addresses, Models: []string{"*"}}
	c.Limits.SetDefaults()
	c.Replicas.SetDefaults()
	c.Sequences.SetDefaults()
	return c
}

// newPool makes a pool of the servers, which is closed with the test.
func newPool(t *testing.T, change func(*pool.Options), servers ...*server) *pool.Pool {
	t.Helper()
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, s.address)
	}
	buffers := wiretest.NewPool()
	freedAgain := wire.FreedAgain()
	t.Cleanup(func() {
		for _, fault := range buffers.Misuse() {
			t.Error(fault)
		}
		if wire.FreedAgain() != freedAgain {
			t.Error("a message was freed twice")
		}
	})
	o := pool.Options{Config: config(addresses...), Logger: slog.New(slog.DiscardHandler), Open: opener(servers, buffers)}
	if change != nil {
		change(&o)
	}
	p, err := pool.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func opener(servers []*server, buffers mem.BufferPool) func(address, name string) (backends.Backend, error) {
	return func(address, _ string) (backends.Backend, error) {
		i := slices.IndexFunc(servers, func(s *server) bool { return s.address == address })
		dial := func(context.Context, string) (net.Conn, error) { return nil, errors.New("nobody there") }
		if i >= 0 {
			dial = servers[i].dial
		}
		return triton.New(triton.Options{
			Name: "gpu", Address: address, Credentials: insecure.NewCredentials(), Traits: triton.Triton(backends.Guard{}),
			Pool: buffers,
			Dial: []grpc.DialOption{grpc.WithContextDialer(dial)},
		})
	}
}

// as returns a context of a call of a principal's.
func as(ctx context.Context, subject string) context.Context {
	return access.WithCall(ctx, &access.Call{Principal: &access.Principal{Issuer: "https://issuer", Subject: subject}})
}

// infer sends a request as services do and returns the id of the answer, which is
// the replica's address.
func infer(ctx context.Context, b backends.Backend, change ...func(*inference.ModelInferRequest)) (string, error) {
	req := &inference.ModelInferRequest{ModelName: "m", Id: "1"}
	for _, f := range change {
		f(req)
	}
	m, err := wire.FromProto(req)
	if err != nil {
		return "", err
	}
	defer m.Free()
	if ctx, err = b.Outgoing(ctx, nil); err != nil {
		return "", err
	}
	resp := new(wire.Message)
	defer resp.Free()
	if err := b.Invoke(ctx, modelInfer, wire.HandOver{Message: m}, resp); err != nil {
		return "", err
	}
	view, err := resp.InferResponse()
	if err != nil {
		return "", err
	}
	return view.ID().String(), nil
}

// bubble runs a test in a synctest bubble that lets what is closed end.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func TestAKilledReplicaFailsNoRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b, c := newServer(t, "a:1", nil), newServer(t, "b:1", nil), newServer(t, "c:1", nil)
		p := newPool(t, nil, a, b, c)
		time.Sleep(time.Second)
		ctx, stop := context.WithCancel(t.Context())
		var failed atomic.Int64
		var load sync.WaitGroup
		for range 16 {
			load.Go(func() {
				for ctx.Err() == nil {
					if _, err := infer(t.Context(), p); err != nil {
						failed.Add(1)
						t.Errorf("failed: %v, cause %v", err, errors.Unwrap(err))
						return
					}
				}
			})
		}
		time.Sleep(3 * time.Second)
		b.kill()
		atDeath := b.infers.Load()
		time.Sleep(10*time.Second + 7*time.Millisecond)
		if b.infers.Load() != atDeath {
			t.Error("a dead replica got calls")
		}
		b.revive()
		time.Sleep(5 * time.Second)
		if got := b.infers.Load() - atDeath; got == 0 {
			t.Error("no traffic within 5 s of its return")
		}
		time.Sleep(20 * time.Second)
		stop()
		load.Wait()
		if share := float64(b.infers.Load()) / float64(a.infers.Load()); atDeath == 0 || share < 0.3 || share > 1.1 {
			t.Errorf("calls: a %d, b %d (%d before it died), c %d", a.infers.Load(), b.infers.Load(), atDeath, c.infers.Load())
		}
		if s := p.Status(); s.Repeated == 0 || s.Replicas[1].Health != "ready" || s.Replicas[0].Outstanding != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestARequestThatKillsItsServerDoesNotKillAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var servers []*server
		for _, address := range []string{"a:1", "b:1", "c:1", "d:1"} {
			servers = append(servers, newServer(t, address, backendstest.Script{"ModelInfer": {backendstest.Receive(), backendstest.Reset()}}))
		}
		p := newPool(t, nil, servers...)
		time.Sleep(time.Second)
		if _, err := infer(t.Context(), p); !backends.IsAway(err) {
			t.Errorf("got %v", err)
		}
		hit := 0
		for _, s := range servers {
			for _, call := range s.double.Calls() {
				if call.Method == "ModelInfer" {
					hit++
				}
			}
		}
		if hit != 2 {
			t.Errorf("%d servers got it, want 2", hit)
		}
	})
}

func TestWhatIsNotRepeated(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*pool.Options)
		call   func(ctx context.Context, p *pool.Pool) error
	}{
		"a sequence": {nil, func(ctx context.Context, p *pool.Pool) error {
			_, err := infer(as(ctx, "alice"), p, sequence(int64(7), true, false))
			return err
		}},
		"a request that is too large to keep": {func(o *pool.Options) { o.Config.Replicas.RepeatMemory = 1 << 10 }, func(ctx context.Context, p *pool.Pool) error {
			_, err := infer(ctx, p, func(r *inference.ModelInferRequest) { r.RawInputContents = [][]byte{make([]byte, 2<<10)} })
			return err
		}},
		"a load": {nil, func(ctx context.Context, p *pool.Pool) error {
			_, err := inference.NewGRPCInferenceServiceClient(p).RepositoryModelLoad(ctx, &inference.RepositoryModelLoadRequest{ModelName: "m"})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var hit atomic.Int64
				dies := func(c *backendstest.Call) error {
					hit.Add(1)
					return backendstest.Reset()(c)
				}
				script := backendstest.Script{
					"ModelInfer": {backendstest.Receive(), dies}, "RepositoryModelLoad": {backendstest.Receive(), dies},
				}
				p := newPool(t, tt.change, newServer(t, "a:1", script), newServer(t, "b:1", script))
				time.Sleep(time.Second)
				if err := tt.call(t.Context(), p); err == nil {
					t.Error("it worked")
				}
				if want := int64(1); name == "a load" {
					want = 2 // one for each
					if hit.Load() != want {
						t.Errorf("%d loads, want %d", hit.Load(), want)
					}
				} else if hit.Load() != want {
					t.Errorf("sent %d times", hit.Load())
				}
			})
		})
	}
}

// TestAnAnswerThatGotNoFurtherThanItsHeadersIsRepeated: a server that is killed
// between headers and message has given nobody anything.
func TestAnAnswerThatGotNoFurtherThanItsHeadersIsRepeated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		begins := backendstest.Script{"ModelInfer": {backendstest.Receive(), backendstest.Header("x", "y"), backendstest.Reset()}}
		p := newPool(t, nil, newServer(t, "a:1", begins), newServer(t, "b:1", nil))
		time.Sleep(time.Second)
		for range 20 {
			if _, err := infer(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestNothingIsRepeatedWithoutEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		unavailable := backendstest.Script{"ModelInfer": {backendstest.Receive(), backendstest.Fail(14, "Server is stopping")}}
		a, b := newServer(t, "a:1", unavailable), newServer(t, "b:1", unavailable)
		p := newPool(t, nil, a, b)
		time.Sleep(time.Second)
		const calls = 500
		for range calls {
			if _, err := infer(t.Context(), p); err == nil || !strings.Contains(err.Error(), "Server is stopping") {
				t.Fatalf("got %v, want the server's own words", err)
			}
		}
		// A hundred are saved up, and one in five is earned.
		if got := p.Status().Repeated; got < 190 || got > 201 {
			t.Errorf("%d repeats of %d calls", got, calls)
		}
	})
}

func TestAHangingReplicaIsLeftOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newServer(t, "a:1", nil)
		b := newServer(t, "b:1", backendstest.Script{"ServerReady": {backendstest.Receive(), backendstest.Hang()}})
		p := newPool(t, nil, a, b)
		time.Sleep(4 * time.Second)
		for range 50 {
			if at, err := infer(t.Context(), p); err != nil || at != "a:1" {
				t.Fatalf("at %s: %v", at, err)
			}
		}
		if s := p.Status(); s.Replicas[1].Health != "away" || s.Replicas[0].Health != "ready" {
			t.Errorf("status %+v", s)
		}
	})
}

func TestASlowReplicaGetsLess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newServer(t, "a:1", nil), newServer(t, "b:1", nil)
		b.pause = 500 * time.Millisecond
		p := newPool(t, nil, a, b)
		time.Sleep(time.Second)
		var load sync.WaitGroup
		for range 8 {
			load.Go(func() {
				for range 50 {
					if _, err := infer(t.Context(), p); err != nil {
						t.Error(err)
					}
				}
			})
		}
		load.Wait()
		if a.infers.Load() < 5*b.infers.Load() {
			t.Errorf("%d at the fast one, %d at the slow one", a.infers.Load(), b.infers.Load())
		}
	})
}

func TestAReplicaThatLacksAModelGetsNoCallsForIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newServer(t, "a:1", nil), newServer(t, "b:1", nil)
		b.missing.Store("m")
		p := newPool(t, nil, a, b)
		time.Sleep(time.Second)
		for range 20 { // the model becomes known as one that is in use
			_, _ = infer(t.Context(), p)
		}
		time.Sleep(2 * time.Second)
		before := b.infers.Load()
		for range 20 {
			if _, err := infer(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		if b.infers.Load() != before {
			t.Error("calls went where the model is not ready")
		}
		// A server that is not ready as a whole still serves what it has ready.
		a.notReady.Store(true)
		time.Sleep(2 * time.Second)
		if at, err := infer(t.Context(), p); err != nil || at != "a:1" {
			t.Errorf("at %s: %v", at, err)
		}
	})
}

// TestAFlappingReplicaIsLeftOutLongerEachTime breaks the calls of a replica that
// calls itself ready.
func TestAFlappingReplicaIsLeftOutLongerEachTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var broken atomic.Int64
		a := newServer(t, "a:1", nil)
		b := newServer(t, "b:1", backendstest.Script{"ModelInfer": {backendstest.Receive(), backendstest.Do(func(*backendstest.Call) { broken.Add(1) }), backendstest.Reset()}})
		p := newPool(t, nil, a, b)
		time.Sleep(time.Second)
		call := func() {
			if _, err := infer(t.Context(), p); err != nil {
				t.Error(err)
			}
		}
		for start := time.Now(); time.Since(start) < 30*time.Second; {
			call()
		}
		first := broken.Load()
		for start := time.Now(); time.Since(start) < 30*time.Second; {
			call()
		}
		if second := broken.Load() - first; first == 0 || second >= first || second > 5 {
			t.Errorf("%d calls broke in the first half minute, %d in the next", first, second)
		}
	})
}

func TestAllReplicasAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newServer(t, "a:1", nil), newServer(t, "b:1", nil)
		a.kill()
		b.kill()
		p := newPool(t, nil, a, b)
		time.Sleep(3 * time.Second)
		if _, err := infer(t.Context(), p); !backends.IsAway(err) || strings.Contains(err.Error(), "a:1") {
			t.Errorf("got %v", err)
		}
		a.revive()
		time.Sleep(5 * time.Second)
		if at, err := infer(t.Context(), p); err != nil || at != "a:1" {
			t.Errorf("at %s: %v", at, err)
		}
	})
}

func TestOnePlainAddressIsAskedNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newServer(t, "127.0.0.1:1", nil)
		p := newPool(t, nil, a)
		if at, err := infer(t.Context(), p); err != nil || at != a.address {
			t.Fatalf("at %s: %v", at, err)
		}
		time.Sleep(time.Minute)
		if n := len(a.double.Calls()); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
		member, refused := p.Member(t.Context(), viewOf(t, &inference.ModelInferRequest{ModelName: "m"}))
		again, _ := p.Member(t.Context(), viewOf(t, &inference.ModelInferRequest{ModelName: "other"}))
		if refused != nil || member != again || member.Name() != "gpu" {
			t.Errorf("members %v and %v: %v", member, again, refused)
		}
	})
}

func viewOf(t *testing.T, r *inference.ModelInferRequest) wire.InferRequest {
	t.Helper()
	b, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	view, err := wire.FromBytes(b).InferRequest()
	if err != nil {
		t.Fatal(err)
	}
	return view
}

func TestOpenFails(t *testing.T) {
	closed := 0
	open := func(address, _ string) (backends.Backend, error) {
		if address == "b:1" {
			return nil, errors.New("no such file")
		}
		return &closer{closed: &closed}, nil
	}
	_, err := pool.New(pool.Options{Config: config("a:1", "b:1"), Open: open, Logger: slog.New(slog.DiscardHandler)})
	if err == nil || closed != 1 {
		t.Errorf("error %v, %d closed", err, closed)
	}
}

type closer struct {
	backends.Backend
	closed *int
}

func (c *closer) Close() error { *c.closed++; return nil }

// sequence makes a request part of one.
func sequence(id any, start, end bool) func(*inference.ModelInferRequest) {
	return func(r *inference.ModelInferRequest) {
		p := &inference.InferParameter{}
		switch id := id.(type) {
		case int64:
			p.ParameterChoice = &inference.InferParameter_Int64Param{Int64Param: id}
		case uint64:
			p.ParameterChoice = &inference.InferParameter_Uint64Param{Uint64Param: id}
		case string:
			p.ParameterChoice = &inference.InferParameter_StringParam{StringParam: id}
		case bool:
			p.ParameterChoice = &inference.InferParameter_BoolParam{BoolParam: id}
		default:
			panic(fmt.Sprintf("no sequence id: %T", id))
		}
		flag := func(b bool) *inference.InferParameter {
			return &inference.InferParameter{ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: b}}
		}
		r.Parameters = map[string]*inference.InferParameter{"sequence_id": p, "sequence_start": flag(start), "sequence_end": flag(end)}
	}
}
