package server_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// TestTheConsoleRefusesWhatItCantReadPlainly: who misspells is told, and what limits
// a request is never left out silently.
func TestTheConsoleRefusesWhatItCantReadPlainly(t *testing.T) {
	d := openDesk(t)
	id := d.wish()
	const policy = "/v1/policy:canI"
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		code               int
		says               string
	}{
		"a body that is no JSON by its header":     {"POST", policy, `{"verb":"infer"}`, []string{"Content-Type", "text/plain"}, 400, "must be application/json"},
		"a form":                                   {"POST", policy, `verb=infer`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 400, "must be application/json"},
		"another charset":                          {"POST", policy, `{"verb":"infer"}`, []string{"Content-Type", "application/json; charset=utf-16"}, 400, "must be application/json"},
		"a body that ends early":                   {"POST", policy, `{"verb":"infer"`, nil, 400, "JSON of CanIRequest"},
		"a list":                                   {"POST", policy, `[]`, nil, 400, "JSON of CanIRequest"},
		"an unknown field":                         {"POST", policy, `{"verb":"infer","modle":"m"}`, nil, 400, `unknown field \"modle\"`},
		"a field twice":                            {"POST", policy, `{"verb":"infer","verb":"load"}`, nil, 400, "duplicate field"},
		"a number for a text":                      {"POST", policy, `{"verb":7}`, nil, 400, "JSON of CanIRequest"},
		"a query beside a body":                    {"POST", policy + "?verb=infer", `{"verb":"infer"}`, nil, 400, "takes no query"},
		"a compressed body":                        {"POST", policy, `{"verb":"infer"}`, []string{"Content-Encoding", "gzip"}, 400, "compressed"},
		"a body without end":                       {"POST", policy, `{"verb":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 400, "longer than"},
		"a secret without end":                     {"PUT", "/v1/secrets/s", `{"value":"` + strings.Repeat("QUFB", 25<<10) + `"}`, nil, 400, "longer than"},
		"an id in the body that is not the path's": {"POST", "/v1/approvals/" + id + ":deny", `{"id":"01aaaaaaaaaaaaaaaaaaaaaaaa"}`, nil, 400, "in the path"},
		"an unknown field in a query":              {"GET", "/v1/approvals?page_sice=1", "", nil, 400, `unknown field \"page_sice\"`},
		"a field twice in a query":                 {"GET", "/v1/approvals?mine=true&mine=false", "", nil, 400, "more than once"},
		"by both names":                            {"GET", "/v1/approvals?page_size=1&pageSize=2", "", nil, 400, "more than once"},
		"a number that is none":                    {"GET", "/v1/approvals?page_size=many", "", nil, 400, "not a value of its kind"},
		"a state that is none":                     {"GET", "/v1/approvals?states=LOST", "", nil, 400, "not a value of its kind"},
		"a query that is broken":                   {"GET", "/v1/approvals?%zz", "", nil, 400, "can't be read"},
		"a path of nothing":                        {"GET", "/v1/nothing", "", nil, 404, "docs/API.md"},
		"a path that is nearly one":                {"GET", "/v1/approvals/" + id + "/", "", nil, 404, ""},
		"a method that a path does not take":       {"DELETE", "/v1/approvals", "", nil, 405, "does not take this method"},
		"a method in a header":                     {"POST", "/v1/secrets/s", "", []string{"X-Http-Method-Override", "DELETE"}, 405, ""},
		"preflight of a page":                      {"OPTIONS", "/v1/approvals", "", []string{"Origin", "http://" + d.Console, "Access-Control-Request-Method", "GET"}, 405, ""},
	} {
		t.Run(name, func(t *testing.T) {
			code, text, header := d.ask("alice", c.method, c.path, c.body, c.headers...)
			if code != c.code || !strings.Contains(text, c.says) {
				t.Errorf("%d %s, want %d and %q", code, text, c.code, c.says)
			}
			if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Access-Control-Allow-Origin") != "" || header.Get("Content-Type") != "application/json" {
				t.Errorf("headers are %v", header)
			}
		})
	}
}

