package server_test

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/audit"
	auditlog "github.com/sluice-gateway/sluice/audit/sqlite"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// refused is something that a door refuses, and the one record of it in the words of
// [told]; "" where a library answers by itself, which docs/AUDIT.md says.
type refused struct {
	name string
	do   func(s *slackDesk)
	want string
}

// overREST asks the REST door, and onConsole the console's.
func asking(as, method, path, body string, headers ...string) func(*slackDesk) {
	return func(s *slackDesk) { s.web(as, method, path, body, headers...) }
}

func onConsole(as, method, path, body string, headers ...string) func(*slackDesk) {
	return func(s *slackDesk) { s.ask(as, method, path, body, headers...) }
}

// rawly sends bytes to a door of gRPC, with fields over those of gRPC.
func rawly(console bool, as, path string, data []byte, fields ...string) func(*slackDesk) {
	return func(s *slackDesk) {
		address := s.Address
		if console {
			address = s.Console
		}
		c := rawClientOf(s.t, address)
		if as != "" {
			fields = append(fields, "authorization", "Bearer "+s.Token(as))
		}
		c.open(1, path, false, fields...)
		c.data(1, true, data)
		if got := c.answer(1).status(); got == "0" || got == "HTTP 200" {
			s.t.Errorf("%s %v is answered with %s", path, fields, got)
		}
	}
}

const (
	inferPath = "/v2/models/simple/infer"
	whoAmI    = "/sluice.v1.IdentityService/WhoAmI"
)

