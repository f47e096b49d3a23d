package postgres_test

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

// BenchmarkAppend writes batches of 1,000 records, as the recorder's are under
// load, and then verifies them. The server, pgtest's, runs on the same cores.
func BenchmarkAppend(b *testing.B) {
	server := pgtest.Start(b)
	l := open(b, server.Database(b))
	defer func() { _ = l.Close() }()
	const batch = 1000
	n := max(b.N/batch, 20)
	batches := make([][]audit.Entry, n)
	for i := range batches {
		batches[i] = audittest.Infers(audittest.Replica, i*batch, (i+1)*batch)
	}
	b.ResetTimer()
	began := time.Now()
	for i, entries := range batches {
		if err := l.Append(b.Context(), audit.Batch{Replica: audittest.Replica, Entries: entries, Sync: i%50 == 0}); err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(began)
	b.StopTimer()
	stats, err := l.Stats(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	records := float64(n * batch)
	b.ReportMetric(records/took.Seconds(), "records/s")
	b.ReportMetric(float64(stats.Bytes)/records, "bytes/record")
	began = time.Now()
	report, err := audit.Verify(b.Context(), l, audit.VerifyOptions{})
	if err != nil || len(report.Findings) > 0 {
		b.Fatal(report, err)
	}
	b.ReportMetric(records/time.Since(began).Seconds(), "verified/s")
}
