package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

// TestADamagedPage of whatever file of the database: a search goes on behind what it makes
// unreadable, and names it; what an index alone was needed for is found without.
func TestADamagedPage(t *testing.T) {
	server := pgtest.Start(t)
	const size = 6000
	for name, c := range map[string]struct {
		relation string // its file, as PostgreSQL's regclass reads it
		lost     bool   // records with it
	}{
		"segments":        {"(SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'sluice_audit_segment_20260301')", true},
		"rows of those":   {"'sluice_audit_segment_20260301'", true},
		"their index":     {"(SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'sluice_audit_segment_20260301'::regclass ORDER BY 1 LIMIT 1)", true},
		"terms":           {"'sluice_audit_term_20260301'", false},
		"index of terms":  {"(SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'sluice_audit_term_20260301'::regclass)", false},
		"filters of ids":  {"'sluice_audit_call_20260301'", false},
		"words":           {"'sluice_audit_payload_20260301'", false},
		"the newest rows": {"'sluice_audit_head'", true},
	} {
		t.Run(name, func(t *testing.T) {
			url := server.Database(t)
			l := open(t, url)
			all := audittest.Infers("r", 0, size)
			for at := 0; at < size-100; at += 590 {
				must(t, l.Append(t.Context(), audit.Batch{Replica: "r", Entries: all[at : at+590]}))
			}
			must(t, l.Append(t.Context(), audit.Batch{Replica: "r", Entries: all[size-100:]}))
			spoil(t, server, l.Text, c.relation)
			must(t, l.Close()) // its connections are gone with the server
			l = open(t, url)
			defer func() { must(t, l.Close()) }()
			lost := false
			for what, q := range map[string]audit.Query{
				"all": {}, "principal": {Principal: all[700].Record.Subject}, "call": {Call: all[700].Record.Call}, "time": {Since: all[500].Record.Time},
			} {
				for _, oldest := range []bool{true, false} {
					q.Oldest = oldest
					told := make([]bool, size)
					for f, err := range l.Search(t.Context(), q) {
						d := (*audit.DamagedError)(nil)
						if errors.As(err, &d) {
							for i := d.First; i <= d.Last; i++ {
								told[i], lost = true, true
							}
							continue
						}
						must(t, err)
						if told[f.Place] {
							t.Fatalf("%s: record %d comes twice, or is not damaged", what, f.Place)
						}
						told[f.Place] = true
					}
					for i := range all {
						if q.Matches(all[i].Record) && !told[i] {
							t.Fatalf("%s (oldest %v): record %d is neither given nor told of", what, oldest, i)
						}
					}
				}
			}
			if lost != c.lost {
				t.Errorf("records are damaged: %v", lost)
			}
			if s, err := l.Stats(t.Context()); err != nil || s.Records != size || s.Oldest.IsZero() && name == "terms" {
				t.Errorf("stats are %+v, %v", s, err)
			}
		})
	}
}

// spoil overwrites the first pages of a relation's file while the server is down.
func spoil(t *testing.T, server *pgtest.Server, text func(t testing.TB, sql string) string, relation string) {
	t.Helper()
	text(t, "CHECKPOINT")
	path := filepath.Join(text(t, "SHOW data_directory"), text(t, fmt.Sprintf("SELECT pg_relation_filepath(%s::regclass)", relation)))
	must(t, server.Stop())
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	info, err := f.Stat()
	must(t, err)
	pages := min(info.Size(), 2*8192)
	_, err = f.WriteAt(bytes.Repeat([]byte{0xff}, int(pages)), 0)
	must(t, errors.Join(err, f.Close()))
	must(t, server.Start())
}
