package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/secret"
)

// TestAKeyThatIsWrapped: what seals is the key that the transit engine unwraps.
func TestAKeyThatIsWrapped(t *testing.T) {
	key := secret.NewKey() // base64, as the engine answers
	var asked atomic.Int32
	vault := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/v1/transit/decrypt/sluice" || r.Header.Get("X-Vault-Token") != "a-token" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(`{"data":{"plaintext":"` + key + `"}}`))
	}))
	defer vault.Close()
	s := openSafe(t, func(s *setup) {
		t.Setenv("SLUICE_TEST_SEAL", secret.Wrapped+"vault:v1:abc")
		t.Setenv("SLUICE_TEST_VAULT", "a-token")
		s.extra = strings.Replace(s.extra, `secrets: { key: "${SLUICE_TEST_SEAL}"`,
			`secrets: { key: "${SLUICE_TEST_SEAL}", transit: { address: "`+vault.URL+`", key: sluice, token: "${SLUICE_TEST_VAULT}" }`, 1)
	})
	s.put("bearer", "a-credential-of-a-backend")
	got, err := s.secrets.ListSecrets(s.as("alice"), &pb.ListSecretsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := secret.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secret.NewKeyring(plain)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.GetSecrets()) == 0 || got.GetSecrets()[0].GetKeyId() != ring.KeyID() || asked.Load() == 0 {
		t.Errorf("got %v after %d questions, want the key %s", got.GetSecrets(), asked.Load(), ring.KeyID())
	}
}
