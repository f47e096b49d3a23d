package tgi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/tgi"
	"github.com/sluice-gateway/sluice/backends/tgi/tgitest"
)

var says = tgitest.Options{
	Tokens: []string{"Than", "k you", " for", " waiting."}, Endless: "~", Ticks: []string{" tick", " tock"}, Adapters: []string{"doll"},
}

// connect makes a server of whatever h answers; both end with the test.
func connect(t *testing.T, h http.Handler, o tgi.Options) *tgi.Server {
	t.Helper()
	listener := httptest.NewServer(h)
	t.Cleanup(listener.Close)
	client, err := generate.NewClient(generate.ClientOptions{Address: listener.URL})
	if err != nil {
		t.Fatal(err)
	}
	o.Client = client
	s := tgi.New(o)
	t.Cleanup(s.Close)
	return s
}

// gathered is what came of a request.
type gathered struct {
	text, finish string
	chunks       []generate.Chunk
	usage        generate.Usage
	tokens       int
}

func gather(ctx context.Context, s *tgi.Server, r *generate.Request) (g gathered, err error) {
	err = s.Generate(ctx, r, func(c generate.Chunk) error {
		g.text += c.Text
		g.tokens += c.Tokens
		g.chunks = append(g.chunks, c)
		if c.Finish != "" {
			g.finish, g.usage = c.Finish, c.Usage
		}
		return nil
	})
	return g, err
}

// sampling are the values of sampling parameters as callers write them.
func sampling(t *testing.T, text string) map[string]any {
	t.Helper()
	s, err := tgi.Schema().Check(text)
	if err != nil {
		t.Fatal(err)
	}
	return s.Values
}

// TestParameters: what a caller writes, and what TGI is asked.
func TestParameters(t *testing.T) {
	always := `"details":true,"return_full_text":false`
	for _, c := range []struct {
		name, given, want string
		sampled           bool
	}{
		{"nothing: vLLM draws tokens, and so does TGI without parameters", `{}`, `{"do_sample":true,` + always, true},
		{"greedy", `{"temperature":0}`, `{"do_sample":false,` + always, false},
		{"greedy as text, whatever else is said", `{"temperature":"0","top_p":0.5,"top_k":3,"typical_p":0.5}`, `{"do_sample":false,` + always, false},
		{"top_p off", `{"top_p":1.0}`, `{"do_sample":true,` + always, true},
		{"top_k off, by either of vLLM's ways", `{"top_k":-1}`, `{"do_sample":true,` + always, true},
		{"top_k zero", `{"top_k":0}`, `{"do_sample":true,` + always, true},
		{"typical_p off", `{"typical_p":1}`, `{"do_sample":true,` + always, true},
		{
			"all that draws", `{"temperature":0.7,"top_p":0.9,"top_k":40,"typical_p":0.5,"seed":7}`,
			`{"do_sample":true,"seed":7,"temperature":0.7,"top_k":40,"top_p":0.9,"typical_p":0.5,` + always, true,
		},
		{
			"under TGI's names", `{"max_tokens":"5","repetition_penalty":1.1,"frequency_penalty":-0.5,"stop":"x","truncate":3,"watermark":true}`,
			`{"do_sample":true,"frequency_penalty":-0.5,"max_new_tokens":5,"repetition_penalty":1.1,"stop":["x"],"truncate":3,"watermark":true,` + always, true,
		},
		{"logprobs", `{"logprobs":2}`, `{"do_sample":true,"top_n_tokens":2,` + always, true},
		{"logprobs of the chosen alone", `{"logprobs":0}`, `{"do_sample":true,` + always, true},
		{
			"what changes nothing", `{"n":1,"presence_penalty":0,"min_p":"0","min_tokens":0,"ignore_eos":false,"skip_special_tokens":true,"include_stop_str_in_output":true}`,
			`{"do_sample":true,` + always, true,
		},
		{"a schema", `{"structured_outputs":"{\"json\":{\"type\":\"object\"}}"}`, `{"do_sample":true,"grammar":{"type":"json","value":{"type":"object"}},` + always, true},
		{"a regex", `{"structured_outputs":{"regex":"a+"}}`, `{"do_sample":true,"grammar":{"type":"regex","value":"a+"},` + always, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			double := tgitest.New(says)
			s := connect(t, double, tgi.Options{})
			r := &generate.Request{Prompt: "Hi", Stream: true, N: 1, Parameters: sampling(t, c.given)}
			if _, err := gather(t.Context(), s, r); err != nil {
				t.Fatal(err)
			}
			asked := double.Requests()[0]
			if want := `{"inputs":"Hi","parameters":` + c.want + `}}`; !sameJSON(t, asked.Body, want) {
				t.Errorf("asked %s, want %s", asked.Body, want)
			}
			if asked.Sampled != c.sampled {
				t.Errorf("drawn: %t", asked.Sampled)
			}
		})
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var texts [2]string
	for i, text := range []string{a, b} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		sorted, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(sorted)
	}
	return texts[0] == texts[1]
}

