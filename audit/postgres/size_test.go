package postgres_test

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

// maxBytes is what a record may take on disk, without payload.
const maxBytes = 400

// TestSearchInMany builds a large log, and searches in it by principal and time;
// with the build tag soak it has 10 million records.
func TestSearchInMany(t *testing.T) {
	l := open(t, pgtest.Start(t).Database(t))
	defer func() { must(t, l.Close()) }()
	began := time.Now()
	for i := 0; i < records; i += 1000 {
		must(t, l.Append(t.Context(), audit.Batch{Replica: audittest.Replica, Entries: audittest.Infers(audittest.Replica, i, i+1000)}))
	}
	s, err := l.Stats(t.Context())
	must(t, err)
	if each := s.Bytes / records; each > maxBytes {
		t.Errorf("a record takes %d bytes", each)
	}
	t.Logf("%d records in %v, %d bytes each", records, time.Since(began), s.Bytes/records)
	middle := audittest.Infer(records / 2)
	hour := middle.Time.Add(-30 * time.Minute)
	for name, q := range map[string]audit.Query{
		"principal, the newest":            {Principal: middle.Subject, Limit: 100},
		"principal in an hour":             {Principal: middle.PrincipalID(), Since: hour, Until: hour.Add(time.Hour), Limit: 100},
		"principal in an hour, the oldest": {Principal: middle.Subject, Since: hour, Until: hour.Add(time.Hour), Limit: 100, Oldest: true},
		"principal in a minute":            {Principal: middle.Subject, Since: middle.Time, Until: middle.Time.Add(time.Minute)},
		"nobody":                           {Principal: "nobody"},
		"a session":                        {Session: middle.Session},
		"a call":                           {Call: middle.Call},
		"loads approved by":                {Verb: "load", Approver: "https://login.example.com#carol", Since: hour, Limit: 100},
	} {
		var slowest time.Duration
		n := 0
		for range 3 {
			at := time.Now()
			n = 0
			for _, err := range l.Search(t.Context(), q) {
				must(t, err)
				n++
			}
			slowest = max(slowest, time.Since(at))
		}
		t.Logf("%s: %d records in %v", name, n, slowest)
		if slowest > bar {
			t.Errorf("%s: took %v, more than %v", name, slowest, bar)
		}
		if (n == 0) != (name == "nobody") {
			t.Errorf("%s: %d records", name, n)
		}
	}
}
