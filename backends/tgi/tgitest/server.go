package tgitest

import (
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options says what a double serves, and how.
type Options struct {
	// ModelID is what /info says; "" is "tgi-double".
	ModelID string
	// Tokens are what it says to a prompt, one token each, before an end token.
	Tokens []string
	// Endless, if not "", is the end of prompts that are answered with Ticks over
	// and over until max_new_tokens.
	Endless string
	Ticks   []string
	// Adapters are the LoRA adapters that were loaded when it started.
	Adapters []string
	// APIKey is what the generating routes want as a bearer token; "" wants none.
	APIKey string
	// Delay is the time that a token takes.
	Delay time.Duration
	// Tight writes "data:" without the blank, as TGI 1 did.
	Tight bool
	// Comments writes a keep-alive comment before each so many events, as TGI does
	// after 15 idle seconds; 0 writes none.
	Comments int
	// MaxInput, MaxTotal and MaxConcurrent are limits of tokens and of requests; 0
	// is 4095, 32768 and 128.
	MaxInput, MaxTotal, MaxConcurrent int
	// FailAfter, if positive, fails a generation after so many tokens, as a shard
	// does that runs out of memory.
	FailAfter int
	// Ended, if not nil, is called when a generation ends: "success", "dropped" or
	// the kind of its error.
	Ended func(how string)
}

// Request is one request to generate, as the double read it.
type Request struct {
	Path string
	// Body is what came, byte for byte.
	Body string
	// Sampled tells whether tokens are drawn; greedy requests are not.
	Sampled bool
	// Authorization is that header.
	Authorization string
}

// Server is a double. It is an [http.Handler], safe for concurrent use.
type Server struct {
	options Options
	mux     *http.ServeMux

	mu       sync.Mutex
	requests []Request
	running  int
	counts   map[string]int
	sick     bool
}

// New makes a double.
func New(o Options) *Server {
	if o.ModelID == "" {
		o.ModelID = "tgi-double"
	}
	o.MaxInput, o.MaxTotal, o.MaxConcurrent = orElse(o.MaxInput, 4095), orElse(o.MaxTotal, 32768), orElse(o.MaxConcurrent, 128)
	s := &Server{options: o, mux: http.NewServeMux(), counts: map[string]int{}}
	s.mux.HandleFunc("POST /generate", s.generating(s.generate))
	s.mux.HandleFunc("POST /generate_stream", s.generating(s.generateStream))
	s.mux.HandleFunc("GET /info", s.info)
	s.mux.HandleFunc("GET /health", s.health)
	s.mux.HandleFunc("GET /v1/models", s.models)
	s.mux.HandleFunc("GET /metrics", s.metrics)
	return s
}

func orElse(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Requests returns what has been asked to be generated so far, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Running is how many generations are under way.
func (s *Server) Running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// Dropped is how many generations their clients left.
func (s *Server) Dropped() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts["dropped"]
}

// SetSick makes /health answer as it does after a failed generation.
func (s *Server) SetSick(sick bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sick = sick
}

// maxPayload is --payload-limit's default, in bytes.
const maxPayload = 2_000_000

// generating reads a request as TGI's framework does, before TGI sees it.
func (s *Server) generating(next func(http.ResponseWriter, *http.Request, *generation)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.authorized(r.Header.Get("Authorization")) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Header.Get("Content-Type") != "application/json" {
			plain(w, http.StatusUnsupportedMediaType, "Expected request with `Content-Type: application/json`")
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
		if err != nil {
			plain(w, http.StatusRequestEntityTooLarge, "Failed to buffer the request body: length limit exceeded")
			return
		}
		g, status, text := parse(body)
		if text != "" {
			plain(w, status, text)
			return
		}
		g.server = s
		s.mu.Lock()
		s.requests = append(s.requests, Request{r.URL.Path, string(body), g.sampled(), r.Header.Get("Authorization")})
		s.mu.Unlock()
		next(w, r, g)
	}
}

func (s *Server) authorized(header string) bool {
	want := "bearer " + strings.ToLower(s.options.APIKey)
	return s.options.APIKey == "" || subtle.ConstantTimeCompare([]byte(strings.ToLower(header)), []byte(want)) == 1
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// admit takes a permit, or says that there is none.
func (s *Server) admit() *failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running >= s.options.MaxConcurrent {
		s.counts["overloaded"]++
		return &failure{http.StatusTooManyRequests, "Model is overloaded", "overloaded"}
	}
	s.running++
	return nil
}

// leave gives the permit back and counts how it ended: "success", or why not.
func (s *Server) leave(how string) {
	s.mu.Lock()
	s.running--
	s.counts[how]++
	s.mu.Unlock()
	if s.options.Ended != nil {
		s.options.Ended(how)
	}
}

func (s *Server) info(w http.ResponseWriter, _ *http.Request) {
	o := s.options
	write(w, http.StatusOK, struct {
		ModelID           string  `json:"model_id"`
		ModelSha          *string `json:"model_sha"`
		Tag               *string `json:"model_pipeline_tag"`
		MaxConcurrent     int     `json:"max_concurrent_requests"`
		MaxBestOf         int     `json:"max_best_of"`
		MaxStop           int     `json:"max_stop_sequences"`
		MaxInput          int     `json:"max_input_tokens"`
		MaxTotal          int     `json:"max_total_tokens"`
		ValidationWorkers int     `json:"validation_workers"`
		MaxClientBatch    int     `json:"max_client_batch_size"`
		Router            string  `json:"router"`
		Version           string  `json:"version"`
		Sha               *string `json:"sha"`
		DockerLabel       *string `json:"docker_label"`
	}{o.ModelID, nil, nil, o.MaxConcurrent, 2, maxStop, o.MaxInput, o.MaxTotal, 2, 4, "text-generation-router", Version, nil, nil})
}

// Version is what the double says that it is.
const Version = "3.3.6-dev0"

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	sick := s.sick
	s.mu.Unlock()
	if sick {
		(&failure{http.StatusServiceUnavailable, "unhealthy", "healthcheck"}).write(w)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	id := s.options.ModelID
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"object":"list","data":[{"id":%q,"object":"model","created":0,"owned_by":%q}]}`, id, id)
}

// metrics has those of TGI's metrics that the end-to-end tests look at.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintf(w, "tgi_batch_current_size %d\ntgi_request_success %d\ntgi_request_failure{err=\"dropped\"} %d\n",
		s.running, s.counts["success"], s.counts["dropped"])
}
