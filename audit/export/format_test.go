package export_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/export"
)

// written is what a format makes of records.
func written(t *testing.T, f export.Format, records ...*audit.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	write, end := export.NewWriter(f, &b)
	for _, r := range records {
		if err := write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func samples() (all []*audit.Record) {
	for i := range 14 {
		r := sample(i)
		r.Replica, r.Seq = "sluice/1", uint64(i)
		all = append(all, r)
	}
	return append(all, &audit.Record{Kind: audit.KindReload, Replica: "sluice/1", Seq: 14, Time: began, Detail: "policy.yaml"}, &audit.Record{Replica: "sluice/1", Seq: 15})
}

// required is what OCSF 1.6.0 requires of an API Activity (class 6003), as its
// schema says (github.com/ocsf/ocsf-schema, branch v1.6.0 at
// d0cd8a0fef198bf93086044e33fda6d80c74b9ef: events/base_event.json,
// events/application/api_activity.json, objects/{api,metadata,request}.json):
// attributes whose requirement is "required", those of profiles aside. An object's
// are required where the object is.
var required = map[string][]string{
	"":            {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid", "actor", "api", "src_endpoint"},
	"metadata":    {"product", "version"},
	"api":         {"operation"},
	"api.request": {"uid"},
}

// oneOf is what that schema asks for one of at least (objects/{actor,product via
// _entity,network_endpoint,user,service via _entity}.json, "constraints").
var oneOf = map[string][]string{
	"actor":            {"process", "user", "invoked_by", "session", "app_name", "app_uid"},
	"actor.user":       {"account", "name", "uid"},
	"metadata.product": {"name", "uid"},
	"src_endpoint":     {"ip", "uid", "name", "hostname", "svc_name", "instance_uid", "interface_uid", "interface_name", "domain"},
	"dst_endpoint":     {"ip", "uid", "name", "hostname", "svc_name", "instance_uid", "interface_uid", "interface_name", "domain"},
	"api.service":      {"name", "uid"},
}

// at finds an object by its path; nil if it is not there.
func at(v map[string]any, path string) map[string]any {
	for _, key := range strings.Split(path, ".") {
		if key != "" {
			v, _ = v[key].(map[string]any)
		}
	}
	return v
}

func TestOCSF(t *testing.T) {
	lines := bytes.Split(bytes.TrimSpace(written(t, export.OCSF, samples()...)), []byte("\n"))
	for i, line := range lines {
		var v map[string]any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		for path, names := range required {
			object := at(v, path)
			if object == nil && path != "" && path != "metadata" && path != "api" {
				continue
			}
			for _, name := range names {
				if object[name] == nil || object[name] == "" {
					t.Errorf("record %d: %s.%s is missing: %s", i, path, name, line)
				}
			}
		}
		for path, names := range oneOf {
			object, some := at(v, path), false
			for _, name := range names {
				some = some || object[name] != nil && object[name] != ""
			}
			if object != nil && !some {
				t.Errorf("record %d: %s has none of %v: %s", i, path, names, line)
			}
		}
		activity, _ := v["activity_id"].(float64)
		if v["class_uid"] != 6003.0 || v["category_uid"] != 6.0 || v["type_uid"] != 600300+activity || at(v, "metadata")["version"] != "1.6.0" {
			t.Errorf("record %d: %s", i, line)
		}
	}
	var denied struct {
		Severity int `json:"severity_id"`
		Status   int `json:"status_id"`
		Time     int64
		Actor    struct{ User struct{ UID string } }
	}
	if err := json.Unmarshal(lines[1], &denied); err != nil || denied.Severity != 3 || denied.Status != 2 || denied.Time != began.Add(time.Second).UnixMilli() || denied.Actor.User.UID != "https://issuer#bob" {
		t.Errorf("denied: %+v, %v", denied, err)
	}
}

// TestOCSFTellsProbesFromRefusals: strangers' probes that were answered alarm nobody.
func TestOCSFTellsProbesFromRefusals(t *testing.T) {
	for verdict, want := range map[audit.Verdict]string{audit.Allowed: "1 1", audit.Denied: "3 2", 0: "3 2"} {
		var got struct {
			Severity int `json:"severity_id"`
			Status   int `json:"status_id"`
		}
		line := written(t, export.OCSF, &audit.Record{Kind: audit.KindStrangers, Verdict: verdict, Time: began, Count: 20})
		if err := json.Unmarshal(line, &got); err != nil || fmt.Sprint(got.Severity, got.Status) != want {
			t.Errorf("%s: %+v, %v, want %s", verdict, got, err, want)
		}
	}
}

// TestCloudEvents holds the context attributes to CloudEvents 1.0.2, section
// "Required Attributes": non-empty strings, source a URI reference, time RFC 3339.
func TestCloudEvents(t *testing.T) {
	seen := map[string]bool{}
	for _, line := range bytes.Split(bytes.TrimSpace(written(t, export.CloudEvents, samples()...)), []byte("\n")) {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"id", "source", "specversion", "type"} {
			if text, ok := e[name].(string); !ok || text == "" {
				t.Errorf("%s is missing: %s", name, line)
			}
		}
		for name := range e {
			if strings.ToLower(name) != name || strings.ContainsAny(name, "_-.") {
				t.Errorf("%q is no attribute's name", name)
			}
		}
		if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(e["time"])); err != nil || e["specversion"] != "1.0" {
			t.Errorf("%s", line)
		}
		id := fmt.Sprint(e["source"], " ", e["id"])
		if seen[id] {
			t.Errorf("%s comes twice", id)
		}
		seen[id] = true
	}
}

func TestCSV(t *testing.T) {
	evil := []string{`=HYPERLINK("http://x")`, "+1", "-1", "@SUM(1)", "\t=1", "\r=1", " =1", "＝1", "|x", "%x", "\ufeff=1"}
	var records []*audit.Record
	for _, text := range evil {
		records = append(records, &audit.Record{Model: text, Request: text, Detail: "a,\"b\"\nc", Time: began})
	}
	records = append(records, sample(0))
	rows, err := csv.NewReader(bytes.NewReader(written(t, export.CSV, records...))).ReadAll()
	if err != nil || len(rows) != len(records)+1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for i := range evil {
		for _, cell := range rows[i+1] {
			if rest := strings.TrimLeft(cell, " \t\r\n\ufeff"); rest != "" && strings.ContainsAny(rest[:1], "=+-@") {
				t.Errorf("a formula: %q", cell)
			}
		}
		if got := rows[i+1][column["detail"]]; got != "a,\"b\"\nc" {
			t.Errorf("detail %q", got)
		}
	}
	last := rows[len(rows)-1]
	for name, want := range map[string]string{
		"subject": "alice", "time": "2026-03-14T09:26:53.589793Z", "masked": "CARD=1 EMAIL=2", "verdict": "allowed",
		"inputs": "x:FP32[1,2]", "duration_us": "1500", "groups": "a b", "payload": "p1",
	} {
		if got := last[column[name]]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestParquet(t *testing.T) {
	b := written(t, export.Parquet, samples()...)
	type row struct {
		Seq     int64  `parquet:"seq"`
		Time    int64  `parquet:"time"`
		Subject string `parquet:"subject"`
		Masked  string `parquet:"masked"`
		Count   int64  `parquet:"count"`
	}
	rows, err := parquet.Read[row](bytes.NewReader(b), int64(len(b)))
	if err != nil || len(rows) != 16 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if r := rows[0]; r.Subject != "alice" || r.Time != began.UnixMicro() || r.Masked != "CARD=1 EMAIL=2" || rows[4].Count != 3 {
		t.Errorf("row %+v", r)
	}
}

func TestJSONL(t *testing.T) {
	for i, line := range bytes.Split(bytes.TrimSpace(written(t, export.JSONL, samples()...)), []byte("\n")) {
		var r audit.Record
		if err := json.Unmarshal(line, &r); err != nil || r.Seq != uint64(i) {
			t.Errorf("line %d: %v", i, err)
		}
	}
}

func BenchmarkFormats(b *testing.B) {
	for _, f := range export.Formats {
		b.Run(string(f), func(b *testing.B) {
			write, end := export.NewWriter(f, &bytes.Buffer{})
			r := sample(0)
			for range b.N {
				_ = write(r)
			}
			_ = end()
		})
	}
}
