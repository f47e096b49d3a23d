package postgres_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/audit/postgres"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gateway is a recorder as a replica has it, with a key of its own.
type gateway struct {
	*audit.Recorder
	log  *postgres.Log
	key  *merkle.Key
	path string // of the key
}

func newGateway(t *testing.T, url, keyFile string, set func(*audit.Config)) *gateway {
	t.Helper()
	g := &gateway{log: open(t, url), path: keyFile}
	var err error
	if g.key, err = merkle.OpenKey(keyFile); err != nil {
		t.Fatal(err)
	}
	must(t, g.log.Claim(t.Context(), g.key.Origin(), g.key.Public()))
	var c audit.Config
	c.SetDefaults()
	if set != nil {
		set(&c)
	}
	g.Recorder, err = audit.NewRecorder(t.Context(), audit.Options{Log: g.log, Key: g.key, Config: c, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	return g
}

func keyIn(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "audit.key")
}

func (g *gateway) record(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		g.Record(audittest.Infer(i), nil)
	}
	must(t, g.Write(t.Context(), audittest.Infer(n), nil))
}

// verify gives what a verification finds, by the public keys in the database.
func verify(t *testing.T, l *postgres.Log) (found []string, report *audit.Report) {
	t.Helper()
	keys, err := l.PublicKeys(t.Context())
	must(t, err)
	report, err = audit.Verify(t.Context(), l, audit.VerifyOptions{Keys: keys})
	must(t, err)
	for _, f := range report.Findings {
		found = append(found, fmt.Sprint(f.Replica, " ", f.Fault))
	}
	return found, report
}

func places(t *testing.T, l audit.Log, q audit.Query) (all []string) {
	t.Helper()
	for f, err := range l.Search(t.Context(), q) {
		must(t, err)
		all = append(all, fmt.Sprint(f.Record.Replica, "/", f.Place))
	}
	return all
}
