package tlsfiles_test

import (
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/config/tlsfiles"
)

// Many shake hands while the files are replaced, good and bad: every one of
// them sees a pair that was good at some time, and none waits for another.
func TestManyHandshakesDuringRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, f := newAuthority(t, "ca"), newFolder(t)
		f.pair(t, ca, "pair-0")
		logger, logged := newLogger()
		server, err := tlsfiles.Server(tlsfiles.ServerFiles{Cert: f.path("cert.pem"), Key: f.path("key.pem")}, logger)
		if err != nil {
			t.Fatal(err)
		}
		for round := 1; round <= 5; round++ {
			f.write(t, "cert.pem", []byte("being written"))
			time.Sleep(time.Second)
			handshakes(t, server, 8, fmt.Sprintf("pair-%d", round-1))
			f.pair(t, ca, fmt.Sprintf("pair-%d", round))
			time.Sleep(time.Second)
			shown(t, server) // who comes first reads the files
			handshakes(t, server, 8, fmt.Sprintf("pair-%d", round))
		}
		if bad, good := strings.Count(logged.String(), "not taken over"), strings.Count(logged.String(), "TLS files taken over"); bad != 5 || good != 5 {
			t.Errorf("%d bad and %d good pairs are logged, want 5 and 5", bad, good)
		}
	})
}

func handshakes(t *testing.T, server *tls.Config, n int, want string) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			state, _, err := shake(t, server, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			if err != nil {
				t.Error(err)
				return
			}
			if got := state.PeerCertificates[0].Subject.CommonName; got != want {
				t.Errorf("shows %s, want %s", got, want)
			}
		})
	}
	wg.Wait()
}

// The files are not read for each handshake: those after the first within a
// second do without them.
func TestFilesAreReadOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, f := newAuthority(t, "ca"), newFolder(t)
		f.pair(t, ca, "one")
		logger, _ := newLogger()
		server, err := tlsfiles.Server(tlsfiles.ServerFiles{Cert: f.path("cert.pem"), Key: f.path("key.pem")}, logger)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if got := shown(t, server); got != "one" {
			t.Fatalf("shows %s", got)
		}
		f.pair(t, ca, "two")
		for range 9 {
			time.Sleep(100 * time.Millisecond)
			if got := shown(t, server); got != "one" {
				t.Errorf("shows %s within the second", got)
			}
		}
		time.Sleep(100 * time.Millisecond)
		if got := shown(t, server); got != "two" {
			t.Errorf("shows %s after the second", got)
		}
	})
}
