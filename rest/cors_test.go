package rest_test

import (
	"net/http"
	"testing"
)

func TestNoPageMayCallUnlessItsOriginIsConfigured(t *testing.T) {
	const page, other = "https://app.example", "https://evil.example"
	preflight := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization"}
	for _, c := range []struct {
		name    string
		origins []string
		method  string
		origin  string
		headers []string
		status  int
		allowed string
	}{
		{"nothing is configured", nil, "GET", page, nil, 200, ""},
		{"nothing is configured, preflight", nil, "OPTIONS", page, preflight, 405, ""},
		{"its origin", []string{page}, "GET", page, nil, 200, page},
		{"its origin, preflight", []string{page}, "OPTIONS", page, preflight, 204, page},
		{"another origin", []string{page}, "GET", other, nil, 200, ""},
		{"another origin, preflight", []string{page}, "OPTIONS", other, preflight, 405, ""},
		{"a longer origin", []string{page}, "OPTIONS", page + ".evil", preflight, 405, ""},
		{"no origin", []string{page}, "GET", "null", nil, 200, ""},
		{"any origin", []string{"*"}, "OPTIONS", other, preflight, 204, other},
		{"OPTIONS that asks nothing", []string{page}, "OPTIONS", page, nil, 405, page},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.options.Origins = func() []string { return c.origins }
			r.open()
			w := r.ask(c.method, "/v2/models/m", "", append([]string{"Origin", c.origin}, c.headers...)...)
			h := w.Header()
			if w.Code != c.status || h.Get("Access-Control-Allow-Origin") != c.allowed || h.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("got %d with %v", w.Code, h)
			}
			if vary := h.Get("Vary"); (vary == "Origin") != (c.origins != nil) {
				t.Errorf("Vary is %q", vary)
			}
			if w.Code == http.StatusNoContent {
				r.none()
			}
		})
	}
}
