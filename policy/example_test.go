package policy_test

import (
	"fmt"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy"
)

func Example() {
	doc := policy.Document{
		Roles: map[string][]policy.Entry{
			"model-viewer": {{Models: []string{"*"}, Verbs: []string{"infer", "list"}}},
			"model-admin":  {{Models: []string{"*"}, Verbs: []string{"*"}}},
			"no-prod":      {{Models: []string{"prod-*"}, Verbs: []string{"load"}, Deny: true}},
		},
		Bindings: []policy.Binding{
			{Role: "model-viewer", Groups: []string{"ml-users"}},
			{Role: "model-admin", Groups: []string{"ml-platform"}},
			{Role: "no-prod", Groups: []string{"trainees"}},
		},
	}
	compiled, problems := policy.Compile([]policy.File{{Name: "policy.yaml", Document: doc}}, policy.Options{})
	for _, p := range problems {
		fmt.Println(p)
	}
	engine := policy.NewEngine(compiled)

	bob := &access.Principal{Issuer: "https://issuer", Subject: "bob", Groups: []string{"ml-users"}}
	fmt.Println(engine.Decide(bob, access.Infer, "simple").Rule)
	d := engine.Decide(bob, access.Load, "simple")
	fmt.Println(engine.Refusal(bob, access.Load, "simple", d))

	eve := &access.Principal{Issuer: "https://issuer", Subject: "eve", Groups: []string{"ml-platform", "trainees"}}
	fmt.Println(engine.Decide(eve, access.Load, "prod-llama").Rule)

	// Output:
	// role model-viewer
	// principal "https://issuer#bob" may not use verb load on model "simple": role model-admin allows it; ask for role model-admin
	// deny in role no-prod
}

func ExampleCompile_problems() {
	doc := policy.Document{
		Roles:    map[string][]policy.Entry{"model-viewer": {{Models: []string{"*"}, Verbs: []string{"infer", "lst"}}}},
		Bindings: []policy.Binding{{Role: "model-viewr", Groups: []string{"ml-users"}}},
	}
	_, problems := policy.Compile([]policy.File{{Name: "policy.yaml", Document: doc}}, policy.Options{})
	for _, p := range problems {
		fmt.Println(p)
	}
	// Output:
	// policy.yaml: roles.model-viewer[0].verbs[1]: unknown verb "lst" (did you mean "list"?)
	// policy.yaml: bindings[0].role: unknown role "model-viewr" (did you mean "model-viewer"?)
}
