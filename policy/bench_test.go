package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy"
)

// The size that the engine is measured at: 10,000 entries in 1,000 roles,
// each bound to a group of its own, and a caller in 50 of the groups.
const (
	benchRoles   = 1000
	benchEntries = 10 // a role
	benchEvery   = 20 // the caller is in each of so many groups
)

// shape is a way to write 10,000 patterns, and a model for each outcome.
type shape struct {
	name    string
	pattern func(i int) string
	// allowed is a model that entry i of a role that the caller has allows;
	// none is one that no pattern matches, or none that the caller has.
	allowed func(i int) string
	none    string
}

func shapes() []shape {
	word := func(i int) string { return fmt.Sprintf("%08x", uint32(i)*2654435761) } // spread, no repeats
	return []shape{
		{"exact", func(i int) string { return "model-" + word(i) }, func(i int) string { return "model-" + word(i) }, "model-none"},
		{"prefix", func(i int) string { return "team-" + word(i) + "-*" }, func(i int) string { return "team-" + word(i) + "-llama" }, "team-none-llama"},
		{"suffix", func(i int) string { return "*-" + word(i) }, func(i int) string { return "llama-" + word(i) }, "llama-none"},
		{"middle", func(i int) string { return "*" + word(i) + "*" }, func(i int) string { return "llama-" + word(i) + "-7b" }, "llama-0123012301230123-7b"},
		{"two-middles", func(i int) string { return "*" + word(i) + "*b*" }, func(i int) string { return "llama-" + word(i) + "-7b" }, "llama-0123012301230123-7b"},
		{"both-ends", func(i int) string { return "team-" + word(i) + "*-prod" }, func(i int) string { return "team-" + word(i) + "x-prod" }, "team-0123-prod"},
		{"same-ends", func(i int) string { return "a*" + word(i) + "*b" }, func(i int) string { return "a--" + word(i) + "--b" }, "a-----------------b"},
		{"one-pattern", func(int) string { return "prod-*" }, func(int) string { return "prod-llama" }, "dev-llama"},
		{"star", func(int) string { return "*" }, func(int) string { return "llama" }, "llama"},
		{"nested-prefixes", func(i int) string { return strings.Repeat("a", i%200+1) + "*" }, func(i int) string { return strings.Repeat("a", i%200+1) }, "b"},
		{"short-middles", func(i int) string { return "*" + word(i)[:2] + "*" + word(i)[2:4] + "*" }, func(i int) string { return word(i) + "-" + word(i+1) }, "llama-7b-instruct"},
		{"all-match", func(i int) string { return strings.Repeat("*a", i%100+1) + "*" + "c"[:i%2] }, func(int) string { return strings.Repeat("a", 120) + "c" }, strings.Repeat("a", 120)},
	}
}

// big makes the policy of a shape. Every fourth role denies unload.
func big(t testing.TB, s shape, roles int) *policy.Policy {
	t.Helper()
	d := policy.Document{Roles: map[string][]policy.Entry{}}
	for r := range roles {
		name := fmt.Sprintf("role-%d", r)
		for e := range benchEntries {
			entry := allow(on(s.pattern(r*benchEntries+e)), "infer", "describe")
			if r%4 == 0 && e == 0 {
				entry = deny(on(s.pattern(r*benchEntries+e)), "unload")
			}
			d.Roles[name] = append(d.Roles[name], entry)
		}
		d.Bindings = append(d.Bindings, policy.Binding{Role: name, Groups: []string{fmt.Sprintf("group-%d", r)}})
	}
	return compile(t, d)
}

// bigCaller is in every twentieth of as many groups as there are roles.
func bigCaller(roles int) *access.Principal {
	who := member()
	for g := 0; g < roles; g += benchEvery {
		who.Groups = append(who.Groups, fmt.Sprintf("group-%d", g))
	}
	return who
}

// ownEntry is an entry of the second role that the caller has.
const ownEntry = benchEvery*benchEntries + 5

func BenchmarkDecide(b *testing.B) {
	for _, s := range shapes() {
		p, who := big(b, s, benchRoles), bigCaller(benchRoles)
		for _, c := range []struct {
			outcome string
			verb    access.Verb
			model   string
		}{{"allowed", access.Infer, s.allowed(ownEntry)}, {"no-match", access.Infer, s.none}, {"no-verb", access.Load, s.allowed(ownEntry)}, {"others-only", access.Infer, s.allowed(ownEntry + benchEntries)}} {
			b.Run(s.name+"/"+c.outcome, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					p.Decide(who, c.verb, c.model)
				}
			})
		}
	}
}

// BenchmarkDecideParallel has every processor decide about one principal.
func BenchmarkDecideParallel(b *testing.B) {
	s := shapes()[1]
	e, who, model := policy.NewEngine(big(b, s, benchRoles)), bigCaller(benchRoles), s.allowed(ownEntry)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e.Decide(who, access.Infer, model)
		}
	})
}

// BenchmarkDecideManyModels goes through many models, so that neither the
// processor's caches nor its predictor know the way.
func BenchmarkDecideManyModels(b *testing.B) {
	for _, s := range shapes()[:4] {
		p, who := big(b, s, benchRoles), bigCaller(benchRoles)
		rnd, models := rand.New(rand.NewPCG(1, 1)), make([]string, 1<<14)
		for i := range models {
			models[i] = s.allowed(rnd.IntN(benchRoles * benchEntries))
		}
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				p.Decide(who, access.Infer, models[i&(len(models)-1)])
				i++
			}
		})
	}
}

func BenchmarkVisible(b *testing.B) {
	for _, s := range shapes()[:2] {
		p, who, model := big(b, s, benchRoles), bigCaller(benchRoles), s.allowed(ownEntry)
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Visible(who, model)
			}
		})
	}
}

// BenchmarkFirstDecision is what the first call of a new principal pays.
func BenchmarkFirstDecision(b *testing.B) {
	s := shapes()[0]
	p, who, model := big(b, s, benchRoles), bigCaller(benchRoles), s.allowed(ownEntry)
	b.ReportAllocs()
	for b.Loop() {
		who.SetMemo(nil)
		p.Decide(who, access.Infer, model)
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, s := range shapes()[:4] {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				big(b, s, benchRoles)
			}
		})
	}
}

func BenchmarkRefusal(b *testing.B) {
	s := shapes()[0]
	p, who, model := big(b, s, benchRoles), bigCaller(benchRoles), s.allowed(0)
	d := p.Decide(who, access.Infer, model)
	b.ReportAllocs()
	for b.Loop() {
		_ = p.Refusal(who, access.Infer, model, d)
	}
}

// TestDecideAllocatesNothing holds for every shape of policy and every
// outcome, once the principal is known.
func TestDecideAllocatesNothing(t *testing.T) {
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			e, who := policy.NewEngine(big(t, s, 100)), bigCaller(100)
			if !e.Decide(who, access.Infer, s.allowed(ownEntry)).Allowed {
				t.Fatalf("%q is not allowed", s.allowed(ownEntry))
			}
			models := []string{s.allowed(ownEntry), s.none, s.allowed(ownEntry + benchEntries), ""}
			allocs := testing.AllocsPerRun(100, func() {
				for _, m := range models {
					e.Decide(who, access.Infer, m)
					e.Decide(who, access.Unload, m)
					e.Visible(who, m)
				}
			})
			if allocs != 0 {
				t.Errorf("got %v allocations, want 0", allocs)
			}
		})
	}
}
