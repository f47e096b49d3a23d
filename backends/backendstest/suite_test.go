package backendstest_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// plain is a client of the double with nothing around it, and one mistake.
type plain struct {
	*grpc.ClientConn
	forward backends.Forwarder
	mistake string
}

func (p *plain) Name() string            { return "plain" }
func (p *plain) Traits() backends.Traits { return backends.Traits{} }

func (p *plain) Outgoing(ctx context.Context, incoming map[string][]string) (context.Context, error) {
	if p.mistake == "forwards the caller's token" {
		return metadata.NewOutgoingContext(ctx, incoming), nil
	}
	return p.forward.Outgoing(ctx, incoming)
}

func (p *plain) Close() error {
	if p.mistake == "stays open" {
		return nil
	}
	return p.ClientConn.Close()
}

func (p *plain) Invoke(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	switch r := req.(type) {
	case *inference.ModelInferRequest:
		if p.mistake == "changes ids" {
			r.Id += "x"
		}
		if p.mistake == "forgets the caller" {
			ctx = context.WithoutCancel(ctx)
		}
	case *inference.RepositoryModelLoadRequest:
		if p.mistake == "mistakes the name of a load" {
			r.ModelName, r.RepositoryName = "", r.GetModelName()
		}
	}
	err := p.ClientConn.Invoke(ctx, method, req, resp, opts...)
	if p.mistake == "knows every model" && status.Code(err) == codes.NotFound {
		return nil
	}
	return err
}

func (p *plain) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := p.ClientConn.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &plainStream{s, p.mistake}, nil
}

type plainStream struct {
	grpc.ClientStream
	mistake string
}

func (s *plainStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	a, ok := m.(*inference.ModelStreamInferResponse)
	switch {
	case s.mistake == "ends broken streams well" && status.Code(err) == codes.Unavailable:
		return s.ClientStream.Context().Err()
	case err == nil && ok && s.mistake == "marks no end":
		delete(a.GetInferResponse().GetParameters(), "triton_final_response")
	case err == nil && ok && s.mistake == "mixes answers up":
		a.GetInferResponse().Id = "a"
	}
	return err
}

// mistakes has, for each, the test of the suite that has to find it.
var mistakes = map[string]string{
	"forwards the caller's token": "metadata",
	"stays open":                  "close",
	"changes ids":                 "infer_raw",
	"forgets the caller":          "cancel",
	"mistakes the name of a load": "load_and_unload",
	"knows every model":           "infer_an_unknown_model",
	"ends broken streams well":    "break_in_mid-stream",
	"marks no end":                "stream",
	"mixes answers up":            "two_requests_on_a_stream",
	// grpc-go's own errors are not told from the server's by a plain client.
	"tells no errors apart": "server_away",
}

const mistakeEnv = "BACKENDSTEST_MISTAKE"

// TestSuiteFindsMistakes runs the suite again, in a process of its own, on a
// backend that has one.
func TestSuiteFindsMistakes(t *testing.T) {
	for mistake, by := range mistakes {
		t.Run(mistake, func(t *testing.T) {
			t.Parallel()
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMistaken$/^"+by+"$", "-test.timeout=60s")
			c.Env = append(os.Environ(), mistakeEnv+"="+mistake)
			out, err := c.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestMistaken/"+by+" ") {
				t.Errorf("the suite did not notice (%v):\n%s", err, out)
			}
		})
	}
}

// TestMistaken is what TestSuiteFindsMistakes runs.
func TestMistaken(t *testing.T) {
	mistake := os.Getenv(mistakeEnv)
	if mistake == "" {
		t.Skip("runs as a part of TestSuiteFindsMistakes")
	}
	backendstest.Hurry()
	backendstest.Run(t, backendstest.TritonHarness(func(t *testing.T, s backendstest.Setup, server *backendstest.Server) backends.Backend {
		t.Helper()
		if server == nil {
			server = &backendstest.Server{}
		}
		return &plain{dialled(t, s.Mode, server), s.Forwarder, mistake}
	}))
}

func dialled(t *testing.T, mode backendstest.Mode, server *backendstest.Server) *grpc.ClientConn {
	t.Helper()
	if mode != backendstest.ModeAway {
		return server.Conn(t)
	}
	return server.Conn(t, grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, net.ErrClosed }))
}
