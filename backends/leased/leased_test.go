package leased_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
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

// TestEachKindIsShown, whatever the caller sends under its names.
func TestEachKindIsShown(t *testing.T) {
	for name, c := range map[string]struct {
		credential backends.CredentialConfig
		header     string
		want       string
	}{
		"by name, bearer":  {backends.CredentialConfig{Stored: "gpu"}, "authorization", "Bearer hunter2"},
		"by name, basic":   {backends.CredentialConfig{Stored: "basic"}, "authorization", "Basic bWU6aHVudGVyMg=="},
		"by name, headers": {backends.CredentialConfig{Stored: "headers"}, "x-key", "hunter2"},
		"Triton's":         {backends.CredentialConfig{Stored: "headers"}, "triton-grpc-protocol-key", "abc"},
		"bearer: secret:":  {backends.CredentialConfig{Bearer: ref(t, "secret:text")}, "authorization", "Bearer hunter2"},
		"basic: secret:":   {backends.CredentialConfig{Basic: &backends.BasicConfig{Username: "me", Password: ref(t, "secret:text")}}, "authorization", "Basic bWU6aHVudGVyMg=="},
		"two of them":      {backends.CredentialConfig{Bearer: ref(t, "secret:gpu"), Headers: map[string]access.Secret{"x-key": ref(t, "secret:text")}}, "x-key", "hunter2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := play(t, c.credential, answers)
				s.put("basic", secret.Basic, "me:hunter2")
				s.put("headers", secret.Headers, "x-key: hunter2\ntriton-grpc-protocol-key: abc")
				s.put("text", secret.Text, "hunter2")
				if err := s.infer(map[string][]string{c.header: {"mine", "mine too"}, "x-other": {"kept"}}); err != nil {
					t.Fatal(err)
				}
				if got := s.shown(c.header); !slices.Equal(got, []string{c.want}) {
					t.Errorf("%s is %q, want %q", c.header, got, c.want)
				}
				if got := s.shown("x-other"); got[len(got)-1] != "kept" {
					t.Errorf("x-other is %q", got)
				}
			})
		})
	}
}

// TestWhatCanNotBeShown is CREDENTIAL_UNAVAILABLE, and nothing is connected.
func TestWhatCanNotBeShown(t *testing.T) {
	for name, c := range map[string]struct {
		credential backends.CredentialConfig
		cause      string
	}{
		"not there":           {backends.CredentialConfig{Stored: "none"}, "not found"},
		"a text by its name":  {backends.CredentialConfig{Stored: "text"}, "does not say how it is shown"},
		"headers as a bearer": {backends.CredentialConfig{Bearer: ref(t, "secret:headers")}, "is no text"},
		"lines as a bearer":   {backends.CredentialConfig{Bearer: ref(t, "secret:text")}, "bytes that a header cannot carry"},
		"a pair in plaintext": {backends.CredentialConfig{Stored: "pair"}, "is not reached over TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := play(t, c.credential, answers)
				s.put("text", secret.Text, "hunter2\nhunter3")
				s.put("headers", secret.Headers, "x-key: hunter2")
				s.put("pair", secret.Pair, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
				err := s.infer(nil)
				e, ok := access.AsError(err)
				if !ok || e.Reason != access.ReasonCredentialAway || !strings.Contains(e.Cause.Error(), c.cause) || strings.Contains(e.Message+e.Cause.Error(), "hunter") {
					t.Errorf("got %v", err)
				}
				if s.made != 0 || backends.IsAway(err) {
					t.Errorf("%d connections were made; away: %v", s.made, backends.IsAway(err))
				}
			})
		})
	}
}

// TestNothingIsConnectedBefore a call has the credential: the gateway's own
// questions open nothing, and while nobody has it the server counts as ready.
func TestNothingIsConnectedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, backends.CredentialConfig{Stored: "gpu"}, answers)
		time.Sleep(time.Hour)
		if ready, err := s.ready(); !ready || err != nil || s.made != 0 {
			t.Errorf("ready %v, %v, %d connections", ready, err, s.made)
		}
		_, err := inference.NewGRPCInferenceServiceClient(s).ModelReady(t.Context(), &inference.ModelReadyRequest{Name: "m"})
		_, stream := s.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/x/y")
		probe := access.WithCall(t.Context(), &access.Call{ID: "probe"}) // of a stranger
		_, stranger := inference.NewGRPCInferenceServiceClient(s).ModelReady(probe, &inference.ModelReadyRequest{Name: "m"})
		for _, err := range []error{err, stream, stranger} {
			if reason(err) != access.ReasonCredentialAway {
				t.Errorf("got %v", err)
			}
		}
		if err := s.infer(nil); err != nil {
			t.Fatal(err)
		}
		if ready, err := s.ready(); ready || err != nil {
			t.Errorf("the server's own answer is %v, %v", ready, err)
		}
		time.Sleep(2 * time.Minute)
		if ready, err := s.ready(); !ready || err != nil || s.connections() != 0 {
			t.Errorf("an idle one: ready %v, %v, %d connections", ready, err, s.connections())
		}
		if err := s.infer(nil); err != nil || s.made != 2 {
			t.Errorf("used again: %v, %d connections were made", err, s.made)
		}
	})
}

