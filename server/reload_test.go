package server_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// onlyDescribe is the demo's policy, whose model-viewer may not infer any more.
var onlyDescribe = strings.Replace(rolesOfTheDemo, "verbs: [infer, describe, list]", "verbs: [describe, list]", 1)

// TestPolicyChangesUnderOpenStreams: each message is decided by the policy that
// is in force when it comes.
func TestPolicyChangesUnderOpenStreams(t *testing.T) {
	g := start(t, setup{})
	stream, err := g.ModelStreamInfer(g.as("bob"))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ policy, want string }{
		{rolesOfTheDemo, ""},
		{onlyDescribe, access.ReasonNoRole},
		{"roles: [", access.ReasonNoRole},
		{rolesOfTheDemo, ""},
		{strings.Replace(rolesOfTheDemo, "bindings:", "  never: [ { models: [simple], verbs: [infer], deny: true } ]\nbindings:\n  - { role: never, groups: [model-viewer] }", 1), access.ReasonDeniedByRole},
	} {
		g.Write("policy.yaml", c.policy)
		g.Reload()
		if err := stream.Send(add("simple")); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if err != nil || streamReason(answer) != c.want {
			t.Errorf("policy %d: %v, %v, want %q", i, answer, err, c.want)
		}
		_, err = g.ModelInfer(g.as("bob"), add("simple"))
		if reasonOf(err) != c.want {
			t.Errorf("policy %d: %v, want %q", i, err, c.want)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil || err.Error() != "EOF" {
		t.Errorf("the stream ended with %v", err)
	}
}

// TestReloadIsAllOrNothing: of a configuration that is wrong anywhere nothing is
// taken, and what is wrong is said without what is secret in it.
func TestReloadIsAllOrNothing(t *testing.T) {
	backend := startModels(t)
	for name, c := range map[string]struct {
		change setup
		word   string // in the log
	}{
		"a key that is not known":   {setup{server: "  prbes: authenticated"}, "prbes"},
		"a secret in plain text":    {setup{more: `, credential: { bearer: "` + prompt + `" }`}, "credential"},
		"a role that is not there":  {setup{policy: strings.Replace(onlyDescribe, "role: simple-caller", "role: nobody", 1)}, "nobody"},
		"not YAML":                  {setup{policy: "roles: {"}, "policy.yaml"},
		"a file that is not there":  {setup{more: `, tls: { ca: nowhere.pem }`}, "nowhere.pem"},
		"plaintext off loopback":    {setup{backend: "192.0.2.1:8001"}, "loopback"},
		"groups of which of two?":   {setup{oidc: `, { name: more, issuer: "https://more.example", audiences: [x] }`}, "group"},
		"a backend of another kind": {setup{more: `, type: vllm`}, "type"},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, setup{backend: backend})
			if c.change.policy == "" {
				c.change.policy = onlyDescribe
			}
			if c.change.backend == "" {
				c.change.backend = backend
			}
			g.configure(c.change)
			g.Reload()
			if _, err := g.ModelInfer(g.as("bob"), add("simple")); err != nil {
				t.Errorf("by the policy before: %v", err)
			}
			text := g.Log.String()
			if !strings.Contains(text, "the one before stays in force") || !strings.Contains(text, c.word) {
				t.Errorf("the log does not say what is wrong:\n%s", text)
			}
			g.wantNoLeak(prompt)
			g.configure(setup{backend: backend, policy: onlyDescribe})
			g.Reload()
			_, err := g.ModelInfer(g.as("bob"), add("simple"))
			wantRefusal(t, err, codes.PermissionDenied, access.ReasonNoRole)
		})
	}
}

// TestBackendChangesUnderOpenCalls: what was begun ends where it began, what is
// new goes to the new server.
func TestBackendChangesUnderOpenCalls(t *testing.T) {
	free := make(chan struct{})
	slow := backendstest.Listen(t, backendstest.Script{
		"ModelInfer":       {backendstest.Receive(), backendstest.Until(free), backendstest.Send(&inference.ModelInferResponse{ModelVersion: "old"})},
		"ModelStreamInfer": {backendstest.Receive(), backendstest.Until(free), backendstest.Send(&inference.ModelStreamInferResponse{InferResponse: &inference.ModelInferResponse{ModelVersion: "old"}}), backendstest.ReceiveAll()},
		"ModelConfig":      plainModel,
	})
	quick := backendstest.Listen(t, backendstest.Script{"ModelInfer": {backendstest.Receive(), backendstest.Send(&inference.ModelInferResponse{ModelVersion: "new"})}})
	g := start(t, setup{backend: slow.Addr, server: "  shutdown_grace: 20s"})
	versions := make(chan string, 2)
	ctx := g.as("bob")
	go func() {
		resp, err := g.ModelInfer(ctx, add("simple"))
		versions <- resp.GetModelVersion() + reasonOf(err)
	}()
	stream, err := g.ModelStreamInfer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(add("simple")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both calls", func() bool { return len(sentTo(slow.Calls())) == 2 })
	g.configure(setup{backend: quick.Addr, policy: rolesOfTheDemo, server: "  shutdown_grace: 20s"})
	g.Reload()
	if resp, err := g.ModelInfer(g.as("bob"), add("simple")); err != nil || resp.GetModelVersion() != "new" {
		t.Errorf("a new call: %v, %v", resp, err)
	}
	close(free)
	if got := <-versions; got != "old" {
		t.Errorf("the call that was open: %q", got)
	}
	if answer, err := stream.Recv(); err != nil || answer.GetInferResponse().GetModelVersion() != "old" {
		t.Errorf("the stream that was open: %v, %v", answer, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil || err.Error() != "EOF" {
		t.Errorf("the stream ended with %v", err)
	}
}

// TestIdentityChanges: a token that was remembered is judged anew.
func TestIdentityChanges(t *testing.T) {
	g := start(t, setup{})
	ctx := g.as("bob")
	if _, err := g.ModelInfer(ctx, add("simple")); err != nil {
		t.Fatal(err)
	}
	config := strings.Replace(g.read("sluice.yaml"), "audiences: [sluice]", "audiences: [another]", 1)
	g.Write("sluice.yaml", config)
	g.Reload()
	_, err := g.ModelInfer(ctx, add("simple"))
	wantRefusal(t, err, codes.Unauthenticated, access.ReasonTokenInvalid)
}
