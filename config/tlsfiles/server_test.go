package tlsfiles_test

import (
	"context"
	"crypto/tls"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/config/tlsfiles"
)

// shake shakes hands in memory and returns what each side thought of it. Both
// sides read once more, since a TLS 1.3 client hears of a refusal only then.
func shake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	b, a := pipe(t)
	done := make(chan error, 1)
	go func() {
		conn := tls.Server(a, server)
		err := conn.HandshakeContext(context.Background())
		if err == nil {
			_, err = conn.Write([]byte("x"))
		}
		_ = conn.Close()
		done <- err
	}()
	conn := tls.Client(b, client)
	clientErr = conn.HandshakeContext(context.Background())
	if clientErr == nil {
		var n int
		if n, clientErr = conn.Read(make([]byte, 1)); n == 1 {
			clientErr = nil // the end may come with the last byte
		}
	}
	state = conn.ConnectionState()
	_ = b.Close()
	return state, <-done, clientErr
}

// shown is the name on the certificate that the server shows now.
func shown(t *testing.T, server *tls.Config) string {
	t.Helper()
	state, _, err := shake(t, server, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].Subject.CommonName
}

func TestServerFollowsItsFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, f := newAuthority(t, "ca"), newFolder(t)
		logger, logged := newLogger()
		f.pair(t, ca, "one")
		server, err := tlsfiles.Server(tlsfiles.ServerFiles{Cert: f.path("cert.pem"), Key: f.path("key.pem")}, logger)
		if err != nil {
			t.Fatal(err)
		}
		expect := func(when, want string) {
			t.Helper()
			if got := shown(t, server); got != want {
				t.Errorf("%s: shows %s, want %s", when, got, want)
			}
		}
		expect("at the start", "one")
		f.pair(t, ca, "two")
		expect("within the second", "one")
		time.Sleep(time.Second)
		expect("after it", "two")

		three, key := ca.issue(t, "three", time.Hour)
		f.write(t, "cert.pem", three)
		time.Sleep(time.Second)
		expect("half replaced", "two")
		time.Sleep(time.Second)
		expect("half replaced, again", "two")
		if n := strings.Count(logged.String(), "not taken over"); n != 1 {
			t.Errorf("%d log lines of one bad pair, want 1", n)
		}
		f.write(t, "key.pem", key)
		time.Sleep(time.Second)
		expect("wholly replaced", "three")

		if err := os.Remove(f.path("key.pem")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		expect("key gone", "three")
		expired, key := ca.issue(t, "four", -time.Minute)
		f.write(t, "cert.pem", expired)
		f.write(t, "key.pem", key)
		time.Sleep(time.Second)
		expect("expired", "three")
		if n := strings.Count(logged.String(), "not taken over"); n != 3 {
			t.Errorf("%d log lines of three bad pairs, want 3", n)
		}
	})
}

func TestServerRefusesBadFiles(t *testing.T) {
	ca := newAuthority(t, "ca")
	cert, key := ca.issue(t, "one", time.Hour)
	_, other := ca.issue(t, "two", time.Hour)
	expired, expiredKey := ca.issue(t, "three", -time.Hour)
	tests := map[string]struct {
		cert, key, ca []byte
		want          string
	}{
		"good":              {cert, key, ca.pem, ""},
		"mismatched key":    {cert, other, ca.pem, "private key does not match public key"},
		"expired":           {expired, expiredKey, ca.pem, "cert.pem expired on 20"},
		"no certificate":    {nil, key, ca.pem, "cert.pem: no such file"},
		"no key":            {cert, nil, ca.pem, "key.pem: no such file"},
		"no authority":      {cert, key, nil, "ca.pem: no such file"},
		"empty certificate": {[]byte{}, key, ca.pem, "failed to find any PEM data"},
		"key as cert":       {key, key, ca.pem, "cert.pem and its key"},
		"key as authority":  {cert, key, key, "ca.pem holds no certificate in PEM"},
		"too long":          {make([]byte, 5<<20), key, ca.pem, "cert.pem is longer than 4 MiB"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			for name, content := range map[string][]byte{"cert.pem": tt.cert, "key.pem": tt.key, "ca.pem": tt.ca} {
				if content != nil {
					f.write(t, name, content)
				}
			}
			logger, _ := newLogger()
			_, err := tlsfiles.Server(tlsfiles.ServerFiles{Cert: f.path("cert.pem"), Key: f.path("key.pem"), ClientCA: f.path("ca.pem")}, logger)
			expectError(t, err, tt.want)
			if pair := tlsfiles.CheckPair(f.path("cert.pem"), f.path("key.pem")); pair != nil {
				expectError(t, pair, tt.want)
			} else if authorities := tlsfiles.CheckCA(f.path("ca.pem")); authorities != nil || tt.want == "" {
				expectError(t, authorities, tt.want)
			}
		})
	}
}

