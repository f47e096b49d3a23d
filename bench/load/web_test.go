package load_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/bench/backend"
	"github.com/sluice-gateway/sluice/bench/kserve"
	"github.com/sluice-gateway/sluice/bench/load"
)

// restDouble answers as the REST door before the backend does; spoil changes what
// it answers.
func restDouble(t *testing.T, spoil func(body []byte) []byte) string {
	t.Helper()
	answers := kserve.NewAnswers(1 << 20)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := restAnswer(answers, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write(spoil(body))
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func asIs(body []byte) []byte { return body }

func restAnswer(answers *kserve.Answers, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if r.Header.Get("Authorization") != "Bearer t" {
		return nil, errors.New("no token")
	}
	if strings.HasSuffix(r.URL.Path, "/generate_stream") {
		var asked struct {
			Tokens int `json:"bench_tokens"`
		}
		err := json.Unmarshal(body, &asked)
		return []byte(strings.Repeat("data: {\"text_output\":\""+kserve.NewText(kserve.Ask{}).Token(0, time.Now())+"\"}\n\n", asked.Tokens)), err
	}
	if n, err := strconv.Atoi(r.Header.Get("Inference-Header-Content-Length")); err == nil {
		body = body[:n]
	}
	var asked struct {
		Parameters struct {
			Output int `json:"bench_output"`
		}
		Inputs []struct{ Datatype string }
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, err
	}
	raw, err := answers.Infer(kserve.Ask{Output: asked.Parameters.Output})
	if err != nil {
		return nil, err
	}
	data := raw.BufferSlice[1].ReadOnlyData()
	if len(asked.Inputs) == 1 {
		return append([]byte(`{"outputs":[]}`), data...), nil
	}
	numbers := make([]int32, len(data)/4)
	if _, err := binary.Decode(data, binary.LittleEndian, numbers); err != nil {
		return nil, err
	}
	text, err := json.Marshal(numbers)
	return fmt.Appendf(nil, `{"outputs":[{"name":"OUTPUT0","data":%s}]}`, text), err
}

func TestRunREST(t *testing.T) {
	for name, change := range map[string]func(*load.Spec){
		"JSON":   func(*load.Spec) {},
		"binary": func(s *load.Spec) { s.Ask.Input, s.Ask.Output = 1<<18, 1<<18 },
		"tokens": func(s *load.Spec) { s.Mode, s.Ask.Tokens = load.Stream, 20 },
	} {
		t.Run(name, func(t *testing.T) {
			s := spec(restDouble(t, asIs))
			s.Door = load.REST
			change(&s)
			if err := load.Check(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			got, err := load.Run(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if got.Errors != 0 || got.Calls == 0 || got.Latency.Count == 0 || (got.Tokens > 0) != (s.Ask.Tokens > 0) {
				t.Errorf("%d calls, %d tokens, %d errors: %s", got.Calls, got.Tokens, got.Errors, got.FirstError)
			}
		})
	}
}

func TestCheckRefusesWrongAnswersOfREST(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*load.Spec)
		spoil  func([]byte) []byte
		want   string
	}{
		"another number": {
			func(*load.Spec) {},
			func(b []byte) []byte { return []byte(strings.Replace(string(b), `"data":[`, `"data":[1,`, 1)) }, "not the one",
		},
		"another byte": {
			func(s *load.Spec) { s.Ask.Input, s.Ask.Output = 1<<12, 1<<12 },
			func(b []byte) []byte { b = append([]byte(nil), b...); b[len(b)-1]++; return b }, "not the one",
		},
		"no token":         {func(s *load.Spec) { s.Token = "" }, asIs, "status 400: no token"},
		"no text":          {func(s *load.Spec) { s.Ask.Tokens = 1 }, func([]byte) []byte { return []byte("data: {\"error\":\"away\"}\n") }, "away"},
		"a token too many": {func(s *load.Spec) { s.Ask.Tokens = 1 }, func(b []byte) []byte { return append(b, b...) }, "after 2 tokens"},
		"no stream's end":  {func(s *load.Spec) { s.Ask.Tokens = 1 }, func([]byte) []byte { return nil }, "after 0 tokens"},
	} {
		t.Run(name, func(t *testing.T) {
			s := spec(restDouble(t, tt.spoil))
			s.Door = load.REST
			tt.change(&s)
			if err := load.Check(t.Context(), s); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// The first token's wait is counted once a stream, and holds the server's own time.
func TestRunFirst(t *testing.T) {
	http := httptest.NewServer(backend.NewLLM("m"))
	t.Cleanup(http.Close)
	const wait = 10 * time.Millisecond
	for name, s := range map[string]load.Spec{
		"completions": {Address: strings.TrimPrefix(http.URL, "http://"), Door: load.Completions},
		"gRPC":        {Address: serve(t, backend.New("m", 1<<10))},
		"prompts":     {Address: serve(t, prompted()), Prompt: true},
	} {
		t.Run(name, func(t *testing.T) {
			with := spec(s.Address)
			with.Door, with.Prompt, with.Mode = s.Door, s.Prompt, load.First
			with.Ask = kserve.Ask{Model: "m", Output: 8, Tokens: 3, Interval: wait}
			got, err := load.Run(t.Context(), with)
			if err != nil {
				t.Fatal(err)
			}
			if got.Errors != 0 || got.Tokens != 0 || got.Calls == 0 || got.Latency.Count == 0 {
				t.Errorf("%d calls, %d tokens, %d waits, %d errors: %s", got.Calls, got.Tokens, got.Latency.Count, got.Errors, got.FirstError)
			}
			if p50 := got.Latency.P50; p50 < float64(wait.Microseconds())*0.98 {
				t.Errorf("p50 of %v µs, less than the server takes", p50)
			}
		})
	}
}

// prompted serves streams to those who ask with a prompt.
func prompted() *grpc.Server {
	return grpc.NewServer(grpc.ForceServerCodecV2(kserve.Codec{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		var in kserve.Raw
		if err := s.RecvMsg(&in); err != nil {
			return err
		}
		text := string(in.Materialize())
		_, prompt, _ := strings.Cut(text, "bench tokens=")
		ask, err := kserve.ReadPrompt("bench tokens=" + strings.TrimSuffix(prompt, "\x3a\x01\x01"))
		if err != nil {
			return err
		}
		for n := range ask.Tokens {
			time.Sleep(ask.Interval)
			if err := s.SendMsg(kserve.Token(ask, n, kserve.NewText(ask).Token(n, time.Now()))); err != nil {
				return err
			}
		}
		return nil
	}))
}
