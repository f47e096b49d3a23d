package audittest

import (
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
)

// Searcher is what is searched in.
type Searcher interface {
	Search(ctx context.Context, q audit.Query) iter.Seq2[audit.Found, error]
}

// SearchMany searches in a log of the first n of [Infer] by principal, time, session
// and call, and fails t where a search takes longer than bar.
func SearchMany(t *testing.T, l Searcher, n int, bar time.Duration) {
	t.Helper()
	middle := Infer(n / 2)
	hour := middle.Time.Add(-30 * time.Minute)
	for name, c := range map[string]struct {
		query audit.Query
		none  bool
	}{
		"principal, the newest":            {query: audit.Query{Principal: middle.Subject, Limit: 100}},
		"principal in an hour":             {query: audit.Query{Principal: middle.PrincipalID(), Since: hour, Until: hour.Add(time.Hour), Limit: 100}},
		"principal in an hour, the oldest": {query: audit.Query{Principal: middle.Subject, Since: hour, Until: hour.Add(time.Hour), Limit: 100, Oldest: true}},
		"principal in a minute":            {query: audit.Query{Principal: middle.Subject, Since: middle.Time, Until: middle.Time.Add(time.Minute)}},
		"nobody":                           {query: audit.Query{Principal: "nobody"}, none: true},
		"a session":                        {query: audit.Query{Session: middle.Session}},
		"a call":                           {query: audit.Query{Call: middle.Call}},
		"the first call":                   {query: audit.Query{Call: Infer(0).Call}},
		"no call":                          {query: audit.Query{Call: "none"}, none: true},
		"loads approved by":                {query: audit.Query{Verb: "load", Approver: "https://login.example.com#carol", Since: hour, Limit: 100}},
	} {
		found, took := timed(t, l, c.query)
		median := took[len(took)/2]
		t.Logf("%s: %d records in %v to %v, median %v", name, found, took[0], took[len(took)-1], median)
		if median > bar {
			t.Errorf("%s: took %v, more than %v", name, median, bar)
		}
		if (found == 0) != c.none {
			t.Errorf("%s: %d records", name, found)
		}
	}
}

// timed searches some times over, and gives the times in their order: the slowest are
// the machine's, which has other things to do.
func timed(t *testing.T, l Searcher, q audit.Query) (found int, took []time.Duration) {
	t.Helper()
	for range 15 {
		at := time.Now()
		found = 0
		for _, err := range l.Search(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			found++
		}
		took = append(took, time.Since(at))
	}
	slices.Sort(took)
	return found, took
}
