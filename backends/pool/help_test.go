package pool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
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
