package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// TestServerOfAnotherKind: what would read the bytes in its own way gets none,
// and everybody can see why.
func TestServerOfAnotherKind(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{
		"ServerMetadata": {backendstest.Receive(), backendstest.Send(&inference.ServerMetadataResponse{
			Name: "kserve", Version: "0.21.0", Extensions: []string{"model_repository_extension"},
		})},
		backendstest.Any: {backendstest.Receive(), backendstest.Send(&inference.ServerReadyResponse{Ready: true})},
	})
	g := start(t, setup{backend: b.Addr})

	_, err := g.ModelInfer(g.as("bob"), add("simple"))
	wantRefusal(t, err, codes.Unavailable, access.ReasonBackendKind)
	_, err = g.sendStream(g.as("bob"), encoded(t, add("simple")))
	wantRefusal(t, err, codes.Unavailable, access.ReasonBackendKind)
	_, err = g.RepositoryModelUnload(g.as("alice"), &inference.RepositoryModelUnloadRequest{ModelName: "simple"})
	wantRefusal(t, err, codes.Unavailable, access.ReasonBackendKind)
	if ready, err := g.ServerReady(t.Context(), &inference.ServerReadyRequest{}); err != nil || ready.GetReady() {
		t.Errorf("the gateway is ready: %v, %v", ready, err)
	}
	if n := len(b.Calls()); n > 0 {
		t.Errorf("%d calls reached the server", n)
	}

	if want := "backend models is configured as triton but answers as kserve"; !strings.Contains(g.Log.String(), want) {
		t.Errorf("the log does not say that %q", want)
	}
	answer, err := http.Get("http://" + g.Metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	page, err := io.ReadAll(answer.Body)
	if want := `sluice_backend_mismatch{backend="models"} 1`; err != nil || !strings.Contains(string(page), want) {
		t.Errorf("the metrics do not have %s (%v)", want, err)
	}
}
