package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/backends/pool"
)

// gateway serves metrics and returns where.
func gateway(t *testing.T, text string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestTheGatewaysOwnView(t *testing.T) {
	address := gateway(t, `# TYPE sluice_backend_sequences gauge
sluice_backend_sequences{backend="gpu"} 0
# TYPE sluice_backend_replica_ejected gauge
sluice_backend_replica_ejected{backend="gpu",replica="a:1"} 1
sluice_backend_replica_ejected{backend="other",replica="b:1"} 1
# TYPE sluice_backend_replica_outstanding gauge
sluice_backend_replica_outstanding{backend="gpu",replica="a:1"} 7
`)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	seen := scrape(t.Context(), ":"+port) // as a listener is written
	if seen == nil || seen.from != address {
		t.Fatalf("read from %+v, want %s", seen, address)
	}
	asked := []pool.Status{{
		Backend: "gpu", Type: "triton",
		Replicas: []pool.ReplicaStatus{{Address: "a:1", Health: "ready"}, {Address: "b:1", Health: "away", Mismatch: "an MLServer, not a Triton"}},
		Drift:    []pool.Drift{{Model: "m", Version: "1", States: map[string]string{"a:1": "READY", "b:1": ""}}},
	}, {Backend: "empty", Type: "triton"}}
	report := newStatusReport(asked, seen)
	var table strings.Builder
	if err := report.write(&table); err != nil {
		t.Fatal(err)
	}
	want := `BACKEND  TYPE    REPLICA  ADDRESS           HEALTH                     EJECTED  OUTSTANDING
gpu      triton  1        a:1               ready                      yes      7
gpu      triton  2        b:1               an MLServer, not a Triton  -        -
empty    triton  -        no address found  -                          -        -
gpu: the replicas differ in model "m" 1: a:1 READY, b:1 nothing
health was asked from here; EJECTED and OUTSTANDING are of the gateway at ` + address + "\n"
	if table.String() != want {
		t.Errorf("got\n%swant\n%s", table.String(), want)
	}
	text, err := json.Marshal(report)
	if err != nil || !strings.Contains(string(text), `"ejected":true,"outstanding":7`) || !strings.Contains(string(text), `"ejected":null`) {
		t.Errorf("as JSON %s, %v", text, err)
	}
}

func TestWhatIsNoGateway(t *testing.T) {
	for name, address := range map[string]string{
		"off":            "off",
		"nobody":         "127.0.0.1:1",
		"other metrics":  gateway(t, "up 1\n"),
		"no metrics":     gateway(t, "<html>"),
		"without a port": "127.0.0.1",
	} {
		t.Run(name, func(t *testing.T) {
			if s := scrape(t.Context(), address); s != nil {
				t.Errorf("read %+v", s)
			}
		})
	}
}
