package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *sqlite.Log {
	t.Helper()
	l, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSuite(t *testing.T) {
	audittest.Run(t, func(t *testing.T) audit.Log { return open(t, filepath.Join(t.TempDir(), "audit.db")) }, harm)
}

// harm overwrites the segment of a record, or the row of the head that it is in.
func harm(t *testing.T, l audit.Log, seq uint64) (first, last uint64) {
	t.Helper()
	log := l.(*sqlite.Log)
	const where = "SELECT first, n FROM (SELECT first, n FROM segment UNION ALL SELECT first, n FROM head) WHERE first <= ?1 AND first + n > ?1"
	var n uint64
	must(t, log.Row(t.Context(), where, seq).Scan(&first, &n))
	for _, table := range []string{"block", "head"} {
		must(t, log.Exec(t.Context(), fmt.Sprintf("UPDATE %s SET body = zeroblob(length(body)) WHERE first = %d", table, first)))
	}
	return first, first + n - 1
}
