package server

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/payload"
	auditlog "github.com/sluice-gateway/sluice/audit/sqlite"
)

// TestKeysOfPayloadsAreShreddedByTheRecordersClock alone: while that is in doubt all stay.
func TestKeysOfPayloadsAreShreddedByTheRecordersClock(t *testing.T) {
	for name, believed := range map[string]bool{"believed": true, "in doubt": false} {
		t.Run(name, func(t *testing.T) {
			log, err := auditlog.Open(t.Context(), filepath.Join(t.TempDir(), "audit.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = log.Close() }()
			if err := log.PutKey(t.Context(), audit.Key{ID: "2020-01-01/a", Sealed: make([]byte, 32)}); err != nil {
				t.Fatal(err)
			}
			keeper, err := payload.New(payload.Options{Masker: func(string) payload.Masker { return nil }, Sealer: keyring{}, Store: log})
			if err != nil {
				t.Fatal(err)
			}
			defer keeper.Close(t.Context())
			asked := make(chan struct{})
			p := &payloads{keeper: keeper, log: slog.New(slog.DiscardHandler), horizon: func() (time.Time, bool) {
				close(asked)
				return time.Now(), believed
			}}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { p.run(ctx); close(ended) }()
			<-asked
			keys := 1
			for deadline := time.Now().Add(time.Minute); believed && keys > 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				keys = keysOf(t, log)
			}
			cancel()
			<-ended
			if keys = keysOf(t, log); (keys == 0) != believed {
				t.Errorf("%d keys are left", keys)
			}
		})
	}
}

func keysOf(t *testing.T, log audit.Payloads) int {
	t.Helper()
	keys, err := log.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(keys)
}
