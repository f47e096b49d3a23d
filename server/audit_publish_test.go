package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-gateway/sluice/audit"
)

func TestCheckpointsArePublished(t *testing.T) {
	var got []string
	answer := http.StatusNoContent
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.Path+" "+string(body))
		if answer == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(answer)
	}))
	defer hook.Close()
	file := filepath.Join(t.TempDir(), "published.txt")
	publish := publisher(audit.CheckpointConfig{File: file, Webhook: hook.URL + "/audit"})
	for _, note := range []string{"one\n", "two\n"} {
		if err := publish(t.Context(), audit.Checkpoint{Note: []byte(note)}); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "one\n\ntwo\n\n" {
		t.Errorf("the file has %q, %v", text, err)
	}
	if len(got) != 2 || got[1] != "POST /audit two\n" {
		t.Errorf("the webhook got %q", got)
	}
	for _, answer = range []int{http.StatusInternalServerError, http.StatusFound} {
		if err := publish(t.Context(), audit.Checkpoint{Note: []byte("x\n")}); err == nil {
			t.Errorf("%d is taken for published", answer)
		}
	}
	if len(got) != 4 {
		t.Errorf("a redirect is followed: %q", got)
	}
	if publisher(audit.CheckpointConfig{}) != nil {
		t.Error("something is published nowhere")
	}
}
