package rest

import (
	"net/http"
	"slices"
)

// What web pages may send and see, where an operator lets them.
const (
	corsMethods = "GET, POST"
	corsHeaders = "Authorization, Content-Type, Content-Encoding, Inference-Header-Content-Length, X-Request-Id"
	corsExposed = "Inference-Header-Content-Length, X-Request-Id, Sluice-Reason, Retry-After, WWW-Authenticate"
	corsMaxAge  = "600"
)

// cors tells a browser which pages may call, and tells whether that was all that
// it asked. Without configured origins nothing is said and nothing answered:
// OPTIONS is a method like any other that no route has. Credentials are never
// allowed; a page has to show a token of its own.
func (d *Door) cors(w http.ResponseWriter, r *http.Request) (answered bool) {
	origins := d.opts.Origins()
	origin := r.Header.Get("Origin")
	if len(origins) == 0 || origin == "" {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	if !slices.Contains(origins, origin) && !slices.Contains(origins, "*") {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		h.Set("Access-Control-Expose-Headers", corsExposed)
		return false
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", corsHeaders)
	h.Set("Access-Control-Max-Age", corsMaxAge)
	w.WriteHeader(http.StatusNoContent)
	return true
}
