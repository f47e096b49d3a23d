package server_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/identity/identitytest"
)

// rolesOfTwo are for a gateway with two issuers, the demo's and "test".
const rolesOfTwo = `
roles: { viewer: [ { models: ["*"], verbs: [infer, describe, list] } ] }
bindings: [ { role: viewer, groups: ["demo:model-viewer", "test:users"] } ]
`

// withIssuer starts an issuer whose tokens a test makes as it likes, and a
// gateway that knows it beside the demo's.
func withIssuer(t *testing.T, s setup) (*gateway, *identitytest.Issuer) {
	t.Helper()
	h := httptest.NewUnstartedServer(nil)
	iss := identitytest.NewIssuer(t, "http://"+h.Listener.Addr().String(), identitytest.EC(), identitytest.RSA())
	h.Config.Handler = iss
	h.Start()
	t.Cleanup(h.Close)
	s.policy = rolesOfTwo
	s.oidc = `, { name: test, issuer: "` + iss.URL + `", audiences: [` + identitytest.Audience + `] }`
	return start(t, s), iss
}

// showing is a context that sends authorization headers.
func (g *gateway) showing(values ...string) context.Context {
	g.t.Helper()
	ctx := g.as("")
	for _, value := range values {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", value)
	}
	return ctx
}

// unsigned is a token of claims with an algorithm and a signature of one's own.
func unsigned(t *testing.T, alg, signature string, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(map[string]any{"alg": alg, "typ": "at+jwt"}) + "." + part(claims) + "." + signature
}

