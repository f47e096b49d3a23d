package postgres_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/postgres"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, url string) *postgres.Log {
	t.Helper()
	l, err := postgres.Open(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSuite(t *testing.T) {
	server := pgtest.Start(t)
	audittest.Run(t, func(t *testing.T) audit.Log { return open(t, server.Database(t)) })
}