func TestPagesOfOtherSitesAreNotServed(t *testing.T) {
	d := openDesk(t)
	for name, c := range map[string]struct {
		method  string
		headers []string
		code    int
	}{
		"a page of another site":  {"GET", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"one of the same site":    {"GET", []string{"Sec-Fetch-Site", "same-site"}, 403},
		"an older browser's page": {"POST", []string{"Origin", "https://evil.example"}, 403},
		"a page of no origin":     {"POST", []string{"Origin", "null"}, 403},
		"who types the address":   {"GET", []string{"Sec-Fetch-Site", "none"}, 200},
		"the console's own page":  {"GET", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		"a program":               {"GET", nil, 200},
	} {
		path, body := "/v1/me", ""
		if c.method == "POST" {
			path, body = "/v1/policy:canI", `{"verb":"infer","model":"m"}`
		}
		if code, text, _ := d.ask("alice", c.method, path, body, c.headers...); code != c.code {
			t.Errorf("%s: %d %s, want %d", name, code, text, c.code)
		}
	}
}

// TestASecretIsInNoErrorAndNoLog: not the one that was stored, nor the one that could
// not be read.
func TestASecretIsInNoErrorAndNoLog(t *testing.T) {
	d := openDesk(t)
	const hidden = "hunter2hunter2%"
	for _, body := range []string{
		`{"value":"` + hidden + `"}`, `{"value":"` + hidden, `{"value":["` + hidden + `"]}`, `{"value":"QQ==","kind":{"` + hidden + `":1}}`, `"` + hidden + `"`,
	} {
		code, text, _ := d.ask("alice", "PUT", "/v1/secrets/s", body)
		if code != 400 || strings.Contains(text, "hunter2") {
			t.Errorf("%s: %d %s", body, code, text)
		}
	}
	if code, text, _ := d.ask("alice", "PUT", "/v1/secrets/s", `{"value":"aHVudGVyMmh1bnRlcjI="}`); code != 200 || strings.Contains(text, "hunter") {
		t.Errorf("put: %d %s", code, text)
	}
	if code, text, _ := d.ask("alice", "GET", "/v1/secrets", ""); code != 200 || strings.Contains(text, "hunter") || strings.Contains(text, "aHVudGVy") || !strings.Contains(text, `"id":"s"`) {
		t.Errorf("list: %d %s", code, text)
	}
	if log := d.Log.String(); strings.Contains(log, "hunter2") || strings.Contains(log, "aHVudGVy") {
		t.Error("the log has a secret")
	}
}

func TestEachPortServesItsOwnServices(t *testing.T) {
	d := openDesk(t)
	_, err := inference.NewGRPCInferenceServiceClient(d.admin).ServerLive(d.as("alice"), &inference.ServerLiveRequest{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("inference on the console: %v", err)
	}
	_, err = pb.NewIdentityServiceClient(d.conn).WhoAmI(d.as("alice"), &pb.WhoAmIRequest{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("sluice.v1 on the models' port: %v", err)
	}
	if code, _, _ := d.web("alice", "GET", "/v1/me", ""); code != 404 {
		t.Errorf("sluice.v1 on the models' REST: %d", code)
	}
	if code, text, _ := d.ask("", "GET", "/healthz", ""); code != 200 || text != "ok\n" {
		t.Errorf("health: %d %q", code, text)
	}
}

func TestWhatIsTooLargeOverGRPCIsRefused(t *testing.T) {
	d := openDesk(t)
	_, err := pb.NewPolicyServiceClient(d.admin).CanI(d.as("bob"), &pb.CanIRequest{Verb: strings.Repeat("x", 2<<20)})
	if err == nil {
		t.Error("2 MiB were taken")
	}
	_, err = pb.NewPolicyServiceClient(d.admin).CanI(d.as("bob"), &pb.CanIRequest{Verb: "infer", Model: "m"})
	if err != nil {
		t.Errorf("the connection is of no use after it: %v", err)
	}
	_, err = pb.NewSecretServiceClient(d.admin).PutSecret(d.as("alice"), &pb.PutSecretRequest{Id: "s", Value: make([]byte, 65<<10)})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a secret of 65 KiB: %v", err)
	}
}

// TestAStrangersBodyIsNotRead: he is refused on his headers, over gRPC as over REST,
// while the body that he has announced has not come.
func TestAStrangersBodyIsNotRead(t *testing.T) {
	d := openDesk(t)
	body, feed := io.Pipe()
	t.Cleanup(func() { _ = feed.Close() })
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+d.Console+pb.PolicyService_CanI_FullMethodName, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("TE", "trailers")
	transport := &http.Transport{Protocols: protocols(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })}
	t.Cleanup(transport.CloseIdleConnections)
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if got := resp.Trailer.Get("Grpc-Status"); got != fmt.Sprint(uint32(codes.Unauthenticated)) {
		t.Errorf("grpc-status is %q (%v)", got, resp.Header)
	}

	conn, err := net.Dial("tcp", d.Console)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "POST /v1/policy:canI HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("over REST: %d %v", answer.StatusCode, answer.Header)
	}
}

// TestNoHeaderBecomesAnIdentity: what grpc-gateway would make metadata of, and what a
// proxy's header could claim, is nobody's token.
func TestNoHeaderBecomesAnIdentity(t *testing.T) {
	d := openDesk(t)
	token := "Bearer " + d.Token("alice")
	for _, header := range []string{"Grpc-Metadata-Authorization", "Grpcgateway-Authorization", "X-Forwarded-Authorization", "Cookie", "Proxy-Authorization"} {
		if code, text, _ := d.ask("", "GET", "/v1/policy", "", header, token); code != 401 {
			t.Errorf("%s: %d %s", header, code, text)
		}
	}
	if code, _, _ := d.ask("", "GET", "/v1/policy?access_token="+strings.TrimPrefix(token, "Bearer "), ""); code != 401 {
		t.Errorf("a token in the query: %d", code)
	}
}

// TestAnAdministratorSeesWhatIsInForce: the policy with its guards, and the backends.
func TestAnAdministratorSeesWhatIsInForce(t *testing.T) {
	d := openDesk(t)
	code, text, _ := d.ask("alice", "GET", "/v1/policy", "")
	for _, want := range []string{`"id":"unload-prod"`, `"outcome":"GUARD_OUTCOME_APPROVE"`, `"within":"900s"`, `"id":"access[0]"`, `"max":"14400s"`, `"id":"auditor"`} {
		if code != 200 || !strings.Contains(text, want) {
			t.Errorf("%d %s\nlacks %s", code, text, want)
		}
	}
	if code, text, _ := d.ask("alice", "GET", "/v1/backends", ""); code != 200 || !strings.Contains(text, `"id":"models"`) {
		t.Errorf("%d %s", code, text)
	}
	for name, c := range map[string]struct{ text, says string }{
		"a policy that allows less": {"roles: {}", `"changes":[{`},
		"one that is wrong":         {"roles: {x: [{models: [], verbs: [lod]}]}", `"place":"p.yaml:1:`},
		"one that names a file":     {"roles: {}\nmasking: [{name: m, models: ['*'], entities: [PROJECT], action: redact}]\ndetectors: [{name: PROJECT, dictionary: /etc/passwd}]", "was not sent along"},
	} {
		body, err := json.Marshal(map[string]any{
			"files": []map[string]string{{"name": "p.yaml", "text": c.text}},
			"calls": []map[string]any{{"id": "1", "subject": map[string]any{"groups": []string{"model-viewer"}}, "verb": "infer", "model": "simple"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if code, text, _ := d.ask("alice", "POST", "/v1/policy:dryRun", string(body)); code != 200 || !strings.Contains(text, c.says) || strings.Contains(text, "root:") {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
}

// TestTheConsoleSpeaksEachProtocol: gRPC and REST on one port, with TLS and without.
func TestTheConsoleSpeaksEachProtocol(t *testing.T) {
	a := newAuthority(t)
	secure := prepare(t, setup{server: "  tls: { cert: cert.pem, key: key.pem }"})
	a.write(secure, "sluice.test")
	secure.run()
	for name, c := range map[string]struct {
		g     *gateway
		creds credentials.TransportCredentials
		tls   *tls.Config
	}{
		"plaintext": {start(t, setup{}), insecure.NewCredentials(), nil},
		"TLS":       {secure, credentials.NewTLS(a.config(nil)), a.config(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := grpc.NewClient("passthrough:///"+c.g.Console, grpc.WithTransportCredentials(c.creds))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			me, err := pb.NewIdentityServiceClient(conn).WhoAmI(c.g.as("bob"), &pb.WhoAmIRequest{}, grpc.UseCompressor("gzip"))
			if err != nil || me.GetPrincipal().GetName() != "bob" {
				t.Errorf("over gRPC: %v %v", me, err)
			}
			for major, set := range []func(*http.Protocols){func(p *http.Protocols) { p.SetHTTP1(true) }, func(p *http.Protocols) { p.SetHTTP2(c.tls != nil); p.SetUnencryptedHTTP2(c.tls == nil) }} {
				transport := &http.Transport{Protocols: protocols(set), TLSClientConfig: c.tls}
				scheme := map[bool]string{true: "https://", false: "http://"}[c.tls != nil]
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+c.g.Console+"/v1/me", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+c.g.Token("bob"))
				resp, err := transport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				transport.CloseIdleConnections()
				if err != nil || resp.StatusCode != 200 || resp.ProtoMajor != major+1 || !strings.Contains(string(body), `"name":"bob"`) {
					t.Errorf("over %s: %d %s %v", resp.Proto, resp.StatusCode, body, err)
				}
			}
		})
	}
}
