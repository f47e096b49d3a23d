package server

import (
	"context"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
)

// TestAParameterChoosesNoModelThatItsCallerMayNotUse: policy and masking go by
// the model that a request names.
func TestAParameterChoosesNoModelThatItsCallerMayNotUse(t *testing.T) {
	b := newBench(t)
	bob := &access.Principal{Issuer: b.issuer.URL(), Subject: "bob", Name: "bob", Groups: []string{"model-viewer"}}
	nobody := &access.Principal{Issuer: b.issuer.URL(), Subject: "carol", Name: "carol"}
	at := backends.Config{Name: "a"}
	for _, c := range []struct {
		name  string
		who   *access.Principal
		at    backends.Config
		model string
		want  string // in the refusal; "" is allowed
	}{
		{"one that he may infer on", bob, at, "adapter", ""},
		{"one that she may not", nobody, at, "adapter", "may not use verb infer"},
		{"one whose answers are masked", bob, at, "masked", "whose answers are masked"},
		{"one that a guard is about", bob, at, "guarded", "which guards are about"},
		{"one at another backend", bob, backends.Config{Name: "b"}, "adapter", "not a model of the same server"},
		{"one whose name means another at the server", bob, backends.Config{Name: "a", Rename: map[string]string{"adapter": "other"}}, "adapter", "not a model of the same server"},
		{"a path", bob, at, "../adapter", "walks a path"},
		{"without an identity", nil, at, "adapter", "needs an identity"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := access.WithCall(t.Context(), &access.Call{Principal: c.who})
			err := b.server.mayChoose(ctx, c.at, c.model)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if err := b.server.mayChoose(context.Background(), at, "adapter"); err == nil {
		t.Error("outside of a call a model may be chosen")
	}
}