// TestTokens shows each bad token to a unary RPC, a stream, an RPC that is not
// served, and reflection. None gets to the server, and none is written down.
func TestTokens(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{backendstest.Any: {backendstest.Receive(), backendstest.Send(&inference.ModelInferResponse{})}})
	g, iss := withIssuer(t, setup{backend: b.Addr})
	users := map[string]any{"groups": []string{"users"}}
	with := func(more map[string]any) string {
		return iss.Token(t, identitytest.EC(), mergeClaims(users, more))
	}
	good := with(nil)
	head, rest, _ := strings.Cut(good, ".")
	body, _, _ := strings.Cut(rest, ".")
	soon := time.Now().Add(time.Hour).Unix()
	bad := map[string]struct {
		values []string
		reason string
	}{
		"none":                     {nil, access.ReasonTokenMissing},
		"empty":                    {[]string{""}, access.ReasonTokenMissing},
		"scheme alone":             {[]string{"Bearer"}, access.ReasonTokenMissing},
		"scheme and space":         {[]string{"Bearer "}, access.ReasonTokenMissing},
		"no scheme":                {[]string{good}, access.ReasonTokenInvalid},
		"basic":                    {[]string{"Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+prompt))}, access.ReasonTokenInvalid},
		"unknown scheme":           {[]string{"Token " + good}, access.ReasonTokenInvalid},
		"two, both good":           {[]string{"Bearer " + good, "Bearer " + good}, access.ReasonTokenInvalid},
		"two in one":               {[]string{"Bearer " + good + ", Bearer " + good}, access.ReasonTokenInvalid},
		"text":                     {[]string{"Bearer " + prompt}, access.ReasonTokenInvalid},
		"not signed":               {[]string{"Bearer " + head + "." + body + "."}, access.ReasonTokenInvalid},
		"not signed, two parts":    {[]string{"Bearer " + head + "." + body}, access.ReasonTokenInvalid},
		"alg none":                 {[]string{"Bearer " + unsigned(t, "none", "", iss.Claims(users))}, access.ReasonTokenInvalid},
		"alg NoNe, with signature": {[]string{"Bearer " + unsigned(t, "NoNe", "AAAA", iss.Claims(users))}, access.ReasonTokenInvalid},
		"a MAC of the public key":  {[]string{"Bearer " + macToken(t, iss.Claims(users))}, access.ReasonTokenInvalid},
		"a stranger's key":         {[]string{"Bearer " + identitytest.Sign(t, identitytest.Stranger().As(identitytest.EC().ID), nil, iss.Claims(users))}, access.ReasonTokenInvalid},
		"an unknown key":           {[]string{"Bearer " + identitytest.Sign(t, identitytest.Stranger(), nil, iss.Claims(users))}, access.ReasonTokenInvalid},
		"another audience":         {[]string{"Bearer " + with(map[string]any{"aud": "other"})}, access.ReasonTokenInvalid},
		"another issuer":           {[]string{"Bearer " + with(map[string]any{"iss": "https://evil.example"})}, access.ReasonTokenInvalid},
		"the demo's issuer":        {[]string{"Bearer " + with(map[string]any{"iss": g.issuer.URL()})}, access.ReasonTokenInvalid},
		"expired":                  {[]string{"Bearer " + with(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})}, access.ReasonTokenExpired},
		"not valid yet":            {[]string{"Bearer " + with(map[string]any{"nbf": soon, "exp": soon + 60})}, access.ReasonTokenInvalid},
		"never expiring":           {[]string{"Bearer " + with(map[string]any{"exp": nil})}, access.ReasonTokenInvalid},
		"an ID token":              {[]string{"Bearer " + identitytest.Sign(t, identitytest.EC(), map[string]any{"typ": "id_token"}, iss.Claims(users))}, access.ReasonTokenInvalid},
		"1 MB long":                {[]string{"Bearer " + strings.Repeat("x", 1<<20)}, access.ReasonTokenInvalid},
		"1 MB long, else good":     {[]string{"Bearer " + with(map[string]any{"note": strings.Repeat("x", 700<<10)})}, access.ReasonTokenInvalid},
	}
	var secrets []string
	for name, c := range bad {
		t.Run(name, func(t *testing.T) {
			for door, call := range doors(g) {
				err := call(g.showing(c.values...))
				if status.Code(err) != codes.Unauthenticated || reasonOf(err) != c.reason {
					t.Errorf("%s: %v, want UNAUTHENTICATED with %s", door, err, c.reason)
				}
				if text := status.Convert(err).Message(); len(text) > 300 || strings.Contains(text, body) || strings.Contains(text, prompt) {
					t.Errorf("%s: the refusal is %.400q", door, text)
				}
			}
		})
		for _, value := range c.values {
			if len(value) > 20 {
				secrets = append(secrets, value[len(value)-12:])
			}
		}
	}
	if _, err := g.ModelInfer(g.showing("bEaReR "+good), add("simple")); err != nil {
		t.Errorf("the good one, whose scheme is written otherwise: %v", err)
	}
	if calls := b.Calls(); len(calls) != 1 {
		t.Errorf("%d calls reached the server, want the good one", len(calls))
	}
	g.wantNoLeak(append(secrets, body, prompt, good[len(good)-12:])...)
}

// doors are ways to show a token.
func doors(g *gateway) map[string]func(context.Context) error {
	stream := func(ctx context.Context, method string) error {
		s, err := g.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
		if err != nil {
			return err
		}
		return s.RecvMsg(&inference.ModelStreamInferResponse{})
	}
	return map[string]func(context.Context) error{
		"unary":       func(ctx context.Context) error { _, err := g.ModelInfer(ctx, add("simple")); return err },
		"stream":      func(ctx context.Context) error { return stream(ctx, modelStreamInfer) },
		"unknown RPC": func(ctx context.Context) error { return stream(ctx, service+"Nope") },
		"reflection": func(ctx context.Context) error {
			return stream(ctx, reflectionpb.ServerReflection_ServerReflectionInfo_FullMethodName)
		},
	}
}

// macToken is signed with what everybody knows.
func macToken(t *testing.T, claims map[string]any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(identitytest.RSA().JWK().Key)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return identitytest.MAC(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), []byte(`{"alg":"HS256","kid":"rsa","typ":"at+jwt"}`), payload)
}

func mergeClaims(all ...map[string]any) map[string]any {
	merged := make(map[string]any)
	for _, one := range all {
		for name, value := range one {
			merged[name] = value
		}
	}
	return merged
}

