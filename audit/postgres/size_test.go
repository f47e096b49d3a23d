package postgres_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/audit/postgres"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

// maxBytes is what a record may take on disk, without payload.
const maxBytes = 400

// TestMany builds a large log, searches in it by principal, time and call, opens it
// again as a gateway does, and verifies it; with the build tag soak it has 10 million
// records.
func TestMany(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	key, err := merkle.OpenKey(keyIn(t))
	must(t, err)
	l := open(t, url)
	must(t, l.Claim(t.Context(), key.Origin(), key.Public()))
	fillMany(t, l, key)
	s, err := l.Stats(t.Context())
	must(t, err)
	if each := s.Bytes / records; each > maxBytes {
		t.Errorf("a record takes %d bytes", each)
	}
	t.Logf("%d bytes each", s.Bytes/records)
	audittest.SearchMany(t, l, records, bar)
	must(t, l.Close())

	began := time.Now()
	l = open(t, url)
	var c audit.Config
	c.SetDefaults()
	r, err := audit.NewRecorder(t.Context(), audit.Options{Log: l, Key: key, Config: c, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Logf("opened in %v", time.Since(began))
	began = time.Now()
	if found, report := verify(t, l); len(found) > 0 || len(report.Logs) != 1 || report.Logs[0].Records != records {
		t.Errorf("verified: %v, %+v", found, report)
	}
	t.Logf("%.0f verified/s", records/time.Since(began).Seconds())
	must(t, r.Close())
}

// fillMany writes batches as large as a recorder's are under load, a checkpoint with
// the last.
func fillMany(t *testing.T, l *postgres.Log, key *merkle.Key) {
	t.Helper()
	const batch = 1000
	var tree merkle.Tree
	var writing time.Duration
	for i := 0; i < records; i += batch {
		b := audit.Batch{Replica: key.Origin(), Entries: audittest.Infers(key.Origin(), i, i+batch), Sync: i%(50*batch) == 0}
		for _, e := range b.Entries {
			tree.Append(e.Leaf)
		}
		if i+batch == records {
			s := merkle.Statement{Origin: key.Origin(), Size: tree.Size(), Root: tree.Root(), Time: audittest.Began}
			note, err := key.Sign(s)
			must(t, err)
			must(t, key.Remember(note, &tree))
			b.Checkpoint = &audit.Checkpoint{Replica: s.Origin, Size: s.Size, Root: s.Root, Time: s.Time, Note: note}
		}
		began := time.Now()
		must(t, l.Append(t.Context(), b))
		writing += time.Since(began)
	}
	t.Logf("%d records, %.0f/s", records, records/writing.Seconds())
}