func expectError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error %v, want none", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error %v, want one with %q", err, want)
	}
}

func TestServerVersionsAndProtocols(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFolder(t)
	f.pair(t, ca, "one")
	tests := map[string]struct {
		min       uint16
		protocols []string
		client    *tls.Config
		want      string
	}{
		"1.3":               {client: &tls.Config{MinVersion: tls.VersionTLS13}},
		"1.2":               {client: &tls.Config{MaxVersion: tls.VersionTLS12}},
		"1.1":               {client: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, want: "unsupported versions"},
		"1.1 cannot be set": {min: tls.VersionTLS11, client: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, want: "unsupported versions"},
		"1.2 where 1.3":     {min: tls.VersionTLS13, client: &tls.Config{MaxVersion: tls.VersionTLS12}, want: "unsupported versions"},
		"another protocol":  {client: &tls.Config{NextProtos: []string{"imap"}}, want: "unsupported application protocols"},
		"http/1.1 offered":  {protocols: []string{"h2", "http/1.1"}, client: &tls.Config{NextProtos: []string{"http/1.1"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			logger, _ := newLogger()
			server, err := tlsfiles.Server(tlsfiles.ServerFiles{
				Cert: f.path("cert.pem"), Key: f.path("key.pem"), MinVersion: tt.min, Protocols: tt.protocols,
			}, logger)
			if err != nil {
				t.Fatal(err)
			}
			client := tt.client.Clone()
			client.RootCAs, client.ServerName = ca.pool(), "one"
			if client.NextProtos == nil {
				client.NextProtos = []string{"h2"}
			}
			state, serverErr, clientErr := shake(t, server, client)
			expectError(t, serverErr, tt.want)
			if tt.want == "" && (clientErr != nil || state.NegotiatedProtocol != client.NextProtos[0]) {
				t.Errorf("client: %v, protocol %q", clientErr, state.NegotiatedProtocol)
			}
		})
	}
}

func TestServerVerifiesClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, stranger, f := newAuthority(t, "ca"), newAuthority(t, "stranger"), newFolder(t)
		f.pair(t, ca, "one")
		f.write(t, "ca.pem", ca.pem)
		logger, logged := newLogger()
		server, err := tlsfiles.Server(tlsfiles.ServerFiles{Cert: f.path("cert.pem"), Key: f.path("key.pem"), ClientCA: f.path("ca.pem")}, logger)
		if err != nil {
			t.Fatal(err)
		}
		sessions := tls.NewLRUClientSessionCache(8)
		expect := func(name string, cert, key []byte, want string) {
			t.Helper()
			client := &tls.Config{RootCAs: ca.pool(), ServerName: "one", NextProtos: []string{"h2"}, ClientSessionCache: sessions}
			if cert != nil {
				pair, err := tls.X509KeyPair(cert, key)
				if err != nil {
					t.Fatal(err)
				}
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
			}
			_, serverErr, clientErr := shake(t, server, client)
			expectError(t, serverErr, want)
			if (clientErr == nil) != (want == "") {
				t.Errorf("%s: client: %v", name, clientErr)
			}
		}
		ours, oursKey := ca.issue(t, "client", time.Hour)
		theirs, theirsKey := stranger.issue(t, "client", time.Hour)
		expired, expiredKey := ca.issue(t, "client", -time.Minute)
		expect("none", nil, nil, "client didn't provide a certificate")
		expect("ours", ours, oursKey, "")
		expect("ours again", ours, oursKey, "")
		expect("a stranger's", theirs, theirsKey, "unknown authority")
		expect("expired", expired, expiredKey, "certificate has expired")

		f.write(t, "ca.pem", []byte("nothing"))
		time.Sleep(time.Second)
		expect("bad authorities", ours, oursKey, "")
		if n := strings.Count(logged.String(), "holds no certificate in PEM"); n != 1 {
			t.Errorf("%d log lines of the bad authorities", n)
		}
		f.write(t, "ca.pem", stranger.pem)
		time.Sleep(time.Second)
		expect("ours, authority gone", ours, oursKey, "unknown authority")
		expect("a stranger's, now known", theirs, theirsKey, "")
	})
}
