package server_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// heldBack are names that a caller may send and no server gets to see.
var heldBack = []string{
	"authorization", "proxy-authorization", "cookie", "triton-grpc-protocol-infer", "triton-grpc-protocol-", "sluice-subject", "sluice-reason-bin", "grpcgateway-authorization", "grpcgateway-",
}

// passed are names that go on.
var passed = map[string]string{
	"x-request-id": "1", "traceparent": "00-1-2-01", "x-bin": "\x00\xff\x01 binary", "x-authorization": "x", "cookies": "c", "sluice": "s", "x-forwarded-for": "6.6.6.6",
}

// answering answers both kinds of inferences.
func answering(t *testing.T) *backendstest.Server {
	t.Helper()
	return backendstest.Listen(t, backendstest.Script{
		"ModelInfer":       {backendstest.Receive(), backendstest.Send(&inference.ModelInferResponse{})},
		"ModelStreamInfer": {backendstest.Each(func([]byte) [][]byte { return [][]byte{nil} })},
		"ModelConfig":      plainModel,
		"RepositoryIndex":  {backendstest.Receive(), backendstest.Send(&inference.RepositoryIndexResponse{})},
	})
}

// TestMetadata: what goes on to the server and what does not, whatever RPC it
// is, and that nothing of it is written down.
func TestMetadata(t *testing.T) {
	b := answering(t)
	g := start(t, setup{backend: b.Addr})
	ctx := g.as("alice")
	for _, name := range heldBack {
		if name != "authorization" {
			ctx = appendMD(ctx, name, prompt)
		}
	}
	for name, value := range passed {
		ctx = appendMD(ctx, name, value, name, "again")
	}
	if _, err := g.ModelInfer(ctx, add("simple")); err != nil {
		t.Fatal(err)
	}
	if _, err := g.RepositoryIndex(ctx, &inference.RepositoryIndexRequest{}); err != nil {
		t.Fatal(err)
	}
	if answers, err := g.sendStream(ctx, encoded(t, add("simple"))); err != nil || len(answers) != 1 {
		t.Fatal(answers, err)
	}
	for _, call := range b.Calls() {
		for _, name := range heldBack {
			if got := call.Metadata.Get(name); len(got) > 0 {
				t.Errorf("%s: %s is %q at the server", call.Method, name, got)
			}
		}
		if call.Method == "ModelConfig" {
			continue // the gateway's own question
		}
		for name, value := range passed {
			if got := call.Metadata.Get(name); !slices.Equal(got, []string{value, "again"}) {
				t.Errorf("%s: %s is %q at the server", call.Method, name, got)
			}
		}
	}
	g.wantNoLeak(prompt, "00-1-2-01")
}

// TestMetadataPatterns narrow what goes on, and let nothing through that never
// does.
func TestMetadataPatterns(t *testing.T) {
	b := answering(t)
	g := start(t, setup{backend: b.Addr, more: `, metadata: ["x-request-*", "cookie", "authorization", "sluice-*"]`})
	ctx := appendMD(g.as("bob"), "x-request-id", "1", "x-other", "2", "cookie", "3", "sluice-x", "4")
	if _, err := g.ModelInfer(ctx, add("simple")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"x-request-id": 1, "x-other": 0, "cookie": 0, "authorization": 0, "sluice-x": 0} {
		if got := b.Calls()[0].Metadata.Get(name); len(got) != want {
			t.Errorf("%s is %q at the server", name, got)
		}
	}
}

