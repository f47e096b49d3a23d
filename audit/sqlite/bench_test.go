package sqlite_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/audit/sqlite"
)

// BenchmarkRecord is what a record costs from the call's hand to the disk, in one
// go: queue, encoding, hashes, checkpoints, segments, indexes. It says how many go
// through in a second, what CPU each takes, and how many bytes it is on disk.
func BenchmarkRecord(b *testing.B) {
	dir := b.TempDir()
	path := filepath.Join(dir, "audit.db")
	log, err := sqlite.Open(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	key, err := merkle.OpenKey(filepath.Join(dir, "audit.key"))
	if err != nil {
		b.Fatal(err)
	}
	var config audit.Config
	config.SetDefaults()
	r, err := audit.NewRecorder(b.Context(), audit.Options{Log: log, Key: key, Config: config, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	records := make([]*audit.Record, b.N)
	for i := range records {
		records[i] = audittest.Infer(i)
	}
	before, began := cpu(b), time.Now()
	b.ResetTimer()
	for _, record := range records {
		if err := r.Admit(context.Background()); err != nil {
			b.Fatal(err)
		}
		r.Record(record, nil)
	}
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	took, used := time.Since(began), cpu(b)-before
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	n := float64(b.N)
	b.ReportMetric(n/took.Seconds(), "records/s")
	b.ReportMetric(float64(used.Nanoseconds())/1000/n, "cpu-µs/record")
	b.ReportMetric(float64(info.Size())/n, "bytes/record")
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
