package server_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access/accesstest"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/server"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
	"github.com/sluice-gateway/sluice/wire/wiretest"
)

// pair is two gateways with one configuration, in folders of their own, and one
// issuer.
func pair(t *testing.T, s setup) (one, two *gateway) {
	t.Helper()
	s.backend, s.policy = startModels(t), rolesOfTheDemo
	one = start(t, s)
	two = &gateway{t: t, dir: t.TempDir(), Log: new(accesstest.Log), Pool: wiretest.NewPool(), reload: make(chan os.Signal), issuer: one.issuer}
	two.configure(s)
	two.run()
	return one, two
}

func (g *gateway) stopped() {
	g.t.Helper()
	g.end()
	if err := <-g.ended; err != nil && !errors.Is(err, context.Canceled) {
		g.t.Fatal(err)
	}
}

// auditLog opens the log as commands do.
func (g *gateway) auditLog() (audit.Log, []string) {
	g.t.Helper()
	cfg, problems := config.Load(filepath.Join(g.dir, "sluice.yaml"))
	if cfg == nil {
		g.t.Fatal(problems)
	}
	l, keys, err := server.OpenAuditLog(g.t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = l.Close() })
	return l, keys
}

// TestTwoGatewaysOneAuditLog: store and log are in one PostgreSQL, without a word
// on audit; one search finds what was done through both, and all of it verifies by
// either one's configuration.
func TestTwoGatewaysOneAuditLog(t *testing.T) {
	t.Setenv("SLUICE_TEST_POSTGRES", pgtest.Start(t).Database(t))
	one, two := pair(t, setup{extra: `store: { postgres: "${SLUICE_TEST_POSTGRES}" }`})
	one.web("bob", "POST", "/v2/models/simple/infer", addJSON)
	two.web("bob", "POST", "/v2/models/simple/infer", addJSON)
	two.web("carol", "POST", "/v2/models/simple/infer", addJSON)
	one.stopped()
	two.stopped()
	l, keys := one.auditLog()
	var said []string
	replicas := make(map[string]int)
	for f, err := range l.Search(t.Context(), audit.Query{Model: "simple", Oldest: true}) {
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, told(f.Record))
		replicas[f.Record.Replica]++
	}
	slices.Sort(said)
	want := []string{
		"call rest bob infer simple allowed OK", "call rest bob infer simple allowed OK",
		"call rest carol infer simple denied PermissionDenied NO_ROLE_ALLOWS",
	}
	if !slices.Equal(said, want) || len(replicas) != 2 {
		t.Errorf("found %q of %v", said, replicas)
	}
	_, others := two.auditLog()
	for _, keys := range [][]string{keys, others} {
		report, err := audit.Verify(t.Context(), l, audit.VerifyOptions{Keys: keys})
		if err != nil || len(report.Findings) > 0 || len(report.Logs) != 2 || report.Logs[0].Unsigned+report.Logs[1].Unsigned > 0 {
			t.Errorf("it does not verify: %+v, %v", report, err)
		}
	}
	if len(keys) != 2 || keys[0] != others[1] || keys[1] != others[0] {
		t.Errorf("the keys are %v and %v", keys, others)
	}
}

// TestAKeyInTheDatabase does not take the place of the configuration's own: who can
// write to the log could have put it there.
func TestAKeyInTheDatabase(t *testing.T) {
	t.Setenv("SLUICE_TEST_POSTGRES", pgtest.Start(t).Database(t))
	g := start(t, setup{extra: `audit: { postgres: "${SLUICE_TEST_POSTGRES}", key: keys/audit.key }`})
	g.stopped()
	l, before := g.auditLog()
	shared, ok := l.(interface {
		Claim(ctx context.Context, replica, public string) error
	})
	if !ok {
		t.Fatal("it is another kind of log")
	}
	origin, _, _ := strings.Cut(before[0], "+")
	if err := shared.Claim(t.Context(), origin, origin+"+00000000+forged"); err == nil {
		t.Error("another key takes the name")
	}
	if err := shared.Claim(t.Context(), "sluice/else", "sluice/else+00000000+forged"); err != nil {
		t.Fatal(err)
	}
	if _, keys := g.auditLog(); len(keys) != 2 || keys[0] != before[0] {
		t.Errorf("the keys are %v", keys)
	}
}

// TestTwoGatewaysOneKey: the second one is refused at its start.
func TestTwoGatewaysOneKey(t *testing.T) {
	t.Setenv("SLUICE_TEST_POSTGRES", pgtest.Start(t).Database(t))
	g := start(t, setup{extra: `audit: { postgres: "${SLUICE_TEST_POSTGRES}" }`})
	err := server.Run(t.Context(), server.Options{ConfigPath: filepath.Join(g.dir, "sluice.yaml"), Buffers: wiretest.NewPool(), Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "another process writes this replica's log") {
		t.Errorf("got %v", err)
	}
	g.web("bob", "POST", "/v2/models/simple/infer", addJSON)
	g.stopped()
	l, keys := g.auditLog()
	if report, err := audit.Verify(t.Context(), l, audit.VerifyOptions{Keys: keys}); err != nil || len(report.Findings) > 0 {
		t.Errorf("it does not verify: %+v, %v", report, err)
	}
}