// TestCredential is what the server sees, whatever a caller sends under its
// names, and nobody else sees it. The gateway's own questions show it too.
func TestCredential(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{
		"ModelInfer":       {backendstest.Receive(), backendstest.Fail(codes.Unauthenticated, "no")},
		"ModelStreamInfer": {backendstest.Receive()},
		"ModelConfig":      plainModel,
		"ServerReady":      {backendstest.Receive(), backendstest.Send(&inference.ServerReadyResponse{Ready: true})},
	})
	key := filepath.Join(t.TempDir(), "key")
	write := func(secret string) {
		t.Helper()
		if err := os.WriteFile(key, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secret-in-a-file")
	t.Setenv("SLUICE_TEST_TOKEN", "secret-in-the-environment")
	g := start(t, setup{backend: b.Addr, more: `, credential: { bearer: "${SLUICE_TEST_TOKEN}", headers: { x-api-key: "file:` + key + `" } }`})
	ctx := appendMD(g.as("bob"), "x-api-key", "mine", "x-api-key", "mine too", "x-other", "kept")
	_, err := g.ModelInfer(ctx, add("simple"))
	if status.Code(err) != codes.Unauthenticated || reasonOf(err) != "" {
		t.Errorf("the server's own refusal: %v", err)
	}
	if _, err := g.sendStream(ctx, encoded(t, add("simple"))); err != nil {
		t.Error(err)
	}
	if ready, err := g.ServerReady(appendMD(g.as(""), "x-api-key", "mine"), &inference.ServerReadyRequest{}); err != nil || !ready.GetReady() {
		t.Error(ready, err)
	}
	for _, call := range b.Calls() {
		if got := call.Metadata.Get("authorization"); !slices.Equal(got, []string{"Bearer secret-in-the-environment"}) {
			t.Errorf("%s: authorization is %q", call.Method, got)
		}
		if got := call.Metadata.Get("x-api-key"); !slices.Equal(got, []string{"secret-in-a-file"}) {
			t.Errorf("%s: x-api-key is %q", call.Method, got)
		}
	}
	write("rotated")
	_, _ = g.ModelInfer(ctx, add("simple")) // refused as before
	calls := b.Calls()
	if got := calls[len(calls)-1].Metadata.Get("x-api-key"); !slices.Equal(got, []string{"rotated"}) {
		t.Errorf("after a rotation: %q", got)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	_, err = g.ModelInfer(ctx, add("simple"))
	_, errStream := g.sendStream(ctx, encoded(t, add("simple")))
	for _, err := range []error{err, errStream} {
		wantRefusal(t, err, codes.Internal, access.ReasonInternal)
		if strings.Contains(err.Error(), key) {
			t.Errorf("the caller sees %v", err)
		}
	}
	if !strings.Contains(g.Log.String(), key) {
		t.Error("the log does not say what is missing")
	}
	g.wantNoLeak("secret-in-", "rotated", "mine")
}

// TestClientAddress is the peer's, unless that is a proxy that is trusted.
func TestClientAddress(t *testing.T) {
	for name, c := range map[string]struct {
		server    string
		forwarded []string
		want      string
	}{
		"nobody is trusted":            {"", []string{"6.6.6.6"}, "127.0.0.1"},
		"another is trusted":           {"  trusted_proxies: [10.0.0.0/8]", []string{"6.6.6.6"}, "127.0.0.1"},
		"the peer is trusted":          {"  trusted_proxies: [127.0.0.1/32]", []string{"6.6.6.6"}, "6.6.6.6"},
		"what the caller put before":   {"  trusted_proxies: [127.0.0.1/32]", []string{"1.1.1.1, 6.6.6.6"}, "6.6.6.6"},
		"in a header of its own":       {"  trusted_proxies: [127.0.0.1/32]", []string{"1.1.1.1", "6.6.6.6"}, "6.6.6.6"},
		"through two proxies":          {"  trusted_proxies: [127.0.0.1/32, 10.0.0.0/8]", []string{"1.1.1.1, 6.6.6.6, 10.1.1.1"}, "6.6.6.6"},
		"text":                         {"  trusted_proxies: [127.0.0.1/32]", []string{"1.1.1.1, " + prompt}, "127.0.0.1"},
		"the proxy says nothing":       {"  trusted_proxies: [127.0.0.1/32]", nil, "127.0.0.1"},
		"as IPv6 writes it":            {"  trusted_proxies: [127.0.0.1/32]", []string{"::ffff:6.6.6.6"}, "6.6.6.6"},
		"with a zone that is no place": {"  trusted_proxies: [127.0.0.1/32]", []string{"fe80::1%" + prompt}, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, setup{server: c.server})
			ctx := g.as("bob")
			for _, value := range c.forwarded {
				ctx = appendMD(ctx, "x-forwarded-for", value)
			}
			if _, err := g.ModelInfer(ctx, add("simple")); err != nil {
				t.Fatal(err)
			}
			if got := g.lines("call")[0]["peer"]; got != c.want {
				t.Errorf("peer is %v, want %s", got, c.want)
			}
			g.wantNoLeak(prompt)
		})
	}
}

// lines are the log's lines with a message.
func (g *gateway) lines(message string) (found []map[string]any) {
	g.t.Helper()
	for line := range strings.Lines(g.Log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			g.t.Fatalf("%v: %s", err, line)
		}
		if fields["msg"] == message {
			found = append(found, fields)
		}
	}
	return found
}

// TestMetricLabels hold nothing that a caller made up.
func TestMetricLabels(t *testing.T) {
	g := start(t, setup{})
	for _, model := range []string{"made-up-1", "made-up-2", "simple"} {
		_, _ = g.ModelInfer(g.as("alice"), add(model))                  // refused by the server, if it does not know it
		_, _ = g.ModelInfer(g.as("carol"), add(model))                  // refused
		_, _ = g.sendStream(g.as("carol"), encoded(t, add("x-"+model))) // refused
	}
	g.wantNoMetric("made-up")
	if text := g.scrape(); !strings.Contains(text, `model="simple"`) || !strings.Contains(text, `model="_other"`) {
		t.Error("the metrics do not show simple and _other")
	}
}

func (g *gateway) wantNoMetric(secret string) {
	g.t.Helper()
	if strings.Contains(g.scrape(), secret) {
		g.t.Errorf("the metrics show %s", secret)
	}
}
