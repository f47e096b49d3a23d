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

// BenchmarkWords is what a word of a payload costs in the index.
func BenchmarkWords(b *testing.B) {
	l, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "audit.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	const words = 200 // of each payload
	hash := uint64(1)
	n, before := 0, cpu(b)
	for at := 0; n < b.N; at += sqlite.SegmentSize {
		entries := audittest.Infers(audittest.Replica, at, at+sqlite.SegmentSize)
		for i := range entries {
			p := &audit.Payload{ID: entries[i].Record.Call, Key: "day", Body: []byte{}}
			for range words {
				hash = hash*6364136223846793005 + 1442695040888963407
				p.Words = append(p.Words, hash)
			}
			entries[i].Payload = p
			n += words
		}
		if err := l.Append(b.Context(), audit.Batch{Replica: audittest.Replica, Entries: entries}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1000/float64(n), "cpu-µs/word")
}

func cpu(b testing.TB) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
