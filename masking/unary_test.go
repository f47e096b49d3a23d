package masking_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
)

func TestUnaryTexts(t *testing.T) {
	keep := masking.Action{Partial: &masking.Partial{KeepLast: 4}}
	replace := func(text string) masking.Action { return masking.Action{Replace: &text} }
	tests := []struct {
		name string
		rule func(r *masking.Rule)
		in   []string
		want []string // nil: as it was
	}{
		{"nothing there", nil, []string{"a clean text", ""}, nil},
		{"redact", nil, []string{"mail jane.doe@example.com now"}, []string{"mail [EMAIL] now"}},
		{"whole element", nil, []string{"jane.doe@example.com"}, []string{"[EMAIL]"}},
		{"some elements", nil, []string{"a", "card 4111 1111 1111 1111", "", "536-90-4399"}, []string{"a", "card [CARD]", "", "[SSN]"}},
		{"several in one", nil, []string{"a@b.org and c@d.org"}, []string{"[EMAIL] and [EMAIL]"}},
		{"drop", func(r *masking.Rule) { r.Action = action("drop") }, []string{"jane.doe@example.com", "x a@b.org"}, []string{"", "x "}},
		{"partial", func(r *masking.Rule) { r.Action = keep }, []string{"card 4111 1111 1111 1111."}, []string{"card ****1111."}},
		{"partial by its word", func(r *masking.Rule) { r.Action = action("partial") }, []string{"4111-1111-1111-1111"}, []string{"****1111"}},
		{"replace", func(r *masking.Rule) { r.Action = replace("<gone>") }, []string{"a@b.org"}, []string{"<gone>"}},
		{"observe", func(r *masking.Rule) { r.Observe = true }, []string{"a@b.org"}, nil},
		{"one element by its index", func(r *masking.Rule) { r.Index = "1" }, []string{"a@b.org", "a@b.org", "a@b.org"}, []string{"a@b.org", "[EMAIL]", "a@b.org"}},
		{"elements from one on", func(r *masking.Rule) { r.Index = "1-" }, []string{"a@b.org", "a@b.org", "a@b.org"}, []string{"a@b.org", "[EMAIL]", "[EMAIL]"}},
		{"another tensor", func(r *masking.Rule) { r.Tensors = []string{"other"} }, []string{"a@b.org"}, nil},
		{"by its name", func(r *masking.Rule) { r.Tensors = []string{"text"} }, []string{"a@b.org"}, []string{"[EMAIL]"}},
		{"by a pattern", func(r *masking.Rule) { r.Tensors = []string{"te*"} }, []string{"a@b.org"}, []string{"[EMAIL]"}},
		{"escapes in text", nil, []string{`{"m":"jane\u0040example.com"}`}, []string{`{"m":"[EMAIL]"}`}},
	}
	for _, tt := range tests {
		for _, how := range []layout{raw, typed} {
			t.Run(tt.name, func(t *testing.T) {
				checkBuffers(t)
				in := output(&pb.ModelInferResponse{ModelName: "m", Id: "7"}, how, "text", tt.in...)
				got, refused := unary(t, plan(t, redacts(tt.rule)), in, nil)
				if refused != nil {
					t.Fatal(refused)
				}
				if tt.want == nil {
					if got != nil {
						t.Errorf("changed to %q", elementsOf(t, got, 0))
					}
					return
				}
				if got == nil {
					t.Fatal("the message itself came back")
				}
				if out := elementsOf(t, got, 0); !slices.Equal(out, tt.want) {
					t.Errorf("got  %q\nwant %q", out, tt.want)
				}
				want := output(&pb.ModelInferResponse{ModelName: "m", Id: "7"}, how, "text", tt.want...)
				if !proto.Equal(got, want) {
					t.Errorf("something else changed too: %v", got)
				}
			})
		}
	}
}
