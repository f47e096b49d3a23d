package tgitest_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/backends/tgi/tgitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves a double until the test ends.
func start(t *testing.T, o tgitest.Options) (*tgitest.Server, string) {
	t.Helper()
	s := tgitest.New(o)
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return s, h.URL
}

// post sends a body and returns the answer, whose body is read whole.
func post(t *testing.T, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return answer(t, req)
}

func answer(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, text := answer(t, req)
	return resp.StatusCode, text
}

var two = tgitest.Options{Tokens: []string{"H"}, Endless: "~", Ticks: []string{" tick", " tock"}}

// TestBytes holds the double to the bytes of protocol/tgi.md.
func TestBytes(t *testing.T) {
	tight, comments := two, two
	tight.Tight, comments.Comments = true, 2
	const first = `{"index":1,"token":{"id":45,"text":"H","logprob":-0.5,"special":false},"generated_text":null,"details":null}`
	const last = `{"index":2,"token":{"id":2,"text":"</s>","logprob":-0.5,"special":true},"generated_text":"H","details":{"finish_reason":"eos_token","generated_tokens":2,"seed":null,"input_length":3}}`
	for _, c := range []struct {
		name, path, body string
		options          tgitest.Options
		want             string
	}{
		{"a stream", "/generate_stream", `{"inputs":"abc","parameters":{"details":true}}`, two, "data: " + first + "\n\ndata: " + last + "\n\n"},
		{"as TGI 1 wrote it", "/generate_stream", `{"inputs":"abc","parameters":{"details":true}}`, tight, "data:" + first + "\n\ndata:" + last + "\n\n"},
		{"kept alive", "/generate_stream", `{"inputs":"abc","parameters":{"details":true}}`, comments, "data: " + first + "\n\n:\n\ndata: " + last + "\n\n"},
		{"without details", "/generate_stream", `{"inputs":"abc"}`, two, "data: " + first + "\n\n" +
			`data: {"index":2,"token":{"id":2,"text":"</s>","logprob":-0.5,"special":true},"generated_text":"H","details":null}` + "\n\n"},
		{
			"with others", "/generate_stream", `{"inputs":"abc","parameters":{"top_n_tokens":2,"max_new_tokens":1,"details":true,"return_full_text":true}}`, two,
			`data: {"index":1,"token":{"id":45,"text":"H","logprob":-0.5,"special":false},"top_tokens":[{"id":45,"text":"H","logprob":-0.5,"special":false},` +
				`{"id":1001,"text":"other1","logprob":-1.5,"special":false}],"generated_text":"abcH","details":{"finish_reason":"length","generated_tokens":1,"seed":null,"input_length":3}}` + "\n\n",
		},
		{
			"the whole", "/generate", `{"inputs":"abc","parameters":{"details":true}}`, two,
			`{"generated_text":"H","details":{"finish_reason":"eos_token","generated_tokens":2,"seed":null,"prefill":[],"tokens":[` +
				`{"id":45,"text":"H","logprob":-0.5,"special":false},{"id":2,"text":"</s>","logprob":-0.5,"special":true}]}}`,
		},
		{"the whole alone", "/generate", `{"inputs":"abc","parameters":{}}`, two, `{"generated_text":"H"}`},
		{"stopped", "/generate", `{"inputs":"~","parameters":{"stop":["ck to"," tock"]}}`, two, `{"generated_text":" tick tock"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, url := start(t, c.options)
			resp, got := post(t, url+c.path, c.body)
			if resp.StatusCode != http.StatusOK || got != c.want {
				t.Errorf("%d\n%s\nwant\n%s", resp.StatusCode, got, c.want)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	_, url := start(t, two)
	resp, _ := post(t, url+"/generate", `{"inputs":"abc"}`)
	for name, want := range map[string]string{"Content-Type": "application/json", "X-Prompt-Tokens": "3", "X-Generated-Tokens": "2", "X-Compute-Type": "gpu+optimized"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	resp, _ = post(t, url+"/generate_stream", `{"inputs":"abc"}`)
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no", "X-Prompt-Tokens": ""} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s of a stream: %q, want %q", name, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	o := two
	o.APIKey, o.MaxInput, o.MaxTotal = "Key", 8, 100
	for _, c := range []struct {
		name, body string
		headers    []string
		status     int
		want       string
	}{
		{"no key", `{"inputs":"a"}`, []string{"Authorization", ""}, 401, ""},
		{"another key", `{"inputs":"a"}`, []string{"Authorization", "Bearer other"}, 401, ""},
		{"the key in other letters", `{"inputs":"a"}`, []string{"Authorization", "bearer kEY"}, 200, `{"generated_text":"H"}`},
		{"no type", `{"inputs":"a"}`, []string{"Content-Type", "text/plain"}, 415, "Expected request with `Content-Type: application/json`"},
		{"no JSON", `{"inputs":`, nil, 400, "Failed to parse the request body as JSON: "},
		{"wrong type", `{"inputs":"a","parameters":{"top_k":"x"}}`, nil, 422, "Failed to deserialize the JSON body into the target type: parameters.top_k: invalid type: string"},
		{"no inputs", `{}`, nil, 422, "Failed to deserialize the JSON body into the target type: missing field `inputs`"},
		{"too large", `{"inputs":"` + strings.Repeat("a", 2_000_000) + `"}`, nil, 413, "Failed to buffer"},
		{"empty", `{"inputs":""}`, nil, 422, `{"error":"Input validation error: ` + "`inputs` cannot be empty" + `","error_type":"validation"}`},
		{"temperature 0", `{"inputs":"a","parameters":{"temperature":0}}`, nil, 422, "`temperature` must be strictly positive"},
		{"top_p 1", `{"inputs":"a","parameters":{"top_p":1.0}}`, nil, 422, "`top_p` must be > 0.0 and < 1.0"},
		{"no tokens", `{"inputs":"a","parameters":{"max_new_tokens":0}}`, nil, 422, "`max_new_tokens` must be strictly positive"},
		{"five stops", `{"inputs":"a","parameters":{"stop":["1","2","3","4","5"]}}`, nil, 422, "`stop` supports up to 4 stop sequences. Given: 5"},
		{"a long prompt", `{"inputs":"123456789"}`, nil, 422, "`inputs` must have less than 8 tokens. Given: 9"},
		{"a long answer", `{"inputs":"123","parameters":{"max_new_tokens":98}}`, nil, 422, "`inputs` tokens + `max_new_tokens` must be <= 100. Given: 3 `inputs` tokens and 98 `max_new_tokens`"},
		{"an unknown adapter", `{"inputs":"a","parameters":{"adapter_id":"b"}}`, nil, 424, `"error_type":"generation"`},
		{"an unknown field", `{"inputs":"a","nonsense":1}`, nil, 200, `{"generated_text":"H"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, url := start(t, o)
			resp, got := post(t, url+"/generate", c.body, append([]string{"Authorization", "Bearer Key"}, c.headers...)...)
			if resp.StatusCode != c.status || !strings.Contains(got, c.want) || c.want == "" && got != "" {
				t.Errorf("%d %s, want %d %s", resp.StatusCode, got, c.status, c.want)
			}
		})
	}
}

// TestErrorsInAStream: they come with status 200, whatever they are.
func TestErrorsInAStream(t *testing.T) {
	full, failing := two, two
	full.MaxConcurrent, failing.FailAfter = -1, 1
	for name, c := range map[string]struct {
		options    tgitest.Options
		body, want string
	}{
		"validation": {two, `{"inputs":"a","parameters":{"best_of":2}}`, `{"error":"Input validation error: ` + "`best_of` != 1 is not supported when streaming tokens" + `","error_type":"validation"}`},
		"overloaded": {full, `{"inputs":"a"}`, `{"error":"Model is overloaded","error_type":"overloaded"}`},
		"in between": {failing, `{"inputs":"~"}`, `{"error":"Request failed during generation: Server error: CUDA out of memory","error_type":"generation"}`},
	} {
		t.Run(name, func(t *testing.T) {
			_, url := start(t, c.options)
			resp, got := post(t, url+"/generate_stream", c.body)
			if resp.StatusCode != http.StatusOK || !strings.HasSuffix(got, "data: "+c.want+"\n\n") {
				t.Errorf("%d %s", resp.StatusCode, got)
			}
		})
	}
}

func TestWhatIsNotGenerated(t *testing.T) {
	o := two
	o.APIKey = "key"
	s, url := start(t, o)
	for path, want := range map[string]string{
		"/info":      `"model_id":"tgi-double","model_sha":null,"model_pipeline_tag":null,"max_concurrent_requests":128`,
		"/v1/models": `{"object":"list","data":[{"id":"tgi-double","object":"model","created":0,"owned_by":"tgi-double"}]}`,
		"/health":    "",
		"/metrics":   "tgi_batch_current_size 0\n",
	} {
		if status, got := get(t, url+path); status != http.StatusOK || !strings.Contains(got, want) {
			t.Errorf("%s: %d %s", path, status, got)
		}
	}
	s.SetSick(true)
	if status, got := get(t, url+"/health"); status != http.StatusServiceUnavailable || got != `{"error":"unhealthy","error_type":"healthcheck"}` {
		t.Errorf("sick: %d %s", status, got)
	}
}

// TestSampling: the defaults are others where "parameters" is present.
func TestSampling(t *testing.T) {
	s, url := start(t, two)
	bodies := map[string]bool{
		`{"inputs":"a"}`: true, `{"inputs":"a","parameters":{}}`: false, `{"inputs":"a","parameters":{"do_sample":true}}`: true,
		`{"inputs":"a","parameters":{"top_k":5}}`: true, `{"inputs":"a","parameters":{"seed":5}}`: false,
	}
	for body := range bodies {
		post(t, url+"/generate", body)
	}
	for _, r := range s.Requests() {
		if r.Sampled != bodies[r.Body] {
			t.Errorf("%s: sampled %t", r.Body, r.Sampled)
		}
	}
}

// TestLeaving: a client that goes away ends its generation.
func TestLeaving(t *testing.T) {
	o := two
	ended := make(chan string, 1)
	o.Delay, o.Ended = time.Millisecond, func(how string) { ended <- how }
	s, url := start(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/generate_stream", strings.NewReader(`{"inputs":"~"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || !strings.Contains(line, " tick") || s.Running() != 1 {
		t.Fatalf("%q, %v, %d running", line, err, s.Running())
	}
	cancel()
	if how := <-ended; how != "dropped" || s.Running() != 0 {
		t.Errorf("it ended with %s, %d running", how, s.Running())
	}
	if s.Dropped() != 1 {
		t.Errorf("%d dropped", s.Dropped())
	}
}
