package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/server"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.pem, a.key = a.sign(a.cert, nil)
	return a
}

// sign completes a certificate and signs it, with its own key if there is no
// authority yet.
func (a *authority) sign(c *x509.Certificate, by *ecdsa.PrivateKey) (string, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	c.Subject = pkix.Name{CommonName: rand.Text()}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), by)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), key
}

// issue makes a certificate for a name, and its key.
func (a *authority) issue(name string) (cert, key string) {
	a.t.Helper()
	c, private := a.sign(&x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}}, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return c, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// config trusts the authority, and shows a certificate of another one if there
// is one.
func (a *authority) config(client *authority) *tls.Config {
	a.t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "sluice.test", MinVersion: tls.VersionTLS12}
	config.RootCAs.AppendCertsFromPEM([]byte(a.pem))
	if client != nil {
		cert, key := client.issue("client.test")
		pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
		if err != nil {
			a.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

// write writes a pair and an authority to a folder.
func (a *authority) write(g *gateway, name string) {
	cert, key := a.issue(name)
	g.Write("cert.pem", cert)
	g.Write("key.pem", key)
	g.Write("ca.pem", a.pem)
}

// live asks a gateway whether it lives.
func (g *gateway) live(config *tls.Config) error {
	g.t.Helper()
	var creds credentials.TransportCredentials
	if config != nil {
		creds = credentials.NewTLS(config)
	}
	conn := g.Dial(creds)
	defer func() { _ = conn.Close() }()
	_, err := inference.NewGRPCInferenceServiceClient(conn).ServerLive(g.as(""), &inference.ServerLiveRequest{})
	return err
}

// startTLS starts a gateway whose door has a certificate.
func startTLS(t *testing.T, a *authority, more string) *gateway {
	t.Helper()
	g := prepare(t, setup{server: "  tls: { cert: cert.pem, key: key.pem" + more + " }"})
	a.write(g, "sluice.test")
	g.run()
	return g
}

func TestTLS(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	g := startTLS(t, a, `, min_version: "1.3"`)
	if err := g.live(a.config(nil)); err != nil {
		t.Errorf("with TLS: %v", err)
	}
	old := a.config(nil)
	old.MaxVersion = tls.VersionTLS12
	for name, config := range map[string]*tls.Config{"plaintext": nil, "another authority": stranger.config(nil), "TLS 1.2": old} {
		if err := g.live(config); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMutualTLS: a client needs a certificate, and it is not an identity.
func TestMutualTLS(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	g := startTLS(t, a, ", client_ca: ca.pem")
	for name, config := range map[string]*tls.Config{"no certificate": a.config(nil), "a stranger's": a.config(stranger)} {
		if err := g.live(config); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	client := inference.NewGRPCInferenceServiceClient(g.Dial(credentials.NewTLS(a.config(a))))
	_, err := client.ModelInfer(g.as(""), add("simple"))
	wantRefusal(t, err, codes.Unauthenticated, access.ReasonTokenMissing)
	if _, err := client.ModelInfer(g.as("bob"), add("simple")); err != nil {
		t.Errorf("with a token: %v", err)
	}
}

// TestCertificatesAreRotated: the files are followed, and a bad file leaves the
// one before.
func TestCertificatesAreRotated(t *testing.T) {
	t.Parallel()
	before, after := newAuthority(t), newAuthority(t)
	g := startTLS(t, before, "")
	g.Write("cert.pem", "not a certificate")
	eventually(t, "the gateway to notice", func() bool {
		if err := g.live(before.config(nil)); err != nil {
			t.Fatalf("while the file is bad: %v", err)
		}
		return strings.Contains(g.Log.String(), "TLS files not taken over")
	})
	after.write(g, "sluice.test")
	eventually(t, "the new certificate", func() bool { return g.live(after.config(nil)) == nil })
	if err := g.live(before.config(nil)); status.Code(err) != codes.Unavailable {
		t.Errorf("the old authority is still good: %v", err)
	}
}

// TestTLSToABackend with a certificate on both sides.
func TestTLSToABackend(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	served := a.config(a)
	cert, key := a.issue("models.test")
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	served.Certificates, served.ClientCAs, served.ClientAuth = []tls.Certificate{pair}, served.RootCAs, tls.RequireAndVerifyClientCert
	address := startModelsAt(t, "127.0.0.1:0", grpc.Creds(credentials.NewTLS(served)))
	for name, c := range map[string]struct {
		by   *authority
		tls  string
		good bool
	}{
		"right":                 {a, "{ ca: ca.pem, cert: cert.pem, key: key.pem, server_name: models.test }", true},
		"another name":          {a, "{ ca: ca.pem, cert: cert.pem, key: key.pem, server_name: sluice.test }", false},
		"the address's name":    {a, "{ ca: ca.pem, cert: cert.pem, key: key.pem }", false},
		"no certificate":        {a, "{ ca: ca.pem, server_name: models.test }", false},
		"a stranger":            {stranger, "{ ca: ca.pem, cert: cert.pem, key: key.pem, server_name: models.test }", false},
		"the system's authors":  {a, "{ cert: cert.pem, key: key.pem, server_name: models.test }", false},
		"plaintext to its port": {a, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			more := ""
			if c.tls != "" {
				more = ", tls: " + c.tls
			}
			g := prepare(t, setup{backend: address, more: more})
			c.by.write(g, "client.test")
			g.run()
			client := inference.NewGRPCInferenceServiceClient(g.Dial(nil))
			_, err := client.ModelInfer(g.as("bob"), add("simple"))
			if c.good {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantRefusal(t, err, codes.Unavailable, access.ReasonBackendAway)
			if text := status.Convert(err).Message(); strings.Contains(text, "x509") || strings.Contains(text, "127.0.0.1") {
				t.Errorf("the caller sees %q", text)
			}
		})
	}
}

// TestPlaintextOffLoopback is refused before anything listens, unless it is
// asked for by name.
func TestPlaintextOffLoopback(t *testing.T) {
	for name, c := range map[string]struct{ change, to, where string }{
		"the gRPC door":    {`grpc: "127.0.0.1:0"`, `grpc: ":0"`, "server.grpc"},
		"the metrics door": {`metrics: "127.0.0.1:0"`, `metrics: "0.0.0.0:0"`, "server.metrics"},
		"by name":          {`grpc: "127.0.0.1:0"`, `grpc: "sluice.example:0"`, "server.grpc"},
		"a backend":        {`addresses: ["127.0.0.1:1"]`, `addresses: ["triton-0:8001"]`, "addresses[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			g := prepare(t, setup{backend: "127.0.0.1:1"})
			g.Write("sluice.yaml", strings.Replace(g.read("sluice.yaml"), c.change, c.to, 1))
			err := server.Run(context.Background(), server.Options{ConfigPath: filepath.Join(g.dir, "sluice.yaml"), Logger: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), "loopback") || !strings.Contains(err.Error(), "sluice.yaml:") {
				t.Errorf("%v, want a problem of %s", err, c.where)
			}
		})
	}
}
