package leased_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/secret"
)

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
