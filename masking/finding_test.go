package masking_test

import (
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/masking"
)

func TestFind(t *testing.T) {
	d := masking.Document{
		Detectors: []masking.Detector{{Name: "ACCOUNT", JSONPath: masking.Paths{"$.a"}}},
		Masking: []masking.Rule{
			redacts(func(r *masking.Rule) { r.Name, r.Entities, r.Observe = "seen", entities("IBAN"), true }),
			redacts(func(r *masking.Rule) { r.Name, r.Entities, r.Action = "none", entities("CARD"), action("block") }),
			redacts(func(r *masking.Rule) { r.Entities = entities("EMAIL", "CARD", "PRIVATE_KEY") }),
			redacts(func(r *masking.Rule) {
				r.Name, r.Tensors, r.Entities, r.Format = "doc", []string{"json"}, entities("ACCOUNT"), masking.JSON
			}),
		},
	}
	p := compile(t, d, masking.Options{}).Plan(nil, "m")
	tests := []struct {
		name, output, in string
		want             []masking.Finding
	}{
		{"nothing", "out", "clean", []masking.Finding{}},
		{"two rules", "out", "a@b.org 4111111111111111", []masking.Finding{
			{0, 7, "EMAIL", "pii", "redact", false, "[EMAIL]"},
			{8, 24, "CARD", "none", "block", false, ""},
		}},
		{"observed", "out", "GB82 WEST 1234 5698 7654 32", []masking.Finding{{0, 27, "IBAN", "seen", "redact", true, "[IBAN]"}}},
		{"without an end", "out", "x -----BEGIN PRIVATE KEY-----\nAAAA", []masking.Finding{{2, 34, "PRIVATE_KEY", "pii", "redact", false, "[PRIVATE_KEY]"}}},
		{"a place", "json", `{"a":"x y"}`, []masking.Finding{{6, 9, "ACCOUNT", "doc", "redact", false, "[ACCOUNT]"}}},
		{"a number", "json", `[4111111111111111]`, []masking.Finding{{1, 17, "CARD", "none", "block", false, ""}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, refused := p.Find(t.Context(), tt.output, tt.in)
			if refused != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, refused, tt.want)
			}
		})
	}
}

func TestFindRefuses(t *testing.T) {
	p := plan(t, asJSON(nil), redacts(func(r *masking.Rule) { r.Name, r.Format = "b", masking.Text }))
	_, refused := p.Find(t.Context(), "out", "x")
	wantRefusal(t, refused, access.PermissionDenied, "read it as")
}
