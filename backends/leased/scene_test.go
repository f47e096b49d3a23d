package leased_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/connection"
	"github.com/sluice-gateway/sluice/backends/leased"
	"github.com/sluice-gateway/sluice/backends/triton"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/store/storetest"
)

func TestMain(m *testing.M) { backendstest.Main(m) }

// scene is a leased backend before a server in memory. It runs in a bubble.
type scene struct {
	*leased.Backend
	t       *testing.T
	store   *storetest.Memory
	secrets *secret.Credentials
	server  *backendstest.Server

	mu    sync.Mutex
	conns map[net.Conn]bool // that are open
	made  int
}

func ref(t *testing.T, text string) (s access.Secret) {
	t.Helper()
	if err := s.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return s
}

// play starts a scene whose backend has a credential, with the secret "gpu".
func play(t *testing.T, credential backends.CredentialConfig, script backendstest.Script) *scene {
	t.Helper()
	ring, err := secret.NewKeyring(secret.NewBytes(make([]byte, secret.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, store: storetest.NewMemory(), conns: make(map[net.Conn]bool), server: backendstest.Start(t, script)}
	s.secrets = secret.New(secret.Options{Store: s.store, Ring: ring, Idle: time.Minute})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.secrets.Run(ctx) })
	s.put("gpu", secret.Bearer, "hunter2")
	config := backends.Config{Name: "gpu", Type: "triton", Credential: &credential}
	s.Backend, err = leased.New(leased.Options{Config: config, Secrets: s.secrets, Log: slog.New(slog.DiscardHandler), Open: s.open})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		running.Wait()
		synctest.Wait()
		if n := s.connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		for _, l := range s.secrets.Leases(false) {
			if l.Count != 0 {
				t.Errorf("%d leases of %s are left", l.Count, l.Name)
			}
		}
	})
	return s
}

func (s *scene) open(shows leased.Shows) (backends.Backend, error) {
	return triton.New(triton.Options{
		Name: "gpu", Address: "10.1.2.3:8001", Credentials: insecure.NewCredentials(), Shown: shows.Metadata, Traits: backends.Traits{Triton: true},
		Verify: &connection.Verify{Log: slog.New(slog.DiscardHandler)},
		Dial:   []grpc.DialOption{grpc.WithContextDialer(s.dial)},
	})
}

// counted tells its scene when it is closed.
type counted struct {
	net.Conn
	of *scene
}

func (c *counted) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

func (s *scene) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := s.server.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	c := &counted{conn, s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = true
	s.made++
	return c, nil
}

func (s *scene) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *scene) put(name string, kind secret.Kind, value string) {
	s.t.Helper()
	if _, err := s.secrets.Put(context.Background(), nil, name, kind, secret.NewBytes([]byte(value))); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) rotate(value string) {
	s.t.Helper()
	if _, err := s.secrets.Rotate(context.Background(), nil, "gpu", secret.NewBytes([]byte(value))); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

// as is a caller's context.
func as(ctx context.Context, change func(*access.Call)) context.Context {
	call := &access.Call{ID: "c", Principal: &access.Principal{Issuer: "i", Subject: "bob"}, Session: "s"}
	if change != nil {
		change(call)
	}
	return access.WithCall(ctx, call)
}

// infer makes a call of bob's, with metadata that he sends.
func (s *scene) infer(md map[string][]string) error {
	s.t.Helper()
	ctx, err := s.Outgoing(as(s.t.Context(), nil), md)
	if err != nil {
		return err
	}
	_, err = inference.NewGRPCInferenceServiceClient(s).ModelInfer(ctx, &inference.ModelInferRequest{ModelName: "m"})
	return err
}

func (s *scene) ready() (bool, error) {
	s.t.Helper()
	ctx, err := s.Outgoing(s.t.Context(), nil)
	if err != nil {
		return false, err
	}
	resp, err := inference.NewGRPCInferenceServiceClient(s).ServerReady(ctx, &inference.ServerReadyRequest{})
	return resp.GetReady(), err
}

// shown is what the server saw under a name, each time.
func (s *scene) shown(name string) (all []string) {
	for _, c := range s.server.Calls() {
		all = append(all, strings.Join(c.Metadata.Get(name), "+"))
	}
	return all
}

func reason(err error) string {
	if e, ok := access.AsError(err); ok && e != nil {
		return e.Reason
	}
	return ""
}

var answers = backendstest.Script{
	"ServerMetadata": {backendstest.Receive(), backendstest.Send(backendstest.TritonMetadata())},
	"ServerReady":    {backendstest.Receive(), backendstest.Send(&inference.ServerReadyResponse{})},
	"ModelInfer":     {backendstest.Receive(), backendstest.Send(&inference.ModelInferResponse{})},
}
