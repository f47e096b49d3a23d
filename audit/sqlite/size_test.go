package sqlite_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/audit/sqlite"
)

// maxBytes is what a record may take on disk, without payload.
const maxBytes = 400

// TestMany writes a large log as a gateway does, searches in it by principal, time and
// call, opens it again as a gateway does, and verifies it; with the build tag soak it
// has 10 million records.
func TestMany(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.db")
	key, err := merkle.OpenKey(filepath.Join(dir, "audit.key"))
	must(t, err)
	fillMany(t, recorderOf(t, open(t, path), key))
	info, err := os.Stat(path)
	must(t, err)
	if each := info.Size() / records; each > maxBytes {
		t.Errorf("a record takes %d bytes", each)
	}
	t.Logf("%d bytes each", info.Size()/records)

	l := open(t, path)
	audittest.SearchMany(t, l, records, bar)
	must(t, l.Close())

	began := time.Now()
	l = open(t, path)
	r := recorderOf(t, l, key)
	t.Logf("opened in %v", time.Since(began))
	began = time.Now()
	report, err := audit.Verify(t.Context(), l, audit.VerifyOptions{Keys: []string{key.Public()}})
	if err != nil || len(report.Findings) > 0 || len(report.Logs) != 1 || report.Logs[0].Records != records || report.Logs[0].Unsigned > 0 {
		t.Errorf("verified: %+v, %v", report, err)
	}
	t.Logf("%.0f verified/s", records/time.Since(began).Seconds())
	must(t, r.Close())
}

func recorderOf(t *testing.T, l *sqlite.Log, key *merkle.Key) *audit.Recorder {
	t.Helper()
	var c audit.Config
	c.SetDefaults()
	r, err := audit.NewRecorder(t.Context(), audit.Options{Log: l, Key: key, Config: c, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	return r
}

// fillMany records as fast as the log takes it. It tells of each tenth by itself: what
// slows as the log grows is seen.
func fillMany(t *testing.T, r *audit.Recorder) {
	t.Helper()
	const tenth = records / 10
	began, used := time.Now(), cpu(t)
	for at, i := began, 0; i < records; i++ {
		must(t, r.Admit(t.Context()))
		r.Record(audittest.Infer(i), nil)
		if (i+1)%tenth == 0 {
			t.Logf("up to %d: %.0f/s, %.1f µs of CPU each", i+1, tenth/time.Since(at).Seconds(), float64((cpu(t)-used).Nanoseconds())/1000/tenth)
			at, used = time.Now(), cpu(t)
		}
	}
	must(t, r.Close())
	t.Logf("%d records, %.0f/s", records, records/time.Since(began).Seconds())
}
