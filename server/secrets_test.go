package server_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/secret"
)

const rolesOfSecrets = `
roles:
  viewer: [ { models: ["*"], verbs: [infer, describe, list] } ]
  operator: [ { models: ["*"], verbs: [admin, reveal] } ]
bindings:
  - { role: viewer, groups: [model-viewer, model-admin] }
  - { role: operator, groups: [model-admin] }
`

const tokenizing = `
detectors: [ { name: CUSTOMER, regex: 'CUST-[a-z0-9]{26}' } ]
masking: [ { name: customers, models: ["*"], entities: [CUSTOMER], action: { tokenize: { key: "${SLUICE_TEST_TOKENS}" } } } ]
`

// safe is a gateway that keeps secrets.
type safe struct {
	*gateway
	secrets pb.SecretServiceClient
}

// openSafe starts one whose backend has the stored credential gpu.
func openSafe(t *testing.T, change func(*setup), replace ...string) *safe {
	t.Helper()
	t.Setenv("SLUICE_TEST_SEAL", secret.NewKey())
	t.Setenv("SLUICE_TEST_TOKENS", secret.NewKey())
	s := setup{
		policy: rolesOfSecrets, more: ", credential: gpu",
		extra: "store: { sqlite: sluice.db }\nsecrets: { key: \"${SLUICE_TEST_SEAL}\" }\naudit: { payloads: masked, sqlite: audit.db, key: keys/audit.key }\n",
	}
	if change != nil {
		change(&s)
	}
	g := prepare(t, s)
	if len(replace) > 0 {
		text, err := os.ReadFile(filepath.Join(g.dir, "sluice.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		g.Write("sluice.yaml", strings.NewReplacer(replace...).Replace(string(text)))
	}
	g.logging = &slog.HandlerOptions{Level: slog.LevelDebug}
	g.run()
	g.conn = g.Dial(nil)
	g.GRPCInferenceServiceClient = inference.NewGRPCInferenceServiceClient(g.conn)
	return &safe{g, pb.NewSecretServiceClient(g.dialConsole())}
}

func (s *safe) put(kind, value string) {
	s.t.Helper()
	out, err := s.secrets.PutSecret(s.as("alice"), &pb.PutSecretRequest{Id: "gpu", Kind: kind, Value: []byte(value)})
	if err != nil || out.GetSecret().GetKind() != kind {
		s.t.Fatal(out, err)
	}
}

func (s *safe) rotate(value string) {
	s.t.Helper()
	if _, err := s.secrets.RotateSecret(s.as("alice"), &pb.RotateSecretRequest{Id: "gpu", Value: []byte(value)}); err != nil {
		s.t.Fatal(err)
	}
}

// forms are how a secret could be written somewhere.
func forms(text string) map[string]string {
	all := map[string]string{"clear": text, "hex": hex.EncodeToString([]byte(text)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(text)))}
	for shift := range 3 { // base64 of it in the midst of other bytes
		in := strings.Repeat("x", shift) + text
		for name, e := range map[string]*base64.Encoding{"base64": base64.StdEncoding, "base64 for URLs": base64.URLEncoding} {
			b := e.EncodeToString([]byte(in))
			all[fmt.Sprintf("%s, shifted by %d", name, shift)] = b[4 : len(b)-4]
		}
	}
	return all
}

// wantNowhere looks for seeded texts in what the gateway has written: log, metrics,
// stacks, every file of its folder, and what else is given.
func (s *safe) wantNowhere(seeds map[string]string, more map[string]string) {
	s.t.Helper()
	places := map[string]string{"the log": s.Log.String(), "the metrics": s.scrape()}
	stacks := make([]byte, 4<<20)
	places["the stacks"] = string(stacks[:runtime.Stack(stacks, true)])
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		places["file "+d.Name()] = string(content)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range []string{"sluice.db", "sluice.db-wal", "sluice.db-shm", "audit.db"} {
		if len(places["file "+name]) == 0 {
			s.t.Errorf("there is no %s to look into", name)
		}
	}
	for name, text := range more {
		places[name] = text
	}
	for where, text := range places {
		for seed, value := range seeds {
			for form, written := range forms(value) {
				if i := strings.Index(text, written); i >= 0 {
					s.t.Errorf("%s is in %s, in %s: …%.80q", seed, where, form, text[max(0, i-60):])
				}
			}
		}
	}
}

// TestAStoredSecretIsNowhere: it is put, used, quoted by a server that fails,
// rotated, resealed and removed, and is to be found in nothing that the gateway
// writes, says, or keeps.
func TestAStoredSecretIsNowhere(t *testing.T) {
	seeds := map[string]string{"the first value": "one" + rand.Text(), "the second value": "two" + rand.Text(), "a value that is refused": "three" + rand.Text()}
	quoting := "I was shown " + seeds["the first value"]
	b := backendstest.Listen(t, backendstest.Script{
		"ServerMetadata":   {backendstest.Receive(), backendstest.Send(backendstest.TritonMetadata())},
		"ModelConfig":      plainModel,
		"ServerReady":      {backendstest.Receive(), backendstest.Send(&inference.ServerReadyResponse{Ready: true})},
		"ModelReady":       {backendstest.Receive(), backendstest.Fail(codes.Internal, quoting)},
		"ModelInfer":       {backendstest.Receive(), backendstest.Send(&inference.ModelInferResponse{ModelName: "simple"})},
		"ModelStreamInfer": {backendstest.Receive(), backendstest.Fail(codes.Unauthenticated, quoting)},
	})
	s := openSafe(t, func(o *setup) { o.backend = b.Addr })
	said := map[string]string{}
	note := func(what string, err error) {
		t.Helper()
		said["what is said "+what] = fmt.Sprintf("%v %+v %#v", err, err, err)
	}
	_, err := s.ModelInfer(s.as("bob"), add("simple"))
	wantRefusal(t, err, codes.Unavailable, access.ReasonCredentialAway)
	note("before it is there", err)
	s.put("bearer", seeds["the first value"])
	_, err = s.secrets.PutSecret(s.as("alice"), &pb.PutSecretRequest{Id: "other", Kind: "bearer", Value: []byte(seeds["a value that is refused"] + " of two words")})
	wantRefusal(t, err, codes.InvalidArgument, access.ReasonMalformed)
	note("of a value that is refused", err)
	_, err = s.secrets.PutSecret(s.as("bob"), &pb.PutSecretRequest{Id: "other", Value: []byte(seeds["a value that is refused"])})
	wantRefusal(t, err, codes.PermissionDenied, access.ReasonNoRole)
	note("to who may not", err)
	for i, value := range []string{"the first value", "the second value"} {
		if i > 0 {
			s.rotate(seeds[value])
		}
		eventually(t, "a call with "+value, func() bool {
			_, err := s.ModelInfer(s.as("bob"), add("simple"))
			note("of a call", err)
			calls := b.Calls()
			return err == nil && strings.Join(calls[len(calls)-1].Metadata.Get("authorization"), "") == "Bearer "+seeds[value]
		})
		if i > 0 {
			break // the server quotes the first value only
		}
		_, err = s.ModelReady(s.as("bob"), &inference.ModelReadyRequest{Name: "simple"})
		note("by a server that quotes", err)
		_, err = s.sendStream(s.as("bob"), encoded(t, add("simple")))
		note("by a stream that quotes", err)
	}
	if _, err := s.secrets.RotateSecret(s.as("alice"), &pb.RotateSecretRequest{Id: "gpu"}); err != nil {
		t.Fatal(err)
	}
	listed, err := s.secrets.ListSecrets(s.as("alice"), &pb.ListSecretsRequest{})
	if err != nil || len(listed.GetSecrets()) != 1 {
		t.Fatal(listed, err)
	}
	said["the list"] = protojson.Format(listed)
	if !strings.Contains(s.scrape(), `sluice_credential_leases{credential="gpu"}`) {
		t.Error("leases are not among the metrics")
	}
	s.wantNowhere(seeds, said)
	_, err = s.secrets.DeleteSecret(s.as("alice"), &pb.DeleteSecretRequest{Id: "gpu"})
	wantRefusal(t, err, codes.FailedPrecondition, access.ReasonConflict)
	if _, err := s.secrets.DeleteSecret(s.as("alice"), &pb.DeleteSecretRequest{Id: "gpu", Force: true}); err != nil {
		t.Fatal(err)
	}
	_, err = s.ModelInfer(s.as("bob"), add("simple"))
	wantRefusal(t, err, codes.Unavailable, access.ReasonCredentialAway)
	s.wantNowhere(seeds, said)
}

// TestTokensEndToEnd: what a token stands for is nowhere in clear, and revealed to
// who may, for the model that had it.
func TestTokensEndToEnd(t *testing.T) {
	customer := "CUST-" + strings.ToLower(rand.Text())
	s := openSafe(t, func(o *setup) { o.more, o.policy = "", rolesOfSecrets+tokenizing })
	echo := func(who string) string {
		t.Helper()
		resp, err := s.ModelInfer(s.as(who), &inference.ModelInferRequest{
			ModelName: "simple_identity", RawInputContents: [][]byte{soakBytes([]byte(customer))},
			Inputs: []*inference.ModelInferRequest_InferInputTensor{{Name: "INPUT0", Datatype: "BYTES", Shape: []int64{1, 1}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(resp.GetRawOutputContents()[0])[4:]
	}
	token := echo("bob")
	if !secret.IsToken(token) || echo("bob") != token {
		t.Fatalf("got %q", token)
	}
	s.wantNowhere(map[string]string{"the customer": customer}, nil)
	reveal := func(who, model string, tokens ...string) (string, error) {
		out, err := s.secrets.RevealTokens(s.as(who), &pb.RevealTokensRequest{Tokens: tokens, Model: model, Reason: "ticket 4711"})
		var all []string
		for _, one := range out.GetTokens() {
			all = append(all, one.GetText())
		}
		return strings.Join(all, ","), err
	}
	for _, c := range []struct{ model, want string }{{"", customer}, {"simple_identity", customer}, {"simple_string", ""}} {
		if got, err := reveal("alice", c.model, token); err != nil || got != c.want {
			t.Errorf("of model %q: %q, %v", c.model, got, err)
		}
	}
	_, err := reveal("bob", "simple_identity", token)
	wantRefusal(t, err, codes.PermissionDenied, access.ReasonNoRole)
	s.wantNowhere(map[string]string{"the customer": customer}, nil) // nor did the answer leave it anywhere
	found := false
	for _, r := range s.records() {
		found = found || r.Verb == "reveal" && r.Name == "alice" && r.Object == token && r.Detail == "ticket 4711" && r.Verdict == audit.Allowed
	}
	if !found {
		t.Error("no record says who revealed the token, and why")
	}
}

// TestAStoredPair is shown at handshakes, and after a rotation another one is.
func TestAStoredPair(t *testing.T) {
	a := newAuthority(t)
	served := a.config(a)
	cert, key := a.issue("models.test")
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen [][]byte // certificates, in the order of handshakes
	served.Certificates, served.ClientCAs, served.ClientAuth = []tls.Certificate{pair}, served.RootCAs, tls.RequireAndVerifyClientCert
	served.VerifyConnection = func(state tls.ConnectionState) error {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, state.PeerCertificates[0].Raw)
		return nil
	}
	address := startModelsAt(t, "127.0.0.1:0", grpc.Creds(credentials.NewTLS(served)))
	s := openSafe(t, func(o *setup) {
		path := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(path, []byte(a.pem), 0o600); err != nil {
			t.Fatal(err)
		}
		o.backend, o.more = address, fmt.Sprintf(", credential: gpu, tls: { ca: %q, server_name: models.test }", path)
	})
	client := func() string {
		cert, key := a.issue("client.test")
		return cert + key
	}
	last := func() []byte {
		mu.Lock()
		defer mu.Unlock()
		if len(seen) == 0 {
			return nil
		}
		return seen[len(seen)-1]
	}
	s.put("pair", client())
	eventually(t, "the first pair", func() bool { _, err := s.ModelInfer(s.as("bob"), add("simple")); return err == nil })
	first := last()
	s.rotate(client())
	eventually(t, "the second pair", func() bool {
		_, err := s.ModelInfer(s.as("bob"), add("simple"))
		return err == nil && !bytes.Equal(last(), first)
	})
}

// TestAStoredCredentialOverHTTP is shown to servers of generated text, and their
// words about it go nowhere.
func TestAStoredCredentialOverHTTP(t *testing.T) {
	seed := rand.Text()
	var mu sync.Mutex
	var shown []string
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		shown = append(shown, r.Header.Get("Authorization"))
		mu.Unlock()
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = fmt.Fprintf(w, `{"error": {"message": "bad token %s"}}`, seed)
	}))
	defer h.Close()
	s := openSafe(t, func(o *setup) {
		o.backend = h.URL
	}, "type: triton", "type: openai")
	s.put("bearer", seed)
	_, err := s.ModelInfer(s.as("bob"), &inference.ModelInferRequest{
		ModelName: "chat", RawInputContents: [][]byte{soakBytes([]byte("hello"))},
		Inputs: []*inference.ModelInferRequest_InferInputTensor{{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}}},
	})
	if err == nil || strings.Contains(err.Error(), seed) {
		t.Errorf("got %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(shown) == 0 || shown[len(shown)-1] != "Bearer "+seed {
		t.Errorf("shown %q", shown)
	}
	s.wantNowhere(map[string]string{"the token": seed}, map[string]string{"the error": fmt.Sprint(err)})
}

// TestAnApprovedMessageOpensTheCredentialOfItsStream: nothing else does.
func TestAnApprovedMessageOpensTheCredentialOfItsStream(t *testing.T) {
	s := openSafe(t, func(s *setup) {
		s.more = ", credential: { stored: gpu, lease: approved }"
		s.policy += "guards: [ { name: agree, verbs: [infer], models: [simple], approve: { by: [approvers], mode: ask } } ]\n"
	})
	s.put("bearer", "a-token-of-nobodys")
	stream, err := s.ModelStreamInfer(s.as("bob"))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(m *inference.ModelInferRequest) *inference.ModelStreamInferResponse {
		t.Helper()
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
		got, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := ask(simpleSum("first")).GetErrorMessage(); !strings.Contains(got, "needs approval by group approvers") {
		t.Fatalf("before anybody agreed: %q", got)
	}
	approvals := pb.NewApprovalServiceClient(s.dialConsole())
	all, err := approvals.ListApprovals(s.as("carol"), &pb.ListApprovalsRequest{Approvable: true})
	if err != nil || len(all.GetApprovals()) != 1 {
		t.Fatal(all, err)
	}
	if _, err := approvals.Approve(s.as("carol"), &pb.ApproveRequest{Id: all.GetApprovals()[0].GetId()}); err != nil {
		t.Fatal(err)
	}
	if got := ask(simpleSum("again")); got.GetErrorMessage() != "" || got.GetInferResponse().GetId() != "again" {
		t.Errorf("once carol has agreed: %v", got)
	}
}
