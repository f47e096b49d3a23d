package issuer

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// demoToken is where [FetchToken] gets a token.
const demoToken = "/demo/token"

// maxForm bounds what a token request may hold, in bytes.
const maxForm = 4 << 10

// Handler serves discovery, the keys, the token endpoint with client
// credentials for ci (any secret: this is a demo), the device flow (RFC 8628) with
// a page where one says who one is, and POST /demo/token?name=NAME for
// `sluice demo token`.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", i.discovery)
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, i.keys) })
	mux.HandleFunc("POST /token", i.token)
	mux.HandleFunc("POST "+demoToken, i.demo)
	mux.HandleFunc("POST /device_authorization", i.authorizeDevice)
	mux.HandleFunc("GET "+devicePage, i.showPage)
	mux.HandleFunc("POST "+devicePage, i.decide)
	return loopbackOnly(mux)
}

// loopbackOnly refuses other machines, by address, and web pages: by Host a
// name of theirs that they had resolve to 127.0.0.1 (DNS rebinding), by Origin
// and Sec-Fetch-Site a request that a page sends across.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _, _ := net.SplitHostPort(r.RemoteAddr)
		site := r.Header.Get("Sec-Fetch-Site")
		switch {
		case !isLoopback(peer) || !isLoopback(hostOf(r.Host)):
			fail(w, http.StatusForbidden, "access_denied", "the demo's issuer answers on loopback only")
		case r.URL.Path == devicePage && r.Header.Get("Origin") == "http://"+r.Host && (site == "" || site == "same-origin"):
			// the form of our own page
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			next.ServeHTTP(w, r)
		case r.Header.Get("Origin") != "" || site != "" && site != "none" && site != "same-origin":
			fail(w, http.StatusForbidden, "access_denied", "the demo's issuer does not answer to web pages")
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			next.ServeHTTP(w, r)
		}
	})
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"issuer": i.url, "jwks_uri": i.url + "/jwks", "token_endpoint": i.url + "/token",
		"device_authorization_endpoint":         i.url + "/device_authorization",
		"grant_types_supported":                 []string{"client_credentials", deviceGrant, "refresh_token"},
		"response_types_supported":              []string{"none"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "none"},
	})
}

// token is the endpoint of RFC 6749 sections 4.4 and 6, and of RFC 8628 section 3.4.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	id, _, basic := r.BasicAuth()
	if !basic {
		id = r.PostFormValue("client_id")
	}
	grant := r.PostFormValue("grant_type")
	switch {
	case (grant == deviceGrant || grant == "refresh_token") && id != client:
		fail(w, http.StatusUnauthorized, "invalid_client", "people log in as the client "+client)
	case grant == deviceGrant:
		i.deviceToken(w, r)
	case grant == "refresh_token":
		i.refreshToken(w, r)
	case grant != "client_credentials":
		fail(w, http.StatusBadRequest, "unsupported_grant_type", "only client_credentials and the device flow are served; people's tokens come from sluice demo token NAME too")
	case id != CI:
		fail(w, http.StatusUnauthorized, "invalid_client", "the only client with credentials is ci")
	default:
		i.give(w, CI)
	}
}

func (i *Issuer) demo(w http.ResponseWriter, r *http.Request) { i.give(w, r.URL.Query().Get("name")) }

// tokenAnswer is that of RFC 6749 section 5.1.
type tokenAnswer struct {
	Token   string `json:"access_token"`
	Type    string `json:"token_type"`
	Seconds int    `json:"expires_in"`
	Refresh string `json:"refresh_token,omitempty"`
}

type errorAnswer struct {
	Code string `json:"error"`
	Text string `json:"error_description"`
}

func (i *Issuer) give(w http.ResponseWriter, name string) { i.giveWith(w, name, "") }

// giveWith gives a token, and a refresh token beside it if there is one.
func (i *Issuer) giveWith(w http.ResponseWriter, name, refresh string) {
	token, err := i.Token(name)
	if err != nil {
		fail(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	answer(w, http.StatusOK, tokenAnswer{Token: token, Type: "Bearer", Seconds: int(lifetime / time.Second), Refresh: refresh})
}

func fail(w http.ResponseWriter, status int, code, text string) {
	answer(w, status, errorAnswer{Code: code, Text: text})
}

func answer(w http.ResponseWriter, status int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(what) // a caller that went away is told nothing
}
