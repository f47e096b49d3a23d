package leased_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/leased"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/secret"
)

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
