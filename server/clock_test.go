package server

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/session"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/storetest"
)

// clocked is a server whose recorder goes by a clock that is ahead; what the store keeps
// goes by the machine's.
func clocked(t *testing.T, kept store.Store) (s *Server, ahead *atomic.Int64) {
	t.Helper()
	key, err := merkle.OpenKey(filepath.Join(t.TempDir(), "audit.key"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{Rules: new(config.Rules)}
	cfg.Audit.SetDefaults()
	cfg.Secrets.SetDefaults()
	s, ahead = newServer(Options{Logger: slog.New(slog.DiscardHandler)}, cfg, kept), new(atomic.Int64)
	s.audit, err = audit.NewRecorder(t.Context(), audit.Options{
		Log: new(audittest.Memory), Key: key, Config: cfg.Audit.Config, Logger: s.log, WatchClock: true,
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, ahead
}

// TestTokensEndByTheRecordersClock: while that is in doubt all stay.
func TestTokensEndByTheRecordersClock(t *testing.T) {
	for name, doubt := range map[string]bool{"believed": false, "in doubt": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ring, err := secret.NewKeyring(secret.NewBytes(make([]byte, secret.KeySize)))
				if err != nil {
					t.Fatal(err)
				}
				memory := storetest.NewMemory()
				s, ahead := clocked(t, vouched(memory, ring, slog.New(slog.DiscardHandler), nil))
				defer func() { _ = s.audit.Close() }()
				s.openSecrets(s.started, ring)
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { s.secrets.tokens.Run(ctx); close(ended) }()
				err = s.secrets.tokens.Keep(ctx, []secret.Token{{ID: "EMAIL_tok_aaaaaaaaaaaaaaaaaaaaaaaaaa", Model: "m", Entity: "EMAIL", Text: []byte("a@b.test"), Keep: time.Hour}})
				if err != nil {
					t.Error(err)
				}
				if doubt {
					ahead.Store(int64(30 * 24 * time.Hour))
				}
				time.Sleep(2 * time.Hour)
				items, err := memory.List(ctx, store.Query{Kind: secret.KindToken})
				if err != nil || (len(items) == 1) != doubt {
					t.Errorf("%d tokens are left, %v", len(items), err)
				}
				cancel()
				<-ended
			})
		})
	}
}

// TestWhoIsKeptOutStaysWhileTheRecordersClockIsInDoubt.
func TestWhoIsKeptOutStaysWhileTheRecordersClockIsInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ahead := clocked(t, storetest.NewMemory())
		defer func() { _ = s.audit.Close() }()
		bob := &access.Principal{Issuer: "https://issuer.test", Subject: "bob"}
		if _, err := s.gate.Registry.Kill(t.Context(), session.Order{Principal: bob.ID(), For: time.Hour}); err != nil {
			t.Fatal(err)
		}
		ahead.Store(int64(30 * 24 * time.Hour))
		time.Sleep(2 * time.Hour)
		if !s.gate.Registry.KeptOut(bob) {
			t.Error("he is in while the clock is in doubt")
		}
		time.Sleep(24 * time.Hour)
		if s.gate.Registry.KeptOut(bob) {
			t.Error("he is out though the clock is believed")
		}
	})
}

// TestTheClockIsWatchedWhereThereIsAStore, though the log is kept for ever.
func TestTheClockIsWatchedWhereThereIsAStore(t *testing.T) {
	for name, kept := range map[string]store.Store{"a store": storetest.NewMemory(), "none": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				cfg := &config.Config{Rules: new(config.Rules)}
				cfg.Audit.SetDefaults()
				cfg.Audit.SQLite, cfg.Audit.Key = filepath.Join(dir, "audit.db"), filepath.Join(dir, "audit.key")
				for _, days := range []time.Duration{0, 8} { // that it was off
					time.Sleep(days * 24 * time.Hour)
					s := newServer(Options{Logger: slog.New(slog.DiscardHandler)}, cfg, kept)
					if !s.clockBelieved() {
						t.Error("in doubt without a log")
					}
					if err := s.openAudit(t.Context(), cfg, nil, ""); err != nil {
						t.Fatal(err)
					}
					if doubt := !s.clockBelieved(); doubt != (days > 0 && kept != nil) {
						t.Errorf("off for %d days: in doubt: %v", days, doubt)
					}
					s.closeAudit()
				}
			})
		})
	}
}
