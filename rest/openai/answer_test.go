package openai_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"strings"
	"testing"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/openai"
)

// said is an answer with a text for each sequence, and more outputs.
func said(texts []string, more ...func(*pb.ModelInferResponse)) *pb.ModelInferResponse {
	resp := new(pb.ModelInferResponse)
	bytesOutput("text_output", texts...)(resp)
	for _, add := range more {
		add(resp)
	}
	return resp
}

func output(resp *pb.ModelInferResponse, name, datatype string, raw []byte) {
	resp.Outputs = append(resp.Outputs, &pb.ModelInferResponse_InferOutputTensor{Name: name, Datatype: datatype})
	resp.RawOutputContents = append(resp.RawOutputContents, raw)
}

func bytesOutput(name string, texts ...string) func(*pb.ModelInferResponse) {
	return func(resp *pb.ModelInferResponse) {
		var raw []byte
		for _, s := range texts {
			raw = append(binary.LittleEndian.AppendUint32(raw, uint32(len(s))), s...)
		}
		output(resp, name, "BYTES", raw)
	}
}

func numbers(name string, all ...uint32) func(*pb.ModelInferResponse) {
	return func(resp *pb.ModelInferResponse) {
		var raw []byte
		for _, n := range all {
			raw = binary.LittleEndian.AppendUint32(raw, n)
		}
		output(resp, name, "UINT32", raw)
	}
}

func request(t *testing.T, route openai.Route, body string) *openai.Request {
	t.Helper()
	model, fields, wrong := openai.Model([]byte(body))
	if wrong != nil {
		t.Fatal(wrong)
	}
	r, wrong := openai.Read(route, model, fields)
	if wrong != nil {
		t.Fatal(wrong)
	}
	return r
}

// generated gives answers to a generation and returns its events, in one text.
func generated(t *testing.T, r *openai.Request, answers ...*pb.ModelInferResponse) (g *openai.Generation, events string) {
	t.Helper()
	g = openai.NewGeneration(r, "id", 7)
	for _, resp := range answers {
		a, wrong := openai.ReadAnswer(resp)
		if wrong == nil {
			wrong = g.Take(a)
		}
		if wrong != nil {
			t.Fatal(wrong)
		}
		if r.Stream {
			events += string(bytes.Join(g.Events(), []byte("\n"))) + "\n"
		}
	}
	return g, events
}

const chat = `{"model":"m","messages":[{"role":"user","content":"x"}]`

func TestWhole(t *testing.T) {
	g, _ := generated(t, request(t, openai.Completions, `{"model":"m","prompt":"p"}`),
		said([]string{"a", "b"}, bytesOutput("finish_reason", "None", "length"), numbers("num_input_tokens", 3), numbers("num_output_tokens", 1, 2)),
		said([]string{"é", ""}, bytesOutput("finish_reason", "stop", "None"), numbers("num_input_tokens", 3), numbers("num_output_tokens", 4, 0)))
	body, wrong := g.Whole()
	want := `{"id":"cmpl-id","object":"text_completion","created":7,"model":"m","choices":[` +
		`{"index":0,"text":"aé","logprobs":null,"finish_reason":"stop"},{"index":1,"text":"b","logprobs":null,"finish_reason":"length"}],` +
		`"usage":{"prompt_tokens":3,"completion_tokens":7,"total_tokens":10}}`
	if wrong != nil || string(body) != want {
		t.Errorf("got  %s, %v\nwant %s", body, wrong, want)
	}
}

