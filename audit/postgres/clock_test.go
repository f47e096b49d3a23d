package postgres_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

// clocked is a gateway whose clock is ahead by so much.
func clocked(t *testing.T, url, keyFile string, ahead time.Duration) *gateway {
	t.Helper()
	g := &gateway{log: open(t, url), path: keyFile}
	var err error
	g.key, err = merkle.OpenKey(keyFile)
	must(t, err)
	must(t, g.log.Claim(t.Context(), g.key.Origin(), g.key.Public()))
	var c audit.Config
	c.SetDefaults()
	c.Retain = 30 * day
	g.Recorder, err = audit.NewRecorder(t.Context(), audit.Options{
		Log: g.log, Key: g.key, Config: c, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Now().Add(ahead) },
	})
	must(t, err)
	must(t, g.Write(t.Context(), audittest.Infer(1), nil))
	return g
}

// TestAClockInDoubtIsOneForNewReplicasToo: what a wrong clock has signed vouches for no
// other, and what another replica has left stays; the log verifies.
func TestAClockInDoubtIsOneForNewReplicasToo(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	const wrong = 365 * day
	old, right := keyIn(t), keyIn(t)
	for _, step := range []struct {
		who   string
		key   string
		ahead time.Duration
		ok    bool
	}{
		{"the first", old, 0, true},
		{"one with another clock, new", keyIn(t), wrong, false},
		{"the first, its clock set ahead", old, wrong, false},
		{"the first again", old, wrong, false},
		{"a new one beside it", keyIn(t), wrong, false},
		{"a new one whose clock is right, beside wrong ones", right, 0, false}, // it can't know
	} {
		g := clocked(t, url, step.key, step.ahead)
		if _, ok := g.Horizon(); ok != step.ok {
			t.Errorf("%s destroys: %v", step.who, ok)
		}
		must(t, g.Close())
	}
	l := open(t, url)
	defer func() { must(t, l.Close()) }()
	if found, report := verify(t, l); len(found) > 0 {
		t.Errorf("verified: %+v", report)
	}
	if n := len(places(t, l, audit.Query{Kinds: []audit.Kind{audit.KindCall}})); n != 6 {
		t.Errorf("%d calls are left, want 6", n)
	}
}
