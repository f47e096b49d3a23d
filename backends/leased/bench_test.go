package leased_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/leased"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/store/storetest"
)

// instant is a server that answers at once.
type instant struct{}

func (instant) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return nil }

func (instant) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, nil
}
func (instant) Close() error            { return nil }
func (instant) Name() string            { return "gpu" }
func (instant) Traits() backends.Traits { return backends.Traits{} }
func (instant) Outgoing(ctx context.Context, _ map[string][]string) (context.Context, error) {
	return ctx, nil
}

// BenchmarkInvoke is what a lease adds to a call, beside the same call whose
// credential the configuration names: what is to be compared is the two.
func BenchmarkInvoke(b *testing.B) {
	b.Run("from the environment", func(b *testing.B) {
		b.Setenv("SLUICE_TEST_TOKEN", "hunter2")
		var c backends.CredentialConfig
		if err := c.Bearer.UnmarshalText([]byte("${SLUICE_TEST_TOKEN}")); err != nil {
			b.Fatal(err)
		}
		f := backends.Forwarder{Credential: c.Metadata}
		b.ReportAllocs()
		for b.Loop() {
			ctx, err := f.Outgoing(as(context.Background(), nil), nil)
			if err != nil {
				b.Fatal(err)
			}
			_ = instant{}.Invoke(ctx, "/x/y", nil, nil)
		}
	})
	b.Run("leased", func(b *testing.B) {
		ring, err := secret.NewKeyring(secret.NewBytes(make([]byte, secret.KeySize)))
		if err != nil {
			b.Fatal(err)
		}
		secrets := secret.New(secret.Options{Store: storetest.NewMemory(), Ring: ring, Unconfirmed: time.Hour})
		if _, err := secrets.Put(context.Background(), nil, "gpu", secret.Bearer, secret.NewBytes([]byte("hunter2"))); err != nil {
			b.Fatal(err)
		}
		l, err := leased.New(leased.Options{
			Config: backends.Config{Name: "gpu", Credential: &backends.CredentialConfig{Stored: "gpu"}}, Secrets: secrets,
			Log: slog.New(slog.DiscardHandler), Open: func(leased.Shows) (backends.Backend, error) { return instant{}, nil },
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = l.Close() })
		b.ReportAllocs()
		for b.Loop() {
			ctx, err := l.Outgoing(as(context.Background(), nil), nil)
			if err != nil {
				b.Fatal(err)
			}
			if err := l.Invoke(ctx, "/x/y", nil, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
