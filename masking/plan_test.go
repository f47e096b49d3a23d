package masking_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
)

func member(groups ...string) *access.Principal {
	return &access.Principal{Issuer: "https://issuer", Subject: "alice", Groups: groups}
}

func TestWhichRulesApply(t *testing.T) {
	rule := func(name string, change func(r *masking.Rule)) masking.Rule {
		return redacts(func(r *masking.Rule) {
			r.Name, r.Entities = name, entities("EMAIL")
			text := "<" + name + ">"
			r.Action = masking.Action{Replace: &text}
			if change != nil {
				change(r)
			}
		})
	}
	models := func(patterns ...string) func(r *masking.Rule) {
		return func(r *masking.Rule) { r.Models = patterns }
	}
	except := func(groups ...string) func(r *masking.Rule) {
		return func(r *masking.Rule) { r.Except = groups }
	}
	observe := func(r *masking.Rule) { r.Observe = true }
	tests := []struct {
		name  string
		rules []masking.Rule
		who   *access.Principal
		model string
		want  string
	}{
		{"no rule for the model", []masking.Rule{rule("a", models("x-*"))}, nil, "m", "a@b.org"},
		{"a pattern of the model", []masking.Rule{rule("a", models("y", "x-*"))}, nil, "x-1", "<a>"},
		{"the first of two", []masking.Rule{rule("a", nil), rule("b", nil)}, nil, "m", "<a>"},
		{"the first that fits", []masking.Rule{rule("a", models("x")), rule("b", nil)}, nil, "m", "<b>"},
		{"nobody is excepted", []masking.Rule{rule("a", except("readers"))}, nil, "m", "<a>"},
		{"a member is excepted", []masking.Rule{rule("a", except("readers"))}, member("readers"), "m", "a@b.org"},
		{"a member of other groups is not", []masking.Rule{rule("a", except("readers"))}, member("a", "reader", "readers2"), "m", "<a>"},
		{"excepted from one of two", []masking.Rule{rule("a", except("readers")), rule("b", nil)}, member("readers"), "m", "<b>"},
		{"one that observes does not decide", []masking.Rule{rule("a", observe), rule("b", nil)}, nil, "m", "<b>"},
		{"one that observes after", []masking.Rule{rule("a", nil), rule("b", observe)}, nil, "m", "<a>"},
		{"one that observes alone", []masking.Rule{rule("a", observe)}, nil, "m", "a@b.org"},
		{"another entity", []masking.Rule{rule("a", func(r *masking.Rule) { r.Entities = entities("CARD") }), rule("b", nil)}, nil, "m", "<b>"},
		{"one of another index", []masking.Rule{rule("a", func(r *masking.Rule) { r.Index = "3" }), rule("b", nil)}, nil, "m", "<b>"},
		{"one of a path", []masking.Rule{rule("a", func(r *masking.Rule) { r.Format, r.JSONPath = masking.JSON, masking.Paths{"$.x"} }), rule("b", nil)}, nil, "m", "<a>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := compile(t, masking.Document{Masking: tt.rules}, masking.Options{}).Plan(tt.who, tt.model)
			if p == nil {
				if tt.want != "a@b.org" {
					t.Error("nothing is masked")
				}
				return
			}
			if got := wholeText(t, nil, "a@b.org", p); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestPathsOfTwoRules has each string masked by the rules of its place.
func TestPathsOfTwoRules(t *testing.T) {
	checkBuffers(t)
	text := "<a>"
	p := plan(t,
		asJSON(func(r *masking.Rule) {
			r.Name, r.JSONPath, r.Action = "a", masking.Paths{"$.x"}, masking.Action{Replace: &text}
		}),
		asJSON(func(r *masking.Rule) { r.Name, r.Entities = "b", entities("EMAIL") }))
	in := `{"x":"a@b.org 536-90-4399","y":"a@b.org 536-90-4399"}`
	if got, want := wholeText(t, nil, in, p), `{"x":"<a> <a>","y":"[EMAIL] 536-90-4399"}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEngine(t *testing.T) {
	var e masking.Engine
	if e.Plan(member(), "m") != nil || e.Policy() != nil {
		t.Error("an engine without a policy masks")
	}
	p := compile(t, masking.Document{Masking: []masking.Rule{redacts(nil)}}, masking.Options{})
	if e.Replace(p); e.Plan(member(), "m") == nil || e.Policy() != p {
		t.Error("the policy has no effect")
	}
	if masking.NewEngine(compile(t, masking.Document{}, masking.Options{})).Plan(nil, "m") != nil {
		t.Error("a policy without rules masks")
	}
}

// TestPlansAreKept shows that asking again costs nothing, and that callers of
// the same exceptions share a plan.
func TestPlansAreKept(t *testing.T) {
	p := compile(t, masking.Document{Masking: []masking.Rule{
		redacts(func(r *masking.Rule) { r.Except = []string{"readers"} }),
		redacts(func(r *masking.Rule) { r.Name, r.Models = "b", []string{"m"} }),
	}}, masking.Options{})
	e := masking.NewEngine(p)
	reader, other := member("a", "readers"), member("x")
	if e.Plan(reader, "m") == e.Plan(other, "m") || e.Plan(other, "m") != e.Plan(member("y"), "m") || e.Plan(reader, "n") != nil {
		t.Error("the wrong plans are shared")
	}
	allocs := testing.AllocsPerRun(100, func() {
		e.Plan(reader, "m")
		e.Plan(other, "m")
		e.Plan(reader, "n")
	})
	if allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestPlansAreBounded asks for more models than are kept, from many sides.
func TestPlansAreBounded(t *testing.T) {
	e := masking.NewEngine(compile(t, masking.Document{Masking: []masking.Rule{redacts(nil)}}, masking.Options{}))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 1500 {
				if e.Plan(nil, fmt.Sprint("m", (i+g)%1200)) == nil {
					t.Error("nothing is masked")
				}
			}
		})
	}
	wg.Wait()
	p := e.Plan(nil, "m")
	for i := range 200 { // outputs with names of the server's choice
		got, refused := unary(t, p, output(&pb.ModelInferResponse{}, raw, fmt.Sprint("out", i), "a@b.org"), nil)
		if refused != nil || elementsOf(t, got, 0)[0] != "[EMAIL]" {
			t.Fatalf("output %d: %v", i, refused)
		}
	}
}

func TestCounts(t *testing.T) {
	var c masking.Counts
	if c.String() != "" {
		t.Errorf("got %q", c.String())
	}
	p := plan(t, redacts(nil), redacts(func(r *masking.Rule) { r.Name, r.Entities, r.Observe = "b", entities("IBAN"), true }))
	in := output(output(&pb.ModelInferResponse{}, raw, "a", "a@b.org c@d.org", "4111 1111 1111 1111"), raw, "b", "GB82 WEST 1234 5698 7654 32 a@b.org")
	if _, refused := unary(t, p, in, &c); refused != nil {
		t.Fatal(refused)
	}
	if c.String() != "CARD=1,EMAIL=3" || c.Observed["IBAN"] != 1 || len(c.Observed) != 1 {
		t.Errorf("got %q and %v", c.String(), c.Observed)
	}
}
