package backend

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/sluice-gateway/sluice/bench/kserve"
)

// NewLLM gives a server of the one model that speaks as vLLM and as TGI do, by
// their routes. What it shall say is in the prompt; each token is an event that is
// flushed by itself, as theirs are.
func NewLLM(model string) http.Handler {
	s := &llm{model: model}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /version", s.says(`{"version":"0.32.0"}`))
	mux.HandleFunc("GET /v1/models", s.says(fmt.Sprintf(
		`{"object":"list","data":[{"id":%q,"object":"model","created":1,"owned_by":"vllm","root":%q,"parent":null,"max_model_len":2048,"permission":[]}]}`, model, model)))
	mux.HandleFunc("GET /info", s.says(fmt.Sprintf(`{"model_id":%q,"version":"3.3.6","max_input_tokens":1024,"max_total_tokens":2048}`, model)))
	mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) { s.stream(w, r, s.completion) })
	mux.HandleFunc("POST /generate_stream", func(w http.ResponseWriter, r *http.Request) { s.stream(w, r, s.generated) })
	return mux
}

type llm struct{ model string }

func (s *llm) says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}
}

// event writes one token's event.
type event func(w io.Writer, text string, last bool, tokens int) error

func (s *llm) stream(w http.ResponseWriter, r *http.Request, event event) {
	var asked struct {
		Prompt string `json:"prompt"` // vLLM's
		Inputs string `json:"inputs"` // TGI's
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ask, err := kserve.ReadPrompt(asked.Prompt + asked.Inputs)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	flush := http.NewResponseController(w).Flush
	err = paced(r.Context(), ask, func(n int, text string) error {
		if err := event(w, text, n == ask.Tokens-1, ask.Tokens); err != nil {
			return err
		}
		return flush()
	})
	if err == nil && asked.Prompt != "" {
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	}
}

// completion writes the bytes of vLLM's completions.
func (s *llm) completion(w io.Writer, text string, last bool, _ int) error {
	finish := "null"
	if last {
		finish = `"length"`
	}
	_, err := fmt.Fprintf(w, `data: {"id":"cmpl-7c1b0f3e","object":"text_completion","created":1760000000,"model":%q,"choices":[{"index":0,"text":%q,"logprobs":null,"finish_reason":%s,"stop_reason":null}],"usage":null}`+"\n\n",
		s.model, text, finish)
	return err
}

// generated writes the bytes of TGI's tokens.
func (s *llm) generated(w io.Writer, text string, last bool, tokens int) error {
	end := `"generated_text":null,"details":null`
	if last {
		end = fmt.Sprintf(`"generated_text":"all of it","details":{"finish_reason":"length","generated_tokens":%d,"seed":null,"input_length":7}`, tokens)
	}
	_, err := fmt.Fprintf(w, `data:{"index":1,"token":{"id":45,"text":%q,"logprob":-0.5,"special":false},%s}`+"\n\n", text, end)
	return err
}
