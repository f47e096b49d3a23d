package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// protocols is a client's choice of HTTP.
func protocols(set func(*http.Protocols)) *http.Protocols {
	p := new(http.Protocols)
	set(p)
	return p
}

// TestTheRESTDoorSpeaksEachHTTP: 1.1, and 2 with and without TLS.
func TestTheRESTDoorSpeaksEachHTTP(t *testing.T) {
	plain := start(t, setup{})
	a := newAuthority(t)
	secure := prepare(t, setup{server: "  tls: { cert: cert.pem, key: key.pem }"})
	a.write(secure, "sluice.test")
	secure.run()
	for _, c := range []struct {
		name  string
		g     *gateway
		tls   *tls.Config
		set   func(*http.Protocols)
		major int
	}{
		{"HTTP/1.1", plain, nil, func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
		{"h2c", plain, nil, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, 2},
		{"HTTP/1.1 with TLS", secure, a.config(nil), func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
		{"HTTP/2 with TLS", secure, a.config(nil), func(p *http.Protocols) { p.SetHTTP2(true) }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			transport := &http.Transport{Protocols: protocols(c.set), TLSClientConfig: c.tls}
			defer transport.CloseIdleConnections()
			scheme := map[bool]string{true: "https://", false: "http://"}[c.tls != nil]
			for range 3 { // on one connection
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, scheme+c.g.REST+"/v2/models/simple/infer", strings.NewReader(addJSON))
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
				if err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != c.major || !strings.HasPrefix(string(body), `{"id":"1"`) {
					t.Errorf("got %s over %s: %s, %v", resp.Status, resp.Proto, body, err)
				}
			}
		})
	}
	if status, body, _ := secure.web("", http.MethodGet, "/v2", ""); status != http.StatusBadRequest {
		t.Errorf("a plain request at the TLS door: %d %s", status, body)
	}
}

// TestClientCertificatesAreAskedForOverRESTToo.
func TestClientCertificatesAreAskedForOverRESTToo(t *testing.T) {
	a := newAuthority(t)
	g := prepare(t, setup{server: "  tls: { cert: cert.pem, key: key.pem, client_ca: ca.pem }"})
	a.write(g, "sluice.test")
	g.run()
	for name, c := range map[string]struct {
		client *authority
		ok     bool
	}{"none": {nil, false}, "of the authority": {a, true}, "of another": {newAuthority(t), false}} {
		transport := &http.Transport{TLSClientConfig: a.config(c.client), DisableKeepAlives: true}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+g.REST+"/v2/health/live", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(r)
		if (err == nil) != c.ok {
			t.Errorf("a certificate %s: %v", name, err)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
}

// TestHeadersThatDoNotEndAreNotWaitedForForEver: a slow loris is cut off.
func TestHeadersThatDoNotEndAreNotWaitedForForEver(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the gateway's own time")
	}
	t.Parallel()
	g := start(t, setup{})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.REST)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	began := time.Now()
	if _, err := io.WriteString(conn, "GET /v2 HTTP/1.1\r\nHost: x\r\nX-A: "); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(began.Add(time.Minute)) // past it the copy fails
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the connection ended with %v after %v", err, time.Since(began))
	}
}

func TestHeadersThatAreTooLongAreRefused(t *testing.T) {
	g := start(t, setup{})
	status, _, _ := g.web("", http.MethodGet, "/v2/models/simple", "", "Authorization", "Bearer "+strings.Repeat("x", 20<<10))
	if status != http.StatusUnauthorized {
		t.Errorf("a token of 20 KiB: %d, want to be refused in words", status)
	}
	status, _, _ = g.web("bob", http.MethodGet, "/v2/models/simple", "", "X-Large", strings.Repeat("x", 80<<10))
	if status != http.StatusBadRequest {
		t.Errorf("80 KiB of metadata: %d", status)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.REST+"/v2/models/simple", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Large", strings.Repeat("x", 200<<10))
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return // net/http does not read the rest: what it says is lost to a client that still writes
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("200 KiB of headers: %d", resp.StatusCode)
	}
}

// TestSmuggledRequestsFindNoSecondOne: lengths that disagree, and lines that end
// in the middle.
func TestSmuggledRequestsFindNoSecondOne(t *testing.T) {
	g := start(t, setup{})
	const second = "GET /v2/models/simple HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, text := range map[string]string{
		"both lengths":        "POST /v2/models/simple/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n" + second,
		"two lengths":         "POST /v2/models/simple/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello" + second,
		"a negative length":   "POST /v2/models/simple/infer HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n" + second,
		"another encoding":    "POST /v2/models/simple/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + second,
		"a chunk without end": "POST /v2/models/simple/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nfffffffffffffffff\r\n" + second,
		"a space in a name":   "GET /v2/health/live HTTP/1.1\r\nHost: x\r\nX Y: z\r\n\r\n" + second,
		"a line in a path":    "GET /v2/health/live\nX HTTP/1.1\r\nHost: x\r\n\r\n" + second,
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.REST)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
			all, _ := io.ReadAll(conn)
			if n := strings.Count(string(all), "HTTP/1.1 "); n > 1 || strings.Contains(string(all), " 200 ") {
				t.Errorf("%d answers: %s", n, all)
			}
		})
	}
}