// TestEvents streams a chat, a character of which is cut.
func TestEvents(t *testing.T) {
	g, events := generated(t, request(t, openai.Chat, chat+`,"stream":true,"stream_options":{"include_usage":true}}`),
		said([]string{""}, numbers("num_output_tokens", 1)), said([]string{"a\xc3"}, bytesOutput("finish_reason", "None")), said([]string{"\xa9\xc3"}, bytesOutput("finish_reason", "stop")))
	last, wrong := g.End()
	if wrong != nil {
		t.Fatal(wrong)
	}
	const head = `{"id":"chatcmpl-id","object":"chat.completion.chunk","created":7,"model":"m","choices":[`
	piece := func(delta string) string {
		return head + `{"index":0,"delta":` + delta + `,"logprobs":null,"finish_reason":null}],"usage":null}` + "\n"
	}
	want := piece(`{"role":"assistant","content":""}`) + piece(`{"content":"a"}`) + piece(`{"content":"é"}`)
	if events != want {
		t.Errorf("got  %s\nwant %s", events, want)
	}
	want = head + `{"index":0,"delta":{"content":"` + `\ufffd` + `"},"logprobs":null,"finish_reason":"stop"}],"usage":null}` + "\n" +
		head + `],"usage":{"prompt_tokens":0,"completion_tokens":1,"total_tokens":1}}`
	if got := string(bytes.Join(last, []byte("\n"))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLogprobs(t *testing.T) {
	tokens := bytesOutput("logprobs", `[{"5": {"logprob": -0.5, "rank": 2, "decoded_token": "é"}, "6": {"logprob": -0.1, "rank": 1, "decoded_token": "b"}}, {"7": {"logprob": -Infinity, "rank": 1, "decoded_token": "c"}}]`)
	for route, c := range map[openai.Route][2]string{
		openai.Chat:        {chat + `,"logprobs":true,"top_logprobs":1}`, `{"content":[{"token":"é","logprob":-0.5,"bytes":[195,169],"top_logprobs":[{"token":"b","logprob":-0.1,"bytes":[98]}]},{"token":"c","logprob":-9999,"bytes":[99],"top_logprobs":[{"token":"c","logprob":-9999,"bytes":[99]}]}]}`},
		openai.Completions: {`{"model":"m","prompt":"p","logprobs":1}`, `{"tokens":["é","c"],"token_logprobs":[-0.5,-9999],"top_logprobs":[{"b":-0.1},{"c":-9999}],"text_offset":[0,1]}`},
	} {
		g, _ := generated(t, request(t, route, c[0]), said([]string{"éc"}, tokens))
		body, wrong := g.Whole()
		if wrong != nil || !strings.Contains(string(body), `"logprobs":`+c[1]) {
			t.Errorf("got  %s, %v\nwant %s", body, wrong, c[1])
		}
	}
}

func TestVectors(t *testing.T) {
	floats := func(resp *pb.ModelInferResponse) {
		var raw []byte
		for _, f := range []float32{1, 0.5, 2, -1} {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
		}
		output(resp, "embedding", "FP32", raw)
	}
	for name, c := range map[string]struct {
		body   string
		answer *pb.ModelInferResponse
		want   string
	}{
		"numbers":       {`"input":["a","b"]`, said(nil, floats, numbers("num_input_tokens", 2)), `[{"object":"embedding","index":0,"embedding":[1,0.5]},{"object":"embedding","index":1,"embedding":[2,-1]}],"model":"m","object":"list","usage":{"prompt_tokens":2,"total_tokens":2}`},
		"base64":        {`"input":"a","encoding_format":"base64"`, said(nil, floats), `"embedding":"AACAPwAAAD8AAABAAACAvw=="`},
		"as text":       {`"input":"a"`, said([]string{" [1, 0.25]"}), `"embedding":[1,0.25]`},
		"too few":       {`"input":["a","b","c"]`, said(nil, floats), ""},
		"no numbers":    {`"input":"a"`, said([]string{"[CARD]"}), ""},
		"not as many":   {`"input":"a"`, said([]string{"[1]", "[2]"}), ""},
		"nothing there": {`"input":"a"`, said(nil), ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := openai.NewVectors(request(t, openai.Embeddings, `{"model":"m",`+c.body+`}`))
			a, wrong := openai.ReadAnswer(c.answer)
			if wrong == nil {
				wrong = v.Take(a)
			}
			var body []byte
			if wrong == nil {
				body, wrong = v.Whole()
			}
			if (wrong == nil) != (c.want != "") || !strings.Contains(string(body), c.want) {
				t.Errorf("got %s, %v", body, wrong)
			}
		})
	}
}

// TestAnswersThatLie are of no use, and say so.
func TestAnswersThatLie(t *testing.T) {
	long := new(pb.ModelInferResponse)
	output(long, "text_output", "BYTES", []byte{9, 0, 0, 0, 'a'})
	if _, wrong := openai.ReadAnswer(long); wrong == nil || wrong.Status != 500 {
		t.Errorf("a text that ends too early: %v", wrong)
	}
	for name, resp := range map[string]*pb.ModelInferResponse{
		"too many texts": said(make([]string, 129)),
		"no tokens":      said([]string{"a"}, bytesOutput("logprobs", `[{}]`)),
	} {
		g := openai.NewGeneration(request(t, openai.Chat, chat+`,"logprobs":true}`), "id", 7)
		a, wrong := openai.ReadAnswer(resp)
		if wrong == nil {
			wrong = g.Take(a)
		}
		if wrong == nil || wrong.Status != 500 {
			t.Errorf("%s: %v", name, wrong)
		}
	}
	if _, wrong := openai.NewGeneration(request(t, openai.Chat, chat+`}`), "id", 7).Whole(); wrong == nil {
		t.Error("an answer of nothing is one")
	}
}

func TestErrors(t *testing.T) {
	for want, e := range map[string]openai.Error{
		`{"message":"m","type":"invalid_request_error","param":"p","code":null}`:              {Status: 400, Message: "m", Param: "p"},
		`{"message":"m","type":"permission_error","param":null,"code":"NO_ROLE_ALLOWS"}`:      {Status: 403, Message: "m", Code: "NO_ROLE_ALLOWS"},
		`{"message":"m","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}`: {Status: 429, Message: "m", Code: "BYTES_IN_FLIGHT"},
		`{"message":"m","type":"server_error","param":null,"code":null}`:                      {Status: 503, Message: "m"},
	} {
		if got := string(e.JSON()); got != `{"error":`+want+`}` || !json.Valid([]byte(got)) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
