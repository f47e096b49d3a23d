package identity_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	gate "github.com/sluice-gateway/sluice/interceptors/identity"
)

// authenticator knows one token.
type authenticator struct {
	AuthenticateFunc func(ctx context.Context, token string) (*access.Principal, error)
}

func (a authenticator) Authenticate(ctx context.Context, token string) (*access.Principal, error) {
	return a.AuthenticateFunc(ctx, token)
}

type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s stream) Context() context.Context { return s.ctx }

func TestWhoIsLetIn(t *testing.T) {
	bob := &access.Principal{Subject: "bob"}
	g := &gate.Gate{
		Open: func(method string) bool { return method == "/probe" },
		Authenticator: authenticator{func(_ context.Context, token string) (*access.Principal, error) {
			if token != "good" {
				return nil, &access.Error{Kind: access.Unauthenticated, Reason: access.ReasonTokenInvalid}
			}
			return bob, nil
		}},
	}
	for _, c := range []struct {
		name, method string
		header       []string
		who          *access.Principal
		reason       string
	}{
		{"a good token", "/call", []string{"Bearer good"}, bob, ""},
		{"none", "/call", nil, nil, access.ReasonTokenMissing},
		{"a bad token", "/call", []string{"Bearer bad"}, nil, access.ReasonTokenInvalid},
		{"two headers, both good", "/call", []string{"Bearer good", "Bearer good"}, nil, access.ReasonTokenInvalid},
		{"a probe without a token", "/probe", nil, nil, ""},
		{"a probe with a bad token", "/probe", []string{"Bearer bad"}, nil, ""},
	} {
		for kind, run := range map[string]func(context.Context, func()) error{
			"unary": func(ctx context.Context, reached func()) error {
				_, err := g.Step().Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: c.method}, func(context.Context, any) (any, error) { reached(); return nil, nil })
				return err
			},
			"stream": func(ctx context.Context, reached func()) error {
				return g.Step().Stream(nil, stream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: c.method}, func(any, grpc.ServerStream) error { reached(); return nil })
			},
		} {
			t.Run(c.name+" "+kind, func(t *testing.T) {
				call := &access.Call{Metadata: map[string][]string{"authorization": c.header}}
				var reached bool
				err := run(access.WithCall(t.Context(), call), func() { reached = true })
				var reason string
				if e, ok := access.AsError(err); ok {
					reason = e.Reason
				}
				if reason != c.reason || reached != (c.reason == "") || call.Principal != c.who {
					t.Errorf("got %v, reached the handler: %v, as %v", err, reached, call.Principal)
				}
			})
		}
	}
}