func TestWhatCannotBeAsked(t *testing.T) {
	for name, c := range map[string]struct{ given, want string }{
		"two sequences":   {`{"n":2}`, `leave out sampling parameter "n"`},
		"a penalty":       {`{"presence_penalty":0.5}`, `no sampling parameter "presence_penalty"`},
		"min_p":           {`{"min_p":0.1}`, `"min_p"`},
		"past the end":    {`{"ignore_eos":true}`, `"ignore_eos"`},
		"special tokens":  {`{"skip_special_tokens":false}`, `"skip_special_tokens"`},
		"a choice":        {`{"structured_outputs":{"choice":["a"]}}`, `"structured_outputs"`},
		"two grammars":    {`{"structured_outputs":{"json":{},"regex":"a"}}`, `"structured_outputs"`},
		"no grammar":      {`{"structured_outputs":{}}`, `"structured_outputs"`},
		"a conversation":  {"", "conversation"},
		"minimum of some": {`{"min_tokens":3}`, `"min_tokens"`},
	} {
		t.Run(name, func(t *testing.T) {
			double := tgitest.New(says)
			s := connect(t, double, tgi.Options{})
			r := &generate.Request{Prompt: "Hi", N: 1}
			if c.given == "" {
				r.Messages = []byte("[]")
			} else {
				checked, err := tgi.Schema().Check(c.given)
				if err != nil {
					t.Fatal(err)
				}
				r.N, r.Parameters = checked.N, checked.Values
			}
			_, err := gather(t.Context(), s, r)
			refused, ok := access.AsError(err)
			if !ok || !strings.Contains(refused.Message, c.want) || refused.Reason != access.ReasonUnsupported || len(double.Requests()) != 0 {
				t.Errorf("got %v, want %q; the server was asked %d times", err, c.want, len(double.Requests()))
			}
		})
	}
}

func TestUnknownParametersAreNamed(t *testing.T) {
	for given, want := range map[string]string{
		`{"best_of":2}`: "best_of", `{"do_sample":true}`: "do_sample", `{"max_new_tokens":3}`: "max_new_tokens", `{"details":false}`: "details",
		`{"return_full_text":true}`: "return_full_text", `{"model":"x"}`: "model", `{"decoder_input_details":true}`: "decoder_input_details",
	} {
		if _, err := tgi.Schema().Check(given); err == nil || !strings.Contains(err.Message, want) {
			t.Errorf("%s: %v", given, err)
		}
	}
}

func TestText(t *testing.T) {
	const all = "Thank you for waiting."
	tight, comments := says, says
	tight.Tight, comments.Comments = true, 1
	for _, c := range []struct {
		name            string
		options         tgitest.Options
		prompt, given   string
		stream          bool
		tokens          bool
		text, finish    string
		counted, output int // tokens of the chunks, and by the end
	}{
		{"a stream", says, "Hi", `{}`, true, false, all, "stop", 5, 5},
		{"as TGI 1 wrote it", tight, "Hi", `{}`, true, false, all, "stop", 5, 5},
		{"kept alive", comments, "Hi", `{}`, true, false, all, "stop", 5, 5},
		{"short", says, "Hi", `{"max_tokens":2}`, true, false, "Thank you", "length", 2, 2},
		{"the whole", says, "Hi", `{}`, false, false, all, "stop", 0, 5},
		{"the whole, counted", says, "Hi", `{}`, false, true, all, "stop", 5, 5},
		{"stopped within a token's text", says, "~", `{"stop":["tock"]}`, true, false, " tick ", "stop", 2, 2},
		{"stopped across tokens", says, "~", `{"stop":["k tock"]}`, true, false, " tic", "stop", 2, 2},
		{"by the longest", says, "~", `{"stop":["ock","k tock","zzz"]}`, true, false, " tic", "stop", 2, 2},
		{"and all of it", says, "~", `{"stop":["k tock"],"include_stop_str_in_output":true}`, true, false, " tick tock", "stop", 2, 2},
		{"the whole, stopped", says, "~", `{"stop":["k tock"]}`, false, false, " tic", "stop", 0, 2},
		{"never stopped", says, "Hi", `{"stop":["a much longer text than there is"]}`, true, false, all, "stop", 5, 5},
		{"nearly stopped", says, "~", `{"stop":["tockk"],"max_tokens":2}`, true, false, " tick tock", "length", 2, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := connect(t, tgitest.New(c.options), tgi.Options{})
			got, err := gather(t.Context(), s, &generate.Request{Prompt: c.prompt, Stream: c.stream, Tokens: c.tokens, N: 1, Parameters: sampling(t, c.given)})
			if err != nil {
				t.Fatal(err)
			}
			if got.text != c.text || got.finish != c.finish || got.tokens != c.counted || got.usage.Output != c.output {
				t.Errorf("%+v", got)
			}
			if want := len(c.prompt); (c.stream || c.tokens) && got.usage.Input != want {
				t.Errorf("%d tokens in, want %d", got.usage.Input, want)
			}
		})
	}
}

