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
	audittest.Run(t, func(t *testing.T) audit.Log { return open(t, server.Database(t)) }, harm)
}

// harm overwrites the segment of a record, or the row of the head that it is in.
func harm(t *testing.T, l audit.Log, seq uint64) (first, last uint64) {
	t.Helper()
	log := l.(*postgres.Log)
	const where = "(SELECT max(first) FROM (SELECT first, n FROM sluice_audit_segment UNION ALL SELECT first, n FROM sluice_audit_head) a WHERE first <= $1 AND first + n > $1)"
	begin, err := log.Count(t.Context(), "SELECT "+where, seq)
	must(t, err)
	n, err := log.Count(t.Context(), "SELECT n FROM (SELECT first, n FROM sluice_audit_segment UNION ALL SELECT first, n FROM sluice_audit_head) a WHERE first = $1", begin)
	must(t, err)
	for _, table := range []string{"sluice_audit_segment", "sluice_audit_head"} {
		must(t, log.Exec(t.Context(), "UPDATE "+table+" SET body = decode(repeat('00', length(body)), 'hex') WHERE first = $1", begin))
	}
	return uint64(begin), uint64(begin + n - 1)
}