// TestOneIssuerDoesNotSpeakForAnother, nor a group of one for one of the other.
func TestOneIssuerDoesNotSpeakForAnother(t *testing.T) {
	g, iss := withIssuer(t, setup{})
	for _, group := range []string{"model-viewer", "demo:model-viewer", "test:users"} {
		token := iss.Token(t, identitytest.EC(), map[string]any{"groups": []string{group}})
		_, err := g.ModelInfer(g.showing("Bearer "+token), add("simple"))
		wantRefusal(t, err, codes.PermissionDenied, access.ReasonNoRole)
	}
	if _, err := g.ModelInfer(g.as("bob"), add("simple")); err != nil {
		t.Errorf("the demo's bob: %v", err)
	}
}

// TestIssuerThatIsAway is an error of its own tokens only, at the start and
// later, and a change of the policy does not change that.
func TestIssuerThatIsAway(t *testing.T) {
	g, iss := withIssuer(t, setup{})
	known := iss.Token(t, identitytest.EC(), map[string]any{"groups": []string{"users"}})
	if _, err := g.ModelInfer(g.showing("Bearer "+known), add("simple")); err != nil {
		t.Fatal(err)
	}
	iss.PublishText([]byte("not a key set"))
	g.Write("policy.yaml", strings.ReplaceAll(rolesOfTwo, "list]", "list, stats]"))
	g.reload <- nil
	fresh := iss.Token(t, identitytest.EC(), map[string]any{"groups": []string{"users"}, "jti": "2"})
	eventually(t, "the new policy", func() bool {
		_, err := g.ModelStatistics(g.showing("Bearer "+known), &inference.ModelStatisticsRequest{Name: "simple"})
		return err == nil
	})
	for name, token := range map[string]string{"a known token": known, "a fresh one": fresh} {
		if _, err := g.ModelInfer(g.showing("Bearer "+token), add("simple")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	away := setup{policy: rolesOfTwo, oidc: `, { name: test, issuer: "http://127.0.0.1:1", audiences: [sluice] }`}
	g = start(t, away)
	iss.URL = "http://127.0.0.1:1"
	_, err := g.ModelInfer(g.showing("Bearer "+iss.Token(t, identitytest.EC(), nil)), add("simple"))
	wantRefusal(t, err, codes.Unavailable, access.ReasonIssuerAway)
	if _, err := g.ModelInfer(g.as("bob"), add("simple")); err != nil {
		t.Errorf("the demo's bob: %v", err)
	}
}

// TestProbes are open, or not, as configured; nothing else is.
func TestProbes(t *testing.T) {
	for _, probes := range []string{"open", "authenticated"} {
		g := start(t, setup{server: "  probes: " + probes})
		_, errLive := g.ServerLive(g.as(""), &inference.ServerLiveRequest{})
		_, errReady := g.ServerReady(g.as(""), &inference.ServerReadyRequest{})
		_, errMetadata := g.ServerMetadata(g.as(""), &inference.ServerMetadataRequest{})
		for _, err := range []error{errLive, errReady, errMetadata} {
			if probes == "open" && err != nil {
				t.Error(err)
			} else if probes != "open" {
				wantRefusal(t, err, codes.Unauthenticated, access.ReasonTokenMissing)
			}
		}
		if _, err := g.ServerLive(g.as("carol"), &inference.ServerLiveRequest{}); err != nil {
			t.Errorf("%s: carol, who has no role: %v", probes, err)
		}
		_, err := g.ModelReady(g.as(""), &inference.ModelReadyRequest{Name: "simple"})
		wantRefusal(t, err, codes.Unauthenticated, access.ReasonTokenMissing)
	}
}

// TestReflectionIsForWhoMayDescribeEverything.
func TestReflectionIsForWhoMayDescribeEverything(t *testing.T) {
	g := start(t, setup{})
	for name, want := range map[string]codes.Code{"alice": codes.OK, "bob": codes.OK, "ci": codes.PermissionDenied, "carol": codes.PermissionDenied, "": codes.Unauthenticated} {
		ctx, cancel := context.WithCancel(g.as(name))
		stream, err := reflectionpb.NewServerReflectionClient(g.conn).ServerReflectionInfo(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}) // the error is what is received
		if _, err := stream.Recv(); status.Code(err) != want {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
		cancel()
	}
}