func TestLogprobs(t *testing.T) {
	for _, stream := range []bool{true, false} {
		for given, want := range map[string]int{`{"max_tokens":2,"logprobs":2}`: 3, `{"max_tokens":2,"logprobs":0}`: 1, `{"max_tokens":2}`: 0} {
			s := connect(t, tgitest.New(says), tgi.Options{})
			got, err := gather(t.Context(), s, &generate.Request{Prompt: "Hi", Stream: stream, N: 1, Parameters: sampling(t, given)})
			if err != nil {
				t.Fatal(err)
			}
			var all []generate.TokenLogprobs
			for _, c := range got.chunks {
				all = append(all, c.Logprobs...)
			}
			if want == 0 {
				if len(all) != 0 {
					t.Errorf("%s: %v", given, all)
				}
				continue
			}
			if len(all) != 2 || len(all[1]) != want || all[1][0] != (generate.Logprob{ID: 46, Token: "k you", Value: -0.5}) {
				t.Errorf("%s, stream %t: %v", given, stream, all)
			}
		}
	}
}

func TestModels(t *testing.T) {
	ctx := t.Context()
	double := tgitest.New(says)
	for name, want := range map[string]string{"": "tgi-double", "chat": "chat"} {
		s := connect(t, double, tgi.Options{Model: name, Adapters: []string{"doll"}})
		models, err := s.Models(ctx)
		if err != nil || len(models) != 2 || models[0] != (generate.Model{Name: want}) || models[1] != (generate.Model{Name: "doll", Parent: want}) {
			t.Errorf("%v, %v", models, err)
		}
		if v, err := s.Version(ctx); v != tgitest.Version || err != nil {
			t.Errorf("version %q, %v", v, err)
		}
		for model, asked := range map[string]bool{want: false, "doll": true} {
			if _, err := gather(ctx, s, &generate.Request{Model: model, Prompt: "Hi", N: 1}); err != nil {
				t.Error(err)
			}
			all := double.Requests()
			if got := strings.Contains(all[len(all)-1].Body, `"adapter_id":"doll"`); got != asked || strings.Contains(all[len(all)-1].Body, "adapter_id") != asked {
				t.Errorf("%s: asked %s", model, all[len(all)-1].Body)
			}
		}
	}
}

func TestReady(t *testing.T) {
	double := tgitest.New(says)
	s := connect(t, double, tgi.Options{})
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	double.SetSick(true)
	if err := s.Ready(t.Context()); status.Code(err) != codes.Unavailable {
		t.Errorf("sick: %v", err)
	}
}

// TestErrorsInTheServersWords: within a stream of status 200 and without.
func TestErrorsInTheServersWords(t *testing.T) {
	full, failing := says, says
	full.MaxConcurrent, failing.FailAfter = -1, 2
	for name, c := range map[string]struct {
		options tgitest.Options
		request generate.Request
		code    codes.Code
		text    string
		chunks  int
	}{
		"validation":  {says, generate.Request{Prompt: ""}, codes.InvalidArgument, "Input validation error: `inputs` cannot be empty", 0},
		"overloaded":  {full, generate.Request{Prompt: "Hi"}, codes.ResourceExhausted, "Model is overloaded", 0},
		"generation":  {failing, generate.Request{Prompt: "Hi"}, codes.Internal, "Request failed during generation: Server error: CUDA out of memory", 2},
		"an adapter":  {tgitest.Options{}, generate.Request{Prompt: "Hi", Model: "doll"}, codes.Internal, "Unknown adapter id doll", 0},
		"wrong types": {says, generate.Request{Prompt: "Hi", Parameters: map[string]any{"max_tokens": int64(-1)}}, codes.InvalidArgument, "Failed to deserialize the JSON body", 0},
	} {
		for _, stream := range []bool{true, false} {
			r := c.request
			r.N, r.Stream = 1, stream
			got, err := gather(t.Context(), connect(t, tgitest.New(c.options), tgi.Options{Adapters: []string{"doll"}}), &r)
			if status.Code(err) != c.code || !strings.Contains(status.Convert(err).Message(), c.text) {
				t.Errorf("%s, stream %t: %v", name, stream, err)
			}
			if stream && len(got.chunks) != c.chunks {
				t.Errorf("%s: %d chunks before", name, len(got.chunks))
			}
		}
	}
}