// TestShutdownLetsOpenRequestsEnd over REST too, a stream among them.
func TestShutdownLetsOpenRequestsEnd(t *testing.T) {
	free := make(chan struct{})
	b := backendstest.Listen(t, backendstest.Script{
		"ModelInfer":       {backendstest.Receive(), backendstest.Until(free), backendstest.Send(&inference.ModelInferResponse{ModelName: "simple"})},
		"ModelStreamInfer": {backendstest.Receive(), backendstest.Until(free), backendstest.Send(&inference.ModelStreamInferResponse{InferResponse: &inference.ModelInferResponse{ModelName: "simple", Outputs: []*inference.ModelInferResponse_InferOutputTensor{{Name: "O", Datatype: "BOOL", Shape: []int64{0}}}, RawOutputContents: [][]byte{nil}}}), backendstest.ReceiveAll()},
		"ModelConfig":      plainModel,
	})
	g := start(t, setup{backend: b.Addr, server: "  shutdown_grace: 20s"})
	type answer struct {
		path string
		text string
	}
	answers := make(chan answer, 2)
	for path, body := range map[string]string{"infer": addJSON, "generate_stream": "{}"} {
		go func() {
			status, text, _ := g.web("bob", http.MethodPost, "/v2/models/simple/"+path, body)
			answers <- answer{path, fmt.Sprint(status, " ", text)}
		}()
	}
	eventually(t, "both requests", func() bool { return len(sentTo(b.Calls())) == 2 })
	g.end()
	eventually(t, "the door to close", func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.REST)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(free)
	for range 2 {
		if a := <-answers; !strings.HasPrefix(a.text, "200 ") || !strings.Contains(a.text, `"model_name":"simple"`) {
			t.Errorf("%s ended with %s", a.path, a.text)
		}
	}
	if err := <-g.ended; err != nil {
		t.Errorf("the gateway ended with %v", err)
	}
}

// TestShutdownDoesNotWaitForEverForARequest.
func TestShutdownDoesNotWaitForEverForARequest(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{"ModelStreamInfer": {backendstest.Receive(), backendstest.Hang()}, "ModelConfig": plainModel})
	g := start(t, setup{backend: b.Addr, cut: true, server: "  shutdown_grace: 100ms"})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", g.REST)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "POST /v2/models/simple/generate_stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{}", g.Token("bob"))
	eventually(t, "the request", func() bool { return len(sentTo(b.Calls())) == 1 })
	g.end()
	if err := <-g.ended; err != nil {
		t.Errorf("the gateway ended with %v", err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := bufio.NewReader(conn).ReadByte(); err == nil {
		t.Error("the request was answered")
	}
}

// TestAReloadLetsPagesIn, and out again.
func TestAReloadLetsPagesIn(t *testing.T) {
	g := start(t, setup{})
	allowed := func() string {
		_, _, h := g.web("", http.MethodGet, "/v2/health/live", "", "Origin", "https://app.example")
		return h.Get("Access-Control-Allow-Origin")
	}
	if got := allowed(); got != "" {
		t.Errorf("at first %q may call", got)
	}
	before := g.read("sluice.yaml")
	g.Write("sluice.yaml", strings.Replace(before, "server:", "server:\n  cors: [\"https://app.example\"]", 1))
	g.Reload()
	if got := allowed(); got != "https://app.example" {
		t.Errorf("after the reload %q may call", got)
	}
	g.Write("sluice.yaml", before)
	g.Reload()
	if got := allowed(); got != "" {
		t.Errorf("then %q may call", got)
	}
}

// TestTheRESTDoorsBuffersComeBack: large bodies and answers both ways, broken
// off ones among them; start checks the pool.
func TestTheRESTDoorsBuffersComeBack(t *testing.T) {
	g := start(t, setup{})
	head := `{"inputs":[{"name":"INPUT0","shape":[1,1048576],"datatype":"FP32","parameters":{"binary_data_size":4194304}}],"parameters":{"binary_data_output":true}}`
	tensor := strings.Repeat("\x00\x00\x80\x3f", 1<<20)
	status, body, _ := g.web("bob", http.MethodPost, "/v2/models/identity_fp32/infer", head+tensor, "Inference-Header-Content-Length", fmt.Sprint(len(head)))
	if status != http.StatusOK || !strings.HasSuffix(body, tensor) {
		t.Errorf("got %d and %d bytes", status, len(body))
	}
	numbers := strings.Repeat("1.5,", 1<<18-1) + "1.5"
	status, body, _ = g.web("bob", http.MethodPost, "/v2/models/identity_fp32/infer", `{"inputs":[{"name":"INPUT0","shape":[1,262144],"datatype":"FP32","data":[`+numbers+`]}]}`)
	if status != http.StatusOK || !strings.Contains(body, `"data":[`+numbers+`]`) {
		t.Errorf("got %d and %d bytes", status, len(body))
	}
	for _, bad := range []string{head + tensor[:1<<20], head[:100], head + tensor + "x"} {
		if status, body, _ = g.web("bob", http.MethodPost, "/v2/models/identity_fp32/infer", bad, "Inference-Header-Content-Length", fmt.Sprint(min(len(head), len(bad)))); status == http.StatusOK {
			t.Errorf("got %d %s", status, body)
		}
	}
}
