package vllm_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
	"github.com/sluice-gateway/sluice/backends/pool"
	"github.com/sluice-gateway/sluice/wire"
)

// TestAStreamFindsTheReplicaThatIsThere: with one replica away, every stream is
// answered whole by the other.
func TestAStreamFindsTheReplicaThatIsThere(t *testing.T) {
	there := startDouble(t)
	away := &double{&generatetest.Double{Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: http.ErrServerClosed}
	}}}
	c := backends.Config{Name: "chat", Type: "vllm", Addresses: []string{"http://there:8000", "http://away:8000"}, Models: []string{"*"}}
	c.Limits.SetDefaults()
	c.Replicas.SetDefaults()
	c.Sequences.SetDefaults()
	p, err := pool.New(pool.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Unwatched: true, Open: func(address, _ string) (backends.Backend, error) {
		d := there
		if address == "http://away:8000" {
			d = away
		}
		return d.backend(t, func(o *generate.Options) { o.Replicated = true }), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	req := generatetest.Ask(model, "1", map[string]any{"text_input": "x", "stream": true})
	for range 8 {
		message, err := wire.FromProto(req)
		if err != nil {
			t.Fatal(err)
		}
		answers := relayed(t, p, message)
		message.Free()
		if answers != "Hello, world!" {
			t.Errorf("the stream says %q", answers)
		}
	}
}

// relayed sends a request as the service does, to the member that it belongs to,
// and returns the text that comes.
func relayed(t *testing.T, p *pool.Pool, message *wire.Message) (text string) {
	t.Helper()
	view, err := message.InferRequest()
	if err != nil {
		t.Fatal(err)
	}
	member, refused := p.Member(t.Context(), view)
	if refused != nil {
		t.Fatal(refused)
	}
	s := openStream(t, member)
	if err := s.SendMsg(message); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for _, a := range receiveAll(t, s) {
		text += a.Text() + a.Error
	}
	return text
}
