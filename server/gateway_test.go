package server_test

import (
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/access/accesstest"
	"github.com/sluice-gateway/sluice/demo/issuer"
	"github.com/sluice-gateway/sluice/demo/models"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/server"
	"github.com/sluice-gateway/sluice/wire"
	"github.com/sluice-gateway/sluice/wire/wiretest"
)

func TestMain(m *testing.M) {
	wire.RegisterCompressors()
	goleak.VerifyTestMain(m)
}

// gateway is a whole Sluice on loopback, started by the same Run as main, with
// the demo's issuer and a model server.
type gateway struct {
	t       *testing.T
	issuer  *issuer.Issuer
	dir     string
	Address string
	REST    string
	Metrics string
	// Console is where the admin API listens.
	Console string
	Log     *accesstest.Log
	logging *slog.HandlerOptions // nil is what is usual
	Pool    *wiretest.Pool
	conn    *grpc.ClientConn
	reload  chan os.Signal
	end     context.CancelFunc
	ended   chan error // closed when Run has returned
	cut     bool
	inference.GRPCInferenceServiceClient
}

// setup is what a test changes of the gateway it starts.
type setup struct {
	server  string // more keys of "server:", indented
	backend string // address; empty starts the demo's models
	more    string // more keys of the backend
	policy  string // empty is the demo's roles
	oidc    string // more identity sources
	extra   string // more keys of the configuration
	cut     bool   // clients break off, and leave buffers unread
	creds   credentials.TransportCredentials
}

const rolesOfTheDemo = `
roles:
  model-viewer: [ { models: ["*"], verbs: [infer, describe, list] } ]
  model-admin: [ { models: ["*"], verbs: ["*", shm] } ]
  simple-caller: [ { models: [simple], verbs: [infer] } ]
bindings:
  - { role: model-viewer, groups: [model-viewer] }
  - { role: model-admin, groups: [model-admin] }
  - { role: simple-caller, subjects: ["ISSUER#ci"] }
`

func start(t *testing.T, s setup) *gateway {
	t.Helper()
	g := prepare(t, s)
	g.run()
	g.conn = g.Dial(s.creds)
	g.GRPCInferenceServiceClient = inference.NewGRPCInferenceServiceClient(g.conn)
	return g
}

// prepare is start without the gateway itself.
func prepare(t *testing.T, s setup) *gateway {
	t.Helper()
	g := &gateway{t: t, dir: t.TempDir(), Log: new(accesstest.Log), Pool: wiretest.NewPool(), reload: make(chan os.Signal), cut: s.cut}
	g.startIssuer()
	if s.backend == "" {
		s.backend = startModels(t)
	}
	if s.policy == "" {
		s.policy = rolesOfTheDemo
	}
	g.configure(s)
	return g
}

// configure writes the gateway's files.
func (g *gateway) configure(s setup) {
	g.t.Helper()
	if !strings.Contains(s.server, "shutdown_grace:") {
		s.server = "  shutdown_grace: 1s\n" + s.server
	}
	g.Write("policy.yaml", s.policy)
	g.Write("sluice.yaml", `
server:
  grpc: "127.0.0.1:0"
  rest: "127.0.0.1:0"
  metrics: "127.0.0.1:0"
  console: "127.0.0.1:0"
`+s.server+`
identity:
  oidc: [ { name: demo, issuer: "ISSUER", audiences: [sluice] }`+s.oidc+` ]
backends:
  - { name: models, type: triton, addresses: ["`+s.backend+`"], models: ["*"] `+s.more+` }
policy: [policy.yaml]
`+s.extra)
}

// Reload makes the gateway read its files, and returns when it has.
func (g *gateway) Reload() {
	g.reload <- nil
	g.reload <- nil // is taken when the first has been seen to
}

// run starts the gateway and waits until it listens. Every buffer that it
// borrows must have come back when it has ended.
func (g *gateway) run() {
	g.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan server.Addresses, 1)
	g.end, g.ended = cancel, make(chan error, 1)
	go func() {
		defer close(g.ended)
		g.ended <- server.Run(ctx, server.Options{
			ConfigPath: filepath.Join(g.dir, "sluice.yaml"), Buffers: g.Pool, Reload: g.reload,
			Logger: slog.New(slog.NewJSONHandler(g.Log, g.logging)),
			Ready:  func(at server.Addresses) { ready <- at },
		})
	}()
	select {
	case at := <-ready:
		g.Address, g.REST, g.Metrics, g.Console = at.GRPC.String(), at.REST.String(), at.Metrics.String(), at.Console.String()
	case err := <-g.ended:
		cancel()
		g.t.Fatalf("the gateway ended at its start: %v", err)
	}
	g.t.Cleanup(func() {
		cancel()
		if err := <-g.ended; err != nil && ctx.Err() == nil {
			g.t.Errorf("the gateway ended with %v", err)
		}
		if !g.cut {
			g.Pool.Check(g.t)
		}
		for _, fault := range g.Pool.Misuse() {
			g.t.Error(fault)
		}
	})
}

func (g *gateway) startIssuer() {
	g.t.Helper()
	h := httptest.NewUnstartedServer(nil)
	iss, err := issuer.New("http://"+h.Listener.Addr().String(), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	h.Config.Handler = iss.Handler()
	h.Start()
	g.t.Cleanup(h.Close)
	g.issuer = iss
}

// startModels serves the demo's models on loopback.
func startModels(t *testing.T) string {
	t.Helper()
	return startModelsAt(t, "127.0.0.1:0")
}

func startModelsAt(t *testing.T, address string, opts ...grpc.ServerOption) string {
	t.Helper()
	m := models.New(models.Options{ChunkDelay: -1, SharedMemory: true})
	srv := grpc.NewServer(append(m.ServerOptions(), opts...)...)
	m.Register(srv)
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() {
		srv.Stop()
		serving.Wait()
		_ = m.Close()
	})
	return l.Addr().String()
}

// Write writes one of the gateway's files; ISSUER stands for the issuer's URL.
func (g *gateway) Write(name, text string) {
	g.t.Helper()
	text = strings.ReplaceAll(text, "ISSUER", g.issuer.URL())
	if err := os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// Dial connects a client of its own.
func (g *gateway) Dial(creds credentials.TransportCredentials, opts ...grpc.DialOption) *grpc.ClientConn {
	g.t.Helper()
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	conn, err := grpc.NewClient("passthrough:///"+g.Address, append(opts, grpc.WithTransportCredentials(creds))...)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// as is a context that shows a person's token; "" shows none.
func (g *gateway) as(name string) context.Context {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	g.t.Cleanup(cancel)
	if name == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+g.Token(name))
}

// Token is a person's token.
func (g *gateway) Token(name string) string {
	g.t.Helper()
	token, err := g.issuer.Token(name)
	if err != nil {
		g.t.Fatal(err)
	}
	return token
}
