package masking_test

import (
	"strings"
	"testing"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
)

// TestPartial shows what is kept of a match, and that it can't change what it is
// written into.
func TestPartial(t *testing.T) {
	word := masking.Document{Detectors: []masking.Detector{{Name: "WORD", Regex: `zz[^ ]{1,20}`}, {Name: "FIELD", JSONPath: masking.Paths{"$.f"}}}}
	tests := []struct {
		name     string
		entity   string
		format   masking.Format
		keep     int
		in, want string
	}{
		{"four", "CARD", masking.Text, 4, "4111 1111 1111 1234 is none, 4111-1111-1111-1111 is", "4111 1111 1111 1234 is none, ****1111 is"},
		{"one", "CARD", masking.Text, 1, "4111 1111 1111 1111", "****1"},
		{"escaped digits", "CARD", masking.Text, 2, `4111 1111 1111 11\u00311`, "****11"},
		{"at most half", "WORD", masking.Text, 4, "zza", "****a"},
		{"letters of any script", "FIELD", masking.JSON, 3, `{"f":"zurück"}`, `{"f":"****ück"}`},
		{"what ends a string", "FIELD", masking.JSON, 2, `{"f":"abcde\"\\"}`, `{"f":"******"}`},
		{"what is not seen", "FIELD", masking.JSON, 4, `{"f":"abcd12\u200b34\u0007"}`, `{"f":"****234*"}`},
		{"nothing", "FIELD", masking.JSON, 4, `{"f":""}`, `{"f":"****"}`},
		{"halves of characters", "FIELD", masking.JSON, 2, "{\"f\":\"abcdef\xc3\"}", "{\"f\":\"****f\ufffd\"}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkBuffers(t)
			d := word
			d.Masking = []masking.Rule{redacts(func(r *masking.Rule) {
				r.Entities, r.Format, r.Action = entities(tt.entity), tt.format, masking.Action{Partial: &masking.Partial{KeepLast: tt.keep}}
			})}
			p := compile(t, d, masking.Options{}).Plan(nil, "m")
			if got := wholeText(t, nil, tt.in, p); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			everyCut(t, p, tt.in, tt.want)
		})
	}
}

// TestReplacementsOfTheirOwnLength shows length prefixes put right where what is
// written is longer and shorter than what was there, next to each other.
func TestReplacementsOfTheirOwnLength(t *testing.T) {
	for _, text := range []string{"", "x", strings.Repeat("long ", 200)} {
		for _, how := range []layout{raw, typed} {
			checkBuffers(t)
			p := plan(t, redacts(func(r *masking.Rule) { r.Action = masking.Action{Replace: &text} }))
			in := []string{"a@b.org", "", "x a@b.org", "clean", "a@b.org a@b.org y", "a@b.org"}
			got, refused := unary(t, p, output(&pb.ModelInferResponse{}, how, "out", in...), nil)
			if refused != nil {
				t.Fatal(refused)
			}
			for i, e := range elementsOf(t, got, 0) {
				if want := strings.ReplaceAll(in[i], "a@b.org", text); e != want {
					t.Errorf("element %d: got %q, want %q", i, e, want)
				}
			}
		}
	}
}
