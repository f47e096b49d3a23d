package tlsfiles_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config/tlsfiles"
)

// TestDial asks an HTTPS server whose authority only the file has, by an
// address that its certificate is not for.
func TestDial(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	cert, key := ca.issue(t, "vllm", time.Hour)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	t.Cleanup(s.Close)
	f := newFolder(t)
	f.write(t, "ca.pem", ca.pem)
	f.write(t, "other.pem", other.pem)
	for name, tt := range map[string]struct {
		files tlsfiles.ClientFiles
		err   string
	}{
		"right":           {tlsfiles.ClientFiles{CA: f.path("ca.pem"), ServerName: "vllm"}, ""},
		"other name":      {tlsfiles.ClientFiles{CA: f.path("ca.pem"), ServerName: "tgi"}, "valid for vllm, not tgi"},
		"address's name":  {tlsfiles.ClientFiles{CA: f.path("ca.pem")}, "127.0.0.1"},
		"other authority": {tlsfiles.ClientFiles{CA: f.path("other.pem"), ServerName: "vllm"}, "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			log, _ := newLogger()
			dial, err := tlsfiles.Dial(tt.files, log)
			if err != nil {
				t.Fatal(err)
			}
			transport := &http.Transport{DialTLSContext: dial}
			defer transport.CloseIdleConnections()
			req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&http.Client{Transport: transport}).Do(req)
			if err != nil {
				if tt.err == "" || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got %v, want %q", err, tt.err)
				}
				return
			}
			defer func() { _ = resp.Body.Close() }()
			if body, _ := io.ReadAll(resp.Body); tt.err != "" || string(body) != "HTTP/1.1" {
				t.Errorf("got %s, want %q", body, tt.err)
			}
		})
	}
}
