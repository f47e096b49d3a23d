package admin

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

const (
	// maxCounted is how many records one GetStats looks at.
	maxCounted = 200_000
	// mostCounts is how many of each are told.
	mostCounts = 20
	// maxNames bounds how many names are counted by.
	maxNames = 10_000
)

func (s *Service) getStats(ctx context.Context, call *access.Call, m *pb.GetStatsRequest) (*pb.GetStatsResponse, error) {
	a, refused := s.auditor(call)
	if refused != nil {
		return nil, refused
	}
	q, err := s.query(ctx, call, m.GetQuery())
	if err != nil {
		return nil, err
	}
	out := &pb.GetStatsResponse{Complete: true}
	if counter, ok := s.Log.(audit.Counter); ok && s.holds(call.Principal, access.AuditRead) {
		st, err := counter.Stats(ctx)
		if err != nil {
			return nil, unreadable(err)
		}
		out.Records, out.Payloads, out.Bytes = int64(st.Records), int64(st.Payloads), st.Bytes
		out.Oldest, out.Newest = timestamp(st.Oldest), timestamp(st.Newest)
	}
	tally := make(tallies)
	looked := 0
	var past audit.Damage
	for found, err := range s.Log.Search(ctx, q) {
		if past.Take(err) {
			continue
		}
		if err != nil {
			return nil, unreadable(err)
		}
		if looked++; looked > maxCounted {
			out.Complete = false
			break
		}
		if a.sees(found.Record) {
			out.Counted++
			tally.record(found.Record)
		}
	}
	out.Damaged, out.DamagedRecords = damages(&past)
	out.ByVerdict, out.ByPrincipal, out.ByModel = tally.most("verdict"), tally.most("principal"), tally.most("model")
	out.ByVerb, out.ByEntity, out.ByKind = tally.most("verb"), tally.most("entity"), tally.most("kind")
	return out, nil
}

// tallies count names of several sorts.
type tallies map[string]map[string]int64

func (t tallies) add(sort, name string, n int64) {
	if name == "" {
		return
	}
	if t[sort] == nil {
		t[sort] = make(map[string]int64)
	}
	if _, known := t[sort][name]; known || len(t[sort]) < maxNames {
		t[sort][name] += n
	}
}

// record counts what was done once: a call's intent is not another call, and what
// was asked and masked on a stream is counted with its requests.
func (t tallies) record(r *audit.Record) {
	t.add("kind", r.Kind.String(), 1)
	if r.Kind == audit.KindIntent || r.OfStream() && r.Verdict == audit.Allowed {
		return
	}
	if r.Verdict != 0 {
		t.add("verdict", r.Verdict.String(), 1)
	}
	t.add("principal", r.PrincipalID(), 1)
	t.add("model", r.Model, 1)
	t.add("verb", r.Verb, 1)
	if r.OfStream() {
		return
	}
	for entity, n := range r.Masked {
		t.add("entity", entity, n)
	}
}

func (t tallies) most(sort string) (out []*pb.Count) {
	names := slices.SortedFunc(maps.Keys(t[sort]), func(a, b string) int {
		return cmp.Or(cmp.Compare(t[sort][b], t[sort][a]), cmp.Compare(a, b))
	})
	for _, name := range names[:min(len(names), mostCounts)] {
		out = append(out, &pb.Count{Name: name, N: t[sort][name]})
	}
	return out
}