var refusedByREST = []refused{
	{"no token", asking("", "POST", inferPath, addJSON), "login_failed rest denied Unauthenticated TOKEN_MISSING"},
	{"a bad token", asking("", "POST", inferPath, addJSON, "Authorization", "Bearer x"), "login_failed rest denied Unauthenticated TOKEN_INVALID"},
	{"no role", asking("carol", "POST", inferPath, addJSON), "call rest carol infer simple denied PermissionDenied NO_ROLE_ALLOWS"},
	{"an unknown path", asking("bob", "GET", "/nothing", ""), "call rest denied Unimplemented UNKNOWN_RPC"},
	{"a forged address and id", asking("bob", "GET", "/nothing", "", "X-Forwarded-For", "192.0.2.7", "X-Request-Id", "nothing", "Grpc-Status", "7"), "call rest denied Unimplemented UNKNOWN_RPC"},
	{"a forged id, of a call", asking("carol", "POST", inferPath, addJSON, "X-Request-Id", "nothing", "Grpc-Status", "7"), "call rest carol infer simple denied PermissionDenied NO_ROLE_ALLOWS"},
	{"a method over another", asking("bob", "POST", inferPath, addJSON, "X-HTTP-Method-Override", "DELETE", "Grpc-Timeout", "soon"), "call rest infer simple denied InvalidArgument MALFORMED_REQUEST"},
	{"a path to be cleaned", asking("bob", "GET", "//v2/../nothing", ""), "call rest denied Unimplemented UNKNOWN_RPC"},
	{"an unknown action", asking("bob", "POST", "/v2/models/simple/nothing", "{}"), "call rest denied Unimplemented UNKNOWN_RPC"},
	{"another method", asking("bob", "GET", inferPath, ""), "call rest infer simple denied Unimplemented UNKNOWN_RPC"},
	{"another method of the document", asking("", "POST", "/openapi.json", ""), "call rest denied Unimplemented UNKNOWN_RPC"},
	{"a deadline that is none", asking("bob", "POST", inferPath, addJSON, "Grpc-Timeout", "soon"), "call rest infer simple denied InvalidArgument MALFORMED_REQUEST"},
	{"a page of elsewhere", asking("", "OPTIONS", inferPath, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"), "call rest infer simple denied PermissionDenied CROSS_SITE"},
	{"a body that is no JSON", asking("bob", "POST", inferPath, "{"), "call rest bob infer simple denied InvalidArgument MALFORMED_REQUEST"},
	{"a body without end", asking("bob", "POST", inferPath, strings.Repeat(" ", 100<<10)), "call rest bob infer simple denied InvalidArgument MALFORMED_REQUEST"},
	{"an unknown compression", asking("bob", "POST", inferPath, addJSON, "Content-Encoding", "br"), "call rest bob infer simple denied InvalidArgument MALFORMED_REQUEST"},
	{"a broken compression", asking("bob", "POST", inferPath, addJSON, "Content-Encoding", "gzip"), "call rest bob infer simple denied InvalidArgument MALFORMED_REQUEST"},
	{"a prompt that is no JSON", asking("bob", "POST", "/v2/models/simple/generate", "{"), "call rest bob infer denied InvalidArgument MALFORMED_REQUEST"},
	{"a load that is no JSON", asking("alice", "POST", "/v2/repository/models/simple/load", "{"), "call rest alice denied InvalidArgument MALFORMED_REQUEST"},
	{"OpenAI: an unknown path", asking("bob", "GET", "/v1/nothing", ""), "call rest denied Unimplemented UNKNOWN_RPC"},
	{"OpenAI: another method", asking("bob", "GET", "/v1/chat/completions", ""), "call rest denied Unimplemented UNKNOWN_RPC"},
	{"OpenAI: a deadline that is none", asking("bob", "POST", "/v1/chat/completions", "{}", "Grpc-Timeout", "soon"), "call rest denied InvalidArgument MALFORMED_REQUEST"},
	{"OpenAI: a body that is no JSON", asking("bob", "POST", "/v1/chat/completions", "{"), "call rest bob infer denied InvalidArgument MALFORMED_REQUEST"},
	{"OpenAI: no token", asking("", "POST", "/v1/embeddings", "{}"), "login_failed rest denied Unauthenticated TOKEN_MISSING"},
	{"headers without end", headersWithoutEnd, ""},
	{"the metrics: an unknown path", onMetrics("GET", "/nothing"), "call metrics denied Unimplemented UNKNOWN_RPC"},
	{"the metrics: another method", onMetrics("POST", "/metrics"), "call metrics denied Unimplemented UNKNOWN_RPC"},
}

var refusedByConsole = []refused{
	{"no token", onConsole("", "GET", "/v1/me", ""), "login_failed admin denied Unauthenticated TOKEN_MISSING"},
	{"no role", onConsole("bob", "GET", "/v1/policy", ""), "admin admin bob admin denied PermissionDenied NO_ROLE_ALLOWS"},
	{"an unknown path", onConsole("alice", "GET", "/v1/nothing", ""), "call admin denied Unimplemented UNKNOWN_RPC"},
	{"a forged address and id", onConsole("alice", "GET", "/v1/nothing", "", "X-Forwarded-For", "192.0.2.7", "X-Request-Id", "nothing", "Grpc-Status", "7"), "call admin denied Unimplemented UNKNOWN_RPC"},
	{"a path to be cleaned", onConsole("alice", "GET", "//v1/../nothing", ""), "call admin denied Unimplemented UNKNOWN_RPC"},
	{"a form that is said to be a GET", onConsole("alice", "POST", "/v1/me", "", "Content-Type", "application/x-www-form-urlencoded", "X-HTTP-Method-Override", "GET"), "call admin denied Unimplemented UNKNOWN_RPC"},
	{"gRPC: a forged address and id", rawly(true, "bob", "/nothing", framed(0, nil), "x-request-id", "nothing", "x-forwarded-for", "192.0.2.7", "grpc-status", "0"), "call admin denied InvalidArgument MALFORMED_REQUEST"},
	{"another method", onConsole("alice", "DELETE", "/v1/approvals", ""), "call admin denied Unimplemented UNKNOWN_RPC"},
	{"another method of a page", onConsole("", "POST", "/healthz", ""), "call admin denied Unimplemented UNKNOWN_RPC"},
	{"a page of elsewhere", onConsole("alice", "GET", "/v1/me", "", "Sec-Fetch-Site", "cross-site"), "call admin denied PermissionDenied CROSS_SITE"},
	{"a form of elsewhere", onConsole("alice", "POST", "/v1/policy:canI", `{}`, "Origin", "https://evil.example"), "call admin denied PermissionDenied CROSS_SITE"},
	{"a body of another type", onConsole("alice", "POST", "/v1/policy:canI", `{}`, "Content-Type", "text/plain"), "admin admin alice denied InvalidArgument MALFORMED_REQUEST"},
	{"a body that is no JSON", onConsole("alice", "POST", "/v1/policy:canI", `{`), "admin admin alice denied InvalidArgument MALFORMED_REQUEST"},
	{"a body without end", onConsole("alice", "POST", "/v1/policy:canI", `{"verb":"`+strings.Repeat("x", 1<<20)+`"}`), "admin admin alice denied InvalidArgument MALFORMED_REQUEST"},
	{"a compressed body", onConsole("alice", "POST", "/v1/policy:canI", `{}`, "Content-Encoding", "gzip"), "admin admin alice denied InvalidArgument MALFORMED_REQUEST"},
	{"gRPC: no token", rawly(true, "", whoAmI, framed(0, nil)), "login_failed admin denied Unauthenticated TOKEN_MISSING"},
	{"gRPC: an unknown method", rawly(true, "alice", "/sluice.v1.IdentityService/Nothing", framed(0, nil)), "admin admin alice denied Unimplemented UNKNOWN_RPC"},
	{"gRPC: a path that is no method's", rawly(true, "alice", "/nothing", framed(0, nil)), "call admin denied InvalidArgument MALFORMED_REQUEST"},
	{"gRPC: a deadline that is none", rawly(true, "alice", whoAmI, framed(0, nil), "grpc-timeout", "soon"), "call admin denied InvalidArgument MALFORMED_REQUEST"},
	{"gRPC: metadata that is none", rawly(true, "alice", whoAmI, framed(0, nil), "x-bin", "!!!"), "call admin denied InvalidArgument MALFORMED_REQUEST"},
	{"gRPC: an unknown compression", rawly(true, "alice", whoAmI, framed(0, nil), "grpc-encoding", "br"), "call admin denied InvalidArgument MALFORMED_REQUEST"},
	{"gRPC: a message that is none", rawly(true, "alice", whoAmI, framed(0, []byte{0xff})), "admin admin alice denied InvalidArgument MALFORMED_REQUEST"},
	{"Slack: another method", onConsole("", "GET", "/v1/slack/actions", ""), "call slack denied Unimplemented UNKNOWN_RPC"},
	{"Slack: a body without end", onConsole("", "POST", "/v1/slack/actions", strings.Repeat("x", 64<<10+1)), "call slack denied InvalidArgument MALFORMED_REQUEST"},
	{"Slack: not signed", func(s *slackDesk) { s.pressSigned("guessed", "sluice_approve", "UC", "r") }, "login_failed slack denied Unauthenticated TOKEN_INVALID"},
	{"Slack: somebody who is not linked", func(s *slackDesk) { s.press("sluice_approve", "UX", "r") }, "login_failed slack approve denied Unauthenticated TOKEN_MISSING"},
}

var refusedByGRPC = []refused{
	{"no token", rawly(false, "", modelInfer, framed(0, nil)), "login_failed grpc denied Unauthenticated TOKEN_MISSING"},
	{"no role", func(s *slackDesk) { _, _ = s.ModelInfer(s.as("carol"), simpleRequest("r")) }, "call grpc carol infer simple denied PermissionDenied NO_ROLE_ALLOWS"},
	{"an unknown method", rawly(false, "bob", "/inference.GRPCInferenceService/Nothing", framed(0, nil)), "call grpc bob denied Unimplemented UNKNOWN_RPC"},
	{"an unknown service", rawly(false, "bob", "/nothing/ModelInfer", framed(0, nil)), "call grpc bob denied Unimplemented UNKNOWN_RPC"},
	{"a path that is no method's", rawly(false, "bob", "/nothing", framed(0, nil)), "call grpc denied Unimplemented MALFORMED_REQUEST"},
	{"a path without its slash", rawly(false, "bob", strings.TrimPrefix(modelInfer, "/"), framed(0, nil)), "call grpc denied Unimplemented MALFORMED_REQUEST"},
	{"a deadline that is over", rawly(false, "bob", modelInfer, nil, "grpc-timeout", "0n"), "call grpc failed DeadlineExceeded"},
	{"a message that is none", rawly(false, "bob", modelInfer, framed(0, []byte{0xff})), "call grpc bob denied InvalidArgument MALFORMED_REQUEST"},
	{"a message that is cut short", rawly(false, "bob", modelInfer, framed(0, []byte{1})[:3]), "call grpc bob failed Internal"},
	{"a message without end", rawly(false, "bob", modelInfer, binary.BigEndian.AppendUint32([]byte{0}, 1<<30)), "call grpc bob failed ResourceExhausted"},
	{"a broken compression", rawly(false, "bob", modelInfer, framed(1, []byte("text")), "grpc-encoding", "gzip"), "call grpc bob failed Internal"},
	{"a deadline that is none", rawly(false, "bob", modelInfer, nil, "grpc-timeout", "soon"), ""},
	{"metadata that is none", rawly(false, "bob", modelInfer, nil, "x-bin", "!!!"), ""},
	{"another content type", rawly(false, "bob", modelInfer, nil, "content-type", "application/json"), ""},
	{"another HTTP method", rawly(false, "bob", modelInfer, nil, ":method", "GET"), ""},
	{"an unknown compression", rawly(false, "bob", modelInfer, nil, "grpc-encoding", "br"), ""},
}

func headersWithoutEnd(s *slackDesk) {
	conn, err := net.Dial("tcp", s.REST)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// The server may have hung up before all is written.
	_, _ = fmt.Fprintf(conn, "GET /v2 HTTP/1.1\r\nHost: sluice\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 200<<10))
	line := make([]byte, len("HTTP/1.1 431"))
	if _, err := io.ReadFull(conn, line); err == nil && !strings.HasSuffix(string(line), " 431") {
		s.t.Errorf("it is answered with %s", line)
	}
}

func onMetrics(method, path string) func(*slackDesk) {
	return func(s *slackDesk) {
		r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.Metrics+path, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		transport := &http.Transport{DisableKeepAlives: true}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			s.t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
}

// TestEachRefusalOnEachDoorIsOneRecord: by whatever it is refused, there is one record
// of it, and no second one of what the chain has recorded.
func TestEachRefusalOnEachDoorIsOneRecord(t *testing.T) {
	for door, table := range map[string][]refused{"REST": refusedByREST, "the console": refusedByConsole, "gRPC": refusedByGRPC} {
		t.Run(door, func(t *testing.T) {
			s := openSlackDesk(t, func(c *setup) {
				c.server += "  openai: true\n  cors: [\"https://app.example\"]\n  limits: { max_message: 64KiB }\n"
				c.extra += "audit: { sqlite: audit.db, key: keys/audit.key, strangers: 1000 }\n"
				c.cut = true
			})
			var want []string
			for _, c := range table {
				c.do(s)
				if c.want != "" {
					want = append(want, c.want)
				}
			}
			var got []string
			for _, r := range s.records() {
				if r.Kind == audit.KindStart || r.Kind == audit.KindStop {
					continue
				}
				if got = append(got, told(r)); !r.Peer.IsLoopback() || r.Call == "" || r.RPC == "" || strings.Contains(fmt.Sprint(r), "nothing") {
					t.Errorf("it is %+v", r)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("recorded is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestHandshakesThatAreRefusedAreRecorded, on each door; a client who hangs up was not
// refused.
func TestHandshakesThatAreRefusedAreRecorded(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	g := prepare(t, setup{server: "  tls: { cert: cert.pem, key: key.pem, client_ca: ca.pem }", extra: recorded, cut: true})
	a.write(g, "sluice.test")
	g.run()
	for name, address := range map[string]string{"grpc": g.Address, "rest": g.REST, "admin": g.Console} {
		for _, config := range []*tls.Config{a.config(nil), a.config(stranger)} {
			knock(t, address, config)
		}
		silent, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = silent.Close()
		knock(t, address, a.config(a)) // who is let in is refused nothing
		eventually(t, "the records of "+name, func() bool { return len(g.loginsFailed(name)) >= 2 })
	}
	g.GRPCInferenceServiceClient = inference.NewGRPCInferenceServiceClient(g.Dial(nil))
	for _, r := range g.records() {
		if r.Kind == audit.KindStart || r.Kind == audit.KindStop {
			continue
		}
		if line := told(r); !slices.Contains([]string{"grpc", "rest", "admin"}, r.Door) || line != "login_failed "+r.Door+" denied Unauthenticated TLS_HANDSHAKE" || r.Cause == "" || !r.Peer.IsLoopback() {
			t.Errorf("%s: %s", line, r.Cause)
		}
	}
	for _, door := range []string{"grpc", "rest", "admin"} {
		if n := len(g.loginsFailed(door)); n != 2 {
			t.Errorf("%s has %d records", door, n)
		}
	}
}

// knock makes a handshake, and reads until the other side has said what it thinks.
func knock(t *testing.T, address string, config *tls.Config) {
	t.Helper()
	config.NextProtos = []string{"h2"}
	c, err := tls.Dial("tcp", address, config)
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\n\r\n")
	_, _ = c.Read(make([]byte, 1))
	_ = c.Close()
}

// loginsFailed are the failed logins at a door that the log has by now.
func (g *gateway) loginsFailed(door string) (all []*audit.Record) {
	g.t.Helper()
	l, err := auditlog.Open(g.t.Context(), g.dir+"/audit.db")
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for f, err := range l.Search(g.t.Context(), audit.Query{Kinds: []audit.Kind{audit.KindLoginFailed}}) {
		if err != nil {
			g.t.Fatal(err)
		}
		if f.Record.Door == door {
			all = append(all, f.Record)
		}
	}
	return all
}