// TestRotationClosesConnections once their calls have ended, and new calls go over
// new ones.
func TestRotationClosesConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		script := backendstest.Script{
			"ServerMetadata": answers["ServerMetadata"], "ModelInfer": answers["ModelInfer"],
			"ModelStreamInfer": {backendstest.Until(release), backendstest.Send(&inference.ModelStreamInferResponse{})},
		}
		s := play(t, backends.CredentialConfig{Stored: "gpu"}, script)
		stream, err := inference.NewGRPCInferenceServiceClient(s).ModelStreamInfer(as(t.Context(), nil))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.rotate("hunter3")
		if err := s.infer(nil); err != nil {
			t.Fatal(err)
		}
		if got := s.connections(); got != 2 {
			t.Errorf("%d connections under both", got)
		}
		if got := s.shown("authorization"); got[0] != "Bearer hunter2" || got[len(got)-1] != "Bearer hunter3" {
			t.Errorf("shown %q", got)
		}
		close(release)
		for err == nil {
			_, err = stream.Recv()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("the old stream ended with %v", err)
		}
		synctest.Wait()
		if got := s.connections(); got != 1 {
			t.Errorf("%d connections after the old call's end", got)
		}
	})
}

// TestRevocationEndsCalls at once.
func TestRevocationEndsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, backends.CredentialConfig{Stored: "gpu"}, backendstest.Script{
			"ServerMetadata": answers["ServerMetadata"], "ModelInfer": {backendstest.Hang()}, "ModelStreamInfer": {backendstest.Hang()},
		})
		client := inference.NewGRPCInferenceServiceClient(s)
		stream, err := client.ModelStreamInfer(as(t.Context(), nil))
		if err != nil {
			t.Fatal(err)
		}
		unary := make(chan error, 1)
		go func() { unary <- s.infer(nil) }()
		synctest.Wait()
		s.rotate("hunter3") // what was retired before is ended too
		if err := s.secrets.Delete(t.Context(), "gpu", true); err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		for _, err := range []error{err, <-unary} {
			if err == nil {
				t.Error("a call goes on")
			}
		}
		synctest.Wait()
		if got := s.connections(); got != 0 {
			t.Errorf("%d connections are left", got)
		}
		if err := s.infer(nil); reason(err) != access.ReasonCredentialAway {
			t.Errorf("a new call: %v", err)
		}
	})
}

// TestApprovedCallsAlone open what is leased for them, and it is closed with the last.
func TestApprovedCallsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, backends.CredentialConfig{Stored: "gpu", Lease: backends.LeaseApproved}, answers)
		client := inference.NewGRPCInferenceServiceClient(s)
		for name, change := range map[string]func(*access.Call){
			"nobody's approval": nil,
			"a request alone":   func(c *access.Call) { c.Approval = &access.Approval{Request: "r"} },
		} {
			if _, err := client.ModelInfer(as(t.Context(), change), &inference.ModelInferRequest{}); reason(err) != access.ReasonNeedsApproval || s.made != 0 {
				t.Errorf("%s: %v, %d connections", name, err, s.made)
			}
		}
		granted := as(t.Context(), func(c *access.Call) { c.Approval = &access.Approval{Request: "r", Grant: "g"} })
		if _, err := client.ModelInfer(granted, &inference.ModelInferRequest{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := s.connections(); got != 0 {
			t.Errorf("%d connections are left", got)
		}
		if all := s.secrets.Leases(false); len(all) != 1 || all[0].Open {
			t.Errorf("leases are %+v", all)
		}
	})
}

