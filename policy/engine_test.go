package policy_test

import (
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy"
)

func TestNoPolicyDeniesEverything(t *testing.T) {
	empty, problems := policy.Compile(nil, policy.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for name, e := range map[string]*policy.Engine{
		"zero engine": {}, "engine of nil": policy.NewEngine(nil), "no files": policy.NewEngine(empty),
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range access.Verbs() {
				for _, model := range []string{"", "simple"} {
					checkDecision(t, e.Decide(member("g"), v, model), access.ReasonNoRole)
					checkDecision(t, e.Decide(nil, v, model), access.ReasonNoRole)
				}
			}
			if e.Visible(member("g"), "simple") {
				t.Error("a model is visible")
			}
			if names, all := e.RolesFor(access.Infer, "simple", 3); all != 0 {
				t.Errorf("roles %v would allow", names)
			}
			checkDecision(t, e.Decide(nil, access.None, ""), "")
			p := e.Policy()
			if x := p.Explain(member("g"), access.Infer, "simple"); x.Allowed || len(x.Roles) > 0 {
				t.Errorf("explained as %+v", x)
			}
			if h := p.WhoCan(access.Infer, "simple"); len(h.Groups)+len(h.Subjects)+len(h.Roles) > 0 {
				t.Errorf("held by %+v", h)
			}
		})
	}
}

// TestReplaceForgetsMemos has one principal asked about under two policies in
// turn: what one left with it must not answer for the other.
func TestReplaceForgetsMemos(t *testing.T) {
	open := compile(t, roles(map[string][]policy.Entry{"a": {allow(on("*"), "infer")}, "b": {allow(on("*"), "load")}}))
	shut := compile(t, roles(map[string][]policy.Entry{"z": {allow(on("*"), "infer")}}))
	e, who := policy.NewEngine(open), member("a")
	for range 3 {
		e.Replace(open)
		checkDecision(t, e.Decide(who, access.Infer, "m"), "")
		e.Replace(shut)
		checkDecision(t, e.Decide(who, access.Infer, "m"), access.ReasonNoRole)
	}
}

// TestReplaceUnderLoad is for the race detector, and checks that each call is
// answered by one policy: in both of them one of the two verbs is allowed, in
// none both are.
func TestReplaceUnderLoad(t *testing.T) {
	first := compile(t, roles(map[string][]policy.Entry{"g": {allow(on("*mid*", "pre*", "exact"), "infer")}}))
	second := compile(t, roles(map[string][]policy.Entry{"g": {allow(on("*"), "infer"), deny(on("*mid*"), "infer")}}))
	e, who := policy.NewEngine(first), member("g")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				if d := e.Decide(who, access.Infer, "pre-x"); !d.Allowed {
					t.Errorf("both policies allow it, got %+v", d)
				}
				d := e.Decide(who, access.Infer, "a-mid-b")
				if d.Allowed && d.Rule != "role g" || !d.Allowed && d.Rule != "deny in role g" {
					t.Errorf("no policy says %+v", d)
				}
				e.Visible(who, "exact")
			}
		})
	}
	for range 500 {
		e.Replace(second)
		e.Replace(first)
	}
	wg.Wait()
}
