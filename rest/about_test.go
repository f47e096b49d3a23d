package rest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/rest"
)

// TestAbout: of a path that no call was made of, the record has what could be a model's
// name, and no other text.
func TestAbout(t *testing.T) {
	for path, want := range map[string]struct {
		verb  access.Verb
		model string
	}{
		"/v2/models/m/infer":                        {access.Infer, "m"},
		"/v2/models/m/versions/3/generate_stream":   {access.Infer, "m"},
		"/v2/models/meta-llama/Llama-3/infer":       {access.Infer, "meta-llama/Llama-3"},
		"/v2/models/m":                              {access.None, "m"},
		"/v2/models/m/ready":                        {access.None, "m"},
		"/v2/models/m/versions/three/infer":         {},
		"/v2/models/stats":                          {},
		"/v2/models/":                               {},
		"/v2/models//infer":                         {},
		"/v2/health/live":                           {},
		"/v1/chat/completions":                      {},
		"/jane.doe@example.com":                     {},
		"/v2/models/tell%20me%20of%00jane%0A/infer": {},
	} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if verb, model := rest.About(r); verb != want.verb || model != want.model {
			t.Errorf("%s: %v %q, want %v %q", path, verb, model, want.verb, want.model)
		}
	}
}