// TestAStreamIsApprovedByTheMessageThatOpensIt, whatever its call says of others.
func TestAStreamIsApprovedByTheMessageThatOpensIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, backends.CredentialConfig{Stored: "gpu", Lease: backends.LeaseApproved}, backendstest.Script{"ServerMetadata": answers["ServerMetadata"], "ModelStreamInfer": {backendstest.Hang()}})
		client := inference.NewGRPCInferenceServiceClient(s)
		ctx, cancel := context.WithCancel(as(t.Context(), func(c *access.Call) { c.Stream, c.Approval = true, &access.Approval{Grant: "of another"} }))
		defer cancel()
		if _, err := client.ModelStreamInfer(ctx); reason(err) != access.ReasonNeedsApproval {
			t.Errorf("a message that nobody has approved: %v", err)
		}
		if _, err := client.ModelStreamInfer(access.WithApproved(ctx, &access.Approval{Grant: "g"})); err != nil {
			t.Errorf("one that somebody has: %v", err)
		}
		cancel()
		synctest.Wait()
		if all := s.secrets.Leases(false); len(all) != 1 || all[0].Open {
			t.Errorf("leases are %+v", all)
		}
	})
}

// TestAStreamThatNobodyReads gives its lease back with its context.
func TestAStreamThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, backends.CredentialConfig{Stored: "gpu"}, backendstest.Script{"ServerMetadata": answers["ServerMetadata"], "ModelStreamInfer": {backendstest.Hang()}})
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := inference.NewGRPCInferenceServiceClient(s).ModelStreamInfer(as(ctx, nil)); err != nil {
			t.Fatal(err)
		}
		if got := s.secrets.Leases(true)[0]; got.Count != 1 || got.Leases[0].Who != "i#bob" || got.Leases[0].Session != "s" {
			t.Errorf("leases are %+v", got)
		}
		cancel()
		synctest.Wait()
		if got := s.secrets.Leases(true)[0]; got.Count != 0 {
			t.Errorf("leases are %+v", got)
		}
	})
}

// TestTheServersOwnRefusal comes back as it is.
func TestTheServersOwnRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, backends.CredentialConfig{Stored: "gpu"}, backendstest.Script{"ServerMetadata": answers["ServerMetadata"], "ModelInfer": {backendstest.Fail(codes.Unauthenticated, "no")}})
		if err := s.infer(nil); err == nil || reason(err) != "" || !strings.Contains(err.Error(), "no") {
			t.Errorf("got %v", err)
		}
	})
}

// TestAServerThatQuotesItsCredential does not tell it to callers.
func TestAServerThatQuotesItsCredential(t *testing.T) {
	for name, credential := range map[string]backends.CredentialConfig{
		"bearer": {Stored: "gpu"}, "basic": {Stored: "basic"}, "headers": {Stored: "headers"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				said := backendstest.Fail(codes.Unauthenticated, "token hunter2 of authorization: Bearer hunter2, Basic bWU6aHVudGVyMg== is bad")
				s := play(t, credential, backendstest.Script{
					"ServerMetadata": answers["ServerMetadata"], "ModelInfer": {backendstest.Receive(), said}, "ModelStreamInfer": {said},
				})
				s.put("basic", secret.Basic, "me:hunter2")
				s.put("headers", secret.Headers, "x-key: hunter2")
				stream, err := inference.NewGRPCInferenceServiceClient(s).ModelStreamInfer(as(t.Context(), nil))
				if err != nil {
					t.Fatal(err)
				}
				_, err = stream.Recv()
				for _, err := range []error{s.infer(nil), err} {
					if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "token [REDACTED] of authorization") {
						t.Errorf("got %v", err)
					}
				}
			})
		})
	}
}

// TestStoreAway: an open credential goes on, a closed one is a clear error.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, backends.CredentialConfig{Stored: "gpu"}, answers)
		if err := s.infer(nil); err != nil {
			t.Fatal(err)
		}
		s.store.SetAway(true)
		if err := s.infer(nil); err != nil {
			t.Errorf("open: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if err := s.infer(nil); reason(err) != access.ReasonCredentialAway {
			t.Errorf("closed: %v", err)
		}
		s.store.SetAway(false)
		time.Sleep(2 * time.Second)
		if err := s.infer(nil); err != nil {
			t.Errorf("back: %v", err)
		}
	})
}

func TestNoStore(t *testing.T) {
	config := backends.Config{Name: "gpu", Credential: &backends.CredentialConfig{Stored: "gpu"}}
	if _, err := leased.New(leased.Options{Config: config}); err == nil {
		t.Error("no error")
	}
	broken := errors.New("no such file")
	open := func(leased.Shows) (backends.Backend, error) { return nil, broken }
	if _, err := leased.New(leased.Options{Config: config, Secrets: secret.New(secret.Options{}), Open: open}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
