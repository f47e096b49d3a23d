package backend_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/bench/backend"
	"github.com/sluice-gateway/sluice/bench/kserve"
)

func TestLLMStreams(t *testing.T) {
	server := httptest.NewServer(backend.NewLLM("m"))
	defer server.Close()
	tests := map[string]struct{ path, key, head, finish, end string }{
		"vLLM": {"/v1/completions", "prompt", `data: {"id":"cmpl-`, `"finish_reason":"length"`, "data: [DONE]"},
		"TGI":  {"/generate_stream", "inputs", `data:{"index":1,`, `"generated_tokens":3`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			prompt := kserve.Ask{Tokens: 3, Interval: time.Millisecond}.Prompt()
			began := time.Now()
			resp, err := http.Post(server.URL+tt.path, "application/json", strings.NewReader(`{"`+tt.key+`":"`+prompt+`"}`))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var tokens []string
			lines := bufio.NewScanner(resp.Body)
			for lines.Scan() {
				line := lines.Text()
				if line == "" || tt.end != "" && line == tt.end {
					continue
				}
				tokens = append(tokens, line)
				if due, err := kserve.TextDue(lines.Bytes()); err != nil || due.Before(began) || due.After(time.Now()) {
					t.Errorf("due %v, %v: %s", due, err, line)
				}
				if !strings.HasPrefix(line, tt.head) || strings.Contains(line, tt.finish) != (len(tokens) == 3) {
					t.Errorf("token %d: %s", len(tokens), line)
				}
			}
			if len(tokens) != 3 {
				t.Errorf("%d tokens", len(tokens))
			}
		})
	}
}

func TestLLMAnswers(t *testing.T) {
	server := httptest.NewServer(backend.NewLLM("m"))
	defer server.Close()
	for request, want := range map[string]struct {
		status int
		text   string
	}{
		"GET /health":    {200, ""},
		"GET /v1/models": {200, `"id":"m"`},
		"GET /info":      {200, `"model_id":"m"`},
		"POST /v1/completions {\"prompt\":\"Hello\"}": {400, "Hello"},
		"POST /v1/completions [":                      {400, "unexpected EOF"},
		"GET /v1/embeddings":                          {404, ""},
	} {
		part := strings.SplitN(request+" ", " ", 3)
		r, err := http.NewRequest(part[0], server.URL+part[1], strings.NewReader(part[2]))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != want.status || !strings.Contains(string(text), want.text) {
			t.Errorf("%s: %d %s %v", request, resp.StatusCode, text, err)
		}
	}
}
