package tlsfiles_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sluice-gateway/sluice/config/tlsfiles"
)

// backend is the server's side of a test: what it shows, and whom it saw.
type backend struct {
	config *tls.Config
	saw    string // name on the client's certificate
}

func newBackend(t *testing.T, ca *authority, name string, ends time.Duration) *backend {
	t.Helper()
	cert, key := ca.issue(t, name, ends)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &backend{config: &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}, ClientAuth: tls.RequestClientCert}}
}

// dial shakes hands with b as grpc does.
func dial(t *testing.T, b *backend, creds credentials.TransportCredentials, authority string) error {
	t.Helper()
	near, far := pipe(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn := tls.Server(far, b.config)
		if conn.HandshakeContext(context.Background()) == nil {
			if certs := conn.ConnectionState().PeerCertificates; len(certs) > 0 {
				b.saw = certs[0].Subject.CommonName
			}
		}
		_ = far.Close()
	}()
	_, _, err := creds.ClientHandshake(context.Background(), authority, near)
	_ = near.Close()
	<-done
	return err
}

func TestClientVerifies(t *testing.T) {
	ca, stranger := newAuthority(t, "ca"), newAuthority(t, "stranger")
	tests := map[string]struct {
		signer     *authority
		name       string
		ends       time.Duration
		serverName string
		want       string
	}{
		"good":            {ca, "triton", time.Hour, "", ""},
		"wrong authority": {stranger, "triton", time.Hour, "", "unknown authority"},
		"wrong name":      {ca, "other", time.Hour, "", "valid for other, not triton"},
		"expired":         {ca, "triton", -time.Minute, "", "expired"},
		"server name":     {ca, "other", time.Hour, "other", ""},
		"not server name": {ca, "triton", time.Hour, "other", "valid for triton, not other"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.write(t, "ca.pem", ca.pem)
			logger, _ := newLogger()
			creds, err := tlsfiles.Client(tlsfiles.ClientFiles{CA: f.path("ca.pem"), ServerName: tt.serverName}, logger)
			if err != nil {
				t.Fatal(err)
			}
			err = dial(t, newBackend(t, tt.signer, tt.name, tt.ends), creds.Clone(), "triton:8001")
			expectError(t, err, tt.want)
		})
	}
}

func TestClientFollowsItsFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, after, f := newAuthority(t, "before"), newAuthority(t, "after"), newFolder(t)
		f.write(t, "ca.pem", before.pem)
		f.pair(t, before, "one")
		logger, logged := newLogger()
		creds, err := tlsfiles.Client(tlsfiles.ClientFiles{CA: f.path("ca.pem"), Cert: f.path("cert.pem"), Key: f.path("key.pem")}, logger)
		if err != nil {
			t.Fatal(err)
		}
		expect := func(when string, signer *authority, wantErr, wantSeen string) {
			t.Helper()
			b := newBackend(t, signer, "triton", time.Hour)
			expectError(t, dial(t, b, creds, "triton:8001"), wantErr)
			if wantErr == "" && b.saw != wantSeen {
				t.Errorf("%s: the backend saw %q, want %q", when, b.saw, wantSeen)
			}
		}
		expect("at the start", before, "", "one")
		expect("other authority", after, "unknown authority", "")
		f.write(t, "ca.pem", after.pem)
		f.pair(t, after, "two")
		expect("within the second", before, "", "one")
		time.Sleep(time.Second)
		expect("after it", after, "", "two")
		expect("authority gone", before, "unknown authority", "")
		f.write(t, "key.pem", []byte("garbage"))
		time.Sleep(time.Second)
		expect("bad key", after, "", "two")
		if strings.Count(logged.String(), "not taken over") != 1 || strings.Count(logged.String(), "garbage") != 0 {
			t.Error("the bad key is not logged once, without its text")
		}
	})
}

func TestClientRefusesBadFiles(t *testing.T) {
	ca := newAuthority(t, "ca")
	cert, _ := ca.issue(t, "one", time.Hour)
	_, other := ca.issue(t, "two", time.Hour)
	expired, expiredKey := ca.issue(t, "three", -time.Hour)
	tests := map[string]struct {
		ca, cert, key []byte
		want          string
	}{
		"authority":  {[]byte("x"), nil, nil, "ca.pem holds no certificate in PEM"},
		"mismatched": {ca.pem, cert, other, "private key does not match public key"},
		"expired":    {ca.pem, expired, expiredKey, "cert.pem expired on 20"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			files := tlsfiles.ClientFiles{CA: f.path("ca.pem")}
			f.write(t, "ca.pem", tt.ca)
			if tt.cert != nil {
				f.write(t, "cert.pem", tt.cert)
				f.write(t, "key.pem", tt.key)
				files.Cert, files.Key = f.path("cert.pem"), f.path("key.pem")
			}
			logger, _ := newLogger()
			_, err := tlsfiles.Client(files, logger)
			expectError(t, err, tt.want)
		})
	}
}

func TestClientIsNoServer(t *testing.T) {
	logger, _ := newLogger()
	creds, err := tlsfiles.Client(tlsfiles.ClientFiles{ServerName: "a"}, logger)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := creds.ServerHandshake(nil); err == nil {
		t.Error("a client's credentials shook hands as a server's")
	}
	if got := creds.Info().SecurityProtocol; got != "tls" {
		t.Errorf("secured with %q", got)
	}
}

func TestCloneHasItsOwnServerName(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFolder(t)
	f.write(t, "ca.pem", ca.pem)
	logger, _ := newLogger()
	creds, err := tlsfiles.Client(tlsfiles.ClientFiles{CA: f.path("ca.pem"), ServerName: "a"}, logger)
	if err != nil {
		t.Fatal(err)
	}
	clone := creds.Clone()
	//lint:ignore SA1019 callers have a better way, the interface still has the method
	if err := clone.OverrideServerName("b"); err != nil {
		t.Fatal(err)
	}
	b := newBackend(t, ca, "b", time.Hour)
	expectError(t, dial(t, b, clone, "triton:8001"), "")
	expectError(t, dial(t, b, creds, "triton:8001"), "valid for b, not a")
}

// Both ends as grpc uses them, over a real connection.
func TestOverGRPC(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFolder(t)
	f.pair(t, ca, "triton")
	f.write(t, "ca.pem", ca.pem)
	logger, _ := newLogger()
	config, err := tlsfiles.Server(tlsfiles.ServerFiles{Cert: f.path("cert.pem"), Key: f.path("key.pem"), ClientCA: f.path("ca.pem")}, logger)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
	healthpb.RegisterHealthServer(server, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	creds, err := tlsfiles.Client(tlsfiles.ClientFiles{
		CA: f.path("ca.pem"), Cert: f.path("cert.pem"), Key: f.path("key.pem"), ServerName: "triton",
	}, logger)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
}
