package backends_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
)

// backend is a double: nothing but a name, and what ModelConfig answers.
type backend struct {
	name       string
	InvokeFunc func(ctx context.Context, method string, req, resp any) error
}

var _ backends.Backend = (*backend)(nil)

func (b *backend) Name() string            { return b.name }
func (b *backend) Traits() backends.Traits { return backends.Traits{} }
func (b *backend) Close() error            { return nil }
func (b *backend) Outgoing(ctx context.Context, _ map[string][]string) (context.Context, error) {
	return ctx, nil
}

func (b *backend) Invoke(ctx context.Context, method string, req, resp any, _ ...grpc.CallOption) error {
	return b.InvokeFunc(ctx, method, req, resp)
}

func (b *backend) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.New("no streams here")
}

func TestAModelsBackend(t *testing.T) {
	table, err := backends.NewTable([]backends.Route{
		{Backend: &backend{name: "rest"}, Patterns: []string{"*"}},
		{Backend: &backend{name: "llama"}, Patterns: []string{"llama-*", "*-chat"}},
		{Backend: &backend{name: "big"}, Patterns: []string{"llama-70b-*", "llama-exact"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for model, want := range map[string]string{
		"resnet": "rest", "llama-7b": "llama", "llama-70b-q4": "big", "llama-exact": "big", "llama-exactly": "llama",
		"mistral-chat": "llama", "llama-70b-chat": "big", "": "rest", "LLAMA-7b": "rest",
	} {
		b, refused := table.Find(model, "")
		if refused != nil || b.Name() != want {
			t.Errorf("%q is at %v (%v), want %s", model, b, refused, want)
		}
	}
}

func TestAModelThatNoBackendHas(t *testing.T) {
	table, err := backends.NewTable([]backends.Route{{Backend: &backend{name: "a"}, Patterns: []string{"a-*"}}})
	if err != nil {
		t.Fatal(err)
	}
	_, refused := table.Find("b", "")
	if refused == nil || refused.Kind != access.NotFound || refused.Message != "Request for unknown model: 'b' is not found" {
		t.Errorf("got %v, want Triton's words", refused)
	}
}

func TestOnePatternAtTwoBackendsIsAnError(t *testing.T) {
	for _, pattern := range []string{"*", "exact", "a*"} {
		_, err := backends.NewTable([]backends.Route{{Backend: &backend{name: "first"}, Patterns: []string{pattern}}, {Backend: &backend{name: "second"}, Patterns: []string{pattern}}})
		if err == nil || !strings.Contains(err.Error(), "first") || !strings.Contains(err.Error(), "second") {
			t.Errorf("%q: got %v", pattern, err)
		}
	}
}

func TestWhatOfACallersMetadataGoesOn(t *testing.T) {
	incoming := map[string][]string{
		"authorization": {"Bearer caller"}, "proxy-authorization": {"x"}, "cookie": {"x"}, "triton-grpc-protocol-infer": {"x"},
		"sluice-reason": {"x"}, "grpcgateway-authorization": {"x"}, "x-api-key": {"the caller's"},
		":authority": {"x"}, "content-type": {"x"}, "user-agent": {"x"}, "te": {"x"}, "grpc-accept-encoding": {"x"}, "grpc-timeout": {"x"}, "host": {"x"},
		"x-trace": {"1", "2"}, "traceparent": {"t"}, "triton_grpc_error": {"true"}, "x-blob-bin": {"\x00\xff"},
	}
	credential := func() (map[string]string, error) {
		return map[string]string{"authorization": "Bearer gateway", "x-api-key": "the gateway's"}, nil
	}
	for _, c := range []struct {
		name    string
		forward backends.Forwarder
		want    metadata.MD
	}{
		{"all that may", backends.Forwarder{}, metadata.MD{"x-api-key": {"the caller's"}, "x-trace": {"1", "2"}, "traceparent": {"t"}, "triton_grpc_error": {"true"}, "x-blob-bin": {"\x00\xff"}}},
		{"less what is held back", backends.Forwarder{Hold: []string{backends.GRPCErrorKey, "x-blob-bin", "traceparent"}}, metadata.MD{"x-api-key": {"the caller's"}, "x-trace": {"1", "2"}}},
		{"narrowed", backends.Forwarder{Allow: []string{"x-tr*", "authorization", "cookie"}}, metadata.MD{"x-trace": {"1", "2"}}},
		{"the credential's names are the gateway's", backends.Forwarder{Allow: []string{"x-*"}, Credential: credential}, metadata.MD{"authorization": {"Bearer gateway"}, "x-api-key": {"the gateway's"}, "x-trace": {"1", "2"}, "x-blob-bin": {"\x00\xff"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, err := c.forward.Outgoing(t.Context(), incoming)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := metadata.FromOutgoingContext(ctx)
			for key := range c.want {
				if !slices.Equal(got[key], c.want[key]) {
					t.Errorf("%s is %q, want %q", key, got[key], c.want[key])
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestACredentialThatCannotBeReadEndsTheCall(t *testing.T) {
	f := backends.Forwarder{Credential: func() (map[string]string, error) { return nil, errors.New("gone") }}
	if _, err := f.Outgoing(t.Context(), nil); err == nil {
		t.Error("the call goes on without its credential")
	}
}
