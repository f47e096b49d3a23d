package admin_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// TestStatsCountWhatWasDoneOnce: a call beside its intent and a request beside its
// stream are one, and a stream that was refused has no requests to be counted by.
func TestStatsCountWhatWasDoneOnce(t *testing.T) {
	unary := audit.Record{Kind: audit.KindCall, RPC: "ModelInfer", Verb: "infer", Verdict: audit.Allowed, Masked: map[string]int64{"CARD": 1}}
	request := audit.Record{Kind: audit.KindMessage, RPC: "ModelStreamInfer", Verb: "infer", Verdict: audit.Allowed, Masked: map[string]int64{"CARD": 2}}
	stream := audit.Record{Kind: audit.KindCall, RPC: "ModelStreamInfer", Verb: "infer", Verdict: audit.Allowed, Masked: map[string]int64{"CARD": 2}}
	refused, failed := stream, stream
	refused.Verdict, refused.Masked = audit.Denied, nil
	failed.Verdict = audit.Failed
	intent := audit.Record{Kind: audit.KindIntent, RPC: "RepositoryModelUnload", Verb: "unload"}
	unload := audit.Record{Kind: audit.KindCall, RPC: "RepositoryModelUnload", Verb: "unload", Verdict: audit.Allowed}
	for name, c := range map[string]struct {
		log                    []audit.Record
		verbs, verdicts, cards string
	}{
		"a unary call":                          {[]audit.Record{unary}, "infer:1", "allowed:1", "CARD:1"},
		"a call and its intent":                 {[]audit.Record{intent, unload}, "unload:1", "allowed:1", ""},
		"a stream and its requests":             {[]audit.Record{request, request, stream}, "infer:2", "allowed:2", "CARD:4"},
		"a stream that was refused":             {[]audit.Record{refused}, "infer:1", "denied:1", ""},
		"a stream that broke after its request": {[]audit.Record{request, failed}, "infer:2", "allowed:1 failed:1", "CARD:2"},
	} {
		t.Run(name, func(t *testing.T) {
			openLibrary(t, func(l *library) {
				l.log = new(audittest.Memory)
				l.options.Log = l.log
				l.use(l.options)
				kinds := make(map[string]int64)
				var all []*audit.Record
				for _, r := range c.log {
					all = append(all, &r)
					kinds[r.Kind.String()]++
				}
				if err := l.log.Append(t.Context(), audit.Batch{Replica: "log", Entries: audittest.Entries("log", 0, all...)}); err != nil {
					t.Fatal(err)
				}
				got := ask[*pb.GetStatsResponse](l.desk, audra(), getStats, &pb.GetStatsRequest{})
				for _, by := range []struct {
					name, want string
					got        []*pb.Count
				}{{"verb", c.verbs, got.GetByVerb()}, {"verdict", c.verdicts, got.GetByVerdict()}, {"entity", c.cards, got.GetByEntity()}} {
					if counts := shown(by.got); counts != by.want {
						t.Errorf("by %s there are %q, want %q", by.name, counts, by.want)
					}
				}
				for _, k := range got.GetByKind() {
					if k.GetN() != kinds[k.GetName()] {
						t.Errorf("%d records are of kind %s, want %d", k.GetN(), k.GetName(), kinds[k.GetName()])
					}
				}
				if got.GetCounted() != int64(len(c.log)) || len(got.GetByKind()) != len(kinds) {
					t.Errorf("counted are %v", got)
				}
			})
		})
	}
}

func shown(counts []*pb.Count) (text string) {
	slices.SortFunc(counts, func(a, b *pb.Count) int { return slices.Compare([]byte(a.GetName()), []byte(b.GetName())) })
	for i, n := range counts {
		if i > 0 {
			text += " "
		}
		text += fmt.Sprintf("%s:%d", n.GetName(), n.GetN())
	}
	return text
}
