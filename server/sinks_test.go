package server_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSinksGetWhatTheLogHas: several at once, in the log's order; one that is away
// holds up neither calls nor the others.
func TestSinksGetWhatTheLogHas(t *testing.T) {
	g := start(t, setup{extra: `
audit:
  sqlite: audit.db
  sinks:
    - { name: files, jsonl: { path: out.jsonl } }
    - { name: away, syslog: { address: "127.0.0.1:1", network: tcp } }
`})
	for range 3 {
		if _, err := g.ModelInfer(g.as("bob"), simpleRequest("r1")); err != nil {
			t.Fatal(err)
		}
	}
	var records []map[string]any
	eventually(t, "the records", func() bool {
		text, err := os.ReadFile(filepath.Join(g.dir, "out.jsonl"))
		records = nil
		for line := range strings.Lines(string(text)) {
			var r map[string]any
			if json.Unmarshal([]byte(line), &r) == nil {
				records = append(records, r)
			}
		}
		return err == nil && len(records) >= 4
	})
	for i, r := range records {
		if seq, _ := r["sluice.seq"].(float64); int(seq) != i || i == 0 && r["sluice.kind"] != "start" || i > 0 && (r["sluice.kind"] != "call" || r["user.name"] != "bob") {
			t.Errorf("record %d is %v", i, r)
		}
	}
	eventually(t, "the metrics", func() bool {
		text := g.scrape()
		return strings.Contains(text, `sluice_audit_sink_up{sink="files"} 1`) && strings.Contains(text, `sluice_audit_sink_up{sink="away"} 0`)
	})
}
